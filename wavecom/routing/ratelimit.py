"""The rate limit of one provider: GCRA (the leaky bucket of ATM, ITU-T I.371) with a ceiling for each priority. Pure.

Every permit, whoever takes it, counts in the cell of every priority; each cell leaks at its priority's share of the
rate. So bulk gets permits only while the *total* is under 80 % of the rate, and high always finds the room above: a
higher priority is never held up by a lower one. ``Limiter`` serves one process; ``gate_acquire.lua`` holds the same
rules for a fleet.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wavecom.core.lanes import Priority

#: What each priority may use of a provider's rate, and how many permits of the burst it leaves to the priorities above.
SHARES = {Priority.HIGH: 1.0, Priority.NORMAL: 0.9, Priority.BULK: 0.8}
LEFT_TO_HIGHER = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.BULK: 2}

#: Shorter waits are rounding errors of a clock that counts seconds since the machine's start.
NO_WAIT_SECONDS = 1e-9

#: How much overload a cell remembers. That of high holds the provider's limit and remembers all debt there can be; a
#: lower priority goes on soon after the higher ones have stopped.
MEMORY_SECONDS = {Priority.HIGH: 3600.0, Priority.NORMAL: 1.0, Priority.BULK: 1.0}


@dataclass(frozen=True, slots=True)
class RateSettings:
    """In any time of t seconds no more than ``rate_per_second`` × t + ``burst`` permits are granted."""

    rate_per_second: float
    burst: float

    def __post_init__(self) -> None:
        if self.rate_per_second <= 0 or self.burst < 1:
            raise ValueError("a rate must be positive and a burst at least 1")

    def divided(self, parts: int) -> RateSettings:
        """One of several equal shares, for as many processes that can't talk to each other."""
        return RateSettings(self.rate_per_second / parts, max(1.0, self.burst / parts))

    def interval_seconds(self, priority: Priority) -> float:
        """The time in which one permit leaks from the priority's cell."""
        return 1 / (self.rate_per_second * SHARES[priority])

    def capacity(self, priority: Priority) -> float:
        """How many permits the priority's cell holds."""
        return max(1.0, min(self.burst * SHARES[priority], self.burst - LEFT_TO_HIGHER[priority]))


@dataclass(slots=True)
class Limiter:
    """One provider's limiter. Not thread-safe. ``now`` is monotonic seconds, the same clock in every call."""

    settings: RateSettings
    #: When each cell will have leaked empty.
    _empty_at: dict[Priority, float] = field(default_factory=lambda: dict.fromkeys(SHARES, float("-inf")))

    def retry_after(self, priority: Priority, now: float) -> float:
        """Seconds until the priority may have one permit; 0: now."""
        wait = max(self._wait(priority, now), self._wait(Priority.HIGH, now))
        return wait if wait > NO_WAIT_SECONDS else 0

    def charge(self, cost: float, now: float) -> None:
        """Count permits that are used in any case. Those that were there no longer are debt that later ones wait for.

        So who asks needs room for one alone (``retry_after``): a message heavier than the burst is not stuck for ever.
        """
        for priority in SHARES:
            interval = self.settings.interval_seconds(priority)
            empty_at = max(self._empty_at[priority], now) + cost * interval
            full_at = now + self.settings.capacity(priority) * interval
            self._empty_at[priority] = min(empty_at, full_at + MEMORY_SECONDS[priority])

    def refund(self, cost: float) -> None:
        """Give back permits that were not used."""
        for priority in SHARES:
            self._empty_at[priority] -= cost * self.settings.interval_seconds(priority)

    def _wait(self, priority: Priority, now: float) -> float:
        spare_seconds = (self.settings.capacity(priority) - 1) * self.settings.interval_seconds(priority)
        return self._empty_at[priority] - spare_seconds - now
