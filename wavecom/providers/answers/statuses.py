"""What each HTTP status means, as data: a provider's table says it, this reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wavecom.core.job import Outcome, Scope


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a status says of the message, and what people should look at where it says something of us."""

    outcome: Outcome
    #: Whom it concerns; None where the status doesn't say.
    scope: Scope | None = None
    #: For the log, once a minute: what is wrong with our configuration or account. Empty: nothing for people to do.
    check: str = ""

    @classmethod
    def of(cls, outcome: Outcome) -> Meaning:
        """The outcome alone: what rejects a message is about the message."""
        return cls(outcome, Scope.MESSAGE if outcome is Outcome.REJECTED else None)


_UNKNOWN = Meaning(Outcome.UNKNOWN)


class StatusTable:
    """What each HTTP status means: by its number (429) or, where that is not named, by its class (``"4xx"``)."""

    def __init__(self, meanings: Mapping[int | str, Outcome | Meaning]) -> None:
        rows = {key: each if isinstance(each, Meaning) else Meaning.of(each) for key, each in meanings.items()}
        self._rows = [rows.get(status) or rows.get(f"{status // 100}xx") or _UNKNOWN for status in range(600)]

    def meaning(self, status: int) -> Meaning:
        """Unknown for what the table doesn't name, and for what is no status."""
        return self._rows[status] if 0 <= status < len(self._rows) else _UNKNOWN

    def outcome(self, status: int) -> Outcome:
        """The same, the outcome alone."""
        return self.meaning(status).outcome
