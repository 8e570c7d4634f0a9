"""When receipts count as slow or bad: set for the whole deployment, used wherever receipts are counted or judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: A message is missing a receipt when it has none after ``slow_after`` and this: a receipt of the last second has a way
#: to go, and messages are counted by whole minutes.
MARGIN_SECONDS: Final = 120
#: Counts are kept for an hour, and read by whole minutes.
LONGEST_WINDOW_SECONDS: Final = 3_300


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptThresholds:
    """The defaults are those of GOV.UK Notify for its text messages
    (https://github.com/alphagov/notifications-api, ``switch_current_sms_provider_on_slow_delivery``).
    """

    #: A receipt that comes so long after its message was taken is late.
    slow_after_seconds: int = 300
    #: Slow: such a share of the messages has no receipt by then, or none at all.
    slow_share: float = 0.15
    #: Bad: such a share of the messages that were reported has failed, for no reason that is the recipient's.
    bad_share: float = 0.25
    #: Messages taken within so long are looked at.
    window_seconds: int = 900
    #: Of fewer messages nothing is said.
    least_messages: int = 50

    @property
    def slow_after(self) -> timedelta:
        """``slow_after_seconds``."""
        return timedelta(seconds=self.slow_after_seconds)

    @property
    def window(self) -> timedelta:
        """``window_seconds``."""
        return timedelta(seconds=self.window_seconds)

    @property
    def shortest_window_seconds(self) -> int:
        """In a shorter window no message is old enough to miss its receipt."""
        return self.slow_after_seconds + MARGIN_SECONDS + 60
