"""API keys and what was done to them, kept in dictionaries."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime

from wavecom.core.keys import KeyEvent, KeyRecord
from wavecom.core.senders import SenderPolicy


class MemoryKeyStore:
    """``wavecom.core.keys.KeyStore`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, KeyRecord] = {}
        self._policies: dict[str, SenderPolicy] = {}
        self._contacts: dict[str, str | None] = {}

    def find(self, key_hash: str) -> KeyRecord | None:
        """See the port."""
        return self._records.get(key_hash)

    def add(self, record: KeyRecord) -> None:
        """See the port."""
        with self._lock:
            self._records.setdefault(record.hash, record)

    def find_by_id(self, key_id: str) -> KeyRecord | None:
        """See the port."""
        return next((record for record in list(self._records.values()) if record.key_id == key_id), None)

    def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        """See the port."""
        with self._lock:
            record = self.find_by_id(key_id)
            if record is not None and record.revoked_at is None:
                record = self._records[record.hash] = replace(record, revoked_at=at)
            return record

    def retire(self, key_id: str, at: datetime, replaced_by: str) -> bool:
        """See the port."""
        with self._lock:
            record = self.find_by_id(key_id)
            if record is None:
                return False
            if record.revoked_at is None and record.replaced_by is None:
                record = self._records[record.hash] = replace(record, expires_at=at, replaced_by=replaced_by)
            return record.replaced_by == replaced_by

    def of_client(self, client: str | None) -> list[KeyRecord]:
        """See the port."""
        records = [record for record in self._records.values() if client in {None, record.client}]
        return sorted(records, key=lambda record: (record.created_at, record.key_id), reverse=True)

    def sender_policy(self, client: str) -> SenderPolicy:
        """See the port."""
        return self._policies.get(client, SenderPolicy())

    def set_sender_policy(self, client: str, policy: SenderPolicy) -> None:
        """See the port."""
        self._policies[client] = policy

    def contact(self, client: str) -> str | None:
        """See the port."""
        return self._contacts.get(client)

    def set_contact(self, client: str, email: str | None) -> None:
        """See the port."""
        self._contacts[client] = email


class MemoryKeyAudit:
    """``wavecom.core.keys.KeyAudit`` without a server."""

    def __init__(self) -> None:
        self.events: dict[str, KeyEvent] = {}

    def record_key_event(self, event: KeyEvent) -> None:
        """See the port."""
        self.events[event.event_id] = event
