"""Reading a collection from its newest document backwards, in bounded ranges of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from wavecom.storage.mongo.documents import Document

#: How far back each range reaches before the one that came before it; what is older still is the last range.
_REACHES = tuple(timedelta(minutes=8**power) for power in range(8))
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def windows(field: str, since: datetime | None, before: datetime | None, now: datetime) -> Iterator[Document]:
    """Conditions that part since ≤ ``field`` < before (None: without end) into nine ranges at most, the newest first.

    Whoever lists takes range after range until the page is full: no server then reads or sorts much more than the page
    needs, whichever index it chooses. The first one ends where ``before`` or, without it, ``now`` is; a wrong ``now``
    costs time only. ``field`` should be the first key of an index, and the condition the first of the filter: the
    embedded servers then use it, whatever else is asked for.
    """
    end = now if before is None else min(now, before)
    upper: Document = {} if before is None else {"$lt": before}
    for reach in _REACHES:
        if end - _BEGINNING < reach:
            # Somebody asks for the first years of our era: there is no time so far before.
            break
        end -= reach
        if since is not None and end <= since:
            break
        yield {field: {"$gte": end} | upper}
        upper = {"$lt": end}
    yield {field: upper if since is None else {"$gte": since} | upper}
