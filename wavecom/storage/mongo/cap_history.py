"""What frequency caps count: ``CapHistory`` on the collection ``jobs``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from pymongo.database import Database

from wavecom.core.frequency_caps import STARTED, CapKey, CountedJob
from wavecom.core.job import JobId
from wavecom.core.states import Status
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading

_FIELDS: Final = (
    "client",
    "recipientId",
    "category",
    "jobId",
    "createdAt",
    "status",
    "updatedAt",
    "mayHaveBeenSent",
)


class MongoCapHistory:
    """``wavecom.core.frequency_caps.CapHistory``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = durable(database["jobs"])

    def of(self, keys: Collection[CapKey], since: datetime) -> Sequence[CountedJob]:
        """See the port."""
        if not keys:
            return []
        where: Document = {
            "recipientId": {"$in": sorted({key.recipient_id for key in keys})},
            "category": {"$in": sorted({key.category for key in keys})},
            "$or": [
                {"updatedAt": {"$gt": since}},
                {"status": {"$in": sorted(status.value for status in STARTED)}},
            ],
        }
        with reading():
            found = list(self._jobs.find(where, {"_id": 0} | dict.fromkeys(_FIELDS, 1)))
        counted = [
            CountedJob(
                CapKey(each["client"], each["recipientId"], each["category"]),
                JobId(each["jobId"]),
                each["createdAt"],
                Status(each["status"]),
                each["updatedAt"],
                each["mayHaveBeenSent"],
            )
            for each in found
        ]
        wanted = set(keys)
        return [each for each in counted if each.key in wanted]
