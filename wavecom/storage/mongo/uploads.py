"""Uploaded files but their bytes: ``UploadStore`` on the collection ``files``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.uploads import UploadedFile
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing


class MongoUploadStore:
    """``wavecom.core.uploads.UploadStore``; safe to share between threads, one per process."""

    def __init__(self, database: Database[Document]) -> None:
        self._files = durable(database["files"])

    def keep(self, file: UploadedFile) -> UploadedFile:
        """See the port."""
        with writing():
            try:
                return self._upsert(file)
            except DuplicateKeyError:
                # Inserted by another at the same moment: it is there now.
                return self._upsert(file)

    def _upsert(self, file: UploadedFile) -> UploadedFile:
        """Raises ``DuplicateKeyError`` where another one has inserted it at the same moment."""
        update: Document = {
            "$set": {"filename": file.filename, "contentType": file.content_type},
            "$max": {"expiresAt": file.expires_at},
            "$setOnInsert": {
                "account": file.account,
                "sha256": file.sha256,
                "size": file.size,
                "createdAt": file.created_at,
            },
        }
        kept = self._files.find_one_and_update(
            {"_id": file.file_id}, update, upsert=True, return_document=ReturnDocument.AFTER
        )
        if kept is None:
            # As an embedded server answers, seldom, where a real one says that the key is there.
            raise DuplicateKeyError("inserted by another at the same moment")
        return _file(kept)

    def get(self, account: str, file_ids: Collection[str], now: datetime) -> dict[str, UploadedFile]:
        """See the port."""
        where = {"_id": {"$in": list(file_ids)}, "account": account, "expiresAt": {"$gt": now}}
        with reading():
            found = [_file(each) for each in self._files.find(where)]
        return {file.file_id: file for file in found}

    def all(self, account: str, now: datetime, limit: int) -> Sequence[UploadedFile]:
        """See the port."""
        with reading():
            found = [_file(each) for each in self._files.find({"account": account, "expiresAt": {"$gt": now}})]
        # In memory: there is no index for it, and an account has few.
        return sorted(found, key=lambda file: (file.created_at, file.file_id), reverse=True)[:limit]

    def size_of_all(self, account: str, now: datetime) -> int:
        """See the port."""
        where = {"account": account, "expiresAt": {"$gt": now}}
        with reading():
            return sum(int(each["size"]) for each in self._files.find(where, {"_id": 0, "size": 1}))

    def remove(self, account: str, file_id: str) -> bool:
        """See the port."""
        with writing():
            return self._files.delete_one({"_id": file_id, "account": account}).deleted_count == 1


def _file(document: Document) -> UploadedFile:
    return UploadedFile(
        file_id=document["_id"],
        account=document["account"],
        sha256=document["sha256"],
        size=document["size"],
        filename=document["filename"],
        content_type=document["contentType"],
        created_at=document["createdAt"],
        expires_at=document["expiresAt"],
    )
