"""Destinations that are in trouble: the domain whose mail server greylists or is away, while others get their mail.

What one recipient of a domain is told delays that one mail. Once several recipients of it in a row were told to come
back later, its next mails wait without being tried, which saves their attempts and the relay's patience. Known to one
process: each learns by itself, within three mails.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from wavecom.core.job import Outcome, ProviderResult, Scope
from wavecom.routing.evidence import PauseRequests

#: So many recipients of a destination in a row.
RECIPIENTS_TO_HOLD = 3
#: The first pause; each one that follows without a mail taken between is twice as long, up to the last.
FIRST_SECONDS = 5.0
LONGEST_SECONDS = 300.0
#: So many destinations in trouble are known at once; of more, the one that was heard of longest ago is forgotten.
MOST = 10_000


@dataclass(slots=True)
class _DestinationState:
    requests: PauseRequests = field(default_factory=PauseRequests)
    pauses: int = 0
    until: float = float("-inf")


class Destinations:
    """What is known of all providers' destinations. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._states: OrderedDict[tuple[str, str], _DestinationState] = OrderedDict()
        self._lock = Lock()

    @property
    def known(self) -> int:
        """Of how many it knows trouble, ``MOST`` at most."""
        return len(self._states)

    def wait_seconds(self, provider: str, destination: str) -> float:
        """How long no mail should go to ``destination`` by ``provider``; 0: now. "" is no destination."""
        if not self._states or not destination:
            return 0.0
        with self._lock:
            trouble = self._states.get((provider, destination))
            return max(0.0, trouble.until - self._monotonic()) if trouble else 0.0

    def record(self, provider: str, destination: str, answer: ProviderResult, recipient: str) -> None:
        """Take note of what came of a call. ``recipient`` is an opaque key."""
        is_trouble = answer.scope is Scope.DESTINATION and answer.outcome is Outcome.UNAVAILABLE
        if not destination or not (is_trouble or self._states):
            return
        key = (provider, destination)
        with self._lock:
            if is_trouble:
                self._add(key, answer.retry_after_seconds, recipient)
            elif answer.outcome in (Outcome.ACCEPTED, Outcome.REJECTED):
                self._states.pop(key, None)

    def _add(self, key: tuple[str, str], asked_seconds: float | None, recipient: str) -> None:
        now = self._monotonic()
        trouble = self._states.setdefault(key, _DestinationState())
        self._states.move_to_end(key)
        if len(self._states) > MOST:
            self._states.popitem(last=False)
        # Calls that were under way when the pause began say nothing new.
        if trouble.until > now:
            return
        usual = FIRST_SECONDS * 2 ** min(trouble.pauses, 16)
        seconds = trouble.requests.add(recipient, max(usual, asked_seconds or 0), RECIPIENTS_TO_HOLD)
        if seconds > 0:
            trouble.until = now + min(max(usual, seconds), LONGEST_SECONDS)
            trouble.pauses += 1
