"""Lanes: a lane is what delivery messages of one channel, priority and kind of account (live or test) travel in.

Everything between the store and a provider goes by a job's lane: the queue that its delivery message waits in, the
routing key that leads there, the order in which workers admit messages, and whether a worker needs a permit to call a
provider or a place in the sandbox. A higher lane is never held up by a lower one, nor a live one by a test one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple, NewType

from wavecom.core.account import is_test_account

#: The name of a queue of lanes, as the store keeps it (``sms.high``, ``test``); the broker puts a prefix before it.
LaneQueue = NewType("LaneQueue", str)
#: What a region may be called, as a regular expression: it stands in names of queues, beside ``test`` and channels.
REGION_NAME: Final = r"(?!(?:test|email|sms|push|dead|dlx|notifications)\b)[a-z][a-z0-9-]{0,31}"


class Channel(StrEnum):
    """The way to the recipient; ``type`` in the published schema."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"


class Priority(StrEnum):
    """How urgent a job is; one of higher priority is never held up by one of lower priority."""

    HIGH = "high"
    NORMAL = "normal"
    BULK = "bulk"


class Lane(NamedTuple):
    """What a job's delivery messages travel in. Made by ``Lane.of``.

    ``region``: the name of the region whose workers deliver; empty where there are no regions, or for a job without.
    """

    channel: Channel
    priority: Priority
    is_test: bool = False
    region: str = ""

    @classmethod
    def of(cls, channel: Channel, priority: Priority, account: str, region: str = "") -> Lane:
        """The lane of an account's jobs: a test lane for a test account (``core/account.py``), else a live one.

        Always the same object for the same lane, so that no notification pays for one.
        """
        return interned(channel, priority, is_test_account(account), region)

    @property
    def is_urgent(self) -> bool:
        """Whether nobody may hold its messages up for the sake of sharing a round trip."""
        return self.priority is Priority.HIGH

    @property
    def queue(self) -> LaneQueue:
        """The queue that its messages wait in: one of its own for a live lane, one for all test lanes of a region.

        So what holds up live messages never holds up a test, and no flood of tests stands before a live message.
        """
        return _QUEUE_OF.get(self) or _name_queue(self)


#: All lanes without a region in the order in which workers admit messages: live before test, then by priority.
LANES: Final = tuple(
    Lane(channel, priority, is_test) for is_test in (False, True) for priority in Priority for channel in Channel
)
_ORDER: Final = {lane: place for place, lane in enumerate(LANES)}
TEST_LANES_QUEUE: Final = LaneQueue("test")


def _name_queue(lane: Lane) -> LaneQueue:
    name = TEST_LANES_QUEUE if lane.is_test else f"{lane.channel}.{lane.priority}"
    return LaneQueue(f"{lane.region}.{name}" if lane.region else name)


_QUEUE_OF: Final = {lane: _name_queue(lane) for lane in LANES}
#: A lane is the tuple of its fields, so one is found by them.
_INTERNED: Final[dict[tuple[Channel, Priority, bool, str], Lane]] = {lane: lane for lane in LANES}

LIVE_QUEUES: Final = tuple(lane.queue for lane in LANES if not lane.is_test)
QUEUES: Final = (*LIVE_QUEUES, TEST_LANES_QUEUE)


def interned(channel: Channel, priority: Priority, is_test: bool, region: str) -> Lane:
    """The lane of these fields; always the same object."""
    fields = (channel, priority, is_test, region)
    return _INTERNED.get(fields) or _INTERNED.setdefault(fields, Lane(*fields))


def admission_order(lane: Lane) -> tuple[int, str]:
    """What to sort lanes by so that they stand as ``LANES`` does, those of one kind by their regions' names."""
    return _ORDER[lane if not lane.region else interned(lane.channel, lane.priority, lane.is_test, "")], lane.region


def in_region(queue: LaneQueue, region: str) -> LaneQueue:
    """The queue of a region that corresponds to ``queue``, which is one of ``QUEUES``."""
    return LaneQueue(f"{region}.{queue}") if region else queue


def without_region(queue: LaneQueue) -> LaneQueue:
    """The one of ``QUEUES`` that ``queue`` is in its region."""
    _, _, rest = queue.partition(".")
    return LaneQueue(rest) if rest in QUEUES else queue


class QueueLayout(NamedTuple):
    """Which queues there are: into how many partitions each is parted, and for which regions there are others.

    A message of a lane waits in any partition of the lane's queue: by the hash of its job's id, and by how many
    partitions the process that published it knew.
    """

    partitions: int = 1
    regions: tuple[str, ...] = ()

    @property
    def lane_queues(self) -> tuple[LaneQueue, ...]:
        """All queues of lanes, those without a region first; partitions are not told apart."""
        return tuple(in_region(queue, region) for region in ("", *self.regions) for queue in QUEUES)

    def joined(self, other: QueueLayout) -> QueueLayout:
        """What has every queue of both."""
        return QueueLayout(
            max(self.partitions, other.partitions), tuple(dict.fromkeys((*self.regions, *other.regions)))
        )
