"""The circuit breaker of one provider: its rules as a pure state machine.

::

    closed ──(too many failures or slow answers)──> open ──(open_until reached)──> half open
      ^                                              ^                                │ │
      │                                              └──(probes failed or were slow)──┘ │
      └─────────────────────(enough probes succeeded)──────────────────────────────────┘

What counts as a failure, and how often, is ``evidence.py``'s. A provider that has just come back gets few calls at
first (``ramp.py``). ``Breaker`` serves one process; ``wavecom/storage/redis/gate_common.lua`` holds the same rules for
a fleet, and one contract suite holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from wavecom.core.breaker_settings import BreakerSettings
from wavecom.routing.evidence import CallCounts, RecentFailures
from wavecom.routing.ramp import Ramp

#: When to ask again while other callers hold all the probes.
PROBES_TAKEN_SECONDS = 0.25
#: So many recipients' probes must have failed, for one recipient's trouble is not the provider's.
PROBES_TO_REOPEN = 2


class BreakerState(StrEnum):
    """Closed lets calls through, open none, half open a few probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """The state of one provider, for pages. Durations are seconds from now; 0: not at all."""

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
    #: Why it last changed its state, and why nobody may call it now; "" for never and not at all.
    reason: str = ""
    throttled_reason: str = ""
    #: How long ago the state changed, and the pause began.
    since_seconds: float = 0
    throttled_since_seconds: float = 0
    is_ramping: bool = False
    #: What is wrong with our account, in one word (``core.job.Reason``), until the provider takes calls again; else "".
    account: str = ""


@dataclass(slots=True)
class ResultWindow:
    """The results of the calls within one window of time, added up."""

    calls: int = 0
    failures: int = 0
    slow: int = 0
    failures_in_a_row: int = 0

    def add(self, later: CallCounts) -> None:
        """Add the calls of ``later``, which came after these."""
        self.calls += later.calls
        self.failures += later.failures
        self.slow += later.slow
        self.failures_in_a_row = later.failures_in_a_row + (0 if later.successes else self.failures_in_a_row)


@dataclass(slots=True)
class Breaker:
    """One provider's breaker. Not thread-safe. ``now`` is monotonic seconds, the same clock in every call.

    Methods that can change the state return the new one, or None when it stayed; ``reason`` says why.
    """

    settings: BreakerSettings
    state: BreakerState = BreakerState.CLOSED
    epoch: int = 0
    open_until: float = 0
    reason: str = ""
    changed_at: float = float("-inf")
    #: As ``ProviderHealth`` has it.
    account: str = ""
    #: The state last entered goes on with trouble of our account that was told of before.
    is_repeated: bool = False
    ramp: Ramp = field(init=False)
    _openings: int = 0
    _closed_at: float = float("-inf")
    _successes: int = 0
    _failed_probes: list[str] = field(default_factory=list)
    _probes: dict[str, float] = field(default_factory=dict)
    _failed: RecentFailures = field(default_factory=RecentFailures)
    _window_start: float = float("-inf")
    _window: ResultWindow = field(default_factory=ResultWindow)
    _last_window: ResultWindow = field(default_factory=ResultWindow)

    def __post_init__(self) -> None:
        self.ramp = Ramp(self.settings.ramp_calls, self.settings.ramp_seconds)

    def wake(self, now: float) -> BreakerState | None:
        """Open becomes half open when its time has come."""
        if self.state is BreakerState.OPEN and now >= self.open_until:
            return self._enter(BreakerState.HALF_OPEN, "its pause is over", now)
        return None

    @property
    def probes_out(self) -> int:
        """How many probes are leased."""
        return len(self._probes)

    def has_probe(self, now: float) -> bool:
        """Whether one more probe may go out; probes that were not heard of in time don't count."""
        self._probes = {token: until for token, until in self._probes.items() if until > now}
        return len(self._probes) < self.settings.max_probes

    def lease_probe(self, token: str, now: float) -> None:
        """Let the probe ``token`` out."""
        self._probes[token] = now + self.settings.probe_lease_seconds

    def return_probe(
        self,
        token: str,
        is_success: bool | None,
        now: float,
        *,
        recipient: str = "",
        code: str = "",
        account: str = "",
    ) -> BreakerState | None:
        """What came of a probe; None: it says nothing. One that came back too late counts for nothing.

        ``recipient`` is an opaque key, "" for somebody else each time; "*" for a failure that is the provider's own.
        """
        until = self._probes.pop(token, float("-inf"))
        if until <= now or self.state is not BreakerState.HALF_OPEN or is_success is None:
            return None
        if not is_success:
            if not recipient or recipient not in self._failed_probes:
                self._failed_probes.append(recipient)
            if recipient != "*" and len(self._failed_probes) < PROBES_TO_REOPEN:
                return None
            return self._open(reason_of_account(account, code) or f"probes failed, last {code}", now, account)
        self._successes += 1
        if self._successes < self.settings.successes_to_close:
            return None
        self._closed_at = now
        self.ramp.begin(now)
        return self._enter(BreakerState.CLOSED, f"{self._successes} probes succeeded", now)

    def report(self, tally: CallCounts, epoch: int, now: float) -> BreakerState | None:
        """What came of ordinary calls that were let through in ``epoch``; those of an earlier one come too late."""
        if self.state is not BreakerState.CLOSED or epoch != self.epoch:
            return None
        self._roll(now)
        self.ramp.record(tally.successes, now)
        self._window.add(self._failed.without_repeats(tally, now, self.settings.window_seconds))
        trouble = reason_of_account(tally.account, tally.code) or self._trouble(tally.code, now)
        return self._open(trouble, now, tally.account) if trouble else None

    def take_over(
        self, state: BreakerState, open_for_seconds: float, now: float, reason: str = "", account: str = ""
    ) -> None:
        """Go on from what a shared breaker said last; half open starts its probes anew."""
        self.account = account
        if state is not BreakerState.CLOSED:
            self._enter(BreakerState.OPEN, reason, now)
            self.open_until = now + open_for_seconds

    def close(self, reason: str, now: float) -> BreakerState | None:
        """Close it by hand, and forget how often it opened."""
        self._openings = 0
        if self.state is BreakerState.CLOSED:
            return None
        self._closed_at = now
        return self._enter(BreakerState.CLOSED, reason, now)

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

    def _trouble(self, code: str, now: float) -> str:
        """Why it must open, "" when it need not."""
        row = self._window.failures_in_a_row
        if row >= self.settings.max_failures_in_a_row:
            return f"{row} failures in a row, last {code}"
        calls, failures, slow = self.rates(now)
        if calls < self.settings.min_calls:
            return ""
        if failures >= calls * self.settings.failure_rate:
            return f"{failures:.0f} of {calls:.0f} calls failed, last {code}"
        return f"{slow:.0f} of {calls:.0f} calls were slow" if slow >= calls * self.settings.slow_rate else ""

    def _roll(self, now: float) -> None:
        age = now - self._window_start
        if age < self.settings.window_seconds:
            return
        is_next = age < 2 * self.settings.window_seconds
        self._last_window = self._window if is_next else ResultWindow()
        self._window_start = self._window_start + self.settings.window_seconds if is_next else now
        # A row of failures is not ended by the clock.
        self._window = ResultWindow(failures_in_a_row=self._window.failures_in_a_row)

    def _open(self, reason: str, now: float, account: str) -> BreakerState:
        if self.state is BreakerState.CLOSED:
            # min() first: before the first closing there is infinitely much to forget.
            forgotten = min(self._openings, (now - self._closed_at) / self.settings.forget_seconds)
            self._openings -= int(forgotten)
        settings = self.settings
        first, cap = settings.open_seconds, settings.open_cap_seconds
        if account:
            first = max(first, settings.account_open_seconds)
            cap = max(first, settings.account_cap_seconds)
        pause = first * 2 ** min(self._openings, 32)
        self._openings += pause < cap
        self.open_until = now + min(pause, cap)
        entered = self._enter(BreakerState.OPEN, reason, now)
        self.account = account or self.account
        return entered

    def _enter(self, state: BreakerState, reason: str, now: float) -> BreakerState:
        self.state = state
        self.epoch += 1
        self.is_repeated = bool(self.account) and state is not BreakerState.CLOSED
        if state is BreakerState.CLOSED:
            self.account = ""
        self.reason = reason
        self.changed_at = now
        self._successes = 0
        self._failed_probes.clear()
        self._probes.clear()
        self._window, self._last_window = ResultWindow(), ResultWindow()
        self._failed = RecentFailures()
        return state


def reason_of_account(account: str, code: str) -> str:
    """Why it opens where the provider refuses our account; "" where it doesn't."""
    return f"the provider refuses our account: {account}, {code}" if account else ""
