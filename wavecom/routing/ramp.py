"""Slow start: how many calls a provider gets after a pause. Pure.

All that waited meanwhile would else come at once, and what has only just come back would go down again. A few calls are
let in at first, and two more for each that was taken: the number doubles with each answer time, as long as the answers
are good. ``gate_common.lua`` holds the same rule for a fleet.
"""

from __future__ import annotations

from dataclasses import dataclass

#: So many good answers end it: by then twice as many calls are let in at once.
SUCCESSES_TO_END = 200
#: Besides, the first few are let in again each so many seconds: permits that never came back must not end everything.
AGAIN_SECONDS = 5.0
#: When to ask again.
WAIT_SECONDS = 0.1


@dataclass(slots=True)
class Ramp:
    """One provider's slow start. Not thread-safe. ``now`` is seconds by the clock that ``begin`` was told."""

    #: Let in at once; 0: no slow start.
    calls: int
    #: Over after this, whatever was answered.
    seconds: float
    _starts_at: float = float("-inf")
    _granted: int = 0
    _successes: int = 0

    def begin(self, at: float) -> None:
        """From ``at`` on, which may be to come."""
        self._starts_at = at
        self._granted = self._successes = 0

    def is_active(self, now: float) -> bool:
        """Whether permits are counted now."""
        is_running = self._starts_at <= now < self._starts_at + self.seconds
        return is_running and self.calls > 0 and self._successes < SUCCESSES_TO_END

    def take(self, now: float) -> bool:
        """One call, if there is room for it."""
        allowed = self.calls * (1 + (now - self._starts_at) / AGAIN_SECONDS) + 2 * self._successes
        if self._granted + 1 > allowed:
            return False
        self._granted += 1
        return True

    def record(self, successes: int, now: float) -> None:
        """So many calls were taken."""
        if self.is_active(now):
            self._successes += successes
