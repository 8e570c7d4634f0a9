"""People who sign in to the pages: ``UserStore`` on the collection ``users``, a document each, by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.roles import Role
from wavecom.core.users import UserRecord
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import CODEC, Document
from wavecom.storage.mongo.errors import reading, writing


class MongoUserStore:
    """``wavecom.core.users.UserStore``; safe to share between threads, one per process."""

    def __init__(self, database: Database[Document]) -> None:
        self._users = durable(database["users"]).with_options(codec_options=CODEC)

    def find(self, name: str) -> UserRecord | None:
        """See the port."""
        with reading():
            found = self._users.find_one({"_id": name})
        return None if found is None else _record(found)

    def find_by_subject(self, issuer: str, subject: str) -> UserRecord | None:
        """See the port."""
        with reading():
            found = self._users.find_one({"subject": subject, "issuer": issuer})
        return None if found is None else _record(found)

    def all(self) -> list[UserRecord]:
        """See the port."""
        with reading():
            found = [_record(each) for each in self._users.find({})]
        return sorted(found, key=lambda each: each.name)

    def add(self, record: UserRecord) -> bool:
        """See the port."""
        document: Document = {
            "_id": record.name,
            "role": record.role.value,
            "createdAt": record.created_at,
            "passwordHash": record.password_hash,
            "secondFactor": record.second_factor,
            "credentialsId": record.credentials_id,
            "lastStep": record.last_step,
            "disabledAt": record.disabled_at,
        }
        if record.is_federated:
            document |= {"issuer": record.issuer, "subject": record.subject}
        with writing():
            try:
                self._users.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    def set_role(self, name: str, role: Role) -> bool:
        """See the port."""
        return self._set(name, {"role": role.value})

    def set_disabled(self, name: str, at: datetime | None) -> bool:
        """See the port."""
        return self._set(name, {"disabledAt": at})

    def set_credentials(
        self,
        name: str,
        *,
        password_hash: str,
        second_factor: bytes | None,
        credentials_id: str,
        replaces: str | None = None,
    ) -> bool:
        """See the port."""
        changes = {"passwordHash": password_hash, "secondFactor": second_factor, "credentialsId": credentials_id}
        # With its own result, so that it may be repeated.
        where = {} if replaces is None else {"credentialsId": {"$in": [replaces, credentials_id]}}
        return self._set(name, changes, where)

    def take_step(self, name: str, step: int) -> bool:
        """See the port."""
        with writing():
            found = self._users.update_one({"_id": name, "lastStep": {"$lt": step}}, {"$set": {"lastStep": step}})
        return found.matched_count == 1

    def _set(self, name: str, changes: Mapping[str, Any], where: Mapping[str, Any] = MappingProxyType({})) -> bool:
        with writing():
            return self._users.update_one({"_id": name, **where}, {"$set": dict(changes)}).matched_count == 1


def _record(document: Document) -> UserRecord:
    return UserRecord(
        name=document["_id"],
        role=Role(document["role"]),
        created_at=document["createdAt"],
        password_hash=document["passwordHash"],
        second_factor=document["secondFactor"],
        credentials_id=document["credentialsId"],
        last_step=document["lastStep"],
        disabled_at=document["disabledAt"],
        issuer=document.get("issuer", ""),
        subject=document.get("subject", ""),
    )
