"""Callbacks without a server, by the rules of ``CallbackStore`` and ``CallbackDeliveryStore``."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from wavecom.core.callback_audit import CallbackEvent
from wavecom.core.callbacks import (
    TRIES_KEPT,
    Callback,
    CallbackDelivery,
    CallbackLease,
    CallbackState,
    CallbackTry,
    DeliveryState,
    delivery_id,
)


@dataclass
class _Entry:
    callback: Callback
    due_at: datetime | None = None
    token: str | None = None
    held_until: datetime | None = None
    arrivals: int = 0

    def is_held(self, now: datetime) -> bool:
        return self.held_until is not None and self.held_until > now


class MemoryCallbackStore:
    """``CallbackStore``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def add(self, callback: Callback) -> None:
        """See the port."""
        with self._lock:
            self._entries.setdefault(callback.callback_id, _Entry(callback))

    def get(self, callback_id: str, account: str | None = None) -> Callback | None:
        """See the port."""
        with self._lock:
            entry = self._entries.get(callback_id)
        return entry.callback if entry is not None and account in {None, entry.callback.account} else None

    def of_accounts(self, accounts: Collection[str] | None) -> Sequence[Callback]:
        """See the port."""
        with self._lock:
            every = [entry.callback for entry in self._entries.values()]
        found = [each for each in every if accounts is None or each.account in accounts]
        return sorted(found, key=lambda each: each.created_at)

    def change(
        self, callback_id: str, changes: Mapping[str, Any], *, updated_at: datetime | None = None
    ) -> Callback | None:
        """See the port."""
        with self._lock:
            entry = self._entries.get(callback_id)
            if entry is None or updated_at not in {None, entry.callback.updated_at}:
                return None
            entry.callback = replace(entry.callback, **changes)
            return entry.callback

    def remove(self, callback_id: str) -> None:
        """See the port."""
        with self._lock:
            self._entries.pop(callback_id, None)

    def wake(self, callback_ids: Collection[str], now: datetime) -> None:
        """See the port."""
        with self._lock:
            for callback_id in callback_ids:
                entry = self._entries.get(callback_id)
                if entry is None:
                    continue
                entry.arrivals += 1
                not_before = entry.callback.not_before
                if not entry.is_held(now) and (not_before is None or not_before <= now):
                    entry.due_at = now

    def take_due(self, now: datetime, next_look: datetime, limit: int) -> Sequence[str]:
        """See the port."""
        with self._lock:
            due = [
                (entry.due_at, callback_id)
                for callback_id, entry in self._entries.items()
                if entry.callback.state is CallbackState.ACTIVE and entry.due_at is not None and entry.due_at <= now
            ]
            taken = [callback_id for _, callback_id in sorted(due)[:limit]]
            for callback_id in taken:
                self._entries[callback_id].due_at = next_look
            return taken

    def hold(self, callback_id: str, token: str, now: datetime, until: datetime) -> CallbackLease | None:
        """See the port."""
        with self._lock:
            entry = self._entries.get(callback_id)
            if entry is None or entry.callback.state is not CallbackState.ACTIVE:
                return None
            if entry.is_held(now) and entry.token != token:
                return None
            entry.token, entry.held_until, entry.due_at = token, until, until
            return CallbackLease(entry.callback, token, entry.arrivals)

    def release(self, lease: CallbackLease, due_at: datetime | None) -> bool:
        """See the port."""
        with self._lock:
            entry = self._entries.get(lease.callback.callback_id)
            if entry is None or entry.token != lease.token or entry.arrivals != lease.arrivals:
                return False
            entry.token, entry.held_until, entry.due_at = None, None, due_at
            return True

    def owing_notice(self, limit: int) -> Sequence[Callback]:
        """See the port."""
        with self._lock:
            owing = [entry.callback for entry in self._entries.values() if entry.callback.owed_notice is not None]
        return owing[:limit]

    def settle_notice(self, callback: Callback) -> None:
        """See the port."""
        with self._lock:
            entry = self._entries.get(callback.callback_id)
            if entry is not None and entry.callback.owed_notice is callback.owed_notice:
                entry.callback = replace(entry.callback, owed_notice=None)


class MemoryCallbackDeliveryStore:
    """``CallbackDeliveryStore``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deliveries: dict[str, CallbackDelivery] = {}

    def add(self, deliveries: Sequence[CallbackDelivery]) -> None:
        """See the port."""
        with self._lock:
            for each in deliveries:
                self._deliveries.setdefault(each.delivery_id, each)

    def due(self, callback_id: str, now: datetime, limit: int) -> Sequence[CallbackDelivery]:
        """See the port."""
        with self._lock:
            due = [
                (each.due_at, replace(each, tries=()))
                for each in self._deliveries.values()
                if each.callback_id == callback_id and each.due_at is not None and each.due_at <= now
            ]
        return [each for _, each in sorted(due, key=lambda pair: pair[0])[:limit]]

    def next_due_at(self, callback_id: str) -> datetime | None:
        """See the port."""
        with self._lock:
            every = [each.due_at for each in self._deliveries.values() if each.callback_id == callback_id]
        return min((due_at for due_at in every if due_at is not None), default=None)

    def record(self, deliveries: Sequence[tuple[CallbackDelivery, CallbackTry]]) -> None:
        """See the port."""
        with self._lock:
            for delivery, result in deliveries:
                kept = self._deliveries[delivery.delivery_id]
                if kept.tried != delivery.tried - 1:
                    continue
                self._deliveries[delivery.delivery_id] = replace(
                    kept,
                    state=delivery.state,
                    due_at=delivery.due_at,
                    tried=delivery.tried,
                    begun_at=delivery.begun_at,
                    tries=(*kept.tries, result)[-TRIES_KEPT:],
                )

    def search(
        self,
        callback_id: str,
        limit: int,
        *,
        state: DeliveryState | None = None,
        before: datetime | None = None,
        before_event: str | None = None,
    ) -> Sequence[CallbackDelivery]:
        """See the port."""
        # The empty text comes before every id.
        end = (before, delivery_id(callback_id, before_event) if before_event else "")
        with self._lock:
            found = [
                each
                for each in self._deliveries.values()
                if each.callback_id == callback_id
                and state in {None, each.state}
                and (before is None or (each.created_at, each.delivery_id) < end)
            ]
        return sorted(found, key=lambda each: (each.created_at, each.delivery_id), reverse=True)[:limit]

    def get(self, callback_id: str, event_id: str) -> CallbackDelivery | None:
        """See the port."""
        with self._lock:
            return self._deliveries.get(delivery_id(callback_id, event_id))

    def send_again(self, callback_id: str, event_ids: Collection[str], now: datetime, *, only_undelivered: bool) -> int:
        """See the port."""
        count = 0
        with self._lock:
            for event_id in event_ids:
                kept = self._deliveries.get(delivery_id(callback_id, event_id))
                if kept is None or (only_undelivered and kept.state is DeliveryState.DELIVERED):
                    continue
                again = replace(kept, state=DeliveryState.PENDING, due_at=now, begun_at=now, tried=0)
                self._deliveries[kept.delivery_id] = again
                count += 1
        return count

    def begin_anew(self, callback_id: str, now: datetime) -> None:
        """See the port."""
        with self._lock:
            for kept in list(self._deliveries.values()):
                if kept.callback_id == callback_id and kept.due_at is not None:
                    anew = replace(kept, due_at=now, begun_at=now, tried=0)
                    self._deliveries[kept.delivery_id] = anew


class MemoryCallbackAudit:
    """``CallbackAudit``."""

    def __init__(self) -> None:
        self.events: list[CallbackEvent] = []

    def record_callback_event(self, event: CallbackEvent) -> None:
        """See the port."""
        self.events.append(event)
