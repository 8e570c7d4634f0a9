"""Which hints are lost, and which only wait in a deep queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from wavecom.broker.topology import TEST_QUEUE, queue_name
from wavecom.core.job import Channel, Priority

#: Queues keep their order but for redeliveries and delayed retries: a hint this much older than one that has already
#: been taken is not going to come.
_DISORDER = timedelta(seconds=60)


class QueueBacklog:
    """Implements ``wavecom.core.ports.Backlog`` from queue depths and from how far workers have got.

    ``depth(queue)`` is the number of ready messages, None when unknown; ``watermark(queue)`` the latest ``queuedAt``
    of a hint that a worker has taken from it, None when unknown.
    """

    def __init__(self, depth: Callable[[str], int | None], watermark: Callable[[str], datetime | None]) -> None:
        self._depth = depth
        self._watermark = watermark

    def lost_before(self, channel: Channel, priority: Priority, now: datetime) -> datetime | None:
        """See ``Backlog.lost_before``."""
        return self._lost_before(queue_name(channel, priority), now)

    def tests_lost_before(self, now: datetime) -> datetime | None:
        """See ``Backlog.tests_lost_before``."""
        return self._lost_before(TEST_QUEUE, now)

    def _lost_before(self, queue: str, now: datetime) -> datetime | None:
        depth = self._depth(queue)
        if depth is None:
            return None
        if depth == 0:
            return now
        reached = self._watermark(queue)
        return reached - _DISORDER if reached is not None else None
