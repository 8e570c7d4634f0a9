"""What every request passes on its way in and out: its id, its slot among those in flight, the answer's headers."""

from __future__ import annotations

import re
import secrets
import threading

import structlog
from flask import Flask, Response, g, request

from wavecom.core.ids import BufferedRandom
from wavecom.errors import OverloadedError
from wavecom.web.hosts import AllowedHosts
from wavecom.web.proxies import is_secure

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

#: Two years (RFC 6797), this host alone: what else lives in the domain is not ours to decide. Over TLS only: over plain
#: HTTP it would mean nothing.
STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=63072000")

#: Where in a WSGI environ the error of a request lies that ``send_fast_path`` or ``rsgi`` hands on.
HANDED_ON = "wavecom.error"

#: Methods whose bodies, which should not be there, nobody reads.
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

#: Blueprints that answer however busy the process is: whoever watches it must not take it for dead.
ALWAYS_ANSWERED = frozenset({"health"})


def request_id() -> str:
    """The id of the current request: the caller's ``X-Request-ID`` where it is sane, else one of our own."""
    found: str = g.request_id
    return found


class InFlight:
    """How many requests are being served, of ``most`` that may be. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Count one in. Raises ``OverloadedError`` when there is no room for it."""
        with self._lock:
            if self._free == 0:
                raise OverloadedError("too many requests in flight")
            self._free -= 1

    def leave(self) -> None:
        """Count it out."""
        with self._lock:
            self._free += 1


class RequestMiddleware:
    """More than ``max_in_flight`` requests at once get ``OverloadedError``."""

    def __init__(self, max_in_flight: int, hosts: AllowedHosts) -> None:
        self.in_flight = InFlight(max_in_flight)
        self.hosts = hosts
        self._random = BufferedRandom(secrets.token_bytes)

    def id_of(self, given: str | None) -> str:
        """The id of a request that came with ``given`` as its ``X-Request-ID``."""
        return given if given is not None and _SANE_ID.fullmatch(given) else self._random.take(16).hex()

    def identify(self, given: str | None) -> str:
        """``id_of``; the log lines of this thread carry it from now on."""
        found = self.id_of(given)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=found)
        return found

    def install(self, app: Flask) -> None:
        """Pass every request of ``app`` through here."""
        app.before_request(self._enter)
        app.after_request(self._finish)
        app.teardown_request(self._leave)

    def _enter(self) -> None:
        g.request_id = self.identify(request.headers.get(REQUEST_ID))
        if HANDED_ON in request.environ:
            raise request.environ[HANDED_ON]
        if request.blueprint in ALWAYS_ANSWERED:
            return  # Probes ask by whatever name they know.
        self.hosts.check(request.environ.get("HTTP_HOST"))
        self.in_flight.enter()
        g.holds_slot = True

    @staticmethod
    def _finish(response: Response) -> Response:
        headers = response.headers
        headers[REQUEST_ID] = g.request_id
        # Pages bring their own, all of them or none.
        if "Content-Security-Policy" not in headers:
            headers.extend(HEADERS)
        if is_secure(request.environ):
            headers.set(*STRICT_TRANSPORT)
        return response

    def _leave(self, _error: BaseException | None) -> None:
        if g.pop("holds_slot", False):
            self.in_flight.leave()
        structlog.contextvars.clear_contextvars()
