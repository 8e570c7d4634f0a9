"""What every request passes on its way in and out.

In: its id, the host it asks for, its slot among those in flight. Out: the answer's headers, and the count of requests.
``RequestMiddleware`` sees to it for Flask, ``PlainRequests`` for the fast paths (ADR 9, 25, 36).
"""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import structlog
from flask import Flask, Response, g, request
from prometheus_client import Counter

from wavecom.core.ids import BufferedRandom
from wavecom.core.traces import parse_traceparent
from wavecom.errors import OverloadedError, UnknownHostError
from wavecom.web.proxies import TrustedProxies, is_secure

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REQUEST_ID = "X-Request-ID"
#: https://www.w3.org/TR/trace-context/#traceparent-header
TRACEPARENT: Final = "traceparent"
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

#: Hosts that were allowed and are not parsed again; bounded, because with a wildcard peers can invent names.
_KNOWN_LIMIT = 200

REQUESTS = Counter(
    "wavecom_http_requests",
    "Requests by the route that they met, never by their address; none: no route has it.",
    ["method", "route", "status"],
)

#: Headers by which a request asks for something of its own.
_SPECIAL = frozenset({"HTTP_ORIGIN", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING"})
_REQUEST_ID = "HTTP_X_REQUEST_ID"
_PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?")

#: Status, headers and body.
PlainResponse = tuple[int, list[tuple[str, str]], bytes]

NO_ROUTE = "none"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: Children of the counter; there are as many as routes, times the few statuses that each has.
_children: dict[tuple[str, str, int], Any] = {}


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
        """Count a request out that ``enter`` has counted in."""
        with self._lock:
            self._free += 1


#: ``Host`` (RFC 9110, section 7.2): a name, or an address of IPv6 in brackets; then perhaps a port.
_HOST: Final = re.compile(r"(?:(?P<name>[^:\[\]]+)|\[(?P<address>[^\[\]]+)\])(?::(?P<port>[0-9]{0,5}))?")
_LAST_PORT: Final = 65_535


class AllowedHosts:
    """Under which names this server may be asked for, by the ``Host`` of a request.

    A page of another site whose name leads to this machine (DNS rebinding) would otherwise be the same site to a
    browser. Always allowed is what only who runs the network can make lead here: addresses, names without a dot,
    ``localhost``. ``names`` are allowed beside those; ``*.example.com``: all below it, ``*``: all there are.
    """

    def __init__(self, names: Iterable[str], own: Iterable[str] | None = None) -> None:
        own = (socket.gethostname(), socket.getfqdn()) if own is None else own
        names = {_plain(name) for name in (*names, *own)}
        self._names = {name for name in names if not name.startswith("*")}
        self._below = (".localhost", *(name[1:] for name in names if name.startswith("*")))
        self._known: set[str] = set()

    def allows(self, host: str | None) -> bool:
        """Whether a request with this ``Host`` may be answered. Without one (HTTP/1.0) it comes from no browser."""
        if not host or host in self._known:
            return True
        found = _HOST.fullmatch(host)
        name = None if found is None or int(found["port"] or 0) > _LAST_PORT else found["address"] or found["name"]
        is_allowed = name is not None and self._is_allowed(_plain(name))
        if is_allowed and len(self._known) < _KNOWN_LIMIT:
            self._known.add(host)
        return is_allowed

    def check(self, host: str | None) -> None:
        """Raises ``UnknownHostError`` for a request that may not be answered."""
        if not self.allows(host):
            raise UnknownHostError(
                "WaveCom is not asked for under this name. If it is right, add the name to WAVECOM_ALLOWED_HOSTS and "
                "restart the web process."
            )

    def _is_allowed(self, name: str) -> bool:
        if name in self._names or name.endswith(self._below):
            return True
        return ("." not in name and name.replace("-", "").replace("_", "").isalnum()) or _is_address(name)


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def count(method: str, route: str, status: int) -> None:
    """Count one request; ``route`` is a template of ours. Thread-safe, a microsecond."""
    key = (method if method in _METHODS else "other", route, status)
    child = _children.get(key)
    if child is None:
        child = _children[key] = REQUESTS.labels(*map(str, key))
    child.inc()


class RequestMiddleware:
    """More than ``max_in_flight`` requests at once get ``OverloadedError``."""

    def __init__(self, max_in_flight: int, hosts: AllowedHosts, *, shows_traces: bool = False) -> None:
        """``shows_traces``: the log lines of a request carry the trace that its caller is in."""
        self._shows_traces = shows_traces
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
        # Functions after a request run in the reverse order: this one first, before what others do to the answer.
        app.after_request(self._count)
        app.teardown_request(self._leave)

    def _enter(self) -> None:
        g.request_id = self.identify(request.headers.get(REQUEST_ID))
        if self._shows_traces and (caller := parse_traceparent(request.headers.get(TRACEPARENT, ""))) is not None:
            structlog.contextvars.bind_contextvars(trace_id=caller.trace_id)
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

    @staticmethod
    def _count(response: Response) -> Response:
        rule = request.url_rule
        count(request.method, rule.rule if rule is not None else NO_ROUTE, response.status_code)
        return response

    def _leave(self, _error: BaseException | None) -> None:
        if g.pop("holds_slot", False):
            self.in_flight.leave()
        structlog.contextvars.clear_contextvars()


class PlainRequests:
    """Knows plain requests, by the environ in which WSGI has them (PEP 3333), and answers them as Flask would."""

    def __init__(self, middleware: RequestMiddleware, proxies: TrustedProxies) -> None:
        self._middleware = middleware
        self._proxies = proxies

    def holds(self, environ: WSGIEnvironment) -> bool:
        """Whether it is a POST that asks for nothing special, by a name that is ours, and that nobody has refused."""
        return (
            environ["REQUEST_METHOD"] == "POST"
            # Refused before it came here.
            and HANDED_ON not in environ
            and _SPECIAL.isdisjoint(environ)
            and _PLAIN_HOST.fullmatch(environ.get("HTTP_HOST", "")) is not None
            and self._middleware.hosts.allows(environ["HTTP_HOST"])
        )

    def resolve(self, environ: WSGIEnvironment) -> None:
        """Put the client's address and scheme into ``environ``; Flask, where it comes to it, finds them there."""
        self._proxies.resolve(environ)

    def identify(self, environ: WSGIEnvironment) -> None:
        """Give the request its id, for the answer, whoever makes it in the end."""
        environ[_REQUEST_ID] = self._middleware.id_of(environ.get(_REQUEST_ID))

    def bind(self, environ: WSGIEnvironment) -> None:
        """The log lines of this thread carry the id of a request that has been identified, until they are cleared."""
        self._middleware.identify(environ[_REQUEST_ID])

    def answer(
        self,
        environ: WSGIEnvironment,
        status: int,
        body: bytes,
        *,
        route: str,
        content_type: str,
        more: tuple[tuple[str, str], ...] = (),
    ) -> PlainResponse:
        """The response to a request that was resolved and identified; counted under ``route``, a template of ours."""
        headers = [
            ("Content-Type", content_type),
            *HEADERS.items(),
            ("Content-Length", str(len(body))),
            (REQUEST_ID, environ[_REQUEST_ID]),
            *more,
        ]
        if is_secure(environ):
            headers.append(STRICT_TRANSPORT)
        count("POST", route, status)
        return status, headers, body
