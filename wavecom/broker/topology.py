"""Every exchange, queue and routing key, as one table. A test holds the Procfile and the code against it.

One quorum queue per channel and lane, so that a channel none of whose providers may be called can wait without
holding up another, and a higher lane is never behind a lower one. A routing key is its queue's name; none is a
dot-suffix of another, because Celery binds ``#.<key>`` for delayed delivery (docs/celery.md).

Jobs of test accounts have one queue for all channels and lanes: what holds up live messages never holds up a test, and
no flood of tests stands before a live message. Their routing keys name channel and lane all the same.
"""

from __future__ import annotations

import re
from typing import Any

from kombu import Exchange, Queue

from wavecom.core.job import Channel, DeliveryMessage, Priority
from wavecom.core.progress import Lane

NOTIFICATIONS = Exchange("notifications", type="topic", durable=True)  # topic: delayed delivery needs it
DEAD_LETTERS = Exchange("notifications.dlx", type="fanout", durable=True)
PERIODIC = Exchange("periodic", type="topic", durable=True)  # topic: of a direct one every worker's start would warn

DEAD_QUEUE = "notifications.dead"
TEST_QUEUE = "notifications.test"
PERIODIC_QUEUE = "ops.periodic"
CANARY_QUEUE = "ops.canary"
DELIVER_TASK = "wavecom.deliver"
SWEEP_TASK = "wavecom.sweep"
RECONCILE_TASK = "wavecom.reconcile_dead_letters"

#: Arguments can't be changed later without deleting the queue (406 PRECONDITION_FAILED).
_DELIVERY_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    # Counts every return of a prefetched message, so a low limit would dead-letter healthy delivery messages of a
    # worker that is killed a few times. Poison is bounded in the store, by lost leases.
    "x-delivery-limit": 100,
    "x-dead-letter-exchange": DEAD_LETTERS.name,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


#: Delayed messages carry a prefix before the key.
_ROUTING_KEY = re.compile(r"(?:.*\.)?notifications\.(?P<test>test\.)?(?P<channel>[^.]+)\.(?P<lane>[^.]+)", re.DOTALL)


def queue_name(channel: Channel, priority: Priority) -> str:
    """The queue, and the routing key, of one channel and lane."""
    return f"notifications.{channel}.{priority}"


def queue_of(delivery_message: DeliveryMessage) -> str:
    """The queue that a delivery message travels through."""
    return TEST_QUEUE if delivery_message.is_test else queue_name(delivery_message.channel, delivery_message.priority)


def queue_of_lane(lane: Lane) -> str:
    """The queue of a lane, or that of all test accounts' delivery messages."""
    return TEST_QUEUE if lane is None else queue_name(*lane)


def routing_key(channel: Channel, priority: Priority, *, is_test: bool = False) -> str:
    """The key that leads a delivery message into its queue."""
    return f"{TEST_QUEUE}.{channel}.{priority}" if is_test else queue_name(channel, priority)


def lane_of(routing_key: str) -> tuple[Channel, Priority] | None:
    """The channel and lane that a routing key names, that of a test too; None if neither."""
    found = _ROUTING_KEY.fullmatch(routing_key)
    if found is None:
        return None
    try:
        return Channel(found["channel"]), Priority(found["lane"])
    except ValueError:
        return None


def is_test(routing_key: str) -> bool:
    """Whether a message with this key is about a job of a test account."""
    found = _ROUTING_KEY.fullmatch(routing_key)
    return found is not None and found["test"] is not None


def _delivery_queue(name: str, routing_key: str) -> Queue:
    return Queue(name, NOTIFICATIONS, routing_key=routing_key, durable=True, queue_arguments=dict(_DELIVERY_ARGUMENTS))


_LANES = tuple(queue_name(channel, priority) for channel in Channel for priority in Priority)
DELIVERY_QUEUES: tuple[Queue, ...] = (
    *(_delivery_queue(name, name) for name in _LANES),
    _delivery_queue(TEST_QUEUE, f"{TEST_QUEUE}.*.*"),
)
#: Classic and without a dead-letter exchange: ticks expire, and an expired tick is no dead letter.
PERIODIC_TASKS = Queue(PERIODIC_QUEUE, PERIODIC, routing_key=PERIODIC_QUEUE, durable=True)
#: Not among the workers' queues: nothing consumes dead letters but the operator's tool.
DEAD = Queue(DEAD_QUEUE, DEAD_LETTERS, durable=True, queue_arguments={"x-queue-type": "quorum"})

#: Takes the messages by which a process sees that the broker takes and gives them: never more than a few, and none for
#: long. Quorum like the others, so that what stops those stops it too.
CANARY = Queue(
    CANARY_QUEUE,
    durable=True,
    queue_arguments={"x-queue-type": "quorum", "x-max-length": 10, "x-message-ttl": 60_000},
)

#: What workers consume when they are not told otherwise.
TASK_QUEUES: tuple[Queue, ...] = (*DELIVERY_QUEUES, PERIODIC_TASKS)


def declare(channel: Any) -> None:
    """Declare everything on an open AMQP channel. Idempotent; the dead-letter queue first, so nothing dies unseen."""
    for queue in (DEAD, *DELIVERY_QUEUES, CANARY):
        queue.bind(channel).declare()
