"""Reading an account's events: a page behind a position, and no gap that the reader does not hear of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wavecom.core.client_events import ClientEvent, EventAccountStore, EventLog
from wavecom.core.job import JobId
from wavecom.core.ports import Clock
from wavecom.errors import EventsExpiredError


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, the oldest first. ``position`` is where the next page begins: behind it there may be more."""

    events: Sequence[ClientEvent]
    position: int
    has_more: bool


class EventReader:
    """The use case behind ``/api/events``. Thread-safe."""

    def __init__(self, *, log: EventLog, accounts: EventAccountStore, clock: Clock) -> None:
        self._log = log
        self._accounts = accounts
        self._clock = clock

    def recorded_since(self, account: str) -> datetime:
        """From when on what the account sends has events: from its first call of this on, or its first callback."""
        return self._accounts.recorded_since(account, self._clock.now())

    def page(self, account: str, after: int | None, limit: int, job_id: JobId | None = None) -> EventPage:
        """Up to ``limit`` events behind ``after``; None: from the oldest that is kept.

        Raises ``EventsExpiredError`` where events behind it have been deleted already, and ``StoreError``.
        """
        # Who begins gets a position that is good for the next page, though all before it may have been deleted. Asked
        # before the events: one that comes in between is behind it.
        begin = self._log.bounds(account)[0] - 1 if after is None else after
        found = list(self._log.after(account, begin, limit + 1, job_id))
        has_gap = found[0].position != begin + 1 if found else True
        if after is not None and has_gap:
            # Also of an empty page: a position that the log never had is another account's, or made up.
            first, last = self._log.bounds(account)
            if after + 1 < first:
                raise EventsExpiredError(first)
            if after > last:
                raise EventsExpiredError(first, is_unknown=True)
        has_more = len(found) > limit
        events = found[:limit]
        position = events[-1].position if events else begin
        return EventPage(events, position, has_more)

    def news(
        self, readers: Collection[tuple[str, int]], limit: int, *, most_pages: int = 100
    ) -> Mapping[tuple[str, int], EventPage]:
        """For readers who stand at a position of an account: the page of each behind which there is more.

        One question for all, and one more for each page; at most ``most_pages``, the others another time. Raises
        ``StoreError``.
        """
        last = self._log.last_positions({account for account, _ in readers})
        behind = [(account, position) for account, position in readers if position < last.get(account, 0)]
        found: dict[tuple[str, int], EventPage] = {}
        for account, position in behind[:most_pages]:
            page = self.page(account, position, limit)
            if page.events:
                found[account, position] = page
        return found

    def last_position(self, account: str) -> int:
        """The position of the account's newest event; 0 where there never was one."""
        return self._log.bounds(account)[1]
