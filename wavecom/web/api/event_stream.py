"""The events of clients as streams: which events a stream gets next, and whether its key still may have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from wavecom.core.client_events import ClientEvent
from wavecom.core.event_reading import EventPage, EventReader, Reader
from wavecom.core.event_representation import represented
from wavecom.core.job import JobId
from wavecom.web.streams import EventStream, server_sent

#: Events are published each second; two looks in that time find them half a second later at the most.
PERIOD_SECONDS = 0.5
#: Streams of one key at one process.
MOST_EACH = 20
#: Events that a stream is given at a time: a few hundred KiB.
PAGE = 500


@dataclass(slots=True)
class EventCursor:
    """Where a stream stands in the log of its account; ``job_id`` narrows it to one notification."""

    account: str
    position: int
    job_id: JobId | None = None
    #: The look at which it last had its turn.
    turn: int = 0


class EventSource:
    """``StreamSource`` of the events in the log."""

    kind = "events"
    period_seconds = PERIOD_SECONDS
    most_each = MOST_EACH

    def __init__(self, events: EventReader) -> None:
        self._events = events
        self._looks = 0

    def begin(self, cursor: EventCursor, after: int | None) -> bytes:
        """The beginning of a stream behind ``after``, None for behind the newest event; moves ``cursor`` behind it.

        Raises ``EventsExpiredError`` and ``StoreError``.
        """
        cursor.turn = self._looks
        # First: what comes to the log meanwhile is read again, and found on this or on the other side of it.
        last = self._events.last_position(cursor.account)
        if after is None:
            cursor.position = last
            return _position(last)
        page = self._events.page(cursor.account, after, PAGE, cursor.job_id)
        cursor.position = page.position
        if cursor.job_id is not None and not page.has_more:
            # Up to there none of its events is left.
            cursor.position = max(page.position, last)
        return b"".join([*map(_frame, page.events), _position(cursor.position)])

    def look(self, streams: Sequence[EventStream]) -> Mapping[EventStream, bytes | None]:
        """See ``StreamSource``: those who stand at the same position share a page, and its text."""
        self._looks += 1
        together: dict[Reader, list[EventStream]] = {}
        for stream in streams:
            together.setdefault((stream.cursor.account, stream.cursor.position), []).append(stream)
        last_turns = {reader: min(each.cursor.turn for each in those) for reader, those in together.items()}
        updates = self._events.updates(last_turns, PAGE)
        found: dict[EventStream, bytes | None] = {}
        for reader, those in together.items():
            page = updates.pages.get(reader)
            whole = b"" if page is None else _text(page)
            for stream in those:
                stream.is_behind = reader in updates.left or (page is not None and page.has_more)
                if reader in updates.asked:
                    stream.cursor.turn = self._looks
                if page is not None:
                    found[stream] = whole if stream.cursor.job_id is None else _text(page, stream.cursor.job_id)
                    stream.cursor.position = page.position
                elif reader in updates.ended:
                    # It comes again, and is told what is wrong.
                    found[stream] = None
        return found

    def heartbeat(self, stream: EventStream) -> bytes:
        """A comment, and where the stream stands: who comes again begins there, not at the last event of its own."""
        return b": nothing new\n" + _position(stream.cursor.position)


def _text(page: EventPage, job_id: JobId | None = None) -> bytes:
    return b"".join(_frame(event) for event in page.events if job_id in {None, event.job_id})


def _frame(event: ClientEvent) -> bytes:
    return server_sent(orjson.dumps(represented(event)).decode(), id=str(event.position), event=event.type)


def _position(position: int) -> bytes:
    """Not an event, for it has no data; but what a client gives as ``Last-Event-ID`` from now on."""
    return b"id: %d\n\n" % position
