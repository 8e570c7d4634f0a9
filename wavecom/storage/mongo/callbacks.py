"""Callbacks: ``CallbackStore`` on the collection ``callbacks``. Secrets are kept sealed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.callbacks import (
    Callback,
    CallbackLease,
    CallbackSecret,
    CallbackState,
    DisabledReason,
    NoticeKind,
)
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing

#: Fields of ``Callback`` → their names in the document; all others but the secrets are called the same there.
_NAMES = {
    "callback_id": "_id",
    "disabled_reason": "disabledReason",
    "disabled_at": "disabledAt",
    "created_at": "createdAt",
    "updated_at": "updatedAt",
    "failing_since": "failingSince",
    "not_before": "notBefore",
    "warned_at": "warnedAt",
    "owed_notice": "owedNotice",
}
_FIELDS: tuple[str, ...] = (
    *("callback_id", "account", "url", "name", "statuses", "channels", "state", "disabled_reason", "disabled_at"),
    *("created_at", "updated_at", "failures", "failing_since", "not_before", "warned_at", "owed_notice"),
    "secrets",
)

_NOTICES = [kind.value for kind in NoticeKind]


class MongoCallbackStore:
    """``wavecom.core.callbacks.CallbackStore``; safe to share between threads.

    ``seal`` and ``unseal`` are what a secret is kept and read with. Beside the fields of ``Callback`` a document has
    ``dueAt``, when somebody must look, ``holdToken`` and ``holdUntil`` of who does, and ``arrivals``.
    """

    def __init__(
        self, database: Database[Document], *, seal: Callable[[str], str], unseal: Callable[[str], str | None]
    ) -> None:
        self._callbacks = durable(database["callbacks"])
        self._seal = seal
        self._unseal = unseal

    def add(self, callback: Callback) -> None:
        """See the port."""
        values, _ = self._patch({name: getattr(callback, name) for name in _FIELDS})
        with writing():
            try:
                self._callbacks.insert_one(values | {"arrivals": 0})
            except DuplicateKeyError:
                return

    def get(self, callback_id: str, account: str | None = None) -> Callback | None:
        """See the port."""
        where = {"_id": callback_id} | ({} if account is None else {"account": account})
        with reading():
            found = self._callbacks.find_one(where)
        return None if found is None else self._callback(found)

    def of_accounts(self, accounts: Collection[str] | None) -> Sequence[Callback]:
        """See the port."""
        where: Document = {} if accounts is None else {"account": {"$in": list(accounts)}}
        with reading():
            found = list(self._callbacks.find(where).sort("createdAt", ASCENDING))
        return [self._callback(each) for each in found]

    def change(
        self, callback_id: str, changes: Mapping[str, Any], *, updated_at: datetime | None = None
    ) -> Callback | None:
        """See the port."""
        where: Document = {"_id": callback_id} | ({} if updated_at is None else {"updatedAt": updated_at})
        values, removed = self._patch(changes)
        update: Document = {"$set": values} | ({"$unset": dict.fromkeys(removed, "")} if removed else {})
        with writing():
            found = self._callbacks.find_one_and_update(where, update, return_document=ReturnDocument.AFTER)
        return None if found is None else self._callback(found)

    def remove(self, callback_id: str) -> None:
        """See the port."""
        with writing():
            self._callbacks.delete_one({"_id": callback_id})

    def wake(self, callback_ids: Collection[str], now: datetime) -> None:
        """See the port."""
        these: Document = {"_id": {"$in": list(callback_ids)}}
        free = {"holdUntil": {"$not": {"$gt": now}}, "notBefore": {"$not": {"$gt": now}}}
        with writing():
            # First the count: who holds one now sees by it, before he lets go, that he must look once more.
            self._callbacks.update_many(these, {"$inc": {"arrivals": 1}})
            self._callbacks.update_many(these | free, {"$set": {"dueAt": now}})

    def take_due(self, now: datetime, next_look: datetime, limit: int) -> Sequence[str]:
        """See the port."""
        where = {"state": CallbackState.ACTIVE.value, "dueAt": {"$lte": now}}
        taken: list[str] = []
        with writing():
            found = list(self._callbacks.find(where, {"dueAt": 1}).sort("dueAt", ASCENDING).limit(limit))
            for each in found:
                unchanged = {"_id": each["_id"], "dueAt": each["dueAt"]}
                if self._callbacks.update_one(unchanged, {"$set": {"dueAt": next_look}}).matched_count:
                    taken.append(each["_id"])
        return taken

    def hold(self, callback_id: str, token: str, now: datetime, until: datetime) -> CallbackLease | None:
        """See the port."""
        active: Document = {"_id": callback_id, "state": CallbackState.ACTIVE.value}
        held = {"$set": {"holdToken": token, "holdUntil": until, "dueAt": until}}
        with writing():
            # Free, or mine.
            for condition in ({"holdUntil": {"$not": {"$gt": now}}}, {"holdToken": token}):
                found = self._callbacks.find_one_and_update(
                    active | condition, held, return_document=ReturnDocument.AFTER
                )
                if found is not None:
                    return CallbackLease(self._callback(found), token, found["arrivals"])
        return None

    def release(self, lease: CallbackLease, due_at: datetime | None) -> bool:
        """See the port."""
        where = {"_id": lease.callback.callback_id, "holdToken": lease.token, "arrivals": lease.arrivals}
        update: Document = {"$unset": {"holdToken": "", "holdUntil": ""}}
        if due_at is None:
            update["$unset"]["dueAt"] = ""
        else:
            update["$set"] = {"dueAt": due_at}
        with writing():
            return self._callbacks.update_one(where, update).matched_count == 1

    def owing_notice(self, limit: int) -> Sequence[Callback]:
        """See the port."""
        with reading():
            found = list(self._callbacks.find({"owedNotice": {"$in": _NOTICES}}).limit(limit))
        return [self._callback(each) for each in found]

    def settle_notice(self, callback: Callback) -> None:
        """See the port."""
        if callback.owed_notice is not None:
            owed = {"_id": callback.callback_id, "owedNotice": callback.owed_notice.value}
            with writing():
                self._callbacks.update_one(owed, {"$unset": {"owedNotice": ""}})

    def _patch(self, changes: Mapping[str, Any]) -> tuple[Document, list[str]]:
        values: Document = {}
        removed: list[str] = []
        for name, value in changes.items():
            key = _NAMES.get(name, name)
            match value:
                case None:
                    removed.append(key)
                case frozenset():
                    values[key] = sorted(each.value for each in value)
                case CallbackState() | DisabledReason() | NoticeKind():
                    values[key] = value.value
                case tuple():
                    values[key] = [self._secret_document(each) for each in value if each.value is not None]
                case _:
                    values[key] = value
        return values, removed

    def _secret_document(self, secret: CallbackSecret) -> Document:
        return {
            "sealed": self._seal(secret.value or ""),
            "createdAt": secret.created_at,
            "expiresAt": secret.expires_at,
        }

    def _callback(self, document: Document) -> Callback:
        get = document.get
        reason, notice = get("disabledReason"), get("owedNotice")
        return Callback(
            callback_id=document["_id"],
            account=document["account"],
            url=document["url"],
            name=document["name"],
            statuses=frozenset(map(Status, document["statuses"])),
            channels=frozenset(map(Channel, document["channels"])),
            state=CallbackState(document["state"]),
            disabled_reason=None if reason is None else DisabledReason(reason),
            disabled_at=get("disabledAt"),
            secrets=tuple(
                CallbackSecret(self._unseal(each["sealed"]), each["createdAt"], each["expiresAt"])
                for each in document["secrets"]
            ),
            created_at=document["createdAt"],
            updated_at=document["updatedAt"],
            failures=document["failures"],
            failing_since=get("failingSince"),
            not_before=get("notBefore"),
            warned_at=get("warnedAt"),
            owed_notice=None if notice is None else NoticeKind(notice),
        )
