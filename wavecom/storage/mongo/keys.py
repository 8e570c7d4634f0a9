"""API keys: ``KeyStore`` on the collection ``keys``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.keys import KeyRecord
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing


class MongoKeyStore:
    """``wavecom.core.keys.KeyStore``; safe to share between threads, one per process."""

    def __init__(self, database: Database[Document]) -> None:
        self._keys = durable(database["keys"])

    def find(self, key_hash: str) -> KeyRecord | None:
        """See the port."""
        with reading():
            document = self._keys.find_one({"hash": key_hash})
        return None if document is None else _to_record(document)

    def add(self, record: KeyRecord) -> None:
        """See the port."""
        with writing():
            try:
                self._keys.insert_one(_to_document(record))
            except DuplicateKeyError:
                return  # It is there already, which is all that was asked.

    def update(self, record: KeyRecord) -> bool:
        """See the port."""
        changes: Document = {"name": record.name, "scopes": sorted(record.scopes)}
        ends = {"expiresAt": record.expires_at, "revokedAt": record.revoked_at}
        update: Document = {"$set": changes | {name: at for name, at in ends.items() if at is not None}}
        removed = {name: "" for name, at in ends.items() if at is None}
        if removed:
            update["$unset"] = removed
        with writing():
            return self._keys.update_one({"hash": record.hash}, update).matched_count == 1

    def of_client(self, client: str) -> list[KeyRecord]:
        """See the port."""
        with reading():
            records = [_to_record(document) for document in self._keys.find({"client": client})]
        return sorted(records, key=lambda record: (record.created_at, record.key_id), reverse=True)


def _to_document(record: KeyRecord) -> Document:
    document: Document = {
        "hash": record.hash,
        "keyId": record.key_id,
        "client": record.client,
        "name": record.name,
        "scopes": sorted(record.scopes),
        "isLive": record.is_live,
        "createdAt": record.created_at,
    }
    if record.rate_per_second is not None:
        document["ratePerSecond"] = record.rate_per_second
    if record.daily_quota is not None:
        document["dailyQuota"] = record.daily_quota
    if record.expires_at is not None:
        document["expiresAt"] = record.expires_at
    if record.revoked_at is not None:
        document["revokedAt"] = record.revoked_at
    return document


def _to_record(document: Mapping[str, Any]) -> KeyRecord:
    return KeyRecord(
        key_id=document["keyId"],
        hash=document["hash"],
        client=document["client"],
        name=document["name"],
        scopes=frozenset(document["scopes"]),
        is_live=document["isLive"],
        created_at=document["createdAt"],
        rate_per_second=document.get("ratePerSecond"),
        daily_quota=document.get("dailyQuota"),
        expires_at=document.get("expiresAt"),
        revoked_at=document.get("revokedAt"),
    )
