"""Fallbacks, kept in a dictionary."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from wavecom.core.client_events import UnpublishedEvents
from wavecom.core.fallback import Fallback, FallbackStatus, held_entry, held_event
from wavecom.core.job import JobId, RecordedEvent


class MemoryFallbackStore:
    """``wavecom.core.fallback.FallbackStore`` and ``RecordedEvents`` of fallbacks without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fallbacks: dict[str, Fallback] = {}
        self._events: dict[str, list[RecordedEvent]] = {}
        self._versions: dict[str, int] = {}

    def add(self, fallback: Fallback) -> None:
        """See the port."""
        with self._lock:
            self._fallbacks.setdefault(fallback.fallback_id, fallback)

    def remove(self, fallback_id: str) -> None:
        """See the port."""
        with self._lock:
            self._fallbacks.pop(fallback_id, None)

    def get(self, fallback_id: str, client: str | None = None) -> Fallback | None:
        """See the port."""
        with self._lock:
            found = self._fallbacks.get(fallback_id)
        return None if found is None or client not in {None, found.client} else found

    def write(self, fallback: Fallback) -> bool:
        """See the port."""
        with self._lock:
            stored = self._fallbacks.get(fallback.fallback_id)
            if stored is None or stored.version != fallback.version - 1:
                return False
            self._fallbacks[fallback.fallback_id] = replace(fallback, event=None)
            if fallback.event is not None:
                self._events.setdefault(fallback.fallback_id, []).append(fallback.event)
                self._versions[fallback.fallback_id] = self._versions.get(fallback.fallback_id, 0) + 1
            return True

    def wake(self, fallback_ids: Sequence[str], now: datetime) -> None:
        """See the port."""
        with self._lock:
            for fallback_id in fallback_ids:
                found = self._fallbacks.get(fallback_id)
                if found is not None and found.due_at is not None:
                    due_at = min(found.due_at, now)
                    self._fallbacks[fallback_id] = replace(found, due_at=due_at, version=found.version + 1)

    def due(self, now: datetime, limit: int) -> Sequence[Fallback]:
        """See the port."""
        with self._lock:
            found = [each for each in self._fallbacks.values() if each.due_at is not None and each.due_at <= now]
        return sorted(found, key=lambda each: each.due_at or now)[:limit]

    def lease(self, fallback_ids: Sequence[str], now: datetime, until: datetime) -> None:
        """See the port."""
        with self._lock:
            for fallback_id in fallback_ids:
                found = self._fallbacks.get(fallback_id)
                if found is not None and found.due_at is not None and found.due_at <= now:
                    self._fallbacks[fallback_id] = replace(found, due_at=until)

    def known(self, fallback_ids: Collection[str]) -> frozenset[str]:
        """See the port."""
        with self._lock:
            return frozenset(fallback_ids) & self._fallbacks.keys()

    def hold_restored(self, before: datetime, now: datetime, purge_at: datetime, versions_left_out: int) -> int:
        """See the port."""
        with self._lock:
            found = [
                each
                for each in self._fallbacks.values()
                if each.status is FallbackStatus.WAITING
                and each.created_at < before
                and not (each.begun == 1 and each.send_at is not None and each.send_at > now)
            ]
            for each in found:
                self._fallbacks[each.fallback_id] = each.changed(
                    now,
                    status=FallbackStatus.UNCONFIRMED,
                    may_have_been_sent=True,
                    due_at=now,
                    finished_at=now,
                    purge_at=purge_at,
                    logs=(*each.logs, held_entry(now)),
                )
                if each.records_events:
                    self._events.setdefault(each.fallback_id, []).append(held_event(now))
                    version = self._versions.get(each.fallback_id, 0) + versions_left_out + 1
                    self._versions[each.fallback_id] = version
        return len(found)


class MemoryFallbackEvents:
    """``RecordedEvents`` of the fallbacks in ``store``."""

    def __init__(self, store: MemoryFallbackStore) -> None:
        self._store = store

    def due(self, now: datetime, limit: int) -> Sequence[UnpublishedEvents]:
        """See the port."""
        store = self._store
        found = [(key, events) for key, events in store._events.items() if events and events[0].at <= now]
        return [self._unpublished(store._fallbacks[key], events) for key, events in found[:limit]]

    def settle(self, published: Sequence[UnpublishedEvents]) -> None:
        """See the port."""
        for each in published:
            if self._store._versions[each.job_id] == each.last_version:
                self._store._events[each.job_id] = []

    def _unpublished(self, fallback: Fallback, events: list[RecordedEvent]) -> UnpublishedEvents:
        return UnpublishedEvents(
            job_id=JobId(fallback.fallback_id),
            account=fallback.client,
            channel=fallback.steps[(fallback.delivered_step or fallback.begun) - 1].type,
            idempotency_key=fallback.idempotency_key,
            metadata=fallback.metadata,
            events=tuple(events),
            last_version=self._store._versions[fallback.fallback_id],
        )
