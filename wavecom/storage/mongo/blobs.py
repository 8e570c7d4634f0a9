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
                known = self._blobs.find_one({"_id": name}, {"purgeAt": 1})
                if known is not None and (known["purgeAt"] >= purge_at or self._extend(name, purge_at)):
                    continue  # The file itself need not travel again.
                try:
                    self._blobs.insert_one({"_id": name, "data": Binary(data), "purgeAt": purge_at})
                except DuplicateKeyError:
                    self._extend(name, purge_at)

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
                        self._extend(name, purge_at)
        return found

    def keep(self, names: Collection[str], purge_at: datetime) -> set[str]:
        """See the port."""
        where = {"_id": {"$in": list(names)}}
        with writing():
            self._blobs.update_many(where, {"$max": {"purgeAt": purge_at}})
            # After that: what is found now stays.
            return {each["_id"] for each in self._blobs.find(where, {"_id": 1})}

    def missing(self, names: Collection[str]) -> set[str]:
        """See the port."""
        with reading():
            found = {document["_id"] for document in self._blobs.find({"_id": {"$in": list(names)}}, {"_id": 1})}
        return set(names) - found

    def _extend(self, name: str, purge_at: datetime) -> bool:
        """False where there is nothing to extend: it is gone, or kept longer by now."""
        where = {"_id": name, "purgeAt": {"$lt": purge_at}}
        return self._blobs.update_one(where, {"$set": {"purgeAt": purge_at}}).matched_count == 1
