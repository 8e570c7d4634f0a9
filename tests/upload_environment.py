"""Uploaded files over memory."""

from __future__ import annotations

from tests.memory_storage import MemoryBlobStore, MemoryUploadStore
from wavecom.core.engine import Policy
from wavecom.core.named_files import NamedFiles
from wavecom.core.ports import Clock
from wavecom.core.uploads import Uploads
from wavecom.settings import Settings


def uploads_over(
    clock: Clock, blobs: MemoryBlobStore | None = None, settings: Settings | None = None
) -> tuple[Uploads, NamedFiles]:
    """The use cases, and what resolves files that notifications name; ``blobs`` has their bytes."""
    store, blobs = MemoryUploadStore(), blobs or MemoryBlobStore()
    limit_bytes = (settings or Settings()).client_files_mib * 1024 * 1024
    return Uploads(store, blobs, clock, limit_bytes), NamedFiles(store, blobs, clock, Policy())
