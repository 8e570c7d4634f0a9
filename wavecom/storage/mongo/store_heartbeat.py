"""The heartbeat of the store (``wavecom.core.store_guard``), in one document of the collection ``store_heartbeat``."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from wavecom.core.store_guard import Heartbeat, RememberedBeat
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.errors import reading, writing

_ID: Final = "store"


class MongoStoreHeartbeat:
    """Implements ``wavecom.core.store_guard.HeartbeatStore``; safe to share between threads."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        # A number that a failing primary rolls back must not have been remembered elsewhere.
        self._beats = durable(database["store_heartbeat"]).with_options(read_concern=ReadConcern("majority"))

    def read(self) -> Heartbeat | None:
        """See the port."""
        with reading():
            found = self._beats.find_one({"_id": _ID})
        return None if found is None else Heartbeat(found["storeId"], found["number"], found["at"])

    def beat(self, known: Heartbeat | None, now: datetime) -> Heartbeat | None:
        """See the port."""
        with writing():
            if known is None:
                first = Heartbeat(uuid.uuid4().hex, 1, now)
                try:
                    self._beats.insert_one({"_id": _ID, "storeId": first.store_id, "number": 1, "at": now})
                except DuplicateKeyError:
                    return None
                return first
            where = {"_id": _ID, "storeId": known.store_id, "number": known.number}
            grown = Heartbeat(known.store_id, known.number + 1, now)
            changed = self._beats.update_one(where, {"$set": {"number": grown.number, "at": now}})
        return grown if changed.modified_count else None

    def note_older(self, than: RememberedBeat, now: datetime) -> datetime:
        """See the port."""
        with writing():
            # A copy may have been made while an earlier restore was being settled: its note is of another time.
            self._beats.update_one(
                {"_id": _ID, "older.than": {"$ne": than.number}}, {"$set": {"older": {"than": than.number, "at": now}}}
            )
        with reading():
            found = self._beats.find_one({"_id": _ID}) or {}
        since: datetime = found.get("older", {}).get("at", now)
        return since

    def recover(self, number: int, now: datetime) -> None:
        """See the port."""
        with writing():
            self._beats.update_one(
                {"_id": _ID, "number": {"$lt": number}},
                {"$set": {"number": number, "at": now}, "$unset": {"older": ""}},
            )
