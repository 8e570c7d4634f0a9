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
    """What a job's delivery messages travel in. Made by ``Lane.of``; there are as many as ``LANES`` has."""

    channel: Channel
    priority: Priority
    is_test: bool = False

    @classmethod
    def of(cls, channel: Channel, priority: Priority, account: str) -> Lane:
        """The lane of an account's jobs: a test lane for a test account (``core/account.py``), else a live one.

        Always the same object for the same lane, so that no notification pays for one.
        """
        return _INTERNED[channel, priority, is_test_account(account)]

    @property
    def queue(self) -> LaneQueue:
        """The queue that its messages wait in: one of its own for a live lane, one for all test lanes together.

        So what holds up live messages never holds up a test, and no flood of tests stands before a live message.
        """
        return _QUEUE_OF[self]


#: All lanes in the order in which workers admit messages: live before test, then by priority.
LANES: Final = tuple(
    Lane(channel, priority, is_test) for is_test in (False, True) for priority in Priority for channel in Channel
)
TEST_LANES_QUEUE: Final = LaneQueue("test")

_QUEUE_OF: Final = {
    lane: TEST_LANES_QUEUE if lane.is_test else LaneQueue(f"{lane.channel}.{lane.priority}") for lane in LANES
}
#: A lane is the tuple of its fields, so one is found by them.
_INTERNED: Final[dict[tuple[Channel, Priority, bool], Lane]] = {lane: lane for lane in LANES}

LIVE_QUEUES: Final = tuple(lane.queue for lane in LANES if not lane.is_test)
QUEUES: Final = (*LIVE_QUEUES, TEST_LANES_QUEUE)
