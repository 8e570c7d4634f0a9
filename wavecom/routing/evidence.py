"""What an answer says about its provider, and how much of that counts. Pure.

One answer to one message proves little: a full mailbox, a number that was sent too much and a server that is going
down can look the same. So what an answer says of itself decides first (``ProviderResult.scope``). Where it says
nothing, each recipient counts once: the same one again is no new evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from wavecom.core.job import ACCOUNT_REASONS, Outcome, ProviderResult, Scope

#: How long a provider wants to be left alone that says "too many" without saying until when.
THROTTLED_SECONDS = 1.0
LONGEST_SECONDS = 86_400.0
#: The provider lives and limits us: no failure of the breaker's kind.
THROTTLED_CODES = frozenset({"http_429", "throttled"})
#: So many recipients are told apart; with more of them there is no doubt that they are several.
MAX_RECIPIENTS = 16


class HealthSignal(StrEnum):
    """What one answer says about its provider."""

    #: It takes calls. A message or a recipient that it doesn't take proves that as well.
    WORKS = "works"
    FAILS = "fails"
    #: It lives and wants to be asked later.
    LIMITS = "limits"
    #: Nothing: our own process was too late to tell.
    SILENT = "silent"


def health_signal(answer: ProviderResult) -> HealthSignal:
    """What ``answer`` says about the provider that gave it."""
    match answer.scope:
        case Scope.WORKER:
            return HealthSignal.SILENT
        case Scope.MESSAGE | Scope.RECIPIENT | Scope.DESTINATION:
            return HealthSignal.WORKS
        case _ if answer.outcome in (Outcome.ACCEPTED, Outcome.REJECTED):
            return HealthSignal.WORKS
        case _:
            return HealthSignal.LIMITS if _is_limit(answer) else HealthSignal.FAILS


def account_trouble(answer: ProviderResult) -> str:
    """What the answer says is wrong with our account, in one word (``core.job.Reason``); "" where it says nothing.

    One such answer is enough: it doesn't depend on who the message was for. What is about the message alone, such as
    a sender of its own that this account may not use, is none.
    """
    if answer.reason in ACCOUNT_REASONS and answer.scope is Scope.PROVIDER:
        return answer.reason.value
    return ""


def asked_seconds(answer: ProviderResult) -> float | None:
    """For how long such an answer asks not to be called, up to a day; None when it doesn't ask that of everybody."""
    if answer.outcome is not Outcome.UNAVAILABLE or answer.scope not in (None, Scope.PROVIDER):
        return None
    if answer.retry_after_seconds is not None:
        # In this order: what is no number at all asks for nothing.
        return min(max(0.0, answer.retry_after_seconds), LONGEST_SECONDS)
    return THROTTLED_SECONDS if _is_limit(answer) else None


def _is_limit(answer: ProviderResult) -> bool:
    # A quota that is used up is often told by 429, too, and does not end by waiting.
    return (answer.is_limit or answer.code in THROTTLED_CODES) and not account_trouble(answer)


#: Stands in for a code where a call was good and slow.
SLOW = "slow"
#: Stands for a recipient where the provider itself is in trouble, which each answer says anew.
EVERYBODY = "*"


def key_of(answer: ProviderResult, recipient: str) -> str:
    """Under which key an answer counts: its recipient's, or ``EVERYBODY``."""
    return EVERYBODY if answer.scope is Scope.PROVIDER else recipient


def probe_outcome(found: HealthSignal, *, is_slow: bool) -> str:
    """What a probe showed: "success", "failure", or "unused" for nothing."""
    if found is HealthSignal.SILENT:
        return "unused"
    return "failure" if is_slow or found is HealthSignal.FAILS else "success"


@dataclass(slots=True)
class CallCounts:
    """What came of some calls to one provider. A recipient that fails again and again counts once."""

    calls: int = 0
    failures: int = 0
    slow: int = 0
    #: Failures since the last success.
    failures_in_a_row: int = 0
    successes: int = 0
    #: Of the first recipients that failed: whether the failure belongs to ``failures_in_a_row``.
    recipients: dict[str, bool] = field(default_factory=dict)
    #: Of the last failure.
    code: str = ""
    #: What the last of them said is wrong with our account; "" for nothing.
    account: str = ""

    def count(
        self, found: HealthSignal, *, is_slow: bool = False, recipient: str = "", code: str = "", account: str = ""
    ) -> None:
        """Add one call. ``recipient`` is an opaque key; "" and ``EVERYBODY`` count each time."""
        self.account = account or self.account
        if recipient == EVERYBODY:
            recipient = ""
        if found is HealthSignal.FAILS:
            self._count_failure(recipient, code, is_slow=is_slow)
            return
        if found is HealthSignal.SILENT:
            return
        self.calls += 1
        self.slow += is_slow
        if found is HealthSignal.WORKS:
            self.successes += 1
            self.failures_in_a_row = 0
            if self.recipients:
                self.recipients = dict.fromkeys(self.recipients, False)

    def _count_failure(self, recipient: str, code: str, *, is_slow: bool) -> None:
        self.code = code
        is_in_row = self.recipients.get(recipient) if recipient else None
        if is_in_row:
            return
        self.failures_in_a_row += 1
        if is_in_row is None:
            self.calls += 1
            self.failures += 1
            self.slow += is_slow
        if recipient and (is_in_row is not None or len(self.recipients) < MAX_RECIPIENTS):
            self.recipients[recipient] = True


@dataclass(slots=True)
class RecentFailures:
    """The recipients whose failures were counted last, so that none counts twice in a row or in a window."""

    #: Key → when it was counted, and whether no success came since. The one counted last stands last.
    _counted: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def without_repeats(self, tally: CallCounts, now: float, window_seconds: float) -> CallCounts:
        """``tally`` without what is known already; remembers the rest."""
        if tally.successes:
            self._counted = {key: (at, False) for key, (at, _) in self._counted.items()}
        known_in_window = known_in_row = 0
        for key, is_in_row in tally.recipients.items():
            at, was_in_row = self._counted.pop(key, (float("-inf"), False))
            is_repeated = at > now - window_seconds
            known_in_window += is_repeated
            known_in_row += is_in_row and was_in_row
            self._counted[key] = (at if is_repeated else now, is_in_row)
        for key in list(self._counted)[:-MAX_RECIPIENTS]:
            del self._counted[key]
        return CallCounts(
            calls=tally.calls - known_in_window,
            failures=tally.failures - known_in_window,
            slow=max(0, tally.slow - known_in_window),
            failures_in_a_row=tally.failures_in_a_row - known_in_row,
            successes=tally.successes,
            code=tally.code,
            account=tally.account,
        )


@dataclass(slots=True)
class PauseRequests:
    """The recipients told to come back later since a call was last taken: evidence for a pause of everybody."""

    _asked: list[tuple[str, float]] = field(default_factory=list)

    def add(self, recipient: str, seconds: float, enough: int) -> float:
        """One more; answers for how long all of the last ``enough`` recipients were told to stay away, 0 for fewer."""
        others = [each for each in self._asked if not recipient or each[0] != recipient]
        self._asked = [*others, (recipient, seconds)][-enough:]
        return min(asked for _, asked in self._asked) if len(self._asked) >= enough else 0.0

    def clear(self) -> None:
        """Forget all: a call was taken."""
        self._asked.clear()
