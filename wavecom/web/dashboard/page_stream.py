"""Parts of pages, sent when they change: for those that are the same for all who may see them (ADR 47)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from flask import Response, copy_current_request_context, request, session

from wavecom.core.roles import Permission
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.login import TOKEN
from wavecom.web.streams import EventStream, open_stream, server_sent

log = structlog.get_logger()

#: As old as what all pages share may be.
PERIOD_SECONDS = 2.0
#: Streams of one session: every tab that is in sight has one.
MOST_EACH = 200
#: The name of the event that has a part of a page.
PART = "part"


@dataclass(slots=True)
class PageCursor:
    """Which part of which page a browser shows, and as what it has it: ``digest``."""

    name: str
    make: Callable[[], str]
    digest: str = ""


class PageSource:
    """``StreamSource`` of parts of pages: each is made once, however many browsers show it."""

    kind = "pages"
    period_seconds = PERIOD_SECONDS
    most_each = MOST_EACH

    def look(self, streams: Sequence[EventStream]) -> Mapping[EventStream, bytes | None]:
        """See ``StreamSource``."""
        parts: dict[str, str] = {}
        found: dict[EventStream, bytes | None] = {}
        for stream in streams:
            cursor: PageCursor = stream.cursor
            try:
                part = parts.get(cursor.name) or parts.setdefault(cursor.name, cursor.make())
            except Exception:
                # Of this one alone: its browser asks for the page again, which says what is wrong.
                log.exception("page_part_failed", page=cursor.name)
                found[stream] = None
                continue
            if data := changed(cursor, part):
                found[stream] = data
        return found

    def heartbeat(self, stream: EventStream) -> bytes:
        """See ``StreamSource``."""
        return b": nothing new\n\n"


SOURCE = PageSource()


def changed(cursor: PageCursor, part: str) -> bytes:
    """The event that brings ``part`` to a browser; empty where it has it."""
    digest = hashlib.sha256(part.encode()).hexdigest()[:24]
    if digest == cursor.digest:
        return b""
    cursor.digest = digest
    return server_sent(part, id=digest, event=PART)


def stream_of(name: str, make: Callable[[], str], permission: Permission) -> Response:
    """The answer to a browser that shows ``make()`` under ``name``: at once if it has another, then when it changes.

    Raises as ``open_stream`` does.
    """
    cursor = PageCursor(name, copy_current_request_context(make), request.headers.get("Last-Event-ID", ""))
    access, token = pages().access, session[TOKEN]

    def may_go_on() -> bool:
        found = access.viewer_of(token, is_activity=False)
        return found is not None and found.may(permission)

    stream = EventStream(SOURCE, viewer().session_id, cursor, may_go_on)
    return open_stream(changed(cursor, make()), stream)
