"""Attachments by hash: ``BlobStore`` on the collection ``blobs``. A document is {_id: name, data, purgeAt}."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from bson.binary import Binary
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing


class MongoBlobStore:
    """``wavecom.core.attachments.BlobStore``; safe to share between threads, one per process."""

    def __init__(self, database: Database[Document]) -> None:
        self._blobs = durable(database["blobs"])

    def put(self, blobs: Mapping[str, bytes], purge_at: datetime) -> None:
        """See the port."""
        # One by one: together they may be larger than a message to the server, and there are few.
        for name, data in blobs.items():
            with writing():
                if self._extend([name], purge_at):
                    continue  # It is there already: the file itself need not travel again.
                try:
                    self._blobs.insert_one({"_id": name, "data": Binary(data), "purgeAt": purge_at})
                except DuplicateKeyError:
                    self._extend([name], purge_at)

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        """See the port."""
        found: dict[str, bytes] = {}
        with reading():
            # Each by itself: together they may be larger than one answer of the server.
            for name in names:
                document = self._blobs.find_one({"_id": name})
                if document is not None:
                    found[name] = bytes(document["data"])
                    if document["purgeAt"] < purge_at:
                        self._extend([name], purge_at)
        return found

    def _extend(self, names: Collection[str], purge_at: datetime) -> int:
        result = self._blobs.update_many({"_id": {"$in": list(names)}}, {"$max": {"purgeAt": purge_at}})
        return result.matched_count
