"""The fast path for the request that comes a thousand times a second: a plain ``POST /api/notifications``.

Such a request has no thread of its own. The event loop (``rsgi.py``) enqueues it, and the one thread of a group commit
recalls the keys, parses, validates, stores and answers for all that came at about the same time (ADR 25): a batch costs
one change of threads, and each step finds the processor's caches warm from the request before.

It serves what needs nothing else first and ends well. Everything else is Flask's: a request of another form, a key that
is not in memory, a body that is refused, a large one, one with attachments. Nothing is checked in two ways: the key
ring, the body parser, the schema and ``Sending`` are the view's own, and Flask answers and logs what is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from wavecom.accounts import Caller, KeyScope
from wavecom.batching import GroupCommit
from wavecom.core.lanes import Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.submission import Flushed
from wavecom.core.windows import WINDOWS
from wavecom.errors import OverloadedError
from wavecom.services.web import WebServices
from wavecom.web.api.notifications import PATH
from wavecom.web.api.schemas.notification import RepeatableSchema
from wavecom.web.api.sending import Sending, SendResponse
from wavecom.web.authentication import Authenticator
from wavecom.web.body import parse_json
from wavecom.web.request_middleware import HANDED_ON, InFlight, PlainRequests, PlainResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: To parse and validate as much takes a fraction of a millisecond: nobody in the same batch waits long for it.
BODY_LIMIT_BYTES = 16 * 1024

#: What became of a request: its response, or what a thread has to finish (``SendFastPath.wait``); None: it is Flask's.
FastPathResult = PlainResponse | Flushed[SendResponse] | None


#: In a body that asks for high priority: it is not parsed before its batch is made. Whoever has these letters elsewhere
#: makes one batch smaller; who writes them in another way (as escapes) waits some milliseconds longer.
_MAY_BE_URGENT = f'"{Priority.HIGH}"'.encode()


class SendFastPath:
    """Serves plain requests in batches, each in the form in which WSGI knows it (PEP 3333)."""

    def __init__(self, services: WebServices, plain: PlainRequests, in_flight: InFlight) -> None:
        self._is_on = services.settings.fast_paths
        self._plain = plain
        self._in_flight = in_flight
        self._authenticator = Authenticator(services.keys)
        self._schema = RepeatableSchema(
            services.clock.now, services.settings.mail_addresses, services.settings.sender_id_signs
        )
        self._sending = Sending.over(services)
        self._commit: GroupCommit[tuple[WSGIEnvironment, bytes], FastPathResult] = GroupCommit(
            self._serve, max_window_seconds=WINDOWS.accept
        )
        self._longest_body = min(BODY_LIMIT_BYTES, services.settings.max_body_bytes)
        # As ``cors`` answers a request without an origin.
        self._vary = (("Vary", "Origin"),) if services.settings.cors_origins else ()

    def enqueue(
        self, environ: WSGIEnvironment, body: bytes, on_done: Callable[[FastPathResult | BaseException], None]
    ) -> bool:
        """Begin to serve the request whose whole ``body`` is here. ``on_done`` is called in the group commit's thread.

        Returns whether it is served here: then ``leave`` has to be called at its end. Else nothing has been done.
        """
        if not self._is_on or len(body) > self._longest_body or not self._is_plain(environ):
            return False
        try:
            self._in_flight.enter()
        except OverloadedError:
            return False
        try:
            self._commit.enqueue((environ, body), on_done, is_urgent=_MAY_BE_URGENT in body)
        except RuntimeError:
            # The system gives the group commit no thread now.
            self.leave()
            return False
        return True

    def _serve(self, requests: Sequence[tuple[WSGIEnvironment, bytes]]) -> list[FastPathResult]:
        """Serve a batch, in the group commit's thread."""
        prepared = [self._prepare(environ, body) for environ, body in requests]
        flushed = iter(self._sending.send_each([each for each in prepared if each is not None]))
        return [
            self._outcome(environ, None if each is None else next(flushed))
            for (environ, _), each in zip(requests, prepared, strict=True)
        ]

    def _prepare(self, environ: WSGIEnvironment, body: bytes) -> tuple[Caller, NewNotification] | None:
        try:
            caller = self._authenticator.remembered(environ.get("HTTP_AUTHORIZATION"), KeyScope.SEND)
            if caller is None:
                return None
            notification = self._schema.load(parse_json(body))
            new = self._sending.prepare(
                caller, notification, environ.get("HTTP_IDEMPOTENCY_KEY"), environ.get("HTTP_TRACEPARENT")
            )
        except Exception:  # noqa: BLE001 - Flask meets the same error, tells it apart and logs it
            return None
        self._plain.identify(environ)
        return None if new is None else (caller, new)

    def _outcome(self, environ: WSGIEnvironment, flushed: Flushed[SendResponse] | None) -> FastPathResult:
        if flushed is None or not flushed.is_new:
            return flushed
        try:
            return self.answer(environ, flushed.result())
        except Exception as error:  # noqa: BLE001 - a bug: answered and logged by Flask, and none of the others' affair
            environ[HANDED_ON] = error
            return None

    def leave(self) -> None:
        """The request that was enqueued has been answered."""
        self._in_flight.leave()

    def wait(self, environ: WSGIEnvironment, flushed: Flushed[SendResponse]) -> SendResponse | None:
        """What is to be answered to a request that was not new, or could not be stored; for a thread: it may wait.

        None where it is an error: it is put into ``environ``, to be answered by Flask.
        """
        self._plain.bind(environ)
        try:
            return flushed.result()
        except Exception as error:  # noqa: BLE001 - handed on to where errors are told apart
            environ[HANDED_ON] = error
            return None
        finally:
            structlog.contextvars.clear_contextvars()

    def answer(self, environ: WSGIEnvironment, response: SendResponse) -> PlainResponse:
        """Status, headers and body of the response to a request that was enqueued."""
        self._plain.resolve(environ)
        body = response.body.encode() if isinstance(response.body, str) else response.body
        more = (*self._vary, *response.headers(PATH))
        return self._plain.answer(environ, 202, body, route=PATH, content_type="application/json", more=more)

    def _is_plain(self, environ: WSGIEnvironment) -> bool:
        """Whether Flask would do with the request what is done here."""
        return (
            environ["PATH_INFO"] == PATH
            and environ.get("CONTENT_TYPE") == "application/json"
            and not environ.get("QUERY_STRING")
            and self._plain.holds(environ)
        )
