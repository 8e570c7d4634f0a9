"""What every request passes on its way in and out: its id, its slot among those in flight, the answer's headers."""

from __future__ import annotations

import re
import secrets
import threading

import structlog
from flask import Flask, Response, g, request

from wavecom.core.ids import RandomStock
from wavecom.errors import OverloadedError
from wavecom.web.patience import ReadingSlots, SlottedInput

REQUEST_ID = "X-Request-ID"
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

#: For answers to programs: nothing in them is to be rendered, embedded or kept. Pages set their own before.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: Two years (RFC 6797), this host alone: what else lives in the domain is not ours to decide.
STRICT_TRANSPORT = "max-age=63072000"

#: Methods whose bodies, which should not be there, nobody reads.
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

#: Blueprints that answer however busy the process is: whoever watches it must not take it for dead.
ALWAYS_ANSWERED = frozenset({"health"})


def request_id() -> str:
    """The id of the current request: the caller's ``X-Request-ID`` where it is sane, else one of our own."""
    found: str = g.request_id
    return found


def install(app: Flask, max_in_flight: int, threads: int) -> None:
    """Pass every request of ``app`` through here; more than ``max_in_flight`` at once get ``OverloadedError``.

    ``threads`` serve requests; only some of them may wait for bodies (``patience.py``).
    """
    slots = threading.BoundedSemaphore(max_in_flight)
    chance = RandomStock(secrets.token_bytes)
    reading = ReadingSlots(threads)

    def enter() -> None:
        given = request.headers.get(REQUEST_ID, "")
        g.request_id = given if _SANE_ID.fullmatch(given) else chance.take(16).hex()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        if request.method not in BODILESS:
            # Nobody has touched the stream yet.
            request.environ["wsgi.input"] = SlottedInput(request.environ["wsgi.input"], reading, _reader)
        if request.blueprint in ALWAYS_ANSWERED:
            return
        if not slots.acquire(blocking=False):
            raise OverloadedError("too many requests in flight")
        g.holds_slot = True

    def finish(response: Response) -> Response:
        headers = response.headers
        headers[REQUEST_ID] = g.request_id
        # Pages bring their own, all of them or none.
        if "Content-Security-Policy" not in headers:
            headers.extend(HEADERS)
        # Over plain HTTP it would mean nothing. A proxy with TLS says that it has it (docs/operations.md).
        if request.is_secure or request.headers.get("X-Forwarded-Proto") == "https":
            headers["Strict-Transport-Security"] = STRICT_TRANSPORT
        return response

    def leave(_error: BaseException | None) -> None:
        if g.pop("holds_slot", False):
            slots.release()
        structlog.contextvars.clear_contextvars()

    app.before_request(enter)
    app.after_request(finish)
    app.teardown_request(leave)


def _reader() -> str:
    """Whose body is read: the client of the key, or "" for strangers (and the pages, which know no clients)."""
    caller = g.get("caller")
    client: str = caller.client if caller is not None else ""
    return client
