"""Every exchange, queue and routing key, as one table. A test holds the Procfile and the code against it.

One quorum queue per live lane, so that a channel none of whose providers may be called can wait without
holding up another, and a higher lane is never behind a lower one. A routing key is its queue's name; none is a
dot-suffix of another, because Celery binds ``#.<key>`` for delayed delivery (docs/celery.md).

The lanes of test accounts share one queue. Their routing keys name channel and priority all the same.

Each of these queues may be parted into several (ADR 39): ``notifications.sms.high``, ``notifications.sms.high.1``, ….
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple
from zlib import crc32

from kombu import Exchange, Queue
from kombu.transport.native_delayed_delivery import (
    CELERY_DELAYED_DELIVERY_EXCHANGE,
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from wavecom.core import lanes
from wavecom.core.job import JobId
from wavecom.core.lanes import (
    LANES,
    REGION_NAME,
    TEST_LANES_QUEUE,
    Channel,
    Lane,
    LaneQueue,
    Priority,
    QueueLayout,
    interned,
)

NOTIFICATIONS = Exchange("notifications", type="topic", durable=True)  # topic: delayed delivery needs it
DEAD_LETTERS = Exchange("notifications.dlx", type="fanout", durable=True)
PERIODIC = Exchange("periodic", type="topic", durable=True)  # topic: of a direct one every worker's start would warn

DEAD_QUEUE = "notifications.dead"
PERIODIC_QUEUE = "ops.ticks"
CANARY_QUEUE = "ops.canary"
CALLBACKS_QUEUE = "notifications.callbacks"
DELIVER_TASK = "wavecom.deliver"
SWEEP_TASK = "wavecom.sweep"
RECONCILE_TASK = "wavecom.reconcile_dead_letters"
ADJUST_TASK = "wavecom.adjust_weights"
PUBLISH_EVENTS_TASK = "wavecom.publish_events"
RUN_CAMPAIGNS_TASK = "wavecom.run_campaigns"
SEND_CALLBACKS_TASK = "wavecom.send_callbacks"
FOLLOW_FALLBACKS_TASK = "wavecom.follow_fallbacks"

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


def queue_name(queue: LaneQueue, partition: int = 0) -> str:
    """The broker's name of a partition of a queue of lanes. The first has the name that the whole queue had before."""
    return f"notifications.{queue}.{partition}" if partition else f"notifications.{queue}"


#: The queue of all test lanes.
TEST_QUEUE = queue_name(TEST_LANES_QUEUE)

_QUEUE_NAMES = {lane: queue_name(lane.queue) for lane in LANES}
_ROUTING_KEY = re.compile(
    # Delayed messages carry a prefix before the key.
    r"(?:.*\.)?notifications\."
    rf"(?:(?P<region>(?!test\.){REGION_NAME})\.)?(?P<test>test\.)?"
    rf"(?P<channel>{'|'.join(Channel)})\.(?P<priority>{'|'.join(Priority)})(?:\.(?P<partition>[1-9]\d?))?",
    re.DOTALL,
)
_QUEUE_NAME = re.compile(r"(?P<base>notifications\..*?)(?:\.(?P<partition>[1-9]\d?))?", re.DOTALL)


class QueueAddress(NamedTuple):
    """Where a delivery message travels: its lane, and the partition of the lane's queue."""

    lane: Lane
    partition: int

    @property
    def queue(self) -> str:
        """The broker's name of the queue."""
        return queue_name(self.lane.queue, self.partition)


def partition_of(job_id: JobId, partitions: int) -> int:
    """The partition of a job among so many. Stable: the same in every process and release."""
    return crc32(job_id.encode()) % partitions


def queue_of(lane: Lane) -> str:
    """The broker's name of the first partition of the queue that the lane leads through."""
    return _QUEUE_NAMES.get(lane) or queue_name(lane.queue)


def routing_key(lane: Lane, partition: int = 0) -> str:
    """The key that leads a delivery message of this lane into this partition; no other lane or partition has it."""
    key = f"{queue_of(lane)}.{lane.channel}.{lane.priority}" if lane.is_test else queue_of(lane)
    return f"{key}.{partition}" if partition else key


@lru_cache(maxsize=4096)  # so many that come with a delay, or name no lane, are remembered
def address_of(routing_key: str) -> QueueAddress | None:
    """What a routing key names, that of a delayed message too; None if it names no lane."""
    found = _ROUTING_KEY.fullmatch(routing_key)
    if found is None:
        return None
    lane = interned(
        Channel(found["channel"]), Priority(found["priority"]), found["test"] is not None, found["region"] or ""
    )
    return QueueAddress(lane, int(found["partition"] or 0))


def lane_of(routing_key: str) -> Lane | None:
    """The lane that a routing key names, that of a delayed message too; None if it names none."""
    address = address_of(routing_key)
    return None if address is None else address.lane


def first_partition(name: str) -> str:
    """The name of the first partition of the queue of which ``name`` is one; other names as they are."""
    found = _QUEUE_NAME.fullmatch(name)
    return name if found is None else found["base"]


def without_region(name: str) -> str:
    """The name of the queue without a region that ``name`` is in its region; other names as they are."""
    prefix = queue_name(LaneQueue(""))
    queue = LaneQueue(name.removeprefix(prefix))
    return queue_name(lanes.without_region(queue)) if name.startswith(prefix) else name


def partition_names(name: str, partitions: int) -> list[str]:
    """The names of all partitions of the queue whose first is ``name``."""
    return [name, *(f"{name}.{partition}" for partition in range(1, partitions))]


def _delivery_queue(queue: LaneQueue, partition: int) -> Queue:
    name = queue_name(queue)
    key = f"{name}.*.*" if queue.endswith(TEST_LANES_QUEUE) else name
    arguments = dict(_DELIVERY_ARGUMENTS)
    if partition:
        # What makes partitions worth having: another node leads each. A first partition is older than this argument.
        key, arguments["x-queue-leader-locator"] = f"{key}.{partition}", "balanced"
    return Queue(queue_name(queue, partition), NOTIFICATIONS, routing_key=key, durable=True, queue_arguments=arguments)


@lru_cache(maxsize=64)
def delivery_queues(layout: QueueLayout = QueueLayout()) -> tuple[Queue, ...]:  # noqa: B008 - a value
    """All queues of delivery messages, first all first partitions."""
    return tuple(
        _delivery_queue(queue, partition) for partition in range(layout.partitions) for queue in layout.lane_queues
    )


def partitions_by_queue(layout: QueueLayout) -> dict[str, list[str]]:
    """The names of all partitions of each lane queue, by that of the first."""
    names = map(queue_name, layout.lane_queues)
    return {name: partition_names(name, layout.partitions) for name in names}


#: Those of a deployment without partitions and regions.
DELIVERY_QUEUES: tuple[Queue, ...] = delivery_queues()
_FIRST_PARTITIONS = frozenset(queue.name for queue in DELIVERY_QUEUES)


def is_delivery_queue(name: str) -> bool:
    """Whether delivery messages travel through the queue of this name, of whatever region and partition."""
    return without_region(first_partition(name)) in _FIRST_PARTITIONS


#: Quorum, so that it survives the loss of a node: a classic queue is on one, and is gone as long as that is. Without a
#: dead-letter exchange: ticks expire, and an expired tick is no dead letter.
PERIODIC_TASKS = Queue(
    PERIODIC_QUEUE,
    PERIODIC,
    routing_key=PERIODIC_QUEUE,
    durable=True,
    queue_arguments={"x-queue-type": "quorum"},
)
#: What events bring with them. Without a dead-letter exchange: nothing depends on its messages, for the store knows
#: what is due.
CALLBACKS = Queue(
    CALLBACKS_QUEUE,
    NOTIFICATIONS,
    routing_key=CALLBACKS_QUEUE,
    durable=True,
    queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 100},
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
TASK_QUEUES: tuple[Queue, ...] = (*DELIVERY_QUEUES, CALLBACKS, PERIODIC_TASKS)


def declare_delays(connection: Any, layout: QueueLayout = QueueLayout()) -> None:  # noqa: B008 - a value
    """Declare the queues in which delayed messages wait, and bind delivery queues to where they come out. Idempotent.

    What Celery declares itself, over one connection of ours: more than a hundred commands, each answered by the broker.
    """
    # A worker has declared those alone that it consumes, and the broker refuses to bind what is not there.
    channel = connection.channel()
    declare(channel, layout)
    # Where messages come out first, and only then where they wait: one that comes out before its queue is bound is kept
    # back by the broker for three minutes, and on a busy one all of this takes longer than a short delay.
    Exchange(CELERY_DELAYED_DELIVERY_EXCHANGE, type="topic").bind(channel).declare()
    for queue in (*delivery_queues(layout), CALLBACKS):  # ticks are never delayed
        bind_queue_to_native_delayed_delivery_exchange(connection, queue)
    declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")


def declare(channel: Any, layout: QueueLayout = QueueLayout()) -> None:  # noqa: B008 - a value
    """Declare everything on an open AMQP channel. Idempotent; the dead-letter queue first, so nothing dies unseen."""
    for queue in (DEAD, *delivery_queues(layout), CALLBACKS, CANARY):
        queue.bind(channel).declare()
