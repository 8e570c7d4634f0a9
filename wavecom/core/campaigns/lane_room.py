"""How many more messages of campaigns a lane's queue may take: so much as its workers take in a few minutes.

So a campaign of a million rows never stands before another client's bulk messages for longer than that, however slow
the providers are; what has not become a message yet costs nobody anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wavecom.core.lanes import LaneQueue

#: What may wait while nobody knows how fast a lane is worked off.
LEAST: Final = 20_000
#: How much a new measurement counts against those before.
_SHARE: Final = 0.2
_SHORTEST_SECONDS: Final = 0.5
#: A depth that is no older is not asked for again: many campaigns may share a lane.
_ASKED_SECONDS: Final = 0.2


@dataclass(slots=True)
class _Seen:
    depth: int
    at: float
    added: int = 0
    per_second: float = 0.0
    #: What was asked for last, and what was added since.
    asked: int = 0
    asked_at: float = float("-inf")
    added_since: int = 0


class LaneRoom:
    """Room in the queues of lanes. For one thread.

    ``depth``: messages that wait in a queue, None when the broker can't be asked. ``seconds``: how long a message of
    somebody else may wait behind campaigns, as things are.
    """

    def __init__(
        self,
        depth: Callable[[LaneQueue], int | None],
        monotonic: Callable[[], float],
        *,
        seconds: float,
        least: int = LEAST,
    ) -> None:
        self._depth = depth
        self._monotonic = monotonic
        self._seconds = seconds
        self._least = least
        self._seen: dict[LaneQueue, _Seen] = {}

    def of(self, queue: LaneQueue) -> int:
        """How many more messages it may take now; 0 where nobody can tell."""
        now = self._monotonic()
        known = self._seen.get(queue)
        if known is not None and now - known.asked_at < _ASKED_SECONDS:
            return self._left(known)
        depth = self._depth(queue)
        if depth is None:
            return 0
        seen = self._seen.setdefault(queue, _Seen(depth, now))
        seen.asked, seen.asked_at, seen.added_since = depth, now, 0
        elapsed = now - seen.at
        if elapsed >= _SHORTEST_SECONDS:
            taken = max(0, seen.depth + seen.added - depth) / elapsed
            # A queue that is empty says nothing of how fast it could be worked off.
            if depth or taken > seen.per_second:
                seen.per_second += (taken - seen.per_second) * (_SHARE if seen.per_second else 1)
            seen.depth, seen.at, seen.added = depth, now, 0
        return self._left(seen)

    def _left(self, seen: _Seen) -> int:
        return max(0, max(self._least, int(seen.per_second * self._seconds)) - seen.asked - seen.added_since)

    def add(self, queue: LaneQueue, count: int) -> None:
        """So many messages were put into it."""
        if queue in self._seen:
            self._seen[queue].added += count
            self._seen[queue].added_since += count
