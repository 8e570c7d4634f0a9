"""Every exchange, queue and routing key, as one table. A test holds the Procfile and the code against it.

One quorum queue per live lane, so that a channel none of whose providers may be called can wait without
holding up another, and a higher lane is never behind a lower one. A routing key is its queue's name; none is a
dot-suffix of another, because Celery binds ``#.<key>`` for delayed delivery (docs/celery.md).

The lanes of test accounts share one queue. Their routing keys name channel and priority all the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from kombu import Exchange, Queue
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from wavecom.core.lanes import LANES, LIVE_QUEUES, TEST_LANES_QUEUE, Lane, LaneQueue

NOTIFICATIONS = Exchange("notifications", type="topic", durable=True)  # topic: delayed delivery needs it
DEAD_LETTERS = Exchange("notifications.dlx", type="fanout", durable=True)
PERIODIC = Exchange("periodic", type="topic", durable=True)  # topic: of a direct one every worker's start would warn

DEAD_QUEUE = "notifications.dead"
PERIODIC_QUEUE = "ops.ticks"
CANARY_QUEUE = "ops.canary"
DELIVER_TASK = "wavecom.deliver"
SWEEP_TASK = "wavecom.sweep"
RECONCILE_TASK = "wavecom.reconcile_dead_letters"
ADJUST_TASK = "wavecom.adjust_weights"

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


def queue_name(queue: LaneQueue) -> str:
    """The broker's name of a queue of lanes."""
    return f"notifications.{queue}"


#: The queue of all test lanes.
TEST_QUEUE = queue_name(TEST_LANES_QUEUE)

_QUEUE_NAMES = {lane: queue_name(lane.queue) for lane in LANES}
_ROUTING_KEYS = {
    lane: f"{TEST_QUEUE}.{lane.channel}.{lane.priority}" if lane.is_test else queue_name(lane.queue) for lane in LANES
}
_LANES_BY_KEY = {key: lane for lane, key in _ROUTING_KEYS.items()}
#: Delayed messages carry a prefix before the key.
_ROUTING_KEY = re.compile(r"(?:.*\.)?(?P<key>notifications\.(?:test\.)?[^.]+\.[^.]+)", re.DOTALL)


def queue_of(lane: Lane) -> str:
    """The broker's name of the queue that the lane leads through."""
    return _QUEUE_NAMES[lane]


def routing_key(lane: Lane) -> str:
    """The key that leads a delivery message of this lane into its queue; no other lane has it."""
    return _ROUTING_KEYS[lane]


@lru_cache(maxsize=256)  # so many of those that name no lane, or come with a delay, are remembered
def lane_of(routing_key: str) -> Lane | None:
    """The lane that a routing key names, that of a delayed message too; None if it names none."""
    found = _ROUTING_KEY.fullmatch(routing_key)
    return None if found is None else _LANES_BY_KEY.get(found["key"])


def _delivery_queue(name: str, routing_key: str) -> Queue:
    return Queue(name, NOTIFICATIONS, routing_key=routing_key, durable=True, queue_arguments=dict(_DELIVERY_ARGUMENTS))


DELIVERY_QUEUES: tuple[Queue, ...] = (
    *(_delivery_queue(name, name) for name in map(queue_name, LIVE_QUEUES)),
    _delivery_queue(TEST_QUEUE, f"{TEST_QUEUE}.*.*"),
)
#: Quorum, so that it survives the loss of a node: a classic queue is on one, and is gone as long as that is. Without a
#: dead-letter exchange: ticks expire, and an expired tick is no dead letter.
PERIODIC_TASKS = Queue(
    PERIODIC_QUEUE,
    PERIODIC,
    routing_key=PERIODIC_QUEUE,
    durable=True,
    queue_arguments={"x-queue-type": "quorum"},
)
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


def declare_delays(connection: Any) -> None:
    """Declare the queues in which delayed messages wait, and bind delivery queues to where they come out. Idempotent.

    What Celery declares itself, over one connection of ours: more than a hundred commands, each answered by the broker.
    """
    # A worker has declared those alone that it consumes, and the broker refuses to bind what is not there.
    declare(connection.channel())
    declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
    for queue in DELIVERY_QUEUES:  # ticks are never delayed
        bind_queue_to_native_delayed_delivery_exchange(connection, queue)


def declare(channel: Any) -> None:
    """Declare everything on an open AMQP channel. Idempotent; the dead-letter queue first, so nothing dies unseen."""
    for queue in (DEAD, *DELIVERY_QUEUES, CANARY):
        queue.bind(channel).declare()
