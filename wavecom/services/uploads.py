"""Uploaded files, as clients manage them and as notifications name them."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from wavecom.core.named_files import NamedFiles
from wavecom.core.ports import Clock
from wavecom.core.uploads import Uploads
from wavecom.services.shared import policy_of
from wavecom.settings import Settings
from wavecom.storage.mongo.blobs import MongoBlobStore
from wavecom.storage.mongo.uploads import MongoUploadStore


def uploads_of(settings: Settings, database: Database[dict[str, Any]], clock: Clock) -> tuple[Uploads, NamedFiles]:
    """Both over MongoDB."""
    store, blobs = MongoUploadStore(database), MongoBlobStore(database)
    limit_bytes = settings.client_files_mib * 1024 * 1024
    return Uploads(store, blobs, clock, limit_bytes), NamedFiles(store, blobs, clock, policy_of(settings))
