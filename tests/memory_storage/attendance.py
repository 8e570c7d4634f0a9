"""``AttendanceBoard`` in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from wavecom.core.lanes import LaneQueue
from wavecom.errors import UnavailableError


class MemoryAttendance:
    """Keeps times in a dictionary; away while ``is_up`` is False. ``now`` is in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.is_up = True
        self._now = now
        self._noted_at: dict[LaneQueue, float] = {}

    def note(self, queues: Collection[LaneQueue]) -> None:
        """See the port."""
        self._check()
        self._noted_at |= dict.fromkeys(queues, self._now())

    def ages(self) -> Mapping[LaneQueue, float]:
        """See the port."""
        self._check()
        return {queue: self._now() - at for queue, at in self._noted_at.items()}

    def clear(self) -> None:
        """Lose everything."""
        self._noted_at.clear()

    def _check(self) -> None:
        if not self.is_up:
            raise UnavailableError("Redis does not answer.")
