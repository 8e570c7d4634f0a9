"""Celery consumer step that decides which queues a worker consumes: it was started with names of lanes (``-Q``).

Of each lane it consumes every partition (ADR 39), in its own region, and the lanes of other regions that it has taken
over (ADR 40). Both change while it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from celery import bootsteps
from kombu import Queue
from prometheus_client import Gauge

from wavecom.broker import topology
from wavecom.core.lanes import QUEUES, QueueLayout
from wavecom.internals import celery as internals
from wavecom.worker.runtime import services

log = structlog.get_logger()

TAKEN = Gauge("wavecom_region_taken_over", "1 while this worker delivers for a region without a worker", ["region"])

#: So often what is known in memory is looked at; store and Redis are asked on other threads.
_FOLLOW_SECONDS: Final = 1.0

_consumed: set[str] = set()


def consumed_queues() -> list[str]:
    """The queues that this worker should be consuming now."""
    return sorted(_consumed)


class ConsumedQueuesStep(bootsteps.StartStopStep):
    """Adds queues to the worker's consumers, and takes away those that belong to somebody else again."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._consumer = consumer
        self._starts = 0
        # What it was started with (-Q); remote control changes Celery's own list.
        started_with = sorted(consumer.app.amqp.queues.consume_from)
        lanes = {topology.queue_name(queue): queue for queue in QUEUES}
        self._others = [name for name in started_with if name not in lanes]
        services().consumed_lanes.begin(lanes[name] for name in started_with if name in lanes)
        internals.replace_delay_queue_setup(services().delay_queues.declare)
        # Celery begins with them when it connects, which it has not done yet.
        queues = consumer.app.amqp.queues
        queues.deselect(started_with)
        for queue in self._wanted():
            queues.select_add(queue)
            _consumed.add(queue.name)

    def start(self, consumer: Any) -> None:
        """Begin to follow; again after each reconnection."""
        self._starts += 1
        self._follow(self._starts)

    def _wanted(self) -> list[Queue]:
        lanes = services().consumed_lanes.queues
        wanted = set(self._others)
        layout = services().queues.layout
        for queue in lanes:
            wanted.update(topology.partition_names(topology.queue_name(queue), layout.partitions))
        # Its own region's are there whether somebody has noted the region yet or not.
        regions = tuple(dict.fromkeys(queue.partition(".")[0] for queue in lanes if queue not in QUEUES))
        known = topology.delivery_queues(layout.joined(QueueLayout(1, regions)))
        return [queue for queue in (*known, topology.CALLBACKS, topology.PERIODIC_TASKS) if queue.name in wanted]

    def _follow(self, start: int) -> None:
        if start != self._starts:  # of an earlier start: that one's timer has survived, and ends here
            return
        try:
            self._adapt()
        finally:
            # Whatever it was: else this worker would never take over, or give back, anything again.
            self._consumer.timer.call_after(_FOLLOW_SECONDS, self._follow, (start,))

    def _adapt(self) -> None:
        wanted = self._wanted()
        missing = [queue for queue in wanted if queue.name not in _consumed]
        for queue in missing:
            log.info("consumer_added", queue=queue.name)
            self._consumer.app.amqp.queues.add(queue)
            self._consumer.add_task_queue(queue.name)
            _consumed.add(queue.name)
        if missing:
            services().delay_queues.declare()
        self._leave(sorted(_consumed.difference(queue.name for queue in wanted)))
        self._report()

    def _leave(self, names: Sequence[str]) -> None:
        for name in names:
            log.info("consumer_left", queue=name)
            _consumed.discard(name)
            self._consumer.cancel_task_queue(name)

    def _report(self) -> None:
        taken = services().consumed_lanes.taken_regions
        for region in services().queues.layout.regions:
            TAKEN.labels(region).set(1 if region in taken else 0)
