"""How long messages that nobody can hold are set aside while a provider's rate is used up: one after another.

A gate says to each when the next permit comes, which is the same moment for all. If all came back then, one would be
let in, and each of the others would cost a read and a write of its job, every second again.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

from wavecom.core.lanes import Lane
from wavecom.core.ports import Refusal
from wavecom.routing.gate import RATE_LIMIT

#: Nobody is set aside for longer: the rate may be raised, or those who share it may have stopped.
LONGEST_SECONDS: Final = 60.0


class ParkingTimes:
    """When the parked jobs of each lane come back. One process's view; thread-safe."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        #: When the next job of a lane may come back (monotonic).
        self._next_at: dict[Lane, float] = {}

    def seconds(self, lane: Lane, refusal: Refusal) -> float:
        """For how long to park a job of ``lane`` that met ``refusal``.

        As long as the refusal says; where it is the rate's, as long again for each that was parked before and is not
        back yet, up to ``LONGEST_SECONDS``.
        """
        pause = refusal.retry_after_seconds
        if refusal.reason != RATE_LIMIT:
            return pause
        with self._lock:
            now = self._monotonic()
            at = max(now + pause, self._next_at.get(lane, now))
            if at - now > LONGEST_SECONDS:
                return max(pause, LONGEST_SECONDS)
            self._next_at[lane] = at + pause
            return at - now
