"""Sessions of the pages, and who ended them, kept in dictionaries."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime

from wavecom.core.sessions import SessionBegun, SessionEnded, SessionRecord


class MemorySessionStore:
    """``wavecom.core.sessions.SessionStore`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, SessionRecord] = {}

    def add(self, record: SessionRecord) -> None:
        """See the port."""
        with self._lock:
            self._records.setdefault(record.session_id, record)

    def end_oldest(self, viewer: str, keep: int) -> None:
        """See the port."""
        for record in [record for record in self.all() if record.viewer == viewer][keep:]:
            self.end(record.session_id)

    def find(self, token_hash: str) -> SessionRecord | None:
        """See the port."""
        return next((record for record in list(self._records.values()) if record.token_hash == token_hash), None)

    def touch(self, session_id: str, at: datetime) -> None:
        """See the port."""
        with self._lock:
            record = self._records.get(session_id)
            if record is not None:
                self._records[session_id] = replace(record, last_seen_at=max(record.last_seen_at, at))

    def end(self, session_id: str) -> bool:
        """See the port."""
        with self._lock:
            return self._records.pop(session_id, None) is not None

    def end_of_key(self, key_id: str) -> int:
        """See the port."""
        with self._lock:
            ended = [record.session_id for record in self._records.values() if record.key_id == key_id]
            for session_id in ended:
                del self._records[session_id]
        return len(ended)

    def end_all(self) -> int:
        """See the port."""
        with self._lock:
            count = len(self._records)
            self._records.clear()
        return count

    def all(self) -> list[SessionRecord]:
        """See the port."""
        return sorted(self._records.values(), key=lambda record: (record.opened_at, record.session_id), reverse=True)


class MemorySessionAudit:
    """``wavecom.core.sessions.SessionAudit`` without a server."""

    def __init__(self) -> None:
        self.events: dict[str, SessionEnded] = {}
        self.begun: dict[str, SessionBegun] = {}

    def record_session_begin(self, event: SessionBegun) -> None:
        """See the port."""
        self.begun[event.event_id] = event

    def record_session_end(self, event: SessionEnded) -> None:
        """See the port."""
        self.events[event.event_id] = event
