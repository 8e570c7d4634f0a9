"""What the sandbox delivered: the collection ``sandbox_outbox``, kept for seven days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson.objectid import ObjectId
from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document, decode_json, encode
from wavecom.storage.mongo.errors import reading, writing
from wavecom.storage.mongo.time_ranges import TimeRanges


@dataclass(frozen=True, slots=True)
class OutboxCursor:
    """A place in the outbox, ordered by (at, delivery_key), both descending: the last entry already seen."""

    at: datetime
    delivery_key: str


@dataclass(frozen=True, slots=True)
class OutboxPage:
    """Entries, newest first, in the shape that ``append`` takes and with ``times``; ``next`` is None on the last."""

    entries: tuple[Mapping[str, Any], ...]
    next: OutboxCursor | None


class MongoOutbox:
    """``wavecom.providers.base.Outbox``; safe to share between threads, one per process."""

    def __init__(
        self, database: Database[Document], *, system_now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._entries = durable(database["sandbox_outbox"])
        self._system_now = system_now

    def append(self, entry: Mapping[str, Any]) -> None:
        """See ``Outbox``."""
        document = encode({"_id": ObjectId(), **entry, "times": 1})
        with writing():
            try:
                # Inserted, not upserted: update operators would trip over dollars in the client's keys.
                self._entries.insert_one(document)
            except DuplicateKeyError:
                self._entries.update_one({"deliveryKey": entry["deliveryKey"]}, {"$inc": {"times": 1}})

    def page(self, limit: int, after: OutboxCursor | None = None) -> OutboxPage:
        """At most ``limit`` entries, newest first. Raises ``StoreError``."""
        found: list[Document] = []
        with reading():
            for window in self._windows(after):
                cursor = self._entries.find(window).sort([("at", DESCENDING), ("deliveryKey", DESCENDING)])
                found += cursor.limit(limit + 1 - len(found))
                if len(found) > limit:
                    break
        entries = tuple(_to_entry(document) for document in found[:limit])
        last = entries[-1] if len(found) > limit and entries else None
        return OutboxPage(entries, None if last is None else OutboxCursor(last["at"], last["deliveryKey"]))

    def _windows(self, after: OutboxCursor | None) -> Iterator[Document]:
        if after is not None:
            yield {"at": after.at, "deliveryKey": {"$lt": after.delivery_key}}
        yield from TimeRanges("at", None, None if after is None else after.at, self._system_now())


def _to_entry(document: Document) -> Document:
    to, payload, metadata = decode_json(document)
    kept = {name: value for name, value in document.items() if name not in {"_id", "hasEscapedKeys"}}
    return kept | {"to": to, "payload": payload, "metadata": metadata}
