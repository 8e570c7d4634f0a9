"""Every exchange, queue and routing key, as one table. A test holds the Procfile and the code against it.

One quorum queue per channel and lane, so that a channel none of whose providers may be called can wait without
holding up another, and a higher lane is never behind a lower one. A routing key is its queue's name; none is a
dot-suffix of another, because Celery binds ``#.<key>`` for delayed delivery (facts: trap T12).
"""

from __future__ import annotations

from typing import Any

from kombu import Exchange, Queue

from wavecom.core.job import Channel, Priority

NOTIFICATIONS = Exchange("notifications", type="topic", durable=True)  # topic: delayed delivery needs it
DEAD_LETTERS = Exchange("notifications.dlx", type="fanout", durable=True)
PERIODIC = Exchange("ops", type="direct", durable=True)

DEAD_QUEUE = "notifications.dead"
PERIODIC_QUEUE = "ops.periodic"
DELIVER_TASK = "wavecom.deliver"
SWEEP_TASK = "wavecom.sweep"
RECONCILE_TASK = "wavecom.reconcile_dead_letters"

#: Arguments can't be changed later without deleting the queue (406 PRECONDITION_FAILED).
_DELIVERY_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    # Counts every return of a prefetched message, so a low limit would dead-letter healthy hints of a worker that is
    # killed a few times (trap T28). Poison is bounded in the store, by lost leases.
    "x-delivery-limit": 100,
    "x-dead-letter-exchange": DEAD_LETTERS.name,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def queue_name(channel: Channel, priority: Priority) -> str:
    """The queue, and the routing key, of one channel and lane."""
    return f"notifications.{channel}.{priority}"


def lane_of(routing_key: str) -> tuple[Channel, Priority] | None:
    """The channel and lane that a routing key names; delayed messages carry a prefix before it. None if neither."""
    parts = routing_key.rsplit(".", 3)[-3:]
    if len(parts) != 3 or parts[0] != "notifications":
        return None
    try:
        return Channel(parts[1]), Priority(parts[2])
    except ValueError:
        return None


def _delivery_queue(channel: Channel, priority: Priority) -> Queue:
    name = queue_name(channel, priority)
    return Queue(name, NOTIFICATIONS, routing_key=name, durable=True, queue_arguments=dict(_DELIVERY_ARGUMENTS))


DELIVERY_QUEUES: tuple[Queue, ...] = tuple(
    _delivery_queue(channel, priority) for channel in Channel for priority in Priority
)
#: Classic and without a dead-letter exchange: ticks expire, and an expired tick is no dead letter (trap T15).
PERIODIC_TASKS = Queue(PERIODIC_QUEUE, PERIODIC, routing_key=PERIODIC_QUEUE, durable=True)
#: Not among the workers' queues: nothing consumes dead letters but the operator's tool.
DEAD = Queue(DEAD_QUEUE, DEAD_LETTERS, durable=True, queue_arguments={"x-queue-type": "quorum"})

#: What workers consume when they are not told otherwise.
TASK_QUEUES: tuple[Queue, ...] = (*DELIVERY_QUEUES, PERIODIC_TASKS)


def declare(channel: Any) -> None:
    """Declare everything on an open AMQP channel. Idempotent; the dead-letter queue first, so nothing dies unseen."""
    for queue in (DEAD, *DELIVERY_QUEUES):
        queue.bind(channel).declare()
