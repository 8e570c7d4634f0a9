"""Kept counters of jobs, as the core and the pages use them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.core.states import Status

#: How many jobs entered each status, by channel.
Counts = Mapping[Channel, Mapping[Status, int]]


class Stats(Protocol):
    """Kept counters: how many jobs entered a status, and how many were accepted, per minute, client and channel."""

    def add(self, client: str, channel: Channel, status: Status, count: int = 1, *, is_new: bool = False) -> None:
        """Count; cheap, written out in the background. Loses at most the last second if the process is killed.

        ``is_new``: they were stored just now, and are counted as accepted too.
        """
        ...

    def totals(self, since: datetime, before: datetime, client: str | None = None) -> dict[Status, int]:
        """Sums over whole minutes in [since, before)."""
        ...

    def accepted(self, since: datetime, before: datetime) -> dict[tuple[str, Channel], int]:
        """How many jobs each account had accepted in whole minutes in [since, before): each once, whatever follows."""
        ...

    def by_account(self, since: datetime, before: datetime) -> dict[str, dict[Status, int]]:
        """Sums over whole minutes in [since, before) for each account that has any."""
        ...

    def series(
        self,
        since: datetime,
        before: datetime,
        step: Interval,
        client: str | None = None,
        *,
        is_test: bool | None = None,
    ) -> dict[datetime, Counts]:
        """Sums for each step in [since, before), by its beginning; a step in which nothing was counted is missing.

        ``since`` and ``before`` are beginnings of steps. ``is_test``: of test accounts alone, or of live ones.
        """
        ...
