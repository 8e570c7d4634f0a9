"""Celery consumer step that has a worker consume every partition of the queues that it was started with (``-Q``).

Celery knows the queues that a worker starts with; here those are added that others have begun to publish into since.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import structlog
from celery import bootsteps
from kombu import Queue

from wavecom.broker import topology
from wavecom.core.lanes import QueueLayout
from wavecom.internals import celery as internals
from wavecom.worker.runtime import services

log = structlog.get_logger()

#: So often the layout in memory is looked at; the store is asked on a thread (``DeliveryQueues``).
_FOLLOW_SECONDS: Final = 1.0

_consumed: set[str] = set()


def consumed_queues() -> list[str]:
    """The queues that this worker should be consuming now."""
    return sorted(_consumed)


def queues_to_consume(started_with: Collection[str], layout: QueueLayout) -> list[str]:
    """All partitions of the queues that a worker was started with, and those of its queues that have none."""
    first = {queue.name for queue in topology.delivery_queues(layout._replace(partitions=1))}
    return [
        partition
        for name in started_with
        for partition in (topology.partition_names(name, layout.partitions) if name in first else [name])
    ]


class ConsumedQueuesStep(bootsteps.StartStopStep):
    """Adds queues to the worker's consumers; takes none away."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._consumer = consumer
        self._starts = 0
        #: What it was started with (-Q); remote control changes Celery's own list.
        self._started_with = sorted(consumer.app.amqp.queues.consume_from)
        internals.replace_delay_queue_setup(services().delay_queues.declare)
        # Celery begins with them when it connects, which it has not done yet.
        for name in self._missing():
            consumer.app.amqp.queues.select_add(_queue(name))
            _consumed.add(name)

    def start(self, consumer: Any) -> None:
        """Begin to follow; again after each reconnection."""
        self._starts += 1
        self._follow(self._starts)

    def _missing(self) -> list[str]:
        wanted = queues_to_consume(self._started_with, services().queues.layout)
        return [name for name in wanted if name not in _consumed]

    def _follow(self, start: int) -> None:
        if start != self._starts:  # of an earlier start: that one's timer has survived, and ends here
            return
        missing = self._missing()
        for name in missing:
            log.info("consumer_added", queue=name)
            self._consumer.app.amqp.queues.add(_queue(name))
            self._consumer.add_task_queue(name)
            _consumed.add(name)
        if missing:
            services().delay_queues.declare()
        self._consumer.timer.call_after(_FOLLOW_SECONDS, self._follow, (start,))


def _queue(name: str) -> Queue:
    layout = services().queues.layout
    return next(queue for queue in (*topology.delivery_queues(layout), topology.PERIODIC_TASKS) if queue.name == name)
