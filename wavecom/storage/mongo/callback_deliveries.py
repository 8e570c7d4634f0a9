"""Deliveries of events to callbacks: ``CallbackDeliveryStore`` on the collection ``callback_deliveries``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from wavecom.core.callbacks import TRIES_KEPT, CallbackDelivery, CallbackTry, DeliveryState, delivery_id
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import DUPLICATE_KEY, reading, writing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MongoCallbackDeliveryStore:
    """``wavecom.core.callbacks.CallbackDeliveryStore``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._deliveries = durable(database["callback_deliveries"])

    def add(self, deliveries: Sequence[CallbackDelivery]) -> None:
        """See the port."""
        if not deliveries:
            return
        with writing():
            try:
                self._deliveries.insert_many([_to_document(each) for each in deliveries], ordered=False)
            except BulkWriteError as error:
                codes = {each["code"] for each in error.details["writeErrors"]}
                if error.details["writeConcernErrors"] or codes != {DUPLICATE_KEY}:
                    raise

    def due(self, callback_id: str, now: datetime, limit: int) -> Sequence[CallbackDelivery]:
        """See the port."""
        where = {"callbackId": callback_id, "dueAt": {"$lte": now}}
        with reading():
            found = list(self._deliveries.find(where, {"tries": 0}).sort("dueAt", ASCENDING).limit(limit))
        return [_to_delivery(each) for each in found]

    def next_due_at(self, callback_id: str) -> datetime | None:
        """See the port."""
        where = {"callbackId": callback_id, "dueAt": {"$gt": _EPOCH}}
        with reading():
            found = list(self._deliveries.find(where, {"dueAt": 1}).sort("dueAt", ASCENDING).limit(1))
        return found[0]["dueAt"] if found else None

    def record(self, deliveries: Sequence[tuple[CallbackDelivery, CallbackTry]]) -> None:
        """See the port."""
        if not deliveries:
            return
        with writing():
            self._deliveries.bulk_write([_recording(*each) for each in deliveries], ordered=False)

    def search(
        self,
        callback_id: str,
        limit: int,
        *,
        state: DeliveryState | None = None,
        before: datetime | None = None,
        before_event: str | None = None,
    ) -> Sequence[CallbackDelivery]:
        """See the port."""
        where: Document = {"callbackId": callback_id}
        if before is not None and before_event is not None:
            where["createdAt"] = {"$lte": before}
            where["$nor"] = [{"createdAt": before, "_id": {"$gte": delivery_id(callback_id, before_event)}}]
        elif before is not None:
            where["createdAt"] = {"$lt": before}
        if state is not None:
            where["state"] = state.value
        order = [("createdAt", DESCENDING), ("_id", DESCENDING)]
        with reading():
            return [_to_delivery(each) for each in self._deliveries.find(where).sort(order).limit(limit)]

    def get(self, callback_id: str, event_id: str) -> CallbackDelivery | None:
        """See the port."""
        with reading():
            found = self._deliveries.find_one({"_id": delivery_id(callback_id, event_id)})
        return None if found is None else _to_delivery(found)

    def send_again(self, callback_id: str, event_ids: Collection[str], now: datetime, *, only_undelivered: bool) -> int:
        """See the port."""
        where: Document = {"_id": {"$in": [delivery_id(callback_id, each) for each in event_ids]}}
        if only_undelivered:
            where["state"] = {"$ne": DeliveryState.DELIVERED.value}
        anew = {"state": DeliveryState.PENDING.value, "dueAt": now, "begunAt": now, "tried": 0}
        with writing():
            return self._deliveries.update_many(where, {"$set": anew}).matched_count

    def begin_anew(self, callback_id: str, now: datetime) -> None:
        """See the port."""
        # What is pending is what has a due time, by which there is an index.
        where: Document = {"callbackId": callback_id, "dueAt": {"$gt": _EPOCH}}
        with writing():
            self._deliveries.update_many(where, {"$set": {"dueAt": now, "begunAt": now, "tried": 0}})


def _recording(delivery: CallbackDelivery, result: CallbackTry) -> UpdateOne:
    update: Document = {
        "$set": {"state": delivery.state.value, "tried": delivery.tried, "begunAt": delivery.begun_at},
        "$push": {"tries": {"$each": [_try_document(result)], "$slice": -TRIES_KEPT}},
    }
    if delivery.due_at is None:
        update["$unset"] = {"dueAt": ""}
    else:
        update["$set"]["dueAt"] = delivery.due_at
    # Only as the next try of what was read: see the port.
    return UpdateOne({"_id": delivery.delivery_id, "tried": delivery.tried - 1}, update)


def _try_document(result: CallbackTry) -> Document:
    document: Document = {"at": result.at, "durationMs": result.duration_ms, "excerpt": result.excerpt}
    if result.status is not None:
        document["status"] = result.status
    if result.fault is not None:
        document["fault"] = result.fault
    return document


def _to_document(delivery: CallbackDelivery) -> Document:
    document: Document = {
        "_id": delivery.delivery_id,
        "callbackId": delivery.callback_id,
        "account": delivery.account,
        "eventId": delivery.event_id,
        "type": delivery.type,
        "createdAt": delivery.created_at,
        "begunAt": delivery.begun_at,
        "state": delivery.state.value,
        "tried": delivery.tried,
        "tries": [_try_document(each) for each in delivery.tries],
    }
    return document if delivery.due_at is None else document | {"dueAt": delivery.due_at}


def _to_delivery(document: Document) -> CallbackDelivery:
    return CallbackDelivery(
        callback_id=document["callbackId"],
        account=document["account"],
        event_id=document["eventId"],
        type=document["type"],
        created_at=document["createdAt"],
        begun_at=document["begunAt"],
        state=DeliveryState(document["state"]),
        due_at=document.get("dueAt"),
        tried=document["tried"],
        tries=tuple(
            CallbackTry(each["at"], each["durationMs"], each.get("status"), each.get("fault"), each["excerpt"])
            for each in document.get("tries", ())
        ),
    )
