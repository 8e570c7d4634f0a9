"""Sessions of the pages: ``SessionStore`` on the collection ``sessions``.

In MongoDB and not in Redis, because Redis may be flushed or lost at any time, and who has ended a session must be able
to rely on it; the pages need MongoDB for everything they show anyway. A page costs one look-up more by a unique index.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.sessions import SessionRecord
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing

_NAMES = {
    "session_id": "sessionId",
    "token_hash": "hash",
    "viewer": "viewer",
    "opened_at": "openedAt",
    "last_seen_at": "lastSeenAt",
    "expires_at": "expiresAt",
    "key_id": "keyId",
    "password_mark": "passwordMark",
    "address": "address",
    "browser": "browser",
    "provider_session": "providerSession",
    "sealed_id_token": "sealedIdToken",
}


class MongoSessionStore:
    """``wavecom.core.sessions.SessionStore``; safe to share between threads, one per process."""

    def __init__(self, database: Database[Document]) -> None:
        self._sessions = durable(database["sessions"])

    def add(self, record: SessionRecord) -> None:
        """See the port."""
        values = {name: getattr(record, attribute) for attribute, name in _NAMES.items()}
        with writing():
            try:
                self._sessions.insert_one({name: value for name, value in values.items() if value is not None})
            except DuplicateKeyError:
                return  # It is there already, which is all that was asked.

    def end_oldest(self, viewer: str, keep: int) -> None:
        """See the port."""
        with writing():
            found = self._sessions.find({"viewer": viewer}, {"_id": 0, "sessionId": 1, "openedAt": 1})
            oldest_last = sorted(found, key=lambda each: (each["openedAt"], each["sessionId"]), reverse=True)
            surplus = [each["sessionId"] for each in oldest_last[keep:]]
            if surplus:
                self._sessions.delete_many({"sessionId": {"$in": surplus}})

    def find(self, token_hash: str) -> SessionRecord | None:
        """See the port."""
        with reading():
            document = self._sessions.find_one({"hash": token_hash})
        return None if document is None else _to_record(document)

    def touch(self, session_id: str, at: datetime) -> None:
        """See the port."""
        with writing():
            self._sessions.update_one({"sessionId": session_id}, {"$max": {"lastSeenAt": at}})

    def end(self, session_id: str) -> bool:
        """See the port."""
        with writing():
            return self._sessions.delete_one({"sessionId": session_id}).deleted_count == 1

    def end_of_key(self, key_id: str) -> int:
        """See the port."""
        with writing():
            return self._sessions.delete_many({"keyId": key_id}).deleted_count

    def end_all(self) -> int:
        """See the port."""
        with writing():
            return self._sessions.delete_many({}).deleted_count

    def all(self) -> list[SessionRecord]:
        """See the port."""
        with reading():
            records = [_to_record(document) for document in self._sessions.find({})]
        return sorted(records, key=lambda record: (record.opened_at, record.session_id), reverse=True)


def _to_record(document: Mapping[str, Any]) -> SessionRecord:
    values = {attribute: document[name] for attribute, name in _NAMES.items() if name in document}
    return SessionRecord(**values)
