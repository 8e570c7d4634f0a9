"""Counters by minute, kept in dictionaries."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from wavecom.core.account import is_test_account
from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.core.states import Status
from wavecom.core.stats import Counts


class MemoryStats:
    """``wavecom.core.stats.Stats`` without a server; ``now`` is aware UTC."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._counts: Counter[tuple[datetime, str, Channel, Status]] = Counter()
        self._accepted: Counter[tuple[datetime, str, Channel]] = Counter()

    def add(self, client: str, channel: Channel, status: Status, count: int = 1, *, is_new: bool = False) -> None:
        """See the port."""
        with self._lock:
            minute = Interval.MINUTE.start_of(self._now())
            self._counts[minute, client, channel, status] += count
            if is_new:
                self._accepted[minute, client, channel] += count

    def totals(self, since: datetime, before: datetime, client: str | None = None) -> dict[Status, int]:
        """See the port."""
        sums: Counter[Status] = Counter()
        with self._lock:
            for (minute, owner, _, status), count in self._counts.items():
                if since <= minute < before and client in {None, owner}:
                    sums[status] += count
        return dict(sums)

    def accepted(self, since: datetime, before: datetime) -> dict[tuple[str, Channel], int]:
        """See the port."""
        sums: Counter[tuple[str, Channel]] = Counter()
        with self._lock:
            for (minute, owner, channel), count in self._accepted.items():
                if since <= minute < before:
                    sums[owner, channel] += count
        return dict(sums)

    def by_account(self, since: datetime, before: datetime) -> dict[str, dict[Status, int]]:
        """See the port."""
        found: dict[str, Counter[Status]] = {}
        with self._lock:
            for (minute, owner, _, status), count in self._counts.items():
                if since <= minute < before:
                    found.setdefault(owner, Counter())[status] += count
        return {owner: dict(counts) for owner, counts in found.items()}

    def series(
        self,
        since: datetime,
        before: datetime,
        step: Interval,
        client: str | None = None,
        *,
        is_test: bool | None = None,
    ) -> dict[datetime, Counts]:
        """See the port."""
        found: dict[datetime, dict[Channel, Counter[Status]]] = {}
        with self._lock:
            for (minute, owner, channel, status), count in self._counts.items():
                is_wanted = client in {None, owner} and is_test in {None, is_test_account(owner)}
                if since <= minute < before and is_wanted:
                    counts = found.setdefault(step.start_of(minute), {})
                    counts.setdefault(channel, Counter())[status] += count
        return dict(found)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing to let go of."""
