"""Users of the pages, kept in a dictionary, and what was done to them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

from wavecom.core.roles import Role
from wavecom.core.users import UserEvent, UserRecord
from wavecom.errors import StoreError


class MemoryUserStore:
    """``wavecom.core.users.UserStore`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, UserRecord] = {}

    def find(self, name: str) -> UserRecord | None:
        """See the port."""
        return self._records.get(name)

    def find_by_subject(self, issuer: str, subject: str) -> UserRecord | None:
        """See the port."""
        federated = [each for each in list(self._records.values()) if each.is_federated]
        return next((each for each in federated if (each.issuer, each.subject) == (issuer, subject)), None)

    def all(self) -> list[UserRecord]:
        """See the port."""
        return sorted(self._records.values(), key=lambda each: each.name)

    def add(self, record: UserRecord) -> bool:
        """See the port."""
        with self._lock:
            if record.is_federated and self.find_by_subject(record.issuer, record.subject) is not None:
                return False
            return self._records.setdefault(record.name, record) is record

    def set_role(self, name: str, role: Role) -> bool:
        """See the port."""
        return self._set(name, role=role)

    def set_disabled(self, name: str, at: datetime | None) -> bool:
        """See the port."""
        return self._set(name, disabled_at=at)

    def set_credentials(
        self,
        name: str,
        *,
        password_hash: str,
        second_factor: bytes | None,
        credentials_id: str,
        replaces: str | None = None,
    ) -> bool:
        """See the port."""
        with self._lock:
            found = self._records.get(name)
        if found is not None and replaces is not None and found.credentials_id not in {replaces, credentials_id}:
            return False
        return self._set(name, password_hash=password_hash, second_factor=second_factor, credentials_id=credentials_id)

    def take_step(self, name: str, step: int) -> bool:
        """See the port."""
        with self._lock:
            found = self._records.get(name)
            if found is None or found.last_step >= step:
                return False
            self._records[name] = replace(found, last_step=step)
            return True

    def _set(self, name: str, **changes: Any) -> bool:
        with self._lock:
            if name not in self._records:
                return False
            self._records[name] = replace(self._records[name], **changes)
            return True


class MemoryUserAudit:
    """``wavecom.core.users.UserAudit`` without a server; away while ``is_up`` is False."""

    def __init__(self) -> None:
        self.is_up = True
        self.events: list[UserEvent] = []

    def record_user_event(self, event: UserEvent) -> None:
        """See the port."""
        if not self.is_up:
            raise StoreError("away")
        self.events.append(event)
