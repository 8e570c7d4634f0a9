"""API keys: ``KeyStore`` on the collection ``keys``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.keys import KeyRecord
from wavecom.core.senders import SenderPolicy
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing

_ABSENT = {"$exists": False}
_OPTIONAL = {
    "rate_per_second": "ratePerSecond",
    "daily_quota": "dailyQuota",
    "expires_at": "expiresAt",
    "revoked_at": "revokedAt",
    "replaced_by": "replacedBy",
    "counts_as": "countsAs",
}


class MongoKeyStore:
    """``wavecom.core.keys.KeyStore``; safe to share between threads, one per process."""

    def __init__(self, database: Database[Document]) -> None:
        self._keys = durable(database["keys"])
        self._clients = durable(database["clients"])

    def find(self, key_hash: str) -> KeyRecord | None:
        """See the port."""
        return self._find_one({"hash": key_hash})

    def find_by_id(self, key_id: str) -> KeyRecord | None:
        """See the port."""
        return self._find_one({"keyId": key_id})

    def add(self, record: KeyRecord) -> None:
        """See the port."""
        with writing():
            try:
                self._keys.insert_one(_to_document(record))
            except DuplicateKeyError:
                return  # It is there already, which is all that was asked.

    def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        """See the port."""
        with writing():
            self._keys.update_one({"keyId": key_id, "revokedAt": _ABSENT}, {"$set": {"revokedAt": at}})
        return self.find_by_id(key_id)

    def retire(self, key_id: str, at: datetime, replaced_by: str) -> bool:
        """See the port."""
        still_there = {"keyId": key_id, "revokedAt": _ABSENT, "replacedBy": _ABSENT}
        with writing():
            result = self._keys.update_one(still_there, {"$set": {"expiresAt": at, "replacedBy": replaced_by}})
        if result.matched_count == 1:
            return True
        # Perhaps by an earlier call, whose answer was lost.
        record = self.find_by_id(key_id)
        return record is not None and record.replaced_by == replaced_by

    def of_client(self, client: str | None) -> list[KeyRecord]:
        """See the port."""
        with reading():
            found = self._keys.find({} if client is None else {"client": client})
            records = [_to_record(document) for document in found]
        return sorted(records, key=lambda record: (record.created_at, record.key_id), reverse=True)

    def sender_policy(self, client: str) -> SenderPolicy:
        """See the port."""
        with reading():
            document = self._clients.find_one({"_id": client}) or {}
        email, sms = document.get("emailSenders"), document.get("smsSenders")
        return SenderPolicy(
            None if email is None else frozenset(email),
            None if sms is None else frozenset(sms),
            document.get("mayCommandRelays", False),
        )

    def set_sender_policy(self, client: str, policy: SenderPolicy) -> None:
        """See the port."""
        values = {
            "emailSenders": None if policy.email is None else sorted(policy.email),
            "smsSenders": None if policy.sms is None else sorted(policy.sms),
            "mayCommandRelays": policy.may_command_relays,
        }
        with writing():
            self._clients.update_one({"_id": client}, {"$set": values}, upsert=True)

    def contact(self, client: str) -> str | None:
        """See the port."""
        with reading():
            document = self._clients.find_one({"_id": client}, {"contactEmail": 1}) or {}
        email: str | None = document.get("contactEmail")
        return email

    def set_contact(self, client: str, email: str | None) -> None:
        """See the port."""
        with writing():
            self._clients.update_one({"_id": client}, {"$set": {"contactEmail": email}}, upsert=True)

    def _find_one(self, where: Document) -> KeyRecord | None:
        with reading():
            document = self._keys.find_one(where)
        return None if document is None else _to_record(document)


def _to_document(record: KeyRecord) -> Document:
    document: Document = {
        "hash": record.hash,
        "keyId": record.key_id,
        "client": record.client,
        "name": record.name,
        "hint": record.hint,
        "scopes": sorted(record.scopes),
        "isLive": record.is_live,
        "createdAt": record.created_at,
    }
    for attribute, name in _OPTIONAL.items():
        value = getattr(record, attribute)
        if value is not None:
            document[name] = value
    return document


def _to_record(document: Mapping[str, Any]) -> KeyRecord:
    return KeyRecord(
        key_id=document["keyId"],
        hash=document["hash"],
        client=document["client"],
        name=document["name"],
        hint=document.get("hint", ""),
        scopes=frozenset(document["scopes"]),
        is_live=document["isLive"],
        created_at=document["createdAt"],
        **{attribute: document.get(name) for attribute, name in _OPTIONAL.items()},
    )
