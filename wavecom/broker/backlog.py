"""Which delivery messages are lost, and which only wait in a deep queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.topology import partition_names, queue_name
from wavecom.core.lanes import LaneQueue
from wavecom.core.ports import WaitingMessages

#: Queues keep their order but for redeliveries and delayed retries: a delivery message this much older than one that
#: has already been taken is not going to come.
_DISORDER = timedelta(seconds=60)


class QueueBacklog:
    """Implements ``wavecom.core.ports.Backlog`` from queue depths and from how far workers have got.

    ``depth(queue)`` is the number of ready messages, None when unknown; ``watermark(queue)`` the latest ``queuedAt``
    of a delivery message that a worker has taken from it, None when unknown. Of a lane that is parted, every partition
    is asked: each keeps an order of its own, so what is lost is told by the one that is furthest behind.
    """

    def __init__(
        self,
        depth: Callable[[str], int | None],
        watermark: Callable[[str], datetime | None],
        queues: DeliveryQueues | None = None,
    ) -> None:
        self._depth = depth
        self._watermark = watermark
        self._queues = queues or DeliveryQueues()

    def of(self, queue: LaneQueue, now: datetime) -> WaitingMessages:
        """See ``Backlog.of``."""
        depths: dict[str, int] = {}
        for name in partition_names(queue_name(queue), self._queues.layout.partitions):
            depth = self._depth(name)
            if depth is None:
                return WaitingMessages(None, None)
            depths[name] = depth
        total = sum(depths.values())
        if total == 0:
            return WaitingMessages(0, now)
        reached = [self._watermark(name) for name, depth in depths.items() if depth]
        known = [moment for moment in reached if moment is not None]
        return WaitingMessages(total, min(known) - _DISORDER if len(known) == len(reached) else None)
