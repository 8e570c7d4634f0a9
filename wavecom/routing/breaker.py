"""The circuit breaker of one provider: its rules as a pure state machine.

::

    closed ──(too many failures or slow answers)──> open ──(open_until reached)──> half open
      ^                                              ^                                │ │
      │                                              └──(a probe failed or was slow)──┘ │
      └─────────────────────(enough probes succeeded)──────────────────────────────────┘

``Breaker`` serves one process; ``wavecom/storage/redis/gate_common.lua`` holds the same rules for a fleet, and one
contract suite holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from wavecom.core.job import Answer, Outcome

#: How long a tap stays closed when the provider says "too many" without saying until when.
THROTTLED_SECONDS = 1.0
#: No provider's wish keeps its tap closed for longer.
THROTTLED_CAP_SECONDS = 3600.0
#: The provider lives and limits us: no failure of the breaker's kind.
THROTTLED_CODES = frozenset({"http_429", "throttled"})
#: When to ask again while other callers hold all the probes.
PROBES_TAKEN_SECONDS = 0.25


class BreakerState(StrEnum):
    """Closed lets calls through, open none, half open a few probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a breaker opens, for how long, and what it takes to close it again."""

    #: The rates below are taken over about this long (two buckets, the older one weighted by what is left of it).
    window_seconds: float = 10
    min_calls: int = 10
    failure_rate: float = 0.5
    #: So many failures in a row open it at once, however good the window was before.
    max_failures_in_a_row: int = 10
    slow_seconds: float = 5
    slow_rate: float = 0.8
    open_seconds: float = 5
    #: Each opening soon after the last doubles the pause, up to this. It is also what "soon" means.
    open_cap_seconds: float = 60
    #: Probes in flight at once, across the whole fleet.
    max_probes: int = 3
    successes_to_close: int = 3
    #: A probe that is not heard of for so long is given to another caller. Longer than any provider's deadline.
    probe_lease_seconds: float = 15


@dataclass(slots=True)
class Tally:
    """What came of some calls to one provider."""

    calls: int = 0
    failures: int = 0
    slow: int = 0
    #: Failures since the last success.
    failures_in_a_row: int = 0

    def count(self, *, is_failure: bool, is_slow: bool) -> None:
        """Add one call."""
        self.calls += 1
        self.slow += is_slow
        if is_failure:
            self.failures += 1
            self.failures_in_a_row += 1
        else:
            self.failures_in_a_row = 0

    def add(self, later: Tally) -> None:
        """Add the calls of ``later``, which came after these."""
        self.calls += later.calls
        self.failures += later.failures
        self.slow += later.slow
        all_failed = later.failures == later.calls
        self.failures_in_a_row = later.failures_in_a_row + (self.failures_in_a_row if all_failed else 0)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """How one provider stands, for pages and for the router. Durations are seconds from now; 0: not at all."""

    provider: str
    state: BreakerState
    #: Grows with every change of state.
    epoch: int = 0
    open_for_seconds: float = 0
    throttled_for_seconds: float = 0
    #: Of the last window, across all who share the breaker.
    calls: float = 0
    failures: float = 0
    slow_calls: float = 0
    #: Calls of this process.
    in_flight: int = 0
    #: False while every process must judge on its own because Redis is away.
    is_shared: bool = False


def is_failure(answer: Answer) -> bool:
    """Whether an answer speaks against the provider; a rejected message speaks against the message."""
    return answer.outcome in (Outcome.UNAVAILABLE, Outcome.UNKNOWN) and answer.code not in THROTTLED_CODES


def throttled_seconds(answer: Answer) -> float:
    """How long nobody may call this provider after such an answer: Retry-After, bounded; 0 when it did not ask."""
    if answer.outcome is not Outcome.UNAVAILABLE:
        return 0
    if answer.retry_after_seconds is not None:
        return min(max(answer.retry_after_seconds, 0), THROTTLED_CAP_SECONDS)
    return THROTTLED_SECONDS if answer.code in THROTTLED_CODES else 0


@dataclass(slots=True)
class Breaker:
    """One provider's breaker. Not thread-safe. ``now`` is monotonic seconds, the same clock in every call.

    Methods that can change the state return the new one, or None when it stayed.
    """

    settings: BreakerSettings
    state: BreakerState = BreakerState.CLOSED
    epoch: int = 0
    open_until: float = 0
    _openings: int = 0
    _closed_at: float = float("-inf")
    _successes: int = 0
    _probes: dict[str, float] = field(default_factory=dict)
    _window_start: float = float("-inf")
    _window: Tally = field(default_factory=Tally)
    _last_window: Tally = field(default_factory=Tally)

    def wake(self, now: float) -> BreakerState | None:
        """Open becomes half open when its time has come."""
        if self.state is BreakerState.OPEN and now >= self.open_until:
            return self._enter(BreakerState.HALF_OPEN)
        return None

    def has_probe(self, now: float) -> bool:
        """Whether one more probe may go out; probes that were not heard of in time don't count."""
        self._probes = {token: until for token, until in self._probes.items() if until > now}
        return len(self._probes) < self.settings.max_probes

    def lease_probe(self, token: str, now: float) -> None:
        """Let the probe ``token`` out."""
        self._probes[token] = now + self.settings.probe_lease_seconds

    def return_probe(self, token: str, is_success: bool | None, now: float) -> BreakerState | None:
        """What came of a probe; None: it never called. One that came back too late counts for nothing."""
        until = self._probes.pop(token, float("-inf"))
        if until <= now or self.state is not BreakerState.HALF_OPEN or is_success is None:
            return None
        if not is_success:
            return self._open(now)
        self._successes += 1
        if self._successes < self.settings.successes_to_close:
            return None
        self._closed_at = now
        return self._enter(BreakerState.CLOSED)

    def report(self, tally: Tally, epoch: int, now: float) -> BreakerState | None:
        """What came of ordinary calls that were let through in ``epoch``; those of an earlier one come too late."""
        if self.state is not BreakerState.CLOSED or epoch != self.epoch:
            return None
        self._roll(now)
        self._window.add(tally)
        return self._open(now) if self._is_too_bad(now) else None

    def take_over(self, state: BreakerState, open_for_seconds: float, now: float) -> None:
        """Go on from what a shared breaker said last; half open starts its probes anew."""
        if state is not BreakerState.CLOSED:
            self._enter(BreakerState.OPEN)
            self.open_until = now + open_for_seconds

    def rates(self, now: float) -> tuple[float, float, float]:
        """Calls, failures and slow answers of the last window."""
        self._roll(now)
        old, new = self._last_window, self._window
        weight = 1 - (now - self._window_start) / self.settings.window_seconds
        return (
            new.calls + weight * old.calls,
            new.failures + weight * old.failures,
            new.slow + weight * old.slow,
        )

    def _is_too_bad(self, now: float) -> bool:
        if self._window.failures_in_a_row >= self.settings.max_failures_in_a_row:
            return True
        calls, failures, slow = self.rates(now)
        return calls >= self.settings.min_calls and (
            failures >= calls * self.settings.failure_rate or slow >= calls * self.settings.slow_rate
        )

    def _roll(self, now: float) -> None:
        age = now - self._window_start
        if age < self.settings.window_seconds:
            return
        is_next = age < 2 * self.settings.window_seconds
        self._last_window = self._window if is_next else Tally()
        self._window_start = self._window_start + self.settings.window_seconds if is_next else now
        # A row of failures is not ended by the clock.
        self._window = Tally(failures_in_a_row=self._window.failures_in_a_row)

    def _open(self, now: float) -> BreakerState:
        is_soon = self.state is BreakerState.HALF_OPEN or now - self._closed_at < self.settings.open_cap_seconds
        self._openings = self._openings + 1 if is_soon else 1
        pause = self.settings.open_seconds * 2 ** min(self._openings - 1, 32)
        self.open_until = now + min(pause, self.settings.open_cap_seconds)
        return self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> BreakerState:
        self.state = state
        self.epoch += 1
        self._successes = 0
        self._probes.clear()
        self._window, self._last_window = Tally(), Tally()
        return state
