"""The suppression list: ``SuppressionStore`` on the collection ``suppressions``, one document an entry.

Each change is one guarded write of one document, its line of history with it, so neither is ever there without the
other. ``changedAt`` says when the write became visible, up to ``_PROMPT``: who keeps a copy of what is in force reads
what was changed since, and a little before (``core.suppression_check``). Changes and lifts have it from the server's
clock, and so have new entries where their insert took longer, or may have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import Binary
from pymongo import DESCENDING, ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from wavecom.core.lanes import Channel
from wavecom.core.suppressions import (
    NOTED_EVENTS_LIMIT,
    ActiveSuppression,
    AddResult,
    NewSuppression,
    Suppression,
    SuppressionAction,
    SuppressionCursor,
    SuppressionEvent,
    SuppressionFilter,
    SuppressionPage,
    SuppressionScope,
    SuppressionSource,
    SuppressionState,
    added,
)
from wavecom.errors import UncertainWriteError
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import DUPLICATE_KEY, reading, writing

#: How often an entry may be changed by others between reading and writing it.
_ROUNDS_LIMIT = 20
_ABSENT = {"$exists": False}
#: An insert that took no longer needs no later time than that of its beginning.
_PROMPT = timedelta(seconds=3)
#: How long after a call whose answer was lost its repetition may come.
_LATEST_REPETITION = timedelta(seconds=60)
_LIFTED = SuppressionAction.LIFTED

#: What an entry is found by: the recipient's digest, and the source.
_Key = tuple[bytes, SuppressionSource]


class MongoSuppressionStore:
    """``wavecom.core.suppressions.SuppressionStore``; safe to share between threads. ``new_id``: for new entries."""

    def __init__(self, database: Database[Document], new_id: Callable[[], str]) -> None:
        self._entries = durable(database["suppressions"])
        self._new_id = new_id

    def add(self, additions: Sequence[NewSuppression], now: datetime) -> list[AddResult]:
        """See the port."""
        results: dict[_Key, AddResult] = {}
        #: What was to be written in an earlier round, and its line of history, by which it is known again.
        planned: dict[_Key, tuple[AddResult, SuppressionEvent]] = {}
        #: Names of events that no line of history tells, by the entry that is to keep them.
        notes: dict[str, Sequence[str]] = {}
        begun = time.monotonic()
        created: list[str] = []
        #: Those of which it is not certain that they were visible soon after their time.
        doubtful: list[str] = []
        waiting: dict[_Key, NewSuppression] = {}
        for new in additions:
            key = (new.digest, new.source)
            waiting[key] = new.after(waiting[key]) if key in waiting else new
        for _ in range(_ROUNDS_LIMIT):
            if not waiting:
                if time.monotonic() - begun > _PROMPT.total_seconds():
                    doubtful += created
                self._stamp(doubtful)
                self._write([_note(suppression_id, ids) for suppression_id, ids in notes.items() if ids])
                return [results[new.digest, new.source] for new in additions]
            found = self._entries_of([digest for digest, _ in waiting])
            creations: list[Document] = []
            writes: list[UpdateOne] = []
            written: list[_Key] = []
            for key, new in waiting.items():
                entry = found.get(key)
                said = new if entry is None else entry.merged(new, now)
                if entry is not None and not entry.is_changed_by(said, now):
                    earlier = planned.get(key)
                    is_ours = earlier is not None and entry.history[-1:] == (earlier[1],)
                    unchanged = AddResult(entry.suppression_id, is_new=False, is_changed=False)
                    notes[entry.suppression_id] = entry.unknown_ids(said, now)
                    if entry.is_confirmed_by(said, now):
                        writes.append(_confirmation(entry, said, now))
                    results[key] = earlier[0] if earlier is not None and is_ours else unchanged
                    if entry.updated_at > now - _LATEST_REPETITION:
                        # Perhaps by a call whose answer was lost, and which may have been late.
                        doubtful.append(entry.suppression_id)
                    continue
                if entry is None:
                    event = added(said, now)
                    suppression_id = self._new_id()
                    creations.append(_document(suppression_id, said, event))
                    created.append(suppression_id)
                    notes[suppression_id] = said.earlier_event_ids
                else:
                    event = entry.event_of(said, now)
                    suppression_id = entry.suppression_id
                    writes.append(_change(entry, said, event))
                    notes[suppression_id] = entry.unknown_ids(said, now)
                is_new = event.action is SuppressionAction.ADDED
                planned[key] = AddResult(suppression_id, is_new, is_changed=True), event
                written.append(key)
            is_whole = self._insert(creations)
            if self._write(writes) and is_whole:
                results |= {key: planned[key][0] for key in written}
            waiting = {key: new for key, new in waiting.items() if key not in results}
        raise UncertainWriteError("entries of the suppression list are changed too often by others at the same time")

    def lift(
        self, suppression_id: str, account: str | None, *, by: str, reason: str, now: datetime
    ) -> Suppression | None:
        """See the port."""
        where = _named(suppression_id, account)
        self._lift({**where, **_in_force(now)}, SuppressionEvent(at=now, action=_LIFTED, by=by, reason=reason), {})
        return self.get(suppression_id, account)

    def lift_of(
        self,
        digests: Sequence[bytes],
        source: SuppressionSource,
        *,
        by: str,
        reason: str,
        event_id: str,
        now: datetime,
        happened_at: datetime | None = None,
    ) -> int:
        """See the port."""
        event = SuppressionEvent(at=now, action=_LIFTED, by=by, reason=reason, event_id=event_id)
        at = now if happened_at is None else min(happened_at, now)
        is_older: Document = {} if happened_at is None else {"happenedAt": {"$not": {"$gt": at}}}
        lifted = 0
        for digest in digests:
            where: Document = {
                "digest": Binary(digest),
                "source": source.value,
                "history.eventId": {"$ne": event_id},
                "notedEventIds": {"$ne": event_id},
            }
            is_lifted = self._lift({**where, **is_older, **_in_force(now)}, event, {"happenedAt": at})
            lifted += is_lifted
            if not is_lifted:
                with writing():
                    self._entries.update_one(where, {**_noting([event_id]), "$max": {"happenedAt": at}})
        return lifted

    def get(self, suppression_id: str, account: str | None) -> Suppression | None:
        """See the port."""
        with reading():
            document = self._entries.find_one(_named(suppression_id, account))
        return None if document is None else _to_entry(document)

    def search(
        self, where: SuppressionFilter, limit: int, after: SuppressionCursor | None, now: datetime
    ) -> SuppressionPage:
        """See the port."""
        conditions = _conditions(where, now)
        found: list[Document] = []
        with reading():
            for place in _places(where, after):
                query = self._entries.find({**conditions, **place}, {"history": 0})
                query = query.sort([("createdAt", DESCENDING), ("_id", DESCENDING)])
                found += query.limit(limit + 1 - len(found))
                if len(found) > limit:
                    break
        entries = tuple(_to_entry(document) for document in found[:limit])
        last = entries[-1] if len(found) > limit else None
        return SuppressionPage(entries, SuppressionCursor(last.created_at, last.suppression_id) if last else None)

    def active(self, digests: Sequence[bytes], now: datetime) -> dict[bytes, list[ActiveSuppression]]:
        """See the port."""
        found: dict[bytes, list[ActiveSuppression]] = {}
        where = {"digest": {"$in": [Binary(digest) for digest in digests]}, **_in_force(now)}
        with reading():
            for each in self._entries.find(where, {"digest": 1, "source": 1, "scope": 1}):
                entry = ActiveSuppression(
                    each["_id"], SuppressionSource(each["source"]), SuppressionScope(each["scope"])
                )
                found.setdefault(bytes(each["digest"]), []).append(entry)
        return found

    def digests(self, changed_since: datetime | None = None) -> Iterator[tuple[bytes, datetime]]:
        """See the port."""
        where: Document = {"liftedAt": _ABSENT}
        if changed_since is not None:
            where["changedAt"] = {"$gte": changed_since}
        with reading():
            found = self._entries.find(where, {"_id": 0, "digest": 1, "changedAt": 1}, batch_size=10_000)
            for document in found:
                yield bytes(document["digest"]), document["changedAt"]

    def _entries_of(self, digests: Sequence[bytes]) -> dict[_Key, Suppression]:
        with reading():
            documents = list(self._entries.find({"digest": {"$in": [Binary(digest) for digest in digests]}}))
        return {(bytes(each["digest"]), SuppressionSource(each["source"])): _to_entry(each) for each in documents}

    def _insert(self, documents: Sequence[Document]) -> bool:
        """False where another writer was faster with some of them."""
        if not documents:
            return True
        with writing():
            try:
                self._entries.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                _raise_unless_duplicate(error)
                return False
        return True

    def _stamp(self, ids: Sequence[str]) -> None:
        """Have the server say when these were changed: now."""
        if ids:
            with writing():
                self._entries.update_many({"_id": {"$in": list(ids)}}, {"$currentDate": {"changedAt": True}})

    def _write(self, writes: Sequence[UpdateOne]) -> bool:
        """False where another writer was faster with some of them: then all are to be read and decided again.

        What was written all the same is found unchanged then.
        """
        if not writes:
            return True
        with writing():
            try:
                result = self._entries.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                _raise_unless_duplicate(error)
                return False
        return result.matched_count == len(writes)

    def _lift(self, where: Document, event: SuppressionEvent, told: Document) -> int:
        with writing():
            found = self._entries.find_one_and_update(
                where,
                {
                    "$set": {"liftedAt": event.at, "updatedAt": event.at, "by": event.by, **told},
                    "$inc": {"version": 1},
                    "$push": {"history": _event_document(event)},
                    "$currentDate": {"changedAt": True},
                },
                {"_id": 1},
                return_document=ReturnDocument.AFTER,
            )
        return 0 if found is None else 1


def _named(suppression_id: str, account: str | None) -> Document:
    return {"_id": suppression_id} if account is None else {"_id": suppression_id, "account": account}


def _in_force(now: datetime) -> Document:
    return {"liftedAt": _ABSENT, "$or": [{"expiresAt": _ABSENT}, {"expiresAt": {"$gt": now}}]}


def _raise_unless_duplicate(error: BulkWriteError) -> None:
    failed = error.details.get("writeErrors", [])
    if error.details.get("writeConcernErrors") or any(each["code"] != DUPLICATE_KEY for each in failed):
        raise error


def _document(suppression_id: str, new: NewSuppression, event: SuppressionEvent) -> Document:
    return {
        "_id": suppression_id,
        "digest": Binary(new.digest),
        "account": new.account,
        "channel": new.channel.value,
        "recipient": new.recipient,
        "source": new.source.value,
        "createdAt": event.at,
        "changedAt": event.at,
        "happenedAt": new.happened_by(event.at),
        **_said(new, event.at),
        "version": 1,
        "history": [_event_document(event)],
    }


def _change(entry: Suppression, new: NewSuppression, event: SuppressionEvent) -> UpdateOne:
    gone = {"liftedAt": ""} | ({"expiresAt": ""} if new.expires_at is None else {})
    return UpdateOne(
        {"_id": entry.suppression_id, "version": entry.version},
        {
            "$set": _said(new, event.at),
            "$unset": gone,
            "$inc": {"version": 1},
            "$push": {"history": _event_document(event)},
            "$max": {"happenedAt": new.happened_by(event.at)},
            "$currentDate": {"changedAt": True},
        },
    )


def _confirmation(entry: Suppression, new: NewSuppression, now: datetime) -> UpdateOne:
    """Notes the time alone, so that a START of before ends nothing: lines of history would grow with every STOP."""
    return UpdateOne({"_id": entry.suppression_id}, {"$max": {"happenedAt": new.happened_by(now)}})


def _note(suppression_id: str, event_ids: Sequence[str]) -> UpdateOne:
    return UpdateOne({"_id": suppression_id}, _noting(event_ids))


def _noting(event_ids: Sequence[str]) -> Document:
    return {"$push": {"notedEventIds": {"$each": list(event_ids), "$slice": -NOTED_EVENTS_LIMIT}}}


def _said(new: NewSuppression, now: datetime) -> Document:
    said = {"scope": new.scope.value, "reason": new.reason, "by": new.by, "updatedAt": now}
    return said if new.expires_at is None else said | {"expiresAt": new.expires_at}


def _conditions(where: SuppressionFilter, now: datetime) -> Document:
    equal = {"channel": where.channel, "source": where.source, "scope": where.scope}
    found: Document = {name: value.value for name, value in equal.items() if value is not None}
    if where.account is not None:
        found["account"] = where.account
    if where.recipient is not None:
        found["recipient"] = where.recipient
    match where.state:
        case SuppressionState.ACTIVE:
            found |= _in_force(now)
        case SuppressionState.LIFTED:
            found["liftedAt"] = {"$exists": True}
        case SuppressionState.EXPIRED:
            found |= {"liftedAt": _ABSENT, "expiresAt": {"$lte": now}}
        case None:
            pass
    return found


def _places(where: SuppressionFilter, after: SuppressionCursor | None) -> Iterator[Document]:
    """Conditions on ``createdAt``, the newest first: the cursor's own millisecond, then whatever is older."""
    times: Document = {}
    if where.created_since is not None:
        times["$gte"] = where.created_since
    if where.created_before is not None:
        times["$lt"] = where.created_before
    if after is not None:
        yield {"createdAt": after.created_at, "_id": {"$lt": after.suppression_id}}
        times["$lt"] = min(after.created_at, where.created_before or after.created_at)
    yield {"createdAt": times} if times else {}


def _event_document(event: SuppressionEvent) -> Document:
    document = {
        "at": event.at,
        "action": event.action.value,
        "by": event.by,
        "reason": event.reason or None,
        "scope": event.scope.value if event.scope else None,
        "expiresAt": event.expires_at,
        "eventId": event.event_id or None,
    }
    return {name: value for name, value in document.items() if value is not None}


def _to_event(document: Mapping[str, Any]) -> SuppressionEvent:
    scope = document.get("scope")
    return SuppressionEvent(
        at=document["at"],
        action=SuppressionAction(document["action"]),
        by=document["by"],
        reason=document.get("reason", ""),
        scope=None if scope is None else SuppressionScope(scope),
        expires_at=document.get("expiresAt"),
        event_id=document.get("eventId", ""),
    )


def _to_entry(document: Mapping[str, Any]) -> Suppression:
    return Suppression(
        suppression_id=document["_id"],
        account=document["account"],
        channel=Channel(document["channel"]),
        recipient=document["recipient"],
        source=SuppressionSource(document["source"]),
        happened_at=document.get("happenedAt"),
        scope=SuppressionScope(document["scope"]),
        reason=document["reason"],
        by=document["by"],
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        expires_at=document.get("expiresAt"),
        lifted_at=document.get("liftedAt"),
        history=tuple(_to_event(event) for event in document.get("history", ())),
        version=document["version"],
        noted_event_ids=tuple(document.get("notedEventIds", ())),
    )
