"""Whether work that is due moves: the broker may answer, every worker may live, and still nothing gets through.

A queue stalls when for a minute work has waited in it and no worker has taken or held a single message of it. A worker
that holds messages because no provider may be called now does what it should, and a backlog that is being worked
through moves; with nothing to do there is nothing to move.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from wavecom.core.lanes import LaneQueue

log = structlog.get_logger()

#: A delivery message that is lost is published again after half of this.
STALL_LIMIT = timedelta(seconds=60)
#: So long work counts as waiting after it was seen: a delivery message that was published again is not overdue for half
#: a minute.
_REMEMBERED = timedelta(seconds=45)
#: The sweep reports every few seconds; a report of this age says that nobody sweeps.
STALL_REPORT_LIMIT = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class StallReport:
    """What the sweep last found: the broker's names of the stalled queues."""

    at: datetime
    stalled: Sequence[str]


class ProgressBoard(Protocol):
    """The progress that workers and the sweep share. Every call raises ``UnavailableError`` while it is away."""

    def moved_at(self) -> Mapping[LaneQueue, datetime]:
        """When a worker last took or held a message of each queue."""
        ...

    def publish(self, report: StallReport) -> None:
        """Keep this report where all processes read it."""
        ...


def progress_problem(report: StallReport | None, cancelled: Mapping[str, Collection[str]], now: datetime) -> str | None:
    """What keeps due work from moving: a stable word, with the queues concerned after a colon. None: it moves.

    ``cancelled`` is worker to queues that it was told to consume no more. Without any report nobody can say.
    """
    if report is not None and now - report.at > STALL_REPORT_LIMIT:
        return "sweep_silent"
    if report is not None and report.stalled:
        return f"deliveries_stalled: {', '.join(report.stalled)}"
    if cancelled:
        return f"consumer_cancelled: {', '.join(sorted({queue for each in cancelled.values() for queue in each}))}"
    return None


class StallDetector:
    """Finds stalled queues. ``name_of`` gives the broker's name of a queue, ``on_stalled`` hears of each report."""

    def __init__(self, name_of: Callable[[LaneQueue], str], on_stalled: Callable[[Collection[str]], None]) -> None:
        self._name_of = name_of
        self._on_stalled = on_stalled
        #: Since when work has been waiting in a queue, and when that was last seen.
        self._waiting: dict[LaneQueue, tuple[datetime, datetime]] = {}
        self._stalled: tuple[str, ...] = ()

    def check(
        self, waiting: Collection[LaneQueue], moved_at: Mapping[LaneQueue, datetime], now: datetime
    ) -> StallReport:
        """Find the stalled queues. ``waiting``: those in which work waits at ``now``. Call it every few seconds."""
        for queue in waiting:
            since, _ = self._waiting.get(queue, (now, now))
            self._waiting[queue] = (since, now)
        self._waiting = {queue: seen for queue, seen in self._waiting.items() if now - seen[1] < _REMEMBERED}
        stalled = []
        for queue, (since, _) in self._waiting.items():
            still_since = max(since, moved_at.get(queue, since))
            if now - still_since >= STALL_LIMIT:
                stalled.append(self._name_of(queue))
        self._log_change(tuple(sorted(stalled)))
        return StallReport(now, self._stalled)

    def _log_change(self, stalled: tuple[str, ...]) -> None:
        if stalled and not self._stalled:
            log.error("deliveries_stalled", queues=stalled)
        elif self._stalled and not stalled:
            log.warning("deliveries_move_again", queues=self._stalled)
        self._stalled = stalled
        self._on_stalled(stalled)
