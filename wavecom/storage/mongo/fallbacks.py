"""Fallbacks: ``FallbackStore`` on the collection ``fallbacks``, and the events that stand in its documents.

What the client gave (``to``, ``payload``, ``metadata``) is kept as JSON text: the names in it are his own, nobody looks
for them here, and no update touches them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import structlog
from pymongo import ASCENDING, UpdateMany
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.client_events import UnpublishedEvents
from wavecom.core.fallback import Fallback, FallbackEntry, FallbackEvent, FallbackStatus, Step, held_entry, held_event
from wavecom.core.job import JobId, TemplateUse, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.errors import BodyTooLargeError, InvalidRequestError, Problem
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.client_json import SIZE_LIMIT_BYTES, Document
from wavecom.storage.mongo.errors import reading, writing
from wavecom.storage.mongo.recorded_events import event_document, to_event

log = structlog.get_logger()

_Read = TypeVar("_Read")

#: Fields that may be absent and need no translation → their names in the document.
_OPTIONAL: Final = {
    "region": "region",
    "max_attempts": "maxAttempts",
    "send_at": "sendAt",
    "idempotency_key": "idempotencyKey",
    "fingerprint": "fingerprint",
    "created_by": "createdBy",
    "delivered_step": "deliveredStep",
    "cancelled_by": "cancelledBy",
    "due_at": "dueAt",
    "finished_at": "finishedAt",
    "purge_at": "purgeAt",
}
#: So many that can't be read are remembered; more are passed over without a word.
_UNREADABLE_MAXIMUM: Final = 1000
#: Those of them that change in its life.
_CHANGING: Final = ("delivered_step", "cancelled_by", "due_at", "finished_at", "purge_at")


class MongoFallbackStore:
    """``wavecom.core.fallback.FallbackStore``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._fallbacks = durable(database["fallbacks"])
        #: Those that can't be read; each was logged once.
        self._unreadable: set[str] = set()

    def add(self, fallback: Fallback) -> None:
        """See the port."""
        document = _to_document(fallback)
        size = sum(len(each["to"]) + len(each["payload"]) for each in document["steps"]) + len(document["metadata"])
        if 4 * size > SIZE_LIMIT_BYTES:
            raise BodyTooLargeError(f"The steps have {size} characters; {SIZE_LIMIT_BYTES // 4} can be stored.")
        with writing():
            try:
                self._fallbacks.insert_one(document)
            except DuplicateKeyError:
                return

    def remove(self, fallback_id: str) -> None:
        """See the port."""
        with writing():
            self._fallbacks.delete_one({"_id": fallback_id})

    def get(self, fallback_id: str, client: str | None = None) -> Fallback | None:
        """See the port."""
        with reading():
            found = self._fallbacks.find_one({"_id": fallback_id})
        return None if found is None or client not in {None, found["client"]} else _to_fallback(found)

    def write(self, fallback: Fallback) -> bool:
        """See the port."""
        values: Document = {
            "status": fallback.status.value,
            "updatedAt": fallback.updated_at,
            "begun": fallback.begun,
            "mayHaveBeenSent": fallback.may_have_been_sent,
            "version": fallback.version,
            "logs": [_entry_document(entry) for entry in fallback.logs],
            "type": _channel_of(fallback).value,
        }
        removed: dict[str, str] = {}
        for attribute in _CHANGING:
            value = getattr(fallback, attribute)
            if value is None:
                removed[_OPTIONAL[attribute]] = ""
            else:
                values[_OPTIONAL[attribute]] = value
        for place, step in enumerate(fallback.steps):
            values |= {f"steps.{place}.{name}": value for name, value in _progress_of(step).items()}
        update: Document = {"$set": values, "$unset": removed}
        if fallback.event is not None:
            values["eventsDueAt"] = fallback.event.at
            update |= {"$push": {"events": event_document(fallback.event)}, "$inc": {"eventVersion": 1}}
        where = {"_id": fallback.fallback_id, "version": fallback.version - 1}
        with writing():
            return self._fallbacks.update_one(where, update).matched_count == 1

    def wake(self, fallback_ids: Sequence[str], now: datetime) -> None:
        """See the port."""
        where = {"_id": {"$in": list(fallback_ids)}, "dueAt": {"$exists": True}}
        with writing():
            # Another version, of those that are due as well: who has read it before, and would have it wait, must look
            # again.
            self._fallbacks.update_many(where, {"$min": {"dueAt": now}, "$inc": {"version": 1}})

    def due(self, now: datetime, limit: int) -> Sequence[Fallback]:
        """See the port."""
        return _oldest_readable(self._fallbacks, "dueAt", now, limit, _to_fallback, self._unreadable)

    def lease(self, fallback_ids: Sequence[str], now: datetime, until: datetime) -> None:
        """See the port."""
        # Not another version: who has read it goes on.
        where = {"_id": {"$in": list(fallback_ids)}, "dueAt": {"$lte": now}}
        with writing():
            self._fallbacks.update_many(where, {"$set": {"dueAt": until}})

    def known(self, fallback_ids: Collection[str]) -> frozenset[str]:
        """See the port."""
        with reading():
            found = list(self._fallbacks.find({"_id": {"$in": list(fallback_ids)}}, {"_id": 1}))
        return frozenset(each["_id"] for each in found)

    def hold_restored(self, before: datetime, now: datetime, purge_at: datetime, versions_left_out: int) -> int:
        """See the port."""
        where: Document = {
            "status": FallbackStatus.WAITING.value,
            "createdAt": {"$lt": before},
            "$nor": [{"begun": 1, "sendAt": {"$gt": now}}],
        }
        values = {
            "status": FallbackStatus.UNCONFIRMED.value,
            "mayHaveBeenSent": True,
            "updatedAt": now,
            "finishedAt": now,
            "purgeAt": purge_at,
            "dueAt": now,
        }
        added = {"logs": _entry_document(held_entry(now))}
        with writing():
            # First those of which an event is recorded: they are not found afterwards.
            told = self._fallbacks.update_many(
                where | {"recordsEvents": True},
                {
                    "$set": values | {"eventsDueAt": now},
                    "$push": added | {"events": event_document(held_event(now))},
                    "$inc": {"version": 1, "eventVersion": versions_left_out + 1},
                },
            )
            others = self._fallbacks.update_many(where, {"$set": values, "$push": added, "$inc": {"version": 1}})
            return told.modified_count + others.modified_count


class MongoFallbackEvents:
    """``RecordedEvents`` in the collection ``fallbacks``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._fallbacks = durable(database["fallbacks"])
        #: Those whose events can't be read; each was logged once.
        self._unreadable: set[str] = set()

    def due(self, now: datetime, limit: int) -> Sequence[UnpublishedEvents]:
        """See the port."""
        return _oldest_readable(self._fallbacks, "eventsDueAt", now, limit, _to_events, self._unreadable)

    def settle(self, published: Sequence[UnpublishedEvents]) -> None:
        """See the port."""
        if not published:
            return
        taken = {"$set": {"events": []}, "$unset": {"eventsDueAt": ""}}
        by_version: dict[int, list[str]] = {}
        for each in published:
            by_version.setdefault(each.last_version, []).append(each.job_id)
        with writing():
            self._fallbacks.bulk_write(
                [
                    UpdateMany({"_id": {"$in": ids}, "eventVersion": version}, taken)
                    for version, ids in by_version.items()
                ],
                ordered=False,
            )


def _channel_of(fallback: Fallback) -> Channel:
    """What its events are of: the channel that was delivered, or else the one that was tried last."""
    return fallback.steps[(fallback.delivered_step or fallback.begun) - 1].type


def _to_document(fallback: Fallback) -> Document:
    document: Document = {
        "_id": fallback.fallback_id,
        "client": fallback.client,
        "type": _channel_of(fallback).value,
        "status": fallback.status.value,
        "steps": [_step_document(step, place) for place, step in enumerate(fallback.steps)],
        "createdAt": fallback.created_at,
        "updatedAt": fallback.updated_at,
        "expiresAt": fallback.expires_at,
        "priority": fallback.priority.value,
        "onUnknownOutcome": fallback.on_unknown_outcome.value,
        "metadata": _as_text(fallback.metadata, "/metadata"),
        "begun": fallback.begun,
        "mayHaveBeenSent": fallback.may_have_been_sent,
        "logs": [_entry_document(entry) for entry in fallback.logs],
        "version": fallback.version,
        "recordsEvents": fallback.records_events,
    }
    values = {name: getattr(fallback, attribute) for attribute, name in _OPTIONAL.items()}
    return document | {name: value for name, value in values.items() if value is not None}


def _step_document(step: Step, place: int) -> Document:
    document: Document = {
        "type": step.type.value,
        "to": _as_text(step.to, f"/fallback/{place}/to"),
        "payload": _as_text(step.payload, f"/fallback/{place}/payload"),
    }
    if step.wait is not None:
        document["waitMs"] = step.wait // timedelta(milliseconds=1)
    if (use := step.template) is not None:
        document["template"] = {"name": use.name, "version": use.version, "locale": use.locale}
    return document | _progress_of(step)


def _progress_of(step: Step) -> Document:
    """What changes of a step; once it is there, it stays."""
    values = {"begunAt": step.begun_at, "jobId": step.job_id, "refused": step.refused}
    return {name: value for name, value in values.items() if value is not None}


def _as_text(value: Mapping[str, Any], where: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            [Problem(where, "has half of a surrogate pair, which is not a character; send the whole pair")]
        ) from error
    return text


def _entry_document(entry: FallbackEntry) -> Document:
    values = {
        "at": entry.at,
        "event": entry.event.value,
        "step": entry.step,
        "message": entry.message,
        "by": entry.by,
    }
    return {name: value for name, value in values.items() if value is not None}


def _oldest_readable(
    fallbacks: MongoCollection[Document],
    due: str,
    now: datetime,
    limit: int,
    read: Callable[[Document], _Read],
    unreadable: set[str],
) -> list[_Read]:
    """Those whose time in the field ``due`` has passed, the longest due first, without those that can't be read.

    What a newer release, or somebody by hand, has written stays, as the longest due; it must take nobody's place.
    """
    asked = limit + len(unreadable)
    while True:
        with reading():
            found = list(fallbacks.find({due: {"$lte": now}}).sort(due, ASCENDING).limit(asked))
        readable: list[_Read] = []
        for document in found:
            try:
                readable.append(read(document))
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                # The error's text may quote what it says.
                _log_unreadable(str(document.get("_id")), type(error).__name__, unreadable)
        if len(readable) >= limit or len(found) < asked:
            return readable[:limit]
        asked *= 2


def _log_unreadable(fallback_id: str, error: str, unreadable: set[str]) -> None:
    if fallback_id not in unreadable and len(unreadable) < _UNREADABLE_MAXIMUM:
        unreadable.add(fallback_id)
        log.error("fallback_unreadable", fallback_id=fallback_id, error=error)


def _to_events(document: Document) -> UnpublishedEvents:
    return UnpublishedEvents(
        job_id=JobId(document["_id"]),
        account=document["client"],
        channel=Channel(document["type"]),
        idempotency_key=document.get("idempotencyKey"),
        metadata=json.loads(document["metadata"]),
        events=tuple(to_event(event) for event in document["events"]),
        last_version=document["eventVersion"],
    )


def _to_fallback(document: Mapping[str, Any]) -> Fallback:
    get = document.get
    return Fallback(
        fallback_id=document["_id"],
        client=document["client"],
        status=FallbackStatus(document["status"]),
        steps=tuple(_to_step(each) for each in document["steps"]),
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        expires_at=document["expiresAt"],
        priority=Priority(document["priority"]),
        on_unknown_outcome=UnknownOutcomePolicy(document["onUnknownOutcome"]),
        metadata=json.loads(document["metadata"]),
        begun=document["begun"],
        may_have_been_sent=document["mayHaveBeenSent"],
        logs=tuple(
            FallbackEntry(
                each["at"], FallbackEvent(each["event"]), each.get("step"), each.get("message"), each.get("by")
            )
            for each in document["logs"]
        ),
        version=document["version"],
        records_events=document["recordsEvents"],
        **{attribute: get(name) for attribute, name in _OPTIONAL.items()},
    )


def _to_step(document: Mapping[str, Any]) -> Step:
    get = document.get
    wait, template = get("waitMs"), get("template")
    return Step(
        type=Channel(document["type"]),
        to=json.loads(document["to"]),
        payload=json.loads(document["payload"]),
        template=None if template is None else TemplateUse(**template),
        wait=None if wait is None else timedelta(milliseconds=wait),
        begun_at=get("begunAt"),
        job_id=get("jobId"),
        refused=get("refused"),
    )
