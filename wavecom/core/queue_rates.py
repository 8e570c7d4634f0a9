"""What comes into queues and what is acknowledged, a second: from counters that are looked at now and then. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from wavecom.core.autoscaling import QueueLoad
from wavecom.core.lanes import LANES, Channel, LaneQueue, without_region

#: RabbitMQ counts every 5 or 10 seconds: over less, a rate would jump between nothing and twice as much.
WINDOW_SECONDS: Final = 30.0

#: The channel of each queue that live lanes have to themselves.
_CHANNELS: Final[Mapping[LaneQueue, Channel]] = {lane.queue: lane.channel for lane in LANES if not lane.is_test}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounters:
    """A queue as the broker knows it at a moment. ``published`` and ``acked`` only grow, until the broker restarts."""

    waiting: int = 0
    in_hand: int = 0
    consumers: int = 0
    published: int = 0
    acked: int = 0


class QueueRates:
    """Looks of the last ``window_seconds``, the oldest first. Not thread-safe."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._looks: deque[tuple[float, Mapping[LaneQueue, QueueCounters]]] = deque()

    def note(self, at: float, counters: Mapping[LaneQueue, QueueCounters]) -> None:
        """A look at all queues, ``at`` in seconds of a clock that never goes back."""
        self._looks.append((at, counters))
        # One look is kept that is as old as the window, so that it is covered whole.
        while len(self._looks) > 2 and at - self._looks[1][0] >= self._window_seconds:
            self._looks.popleft()

    def load(self, queue: LaneQueue) -> QueueLoad:
        """What the window shows of a queue; nothing of one that nobody has seen."""
        seen = [(at, counters[queue]) for at, counters in self._looks if queue in counters]
        channel = _CHANNELS.get(without_region(queue))
        if not seen:
            return QueueLoad(channel=channel, waiting=0, arrivals_per_second=0, acks_per_second=0)
        now = seen[-1][1]
        seconds = seen[-1][0] - seen[0][0]
        return QueueLoad(
            channel=channel,
            waiting=now.waiting,
            in_hand=now.in_hand,
            arrivals_per_second=_growth([each.published for _, each in seen]) / seconds if seconds else 0.0,
            acks_per_second=_growth([each.acked for _, each in seen]) / seconds if seconds else 0.0,
            waited_throughout=len(seen) > 1
            and seconds >= self._window_seconds
            and all(each.waiting > 0 for _, each in seen),
        )

    def consumers(self, queues: Sequence[LaneQueue]) -> int:
        """Workers that consume these queues, of which each has one consumer on every queue."""
        latest = self._looks[-1][1] if self._looks else {}
        return max((latest[queue].consumers for queue in queues if queue in latest), default=0)


def _growth(counts: Sequence[int]) -> int:
    """By how much a counter grew; it begins anew where it fell, because the broker or its statistics did."""
    return sum(max(0, after - before) for before, after in pairwise(counts))
