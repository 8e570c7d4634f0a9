"""The short way for the one request that comes a thousand times a second: ``POST /api/notifications`` as it should be.

Two thirds of what a request costs in the web process are Flask's, werkzeug's and webargs' handling of it (ADR 9). The
short way takes what has the plain form of practically every request, asks the same guard, body parser, marshmallow
schema and ``Sending`` as the view, and writes the same answer. Everything else is Flask's: what has another form goes
there untouched, and what is refused goes there with its error, to be answered and logged where all errors are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog
from werkzeug.exceptions import ClientDisconnected

from wavecom.accounts import Scope
from wavecom.services.web import WebServices
from wavecom.web import counting
from wavecom.web.api.notifications import PATH
from wavecom.web.api.schemas.notification import RepeatableSchema
from wavecom.web.api.sending import Sending, SendResponse
from wavecom.web.authentication import Authenticator
from wavecom.web.body import parse_json
from wavecom.web.proxies import TrustedProxies, is_secure
from wavecom.web.request_middleware import HANDED_ON, HEADERS, REQUEST_ID, STRICT_TRANSPORT, RequestMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

#: Headers by which a request asks for something of its own.
_SPECIAL = frozenset({"HTTP_ORIGIN", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING"})
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?")


class SendFastPath:
    """A WSGI application: the short way before ``app``, which takes all the rest."""

    def __init__(self, app: Application, services: WebServices, middleware: RequestMiddleware) -> None:
        self._app = app
        self._middleware = middleware
        self._authenticator = Authenticator(services.keys)
        self._schema = RepeatableSchema(
            services.clock.now, services.settings.mail_addresses, services.settings.sender_id_signs
        )
        self._sending = Sending.over(services)
        self._proxies = TrustedProxies(services.settings.trusted_proxies)
        self._longest_body = services.settings.max_body_bytes
        self._headers = [("Content-Type", "application/json"), *HEADERS.items()]
        if services.settings.cors_origins:
            # As ``cors`` answers a request without an origin.
            self._headers.append(("Vary", "Origin"))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or let ``app`` do it."""
        # First of all, for both ways.
        self._proxies.resolve(environ)
        length = self._plain_length(environ)
        if length is None:
            return self._app(environ, start_response)
        request_id = self._middleware.identify(environ.get("HTTP_X_REQUEST_ID"))
        try:
            answer = self._serve(environ, length)
        except Exception as error:  # noqa: BLE001 - handed on to where errors are told apart
            environ[HANDED_ON] = error
            # Answered under the id that log lines have carried until now.
            environ["HTTP_X_REQUEST_ID"] = request_id
            return self._app(environ, start_response)
        structlog.contextvars.clear_contextvars()
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        headers = [
            *self._headers,
            ("Content-Length", str(len(body))),
            (REQUEST_ID, request_id),
            *answer.headers(PATH),
        ]
        if is_secure(environ):
            headers.append(STRICT_TRANSPORT)
        counting.count("POST", PATH, 202)
        start_response("202 ACCEPTED", headers)
        return (body,)

    def _plain_length(self, environ: WSGIEnvironment) -> int | None:
        """The length of the body of a request that may go the short way."""
        if (
            environ["PATH_INFO"] != PATH
            or environ["REQUEST_METHOD"] != "POST"
            or environ.get("CONTENT_TYPE") != "application/json"
            # Refused before it came here.
            or HANDED_ON in environ
            or environ.get("QUERY_STRING")
            or environ.get("SCRIPT_NAME")
            or not _SPECIAL.isdisjoint(environ)
            or not _HOST.fullmatch(environ.get("HTTP_HOST", ""))
            or not self._middleware.hosts.allows(environ["HTTP_HOST"])
        ):
            return None
        declared = environ.get("CONTENT_LENGTH", "")
        if not (declared.isascii() and declared.isdigit() and len(declared) < 10):
            return None
        length = int(declared)
        return length if length <= self._longest_body else None

    def _serve(self, environ: WSGIEnvironment, length: int) -> SendResponse:
        """As the view ``sendNotification`` and what Flask does before it, in that order."""
        self._middleware.in_flight.enter()
        try:
            who = self._authenticator.admit(environ.get("HTTP_AUTHORIZATION"), Scope.SEND)
            body = _read(environ, length)
            notification = self._schema.load(parse_json(body))
            return self._sending.send(who, notification, environ.get("HTTP_IDEMPOTENCY_KEY"))
        finally:
            self._middleware.in_flight.leave()


def _read(environ: WSGIEnvironment, length: int) -> bytes:
    if length == 0:
        return b""
    try:
        body: bytes = environ["wsgi.input"].read(length)
    except (OSError, ValueError) as error:
        raise ClientDisconnected from error
    if len(body) < length:
        raise ClientDisconnected
    return body
