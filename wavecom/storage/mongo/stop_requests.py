"""Requests to stop bulk operations: ``StopRequests`` on the collection ``stop_requests``."""

from __future__ import annotations

from datetime import datetime

from pymongo.database import Database

from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing


class MongoStopRequests:
    """``wavecom.core.bulk_operations.StopRequests``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._requests = durable(database["stop_requests"])

    def add(self, operation_id: str, by: str, at: datetime) -> None:
        """See the port."""
        with writing():
            self._requests.update_one({"_id": operation_id}, {"$setOnInsert": {"by": by, "at": at}}, upsert=True)

    def has(self, operation_id: str) -> bool:
        """See the port."""
        with reading():
            return self._requests.find_one({"_id": operation_id}, {"_id": 1}) is not None
