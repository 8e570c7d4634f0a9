"""The table of what each HTTP status means for a message; every provider has one, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wavecom.core.job import Outcome, Scope


@dataclass(frozen=True, slots=True)
class StatusMeaning:
    """The outcome that a status stands for, whom it concerns, and what people should check where the fault is ours."""

    outcome: Outcome
    #: Whom it concerns; None where the status doesn't say.
    scope: Scope | None = None
    #: For the log, once a minute: what is wrong with our configuration or account. Empty: nothing for people to do.
    check: str = ""

    @classmethod
    def of(cls, outcome: Outcome) -> StatusMeaning:
        """The outcome alone: what rejects a message is about the message."""
        return cls(outcome, Scope.MESSAGE if outcome is Outcome.REJECTED else None)


_UNKNOWN = StatusMeaning(Outcome.UNKNOWN)


class StatusTable:
    """What each HTTP status means: by its number (429) or, where that is not named, by its class (``"4xx"``)."""

    def __init__(self, meanings: Mapping[int | str, Outcome | StatusMeaning]) -> None:
        rows = {
            key: each if isinstance(each, StatusMeaning) else StatusMeaning.of(each) for key, each in meanings.items()
        }
        self._rows = [rows.get(status) or rows.get(f"{status // 100}xx") or _UNKNOWN for status in range(600)]

    def meaning(self, status: int) -> StatusMeaning:
        """Unknown for what the table doesn't name, and for what is no status."""
        return self._rows[status] if 0 <= status < len(self._rows) else _UNKNOWN

    def outcome(self, status: int) -> Outcome:
        """The same, the outcome alone."""
        return self.meaning(status).outcome
