"""Which queues of which region have a worker of their own, and whose backlog another region takes. Pure.

A worker says every few seconds which queues of its own region it consumes. A queue of which nobody has said so for a
while is unattended: workers of the regions that its region lets take over consume it too, until somebody is back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from wavecom.core.lanes import LaneQueue
from wavecom.core.regions import Regions, own_queues
from wavecom.errors import UnavailableError


class AttendanceBoard(Protocol):
    """What workers tell each other. Every call raises ``UnavailableError`` while it is away."""

    def note(self, queues: Collection[LaneQueue]) -> None:
        """A worker of their own region consumes these queues now."""
        ...

    def ages(self) -> Mapping[LaneQueue, float]:
        """How many seconds ago somebody last noted each queue."""
        ...


class Attendance:
    """When each queue was last seen to have a worker of its own region. Not thread-safe.

    ``monotonic`` is in seconds. A queue that nobody has noted yet counts from the first look on, so that nobody takes
    a backlog because everything has just been started, or because the board has lost what it knew.
    """

    def __init__(self, board: AttendanceBoard, *, limit_seconds: float, monotonic: Callable[[], float]) -> None:
        self._board = board
        self._limit_seconds = limit_seconds
        self._monotonic = monotonic
        self._seen_at: dict[LaneQueue, float] = {}

    def unattended(self, queues: Iterable[LaneQueue]) -> set[LaneQueue]:
        """Those of ``queues`` that have had no worker of their own region for the limit.

        To be called every few seconds. Raises ``UnavailableError``.
        """
        now = self._monotonic()
        try:
            ages = self._board.ages()
        except UnavailableError:
            self.forget()
            raise
        found = set()
        for queue in queues:
            last = now - ages[queue] if queue in ages else float("-inf")
            self._seen_at[queue] = max(self._seen_at.get(queue, now), last)
            if now - self._seen_at[queue] >= self._limit_seconds:
                found.add(queue)
        return found

    def forget(self) -> None:
        """Have absence count anew: the board is away, so nobody can say that he is there."""
        self._seen_at.clear()


class ConsumedLanes:
    """The lane queues that one worker consumes: those of its region, and those that it has taken over.

    ``queues`` may be read on any thread, ``refresh`` is called by one. Without regions it is what the worker was
    started with.
    """

    def __init__(self, regions: Regions | None, region: str, board: AttendanceBoard, attendance: Attendance) -> None:
        self._regions = regions
        self._region = region
        self._board = board
        self._attendance = attendance
        self._started_with: tuple[LaneQueue, ...] = ()
        #: Those of other regions, with the region of each.
        self._taken: Mapping[LaneQueue, str] = {}

    def begin(self, started_with: Iterable[LaneQueue]) -> None:
        """``started_with``: queues without a region, each standing for that of the worker's region."""
        self._started_with = tuple(started_with)

    @property
    def own(self) -> list[LaneQueue]:
        """Those of the worker's region."""
        return own_queues(self._regions, self._region, self._started_with)

    @property
    def queues(self) -> list[LaneQueue]:
        """All that are to be consumed now."""
        return [*self.own, *self._taken]

    @property
    def taken_regions(self) -> Collection[str]:
        """The regions of which it consumes a queue, besides its own."""
        return set(self._taken.values())

    def refresh(self, *, is_consuming: bool) -> None:
        """Say that the worker consumes its own queues, if it does, and look which others to take or to leave.

        Raises ``UnavailableError``: then all stays as it is.
        """
        if self._regions is None or not self._started_with:
            return
        if is_consuming:
            try:
                self._board.note(self.own)
            except UnavailableError:
                self._attendance.forget()
                raise
        others = self._regions.takeover_queues(self._region, self._started_with)
        unattended = self._attendance.unattended(others)
        self._taken = {queue: name for queue, name in others.items() if queue in unattended}
