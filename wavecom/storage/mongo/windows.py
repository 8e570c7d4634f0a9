"""Reading a collection from its newest document backwards, in bounded ranges of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection

from wavecom.storage.mongo.documents import Document

#: The first range, and how much wider each one is than the one before: half a year takes nine.
_FIRST = timedelta(minutes=1)
_GROWTH = 8


def windows(
    collection: Collection[Document], field: str, since: datetime | None, before: datetime | None
) -> Iterator[Document]:
    """Conditions that part since ≤ ``field`` < before (None: without end) into ranges, the newest first.

    Whoever lists takes range after range until the page is full: no server then reads or sorts more than about the
    page needs, whichever index it chooses. ``field`` must be indexed.
    """
    newest, oldest = _extreme(collection, field, DESCENDING), _extreme(collection, field, ASCENDING)
    if newest is None or oldest is None:
        return
    floor = oldest if since is None else max(oldest, since)
    start = newest if before is None else min(newest, before)
    upper: Document = {} if before is None else {"$lt": before}
    width = _FIRST
    while start - floor > width:
        start -= width
        yield {field: {"$gte": start} | upper}
        upper = {"$lt": start}
        width *= _GROWTH
    yield {field: {"$gte": floor} | upper}


def _extreme(collection: Collection[Document], field: str, direction: int) -> datetime | None:
    found = collection.find({}, {"_id": 0, field: 1}).sort(field, direction).limit(1)
    document = next(iter(found), None)
    return None if document is None else document[field]
