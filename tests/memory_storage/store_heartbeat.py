"""The heartbeat of a store, and what remembers it, in memory."""

from __future__ import annotations

import uuid
from datetime import datetime

from wavecom.core.store_guard import Heartbeat, RememberedBeat
from wavecom.errors import StoreError, UnavailableError


class MemoryStoreHeartbeat:
    """Implements ``wavecom.core.store_guard.HeartbeatStore``. ``heartbeat`` may be put back, as by a restore."""

    def __init__(self) -> None:
        self.heartbeat: Heartbeat | None = None
        self.older: tuple[int, datetime] | None = None
        self.is_away = False

    def read(self) -> Heartbeat | None:
        self._require()
        return self.heartbeat

    def beat(self, known: Heartbeat | None, now: datetime) -> Heartbeat | None:
        self._require()
        if known != self.heartbeat:
            return None
        self.heartbeat = (
            Heartbeat(uuid.uuid4().hex, 1, now) if known is None else Heartbeat(known.store_id, known.number + 1, now)
        )
        return self.heartbeat

    def note_older(self, than: RememberedBeat, now: datetime) -> datetime:
        self._require()
        if self.older is None or self.older[0] != than.number:
            self.older = (than.number, now)
        return self.older[1]

    def recover(self, number: int, now: datetime) -> None:
        self._require()
        if self.heartbeat is not None and self.heartbeat.number < number:
            self.heartbeat, self.older = Heartbeat(self.heartbeat.store_id, number, now), None

    def _require(self) -> None:
        if self.is_away:
            raise StoreError("away")


class MemoryHeartbeats:
    """Implements ``wavecom.core.store_guard.HeartbeatMemory``."""

    def __init__(self) -> None:
        self.latest_by_store: dict[str, RememberedBeat] = {}
        self.is_away = False

    def latest(self, store_id: str) -> RememberedBeat | None:
        self._require()
        return self.latest_by_store.get(store_id)

    def note(self, heartbeat: Heartbeat) -> None:
        self._require()
        known = self.latest_by_store.get(heartbeat.store_id)
        if known is None or heartbeat.number > known.number:
            self.latest_by_store[heartbeat.store_id] = RememberedBeat(heartbeat.number, heartbeat.at)

    def _require(self) -> None:
        if self.is_away:
            raise UnavailableError("away")
