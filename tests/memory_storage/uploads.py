"""Uploaded files, kept in a dictionary."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from wavecom.core.uploads import UploadedFile


class MemoryUploadStore:
    """``wavecom.core.uploads.UploadStore`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, UploadedFile] = {}

    def keep(self, file: UploadedFile) -> UploadedFile:
        """See the port."""
        with self._lock:
            known = self._files.get(file.file_id, file)
            kept = replace(file, created_at=known.created_at, expires_at=max(known.expires_at, file.expires_at))
            self._files[file.file_id] = kept
            return kept

    def get(self, account: str, file_ids: Collection[str], now: datetime) -> dict[str, UploadedFile]:
        """See the port."""
        return {file.file_id: file for file in self._of(account, now) if file.file_id in file_ids}

    def all(self, account: str, now: datetime, limit: int) -> Sequence[UploadedFile]:
        """See the port."""
        found = sorted(self._of(account, now), key=lambda file: (file.created_at, file.file_id), reverse=True)
        return found[:limit]

    def size_of_all(self, account: str, now: datetime) -> int:
        """See the port."""
        return sum(file.size for file in self._of(account, now))

    def remove(self, account: str, file_id: str) -> bool:
        """See the port."""
        with self._lock:
            file = self._files.get(file_id)
            if file is None or file.account != account:
                return False
            del self._files[file_id]
            return True

    def _of(self, account: str, now: datetime) -> list[UploadedFile]:
        with self._lock:
            return [file for file in self._files.values() if file.account == account and file.expires_at > now]
