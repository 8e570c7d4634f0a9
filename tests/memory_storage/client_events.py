"""Events without a server, by the rules of ``EventLog`` and ``EventAccountStore``."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from wavecom.core.client_events import RECORDING_DELAY, ClientEvent
from wavecom.core.job import JobId


class MemoryEventLog:
    """``EventLog``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, list[ClientEvent]] = {}
        self._last: dict[str, int] = {}
        #: The last position that an event has, of logs that have had none since positions were left out.
        self._last_before_gap: dict[str, int] = {}

    def append(self, account: str, events: Sequence[ClientEvent]) -> None:
        """See the port."""
        with self._lock:
            kept = self._events.setdefault(account, [])
            present = {event.event_id for event in kept}
            for event in events:
                if event.event_id not in present:
                    self._last[account] = self._last.get(account, 0) + 1
                    self._last_before_gap.pop(account, None)
                    kept.append(replace(event, position=self._last[account]))
                    present.add(event.event_id)

    def after(
        self, account: str, position: int, limit: int, job_id: JobId | None = None, *, since: datetime | None = None
    ) -> Sequence[ClientEvent]:
        """See the port."""
        with self._lock:
            found = [
                event
                for event in self._events.get(account, ())
                if event.position > position
                and job_id in {None, event.job_id}
                and (since is None or event.published_at >= since)
            ]
        return found[:limit]

    def by_ids(self, event_ids: Collection[str]) -> Mapping[str, ClientEvent]:
        """See the port."""
        with self._lock:
            every = [event for events in self._events.values() for event in events]
        return {event.event_id: event for event in every if event.event_id in event_ids}

    def last_positions(self, accounts: Collection[str]) -> Mapping[str, int]:
        """See the port."""
        with self._lock:
            last = self._last | self._last_before_gap
            return {account: last[account] for account in accounts if account in last}

    def bounds(self, account: str) -> tuple[int, int]:
        """See the port."""
        with self._lock:
            events, last = self._events.get(account, ()), self._last.get(account, 0)
        return (events[0].position if events else last + 1), last

    def leave_out_positions(self, count: int) -> None:
        """See the port."""
        with self._lock:
            for account, last in self._last.items():
                self._last_before_gap.setdefault(account, last)
                self._last[account] = last + count

    def purge(self, account: str, count: int) -> None:
        """What time does: delete the ``count`` oldest."""
        with self._lock:
            del self._events[account][:count]


class MemoryEventAccountStore:
    """``EventAccountStore``."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def all(self) -> frozenset[str]:
        """See the port."""
        return frozenset(self._since)

    def recorded_since(self, account: str, now: datetime) -> datetime:
        """See the port."""
        return self._since.setdefault(account, now + RECORDING_DELAY)
