"""The table of what a provider's answers mean for a message; every provider has one, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wavecom.core.job import Outcome, Reason, Scope


@dataclass(frozen=True, slots=True)
class AnswerMeaning:
    """The outcome that an answer stands for, whom it concerns, and what people should check where the fault is ours."""

    outcome: Outcome
    #: Whom it concerns; None where the answer doesn't say.
    scope: Scope | None = None
    #: For the log, once a minute: what is wrong with our configuration or account. Empty: nothing for people to do.
    check: str = ""
    #: What the provider says so plainly that people or applications act on it.
    reason: Reason | None = None
    #: This provider will never take this message, and others may: see ``ProviderResult``.
    is_final_here: bool = False
    #: Of ``Reason.SENDER``: it is about what is configured, whatever sender a message names itself.
    holds_for_any_sender: bool = False
    #: See ``ProviderResult``. Of status 429 it need not be said.
    is_limit: bool = False

    @classmethod
    def of(cls, outcome: Outcome) -> AnswerMeaning:
        """The outcome alone: what rejects a message is about the message."""
        return cls(outcome, Scope.MESSAGE if outcome is Outcome.REJECTED else None)

    @classmethod
    def account(cls, reason: Reason, check: str, *, holds_for_any_sender: bool = False) -> AnswerMeaning:
        """The provider serves nobody of ours, because of our account: its credentials, balance, sender or quota.

        A refused sender that a message has named itself is that message's trouble, unless it
        ``holds_for_any_sender``: a domain or a service of the configuration.
        """
        return cls(Outcome.UNAVAILABLE, Scope.PROVIDER, check, reason, holds_for_any_sender=holds_for_any_sender)

    @classmethod
    def limit(cls) -> AnswerMeaning:
        """We call faster than the provider lets us: it lives, and takes the message later."""
        return cls(Outcome.UNAVAILABLE, is_limit=True)

    @classmethod
    def recipient(cls, reason: Reason) -> AnswerMeaning:
        """This recipient can never be reached, by whichever provider."""
        return cls(Outcome.REJECTED, Scope.RECIPIENT, reason=reason)

    @classmethod
    def elsewhere(cls, check: str = "") -> AnswerMeaning:
        """This provider, as it is set up, will never take this message; the next of the route may."""
        return cls(Outcome.UNAVAILABLE, Scope.MESSAGE, check, is_final_here=True)


_UNKNOWN = AnswerMeaning(Outcome.UNKNOWN)

Meanings = Mapping[int | str, Outcome | AnswerMeaning]


class AnswerTable:
    """What each answer means: by the provider's own code, where the body holds one that ``codes`` names, else by the
    HTTP status: its number (429) or, where that is not named, its class (``"4xx"``).
    """

    def __init__(self, statuses: Meanings, codes: Mapping[str, Outcome | AnswerMeaning] | None = None) -> None:
        rows = {key: _meaning(each) for key, each in statuses.items()}
        self.statuses: frozenset[int | str] = frozenset(statuses)
        self._rows = [rows.get(status) or rows.get(f"{status // 100}xx") or _UNKNOWN for status in range(600)]
        self.codes: Mapping[str, AnswerMeaning] = {code: _meaning(each) for code, each in (codes or {}).items()}

    def meaning(self, status: int, code: str | None = None) -> AnswerMeaning:
        """Unknown for what the table doesn't name, and for what is no status."""
        if code is not None and code in self.codes:
            return self.codes[code]
        return self._rows[status] if 0 <= status < len(self._rows) else _UNKNOWN

    def outcome(self, status: int, code: str | None = None) -> Outcome:
        """The same, the outcome alone."""
        return self.meaning(status, code).outcome


def _meaning(each: Outcome | AnswerMeaning) -> AnswerMeaning:
    return each if isinstance(each, AnswerMeaning) else AnswerMeaning.of(each)
