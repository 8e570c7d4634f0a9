"""What frequency caps count: ``CapHistory`` on the collection ``jobs``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from pymongo.database import Database

from wavecom.core.frequency_caps import CapKey, CountedJob
from wavecom.core.job import JobId
from wavecom.core.states import Status
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading

_FIELDS: Final = ("client", "recipientId", "category", "jobId", "createdAt", "status", "sentAt", "claim.token")


class MongoCapHistory:
    """``wavecom.core.frequency_caps.CapHistory``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = durable(database["jobs"])

    def of(self, keys: Collection[CapKey], since: datetime) -> Sequence[CountedJob]:
        """See the port."""
        if not keys:
            return []
        where: Document = {
            "client": {"$in": sorted({key.account for key in keys})},
            "recipientId": {"$in": sorted({key.recipient_id for key in keys})},
            "category": {"$in": sorted({key.category for key in keys})},
            "$or": [{"sentAt": {"$gt": since}}, {"status": Status.PROCESSING.value}],
        }
        with reading():
            found = list(self._jobs.find(where, {"_id": 0} | dict.fromkeys(_FIELDS, 1)))
        counted = [
            CountedJob(
                CapKey(each["client"], each["recipientId"], each["category"]),
                JobId(each["jobId"]),
                each["createdAt"],
                each.get("sentAt"),
                each["claim"]["token"] if each["status"] == Status.PROCESSING.value else None,
            )
            for each in found
        ]
        wanted = set(keys)
        return [each for each in counted if each.key in wanted]
