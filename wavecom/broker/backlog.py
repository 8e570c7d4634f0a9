"""Which delivery messages are lost, and which only wait in a deep queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from wavecom.broker.topology import queue_name
from wavecom.core.lanes import LaneQueue
from wavecom.core.ports import WaitingMessages

#: Queues keep their order but for redeliveries and delayed retries: a delivery message this much older than one that
#: has already been taken is not going to come.
_DISORDER = timedelta(seconds=60)


class QueueBacklog:
    """Implements ``wavecom.core.ports.Backlog`` from queue depths and from how far workers have got.

    ``depth(queue)`` is the number of ready messages, None when unknown; ``watermark(queue)`` the latest ``queuedAt``
    of a delivery message that a worker has taken from it, None when unknown.
    """

    def __init__(self, depth: Callable[[str], int | None], watermark: Callable[[str], datetime | None]) -> None:
        self._depth = depth
        self._watermark = watermark

    def of(self, queue: LaneQueue, now: datetime) -> WaitingMessages:
        """See ``Backlog.of``."""
        name = queue_name(queue)
        depth = self._depth(name)
        if depth is None:
            return WaitingMessages(None, None)
        if depth == 0:
            return WaitingMessages(0, now)
        reached = self._watermark(name)
        return WaitingMessages(depth, reached - _DISORDER if reached is not None else None)
