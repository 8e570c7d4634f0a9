"""Stored attachments, kept in a dictionary."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from datetime import datetime


class MemoryBlobStore:
    """``wavecom.core.attachments.BlobStore`` without a server; ``purge`` does what time does to the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs: dict[str, tuple[bytes, datetime]] = {}

    @property
    def names(self) -> set[str]:
        """What is stored."""
        with self._lock:
            return set(self._blobs)

    def put(self, blobs: Mapping[str, bytes], purge_at: datetime) -> None:
        """See the port."""
        with self._lock:
            for name, data in blobs.items():
                known = self._blobs.get(name, (data, purge_at))
                self._blobs[name] = (data, max(known[1], purge_at))

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        """See the port."""
        with self._lock:
            found = {name: self._blobs[name][0] for name in names if name in self._blobs}
            for name, data in found.items():
                self._blobs[name] = (data, max(self._blobs[name][1], purge_at))
        return found

    def keep(self, names: Collection[str], purge_at: datetime) -> set[str]:
        """See the port."""
        return set(self.get(names, purge_at))

    def missing(self, names: Collection[str]) -> set[str]:
        """See the port."""
        return set(names) - self.names

    def purge(self, now: datetime) -> None:
        """Let go of what need not be kept any more."""
        with self._lock:
            self._blobs = {name: each for name, each in self._blobs.items() if each[1] > now}
