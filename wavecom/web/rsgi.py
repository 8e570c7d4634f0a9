"""The web application as granian's RSGI server calls it: bodies come in without a thread, then WSGI answers.

The event loop takes a request's body in completely (``body_reads.py`` says which, how long, how many), and only then
hands the request to a thread (``request_threads.py``), which runs the WSGI application. A plain notification, and a
small report of receipts, needs no thread of its own: it waits on the loop for its batch (``send_fast_path.py``,
``receipts/fast_path.py``). So a peer that holds its body
back costs a socket and a few KiB, and what the API does to its threads reaches neither the pages nor the probes.

An API request's key is looked up first: who has none that is known comes to no thread of the API's, and his body is not
awaited. What is refused here goes to the application all the same, with its error: errors are told apart, logged and
put into words in one place.

Under any other WSGI server (``flask run``, gunicorn) the application is the same, without these protections and without
the fast paths.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import structlog
from granian.rsgi import HTTPProtocol, ProtocolClosed, ProtocolError, Scope  # type: ignore[attr-defined]
from werkzeug.exceptions import ClientDisconnected

from wavecom.accounts import KeyRing
from wavecom.core.connections import ANONYMOUS_THREADS, PAGE_THREADS
from wavecom.core.submission import Flushed
from wavecom.errors import OverloadedError, UnavailableError
from wavecom.web import long_answers, streams
from wavecom.web.authentication import KeyLookups
from wavecom.web.body_reads import ANONYMOUS, RECEIPTS, BodyLimits, BodyRead, BodyReadLimiter
from wavecom.web.long_answers import LongAnswer, LongAnswers
from wavecom.web.proxies import TrustedProxies
from wavecom.web.receipts import BODY_LIMIT_BYTES
from wavecom.web.request_middleware import BODILESS, HANDED_ON
from wavecom.web.request_threads import LoopResults, RequestThreads
from wavecom.web.streamed_bodies import StreamedBodies, StreamedBody
from wavecom.web.streams import EventStream, Streams
from wavecom.web.wsgi_environ import address_of, joined, make_environ

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from wavecom.web.api.sending import SendResponse
    from wavecom.web.proxies import Application
    from wavecom.web.receipts.fast_path import ReceiptFastPath
    from wavecom.web.send_fast_path import FastPathResult, SendFastPath

log = structlog.get_logger()

#: Receipts wait for their share of a write, and hold nothing meanwhile but a thread. However many come, signed or not,
#: they take no other.
RECEIPT_THREADS = 64
_PROBE_THREADS = 2
#: Each client asks once in ten seconds.
_KEY_THREADS = 2
#: Answering what was refused needs no server and takes a fraction of a millisecond.
_REFUSAL_THREADS = 2

#: Bodies up to this size are taken in one piece.
_SMALL_BODY = 64 * 1024
_ANONYMOUS_BODIES = 128
_SWEEP_SECONDS = 0.5
_DISCARD_SECONDS = 1

_API = "/api/"
#: Their bodies, of PATCH, are read while they come.
_STREAMED = re.compile(r"/api/campaigns/[^/]+/rows")
_RECEIPTS = "/receipts/"
_PROBES = ("/healthz", "/readyz", "/readyz/accepting")


@dataclass(slots=True)
class _Request:
    """What is known of a request before a thread has it."""

    scope: Scope
    proto: HTTPProtocol
    body: io.BytesIO | _UnreadBody | StreamedBody
    #: What the application is to answer, whatever was asked.
    error: Exception | None = None
    #: Its body is not read to the end: the connection can't carry another request.
    is_last: bool = False
    #: The request as WSGI knows it, once somebody has asked for it.
    environ: WSGIEnvironment | None = None
    #: Whether its answer may go on: somebody waits to serve it.
    may_go_on: bool = False
    #: An answer that goes on: its status, headers and beginning, and the stream that it goes on as.
    streamed: tuple[int, list[tuple[str, str]], bytes, EventStream | LongAnswer] | None = None


class RsgiApplication:
    """``serve`` is the RSGI application; ``app`` the WSGI application behind it. For one event loop."""

    def __init__(
        self,
        app: Application,
        sending: SendFastPath,
        receiving: ReceiptFastPath,
        keys: KeyRing,
        proxies: TrustedProxies,
        *,
        threads: int,
        max_in_flight: int,
        max_body_bytes: int,
    ) -> None:
        self._app = app
        self._sending = sending
        self._receiving = receiving
        self._proxies = proxies
        self._keys = keys
        #: Both to be started too, where answers may go on.
        self.streams = Streams()
        self.long_answers = LongAnswers()
        #: Made when the first one comes.
        self._streamed_bodies: StreamedBodies | None = None
        self._threads = threads
        self._max_in_flight = max_in_flight
        self._max_body_bytes = max_body_bytes
        self._is_sweeping = False
        #: Requests that wait for a group commit without a thread, by the threads that would have them else.
        self._enqueued: Counter[RequestThreads] = Counter()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """To be called in the process that serves, before the first request."""
        self._loop = loop
        self._results = LoopResults(loop)
        self._api = RequestThreads("api", self._threads, loop)
        self._pages = RequestThreads("pages", PAGE_THREADS, loop)
        self._receipts = RequestThreads("receipts", RECEIPT_THREADS, loop)
        self._probes = {path: RequestThreads(path[1:], _PROBE_THREADS, loop) for path in _PROBES}
        # To look keys up, and to answer those that nobody has: however many they are, the API's threads stay free.
        self._anonymous = RequestThreads("anonymous", ANONYMOUS_THREADS, loop)
        self._refusals = RequestThreads("refusals", _REFUSAL_THREADS, loop)
        self._fast_paths: dict[RequestThreads, SendFastPath | ReceiptFastPath] = {
            self._api: self._sending,
            self._receipts: self._receiving,
        }
        # Apart, so that clients need not wait for the keys that strangers invent.
        self._lookups = KeyLookups(self._keys, RequestThreads("keys", _KEY_THREADS, loop), self._anonymous)
        most = self._max_in_flight
        limits = BodyLimits(for_client=most, for_anonymous=_ANONYMOUS_BODIES, in_all=4 * most)
        self._bodies = BodyReadLimiter(limits, loop.time)

    async def serve(self, scope: Scope, proto: HTTPProtocol) -> None:
        """Answer one request."""
        # As werkzeug reads it: //api is the API's too.
        path = f"/{scope.path.lstrip('/')}"
        threads, whose = self._threads_for(path)
        headers = scope.headers
        declared = headers.get("content-length")
        length = int(declared) if declared is not None else None if "transfer-encoding" in headers else 0
        error: Exception | None = None
        if threads is self._api:
            try:
                whose = await self._lookups.client(headers.get("authorization"))
            except UnavailableError as raised:
                whose, error, threads = None, raised, self._refusals
            else:
                if whose is None:
                    threads = self._anonymous
        if whose is not None and scope.method == "PATCH" and _STREAMED.fullmatch(path):
            await self._serve_streamed(scope, proto, whose, length)
            return
        # Probes not: whoever watches the process must not take it for dead.
        depth = threads.depth + self._enqueued[threads]
        if depth >= self._max_in_flight and threads in {self._api, self._pages, self._receipts}:
            request = _refused(scope, proto, OverloadedError("too many requests in flight"))
            request.is_last = length != 0 and not await self._discard(scope, proto, length)
            await self._answer(request, self._refusals)
            return
        if length == 0:
            await self._answer(_Request(scope, proto, io.BytesIO(), error), threads)
            return
        # What is longer than it may be the application refuses by its length.
        is_short = length is None or length <= self._body_limit(threads)
        if whose is not None and is_short and scope.method not in BODILESS:
            await self._serve_with_body(scope, proto, threads, whose, length)
            return
        is_gone = await self._discard(scope, proto, length)
        await self._answer(_Request(scope, proto, _UnreadBody(), error, is_last=not is_gone), threads)

    async def _stream(
        self,
        proto: HTTPProtocol,
        status: int,
        headers: list[tuple[str, str]],
        beginning: bytes,
        rest: EventStream | LongAnswer,
    ) -> None:
        if isinstance(rest, LongAnswer):
            await self.long_answers.serve(proto, status, headers, beginning, rest)
        else:
            await self.streams.serve(proto, status, headers, beginning, rest)

    async def _serve_with_body(
        self, scope: Scope, proto: HTTPProtocol, threads: RequestThreads, reader: str, length: int | None
    ) -> None:
        bodies = self._bodies
        read = self._begin_read(reader, scope)
        error: Exception | None = None
        body = b""
        try:
            try:
                body = await self._whole(proto, read, length, self._body_limit(threads))
            except asyncio.CancelledError:
                if read.refusal is None:
                    raise
                _current_task().uncancel()
            except (OverloadedError, ClientDisconnected) as raised:
                error = raised
            bodies.complete(read)
            # First: how a wait that was called off ends is granian's affair.
            error = read.refusal or error
            if error is not None:
                await self._answer(_refused(scope, proto, error), self._refusals)
                return
            is_last = len(body) > self._body_limit(threads)
            request = _Request(scope, proto, io.BytesIO(body), is_last=is_last)
            if threads not in self._fast_paths or not await self._answer_without_thread(request, body, threads):
                await self._answer(request, threads)
        finally:
            bodies.release(read)

    async def _serve_streamed(self, scope: Scope, proto: HTTPProtocol, owner: str, length: int | None) -> None:
        if self._streamed_bodies is None:
            self._streamed_bodies = StreamedBodies(self._loop)
        try:
            await self._streamed_bodies.serve(
                proto, length, owner, lambda body: self._run(_Request(scope, proto, body))
            )
        except OverloadedError as error:
            await self._answer(_refused(scope, proto, error), self._refusals)

    def _threads_for(self, path: str) -> tuple[RequestThreads, str | None]:
        """Who answers this address, and in whose pool its body is awaited; of the API the key decides that."""
        if path.startswith(_API):
            return self._api, None
        if path.startswith(_RECEIPTS):
            return self._receipts, RECEIPTS
        return self._probes.get(path, self._pages), ANONYMOUS

    def _body_limit(self, threads: RequestThreads) -> int:
        return min(self._max_body_bytes, BODY_LIMIT_BYTES) if threads is self._receipts else self._max_body_bytes

    async def _whole(self, proto: HTTPProtocol, read: BodyRead, length: int | None, limit: int) -> bytes:
        """Raises ``ClientDisconnected`` when the body breaks off, ``OverloadedError`` when there is no room for it."""
        if length is None or length > _SMALL_BODY:
            return await self._in_parts(proto, read, length, limit)
        try:
            body: bytes = await proto()
        except (ProtocolClosed, ProtocolError) as error:
            raise ClientDisconnected from error
        self._bodies.grow(read, len(body))
        if len(body) < length:
            raise ClientDisconnected
        return body

    async def _in_parts(self, proto: HTTPProtocol, read: BodyRead, length: int | None, limit: int) -> bytes:
        """The body; of one that does not say its length no more than one byte over the limit."""
        most = limit + 1
        parts = bytearray()
        empty = 0
        async for part in proto:
            if not part:
                empty += 1
            self._bodies.grow(read, len(part))
            parts += part
            if length is not None and len(parts) >= length:
                return bytes(parts)
            if len(parts) >= most:
                return bytes(parts[:most])
        # granian ends a stream with an empty part, and one that broke off with two (so does one with trailers, which
        # nobody sends): half of a body must not pass for a whole one.
        if length is not None or empty > 1:
            raise ClientDisconnected
        return bytes(parts)

    async def _discard(self, scope: Scope, proto: HTTPProtocol, length: int | None) -> bool:
        """Whether the body that nobody wants is out of the way.

        A small one is waited for a moment: to close a connection on which the peer still writes may cost it the answer.
        """
        if length is None or length > _SMALL_BODY:
            return False
        read = self._begin_read(ANONYMOUS, scope)
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                return len(await proto()) == length
        except asyncio.CancelledError:
            if read.refusal is None:
                raise
            _current_task().uncancel()
            return False
        except (TimeoutError, ProtocolClosed, ProtocolError):
            return False
        finally:
            self._bodies.release(read)

    def _begin_read(self, pool: str, scope: Scope) -> BodyRead:
        address = self._proxies.client_address(joined(scope.headers, "x-forwarded-for"), address_of(scope))
        read = self._bodies.begin(pool, address, _current_task().cancel)
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        return read

    def _sweep(self) -> None:
        self._is_sweeping = self._bodies.give_up_late()
        if self._is_sweeping:
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    async def _answer_without_thread(self, request: _Request, body: bytes, threads: RequestThreads) -> bool:
        """Whether ``request`` is one for the fast path of these threads, and answered."""
        fast_path = self._fast_paths[threads]
        environ = request.environ = make_environ(request.scope, request.body, request.error)
        served: asyncio.Future[FastPathResult | BaseException] = self._loop.create_future()
        if not fast_path.enqueue(environ, body, partial(self._results.put, served)):
            return False
        self._enqueued[threads] += 1
        try:
            outcome = await served
            if isinstance(outcome, tuple):
                request.proto.response_bytes(*outcome)
            elif isinstance(outcome, Flushed):
                await self._api.submit(partial(self._answer_late, request, environ, outcome))
        finally:
            self._enqueued[threads] -= 1
            fast_path.leave()
        if isinstance(outcome, Exception):
            # A bug: Flask answers and logs it.
            environ[HANDED_ON] = outcome
        return isinstance(outcome, tuple | Flushed)

    def _answer_late(self, request: _Request, environ: WSGIEnvironment, outcome: Flushed[SendResponse]) -> None:
        """In a thread: answer what is not stored as new."""
        response = self._sending.wait(environ, outcome)
        if response is None:
            self._run(request)
        else:
            request.proto.response_bytes(*self._sending.answer(environ, response))

    async def _answer(self, request: _Request, threads: RequestThreads) -> None:
        """Have a thread answer ``request``, and serve the stream that the answer goes on as.

        Answers that go on are offered here alone, so no place is taken that nobody gives back.
        """
        request.may_go_on = request.scope.method == "GET"
        answered = threads.submit(partial(self._run, request))
        if not request.may_go_on:
            await answered
            return
        try:
            # The thread goes on when the wait is called off, and its view may take a place even then.
            await asyncio.shield(answered)
        except asyncio.CancelledError:
            answered.add_done_callback(lambda _: self._abandon(request))
            raise
        if request.streamed is not None:
            await self._stream(request.proto, *request.streamed)

    def _abandon(self, request: _Request) -> None:
        """Nobody waits for the answer any more."""
        if request.streamed is not None:
            self._release(request.streamed[-1])

    def _release(self, rest: EventStream | LongAnswer) -> None:
        if isinstance(rest, LongAnswer):
            self.long_answers.release(rest)
        else:
            self.streams.release(rest)

    def _run(self, request: _Request) -> None:
        """In a thread: have the application answer ``request``."""
        environ = request.environ or make_environ(request.scope, request.body, request.error)
        if request.may_go_on and not request.is_last:
            # Of a peer that still has to send its body the loop would not hear that it has left: it gets the beginning,
            # and comes again. A long answer is written to all the time, and by that hears of it.
            streams.offer(environ, self.streams)
        if request.may_go_on:
            long_answers.offer(environ, self.long_answers)
        try:
            status, headers, body = _call(self._app, environ)
        except Exception:
            # A bug of ours below or beside Flask, which answers those of views itself.
            log.exception("unhandled_error", method=request.scope.method)
            status, headers, body = 500, [], b""
        if request.is_last or (isinstance(request.body, StreamedBody) and not request.body.has_ended):
            headers = [*headers, ("connection", "close")]
        rest = streams.opened(environ) or long_answers.begun(environ)
        if rest is not None and status == HTTPStatus.OK:
            # The length of its beginning.
            headers = [header for header in headers if header[0].lower() != "content-length"]
            request.streamed = status, headers, body, rest
            return
        if rest is not None:
            self._release(rest)
        request.proto.response_bytes(status, headers, body)


class _UnreadBody:
    """Stands for a body that is not awaited, because whoever looks at the head refuses the request.

    Where it was the key that could not be told and now can, the request has to come again.
    """

    def read(self, _size: int = -1) -> bytes:
        raise UnavailableError("the key could not be looked up when the request came")

    readline = read


def _current_task() -> asyncio.Task[None]:
    return cast("asyncio.Task[None]", asyncio.current_task())


def _refused(scope: Scope, proto: HTTPProtocol, error: Exception) -> _Request:
    return _Request(scope, proto, io.BytesIO(), error, is_last=True)


def _call(app: Application, environ: WSGIEnvironment) -> tuple[int, list[tuple[str, str]], bytes]:
    """The status, headers and body with which ``app`` answers (PEP 3333; none of ours uses ``write``)."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> Callable[..., Any]:
        started[:] = [(status, headers)]
        return _write

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    [(status, headers)] = started
    return int(status[:3]), headers, body


def _write(_data: bytes) -> None:
    raise NotImplementedError
