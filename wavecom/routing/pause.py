"""Pauses: a provider is not called for a while, as it asked (``Retry-After``) or as an operator wants it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from wavecom.core.job import ProviderResult, Scope
from wavecom.routing.evidence import HealthSignal, PauseRequests, asked_seconds, health_signal


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """One answer that asked for a pause. ``recipient`` is an opaque key, "" for somebody else each time."""

    recipient: str
    seconds: float
    #: The answer says that nobody is served, so it needs no other to agree.
    is_for_all: bool
    code: str

    @classmethod
    def of(cls, answer: ProviderResult, recipient: str) -> PauseRequest | None:
        """What ``answer`` asks for; None for nothing that could concern others."""
        seconds = asked_seconds(answer)
        return None if not seconds else cls(recipient, seconds, answer.scope is Scope.PROVIDER, answer.code)


@dataclass(slots=True)
class Pause:
    """One provider's pause. Not thread-safe. ``now`` is monotonic seconds."""

    recipients_to_pause: int
    cap_seconds: float
    until: float = float("-inf")
    began_at: float = float("-inf")
    reason: str = ""
    _requests: PauseRequests = field(default_factory=PauseRequests)

    def is_on(self, now: float) -> bool:
        """Whether nobody may call."""
        return self.until > now

    def take_ended_reason(self, now: float) -> str:
        """The reason of a pause that is over, once; "" afterwards and when there was none."""
        if self.is_on(now):
            return ""
        reason, self.reason = self.reason, ""
        return reason

    def record(self, answer: ProviderResult, recipient: str, now: float) -> bool:
        """Take note of an answer; True when a pause begins with it."""
        if health_signal(answer) is HealthSignal.WORKS:
            self._requests.clear()
        request = PauseRequest.of(answer, recipient)
        if request is None:
            return False
        if request.is_for_all:
            return self.begin(request.seconds, reason_of_provider(request.code), now)
        seconds = self._requests.add(recipient, request.seconds, self.recipients_to_pause)
        return seconds > 0 and self.begin(seconds, reason_of_row(self.recipients_to_pause, request.code), now)

    def begin(self, seconds: float, reason: str, now: float) -> bool:
        """Leave it alone for ``seconds``, bounded; True unless it was alone already. A pause is never cut short."""
        is_new = not self.is_on(now)
        if is_new:
            self.began_at = now
            self.reason = reason
        self.until = max(self.until, now + min(seconds, self.cap_seconds))
        return is_new

    def take_over(self, seconds: float, reason: str, now: float) -> None:
        """Go on with a pause that was begun elsewhere, bounded there: an operator's may be longer than any other."""
        self.began_at = now
        self.reason = reason
        self.until = now + seconds


def reason_of_provider(code: str) -> str:
    """Why there is a pause that the answer asks of everybody."""
    return f"the provider asked for a pause of all calls: {code}"


def reason_of_row(recipients: int, code: str) -> str:
    """Why there is a pause that several recipients' answers ask for."""
    return f"{recipients} recipients in a row were told to wait, last {code}"
