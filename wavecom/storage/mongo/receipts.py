"""The collection ``receipts``: those that are to be tried again, requests that nobody could read, and one-time tokens.

Hardly any receipt ever comes here: those that find their job are in its log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from wavecom.core.job import JobId, Reason
from wavecom.core.receipt_processing import KEPT_FOR, PendingReceipt
from wavecom.core.receipt_rules import log_id
from wavecom.core.receipts import Receipt, ReceiptKind, ReceiptRequest
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import DUPLICATE_KEY, reading, writing

#: A request that can't be read is kept for so long, for people to look at.
UNREADABLE_KEPT_FOR: Final = timedelta(days=1)
#: Longer than any signed time is believed: Mailgun's for eight hours and some minutes.
TOKEN_KEPT_FOR: Final = timedelta(hours=9)
#: The sweep gives receipts up by itself; only what it can't see goes later, by its age.
_MARGIN = timedelta(hours=6)


class MongoPendingReceipts:
    """``wavecom.core.receipt_processing.PendingReceipts``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._receipts = durable(database["receipts"])

    def keep(self, pending: Sequence[PendingReceipt]) -> None:
        """See the port."""
        documents = list({(document := _to_document(each))["_id"]: document for each in pending}.values())
        with writing():
            try:
                self._receipts.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                codes = {failure["code"] for failure in error.details["writeErrors"]}
                if codes != {DUPLICATE_KEY} or error.details["writeConcernErrors"]:
                    raise

    def due(self, now: datetime, limit: int) -> list[PendingReceipt]:
        """See the port."""
        with reading():
            cursor = self._receipts.find({"nextTryAt": {"$lte": now}}).sort([("nextTryAt", ASCENDING)])
            found = list(cursor.limit(limit))
        return [_to_pending(document) for document in found]

    def postpone(self, pending: Sequence[PendingReceipt]) -> None:
        """See the port."""
        updates = [
            UpdateOne({"_id": _id_of(each)}, {"$set": {"nextTryAt": each.next_try_at, "tries": each.tries}})
            for each in pending
        ]
        with writing():
            self._receipts.bulk_write(updates, ordered=False)

    def remove(self, pending: Sequence[PendingReceipt]) -> None:
        """See the port."""
        with writing():
            self._receipts.delete_many({"_id": {"$in": [_id_of(each) for each in pending]}})


@dataclass(frozen=True, slots=True)
class UnreadableRequests:
    """Requests that were signed rightly and hold what nobody can read, kept for ``UNREADABLE_KEPT_FOR``."""

    database: Database[Document]

    def keep(self, provider: str, request: ReceiptRequest) -> None:
        """Store it, durably. Raises ``StoreError``. Headers are left out: they may carry a shared secret."""
        document = {
            "provider": provider,
            "receivedAt": request.at,
            "purgeAt": request.at + UNREADABLE_KEPT_FOR,
            "method": request.method,
            "query": request.query,
            "body": request.body,
        }
        with writing():
            durable(self.database["receipts"]).insert_one(document)


@dataclass(frozen=True, slots=True)
class OneTimeTokens:
    """Tokens that providers sign in place of a content, each with the content that it first came with."""

    database: Database[Document]

    def belongs_to(self, provider: str, token: str, request: ReceiptRequest) -> bool:
        """Whether the token is new, or came with the same body before: else somebody has put it on another.

        Durable when it answers; may be repeated. Raises ``StoreError``.
        """
        tokens = durable(self.database["receipts"])
        digest = hashlib.sha256(request.body).hexdigest()
        document = {
            "_id": f"token/{provider}/{log_id(token)}",
            "provider": provider,
            "receivedAt": request.at,
            "purgeAt": request.at + TOKEN_KEPT_FOR,
            "digest": digest,
        }
        with writing():
            try:
                tokens.insert_one(document)
            except DuplicateKeyError:
                found = tokens.find_one({"_id": document["_id"]})
                return found is not None and found["digest"] == digest
        return True


def _id_of(pending: PendingReceipt) -> str:
    return f"{pending.provider}/{log_id(pending.receipt.event_id)}"


def _to_document(pending: PendingReceipt) -> Document:
    receipt = pending.receipt
    document: Document = {
        "_id": _id_of(pending),
        "provider": pending.provider,
        "eventId": receipt.event_id,
        "kind": receipt.kind.value,
        "jobId": receipt.job_id,
        "replays": receipt.replays,
        "messageId": receipt.message_id,
        "at": receipt.at,
        "code": receipt.code,
        "text": receipt.text,
        "isRoutine": receipt.is_routine or None,
        "reason": None if receipt.reason is None else receipt.reason.value,
        "recipient": receipt.recipient,
        "receivedAt": pending.received_at,
        "nextTryAt": pending.next_try_at,
        "tries": pending.tries,
        "purgeAt": pending.received_at + KEPT_FOR + _MARGIN,
    }
    return {name: value for name, value in document.items() if value is not None}


def _to_pending(document: Mapping[str, Any]) -> PendingReceipt:
    get = document.get
    job_id, reason = get("jobId"), get("reason")
    receipt = Receipt(
        event_id=document["eventId"],
        kind=ReceiptKind(document["kind"]),
        job_id=None if job_id is None else JobId(job_id),
        replays=get("replays", 0),
        message_id=get("messageId"),
        at=get("at"),
        code=document["code"],
        text=document["text"],
        is_routine=get("isRoutine", False),
        reason=None if reason is None else Reason(reason),
        recipient=get("recipient"),
    )
    return PendingReceipt(
        provider=document["provider"],
        receipt=receipt,
        received_at=document["receivedAt"],
        next_try_at=document["nextTryAt"],
        tries=document["tries"],
    )
