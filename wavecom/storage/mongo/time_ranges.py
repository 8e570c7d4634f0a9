"""Reading a collection from its newest document backwards, in bounded ranges of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from wavecom.storage.mongo.documents import Document

#: How far back the first range reaches: not many documents even in the middle of a campaign.
_FIRST_REACH = timedelta(milliseconds=250)
#: Each range reaches so many times as far as the one before it, and after so many what is older still is the last.
_GROWTH = 8
_MOST_GROWN = 10
#: A range that took longer to read is followed by one of the same length.
_LONG_READ_SECONDS = 0.02
#: A read is slow because of what was read, and not because the store is far away, when it took so many times as long
#: as the quickest one.
_SLOWER_THAN_THE_QUICKEST = 5.0
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class TimeRanges:
    """Conditions that part since ≤ ``field`` < before (None: without end) into ranges, the newest first. Iterate once.

    Whoever lists takes range after range until the page is full: no server then reads or sorts much more than the page
    needs, whichever index it chooses. The first one ends where ``before`` or, without it, ``now`` is; a wrong ``now``
    costs time only. ``field`` should be the first key of an index, and the condition the first of the filter: the
    embedded servers then use it, whatever else is asked for.

    Ranges grow as long as they are read quickly. With a ``budget_seconds`` the iteration may end early, so that a list
    that finds nothing does not read everything: then ``stopped_at`` says from where on, backwards, nothing was read.
    """

    def __init__(
        self,
        field: str,
        since: datetime | None,
        before: datetime | None,
        now: datetime,
        *,
        budget_seconds: float = float("inf"),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._field = field
        self._since = since
        self._before = before
        self._end = now if before is None else min(now, before)
        self._budget_seconds = budget_seconds
        self._monotonic = monotonic
        self.stopped_at: datetime | None = None

    def __iter__(self) -> Iterator[Document]:
        began = self._monotonic()
        quickest = float("inf")
        upper: Document = {} if self._before is None else {"$lt": self._before}
        reach, grown = _FIRST_REACH, 0
        while grown < _MOST_GROWN:
            if self._end - _BEGINNING < reach:
                # Somebody asks for the first years of our era: there is no time so far before.
                break
            self._end -= reach
            if self._since is not None and self._end <= self._since:
                break
            started = self._monotonic()
            yield {self._field: {"$gte": self._end} | upper}
            took = self._monotonic() - started
            upper = {"$lt": self._end}
            quickest = min(quickest, took)
            is_long = took > max(_LONG_READ_SECONDS, _SLOWER_THAN_THE_QUICKEST * quickest)
            if is_long and self._monotonic() - began > self._budget_seconds:
                self.stopped_at = self._end
                return
            if not is_long:
                reach, grown = reach * _GROWTH, grown + 1
        yield {self._field: upper if self._since is None else {"$gte": self._since} | upper}
