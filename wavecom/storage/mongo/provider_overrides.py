"""What people have changed about providers: ``OverrideStore`` on the collection ``provider_overrides``.

One document for each provider, by its name; a handful at most, so all are read at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database

from wavecom.core.provider_overrides import ProviderOverride
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import CODEC, Document
from wavecom.storage.mongo.errors import reading, writing


class MongoOverrideStore:
    """``wavecom.core.provider_overrides.OverrideStore``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._overrides = durable(database["provider_overrides"]).with_options(codec_options=CODEC)

    def all(self) -> Mapping[str, ProviderOverride]:
        """See the port."""
        with reading():
            found = list(self._overrides.find({}))
        return {each["_id"]: _override(each) for each in found}

    def set_weight(self, provider: str, weight: float | None, by: str, reason: str, at: datetime) -> None:
        """See the port. May be repeated."""
        self._set(provider, {"weight": weight}, by, reason, at)

    def set_pause(self, provider: str, until: datetime | None, by: str, reason: str, at: datetime) -> None:
        """See the port. May be repeated."""
        opening = {"reopenedAt": at} if until is None else {}
        pause = {"pausedUntil": until, "pauseChangedBy": by, "pauseReason": reason}
        self._set(provider, pause | opening, by, reason, at)

    def _set(self, provider: str, changes: Mapping[str, Any], by: str, reason: str, at: datetime) -> None:
        values = {**changes, "changedAt": at, "changedBy": by, "reason": reason}
        with writing():
            self._overrides.update_one({"_id": provider}, {"$set": values}, upsert=True)


def _override(document: Document) -> ProviderOverride:
    return ProviderOverride(
        provider=document["_id"],
        changed_at=document["changedAt"],
        changed_by=document["changedBy"],
        reason=document["reason"],
        weight=document.get("weight"),
        paused_until=document.get("pausedUntil"),
        reopened_at=document.get("reopenedAt"),
        pause_changed_by=document.get("pauseChangedBy", ""),
        pause_reason=document.get("pauseReason", ""),
    )
