"""Reading an account's events: a page behind a position, and no gap that the reader does not hear of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from wavecom.core.client_events import ClientEvent, EventAccountStore, EventLog
from wavecom.core.job import JobId
from wavecom.core.ports import Clock
from wavecom.errors import EventsExpiredError, StoreError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, the oldest first. ``position`` is where the next page begins: behind it there may be more."""

    events: Sequence[ClientEvent]
    position: int
    has_more: bool


#: An account, and the position in its log that somebody has come to.
Reader = tuple[str, int]


@dataclass(frozen=True, slots=True)
class EventUpdates:
    """What one look has for readers: their pages, and whom it has none for."""

    pages: dict[Reader, EventPage] = field(default_factory=dict)
    #: Those who can't go on from where they stand: they have to ask anew, and are told why.
    ended: set[Reader] = field(default_factory=set)
    #: Those who have had their turn, whatever came of it.
    asked: set[Reader] = field(default_factory=set)
    #: Those behind whom there is more, and whose turn is still to come.
    left: set[Reader] = field(default_factory=set)


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

    def updates(
        self, readers: Mapping[Reader, int], limit: int, *, most_pages: int = 100, most_events: int = 5_000
    ) -> EventUpdates:
        """For readers who stand at a position of an account: the page of each behind which there is more.

        ``readers`` has for each a number that grows, of when it last had its turn: who has waited longest is first,
        and among equals the least behind. One question for all, and one more for each page, until there are
        ``most_pages``, or ``most_events`` in them; the others have their turn another time. A log that can't be read
        costs nobody but its own readers anything. Raises ``StoreError`` where nobody can say where the logs end.
        """
        last = self._log.last_positions({account for account, _ in readers})
        distances = {reader: last.get(reader[0], 0) - reader[1] for reader in readers}
        behind = [reader for reader in readers if distances[reader] > 0]
        behind.sort(key=lambda reader: (readers[reader], distances[reader]))
        updates, read = EventUpdates(), 0
        for account, position in behind:
            reader = account, position
            if len(updates.asked) == most_pages or read >= most_events:
                break
            updates.asked.add(reader)
            try:
                page = self.page(account, position, limit)
            except EventsExpiredError:
                updates.ended.add(reader)
            except StoreError as error:
                # Others would most likely wait for it as long. They are first the next time.
                log.debug("event_page_away", account=account, error=error.code)
                return updates
            except Exception:
                # An event that another release has written, say: whoever asks for it again is told.
                log.exception("event_page_failed", account=account)
                updates.ended.add(reader)
            else:
                if page.events:
                    updates.pages[reader] = page
                    read += len(page.events)
        updates.left.update(behind[len(updates.asked) :])
        return updates

    def last_position(self, account: str) -> int:
        """The position of the account's newest event; 0 where there never was one."""
        return self._log.bounds(account)[1]
