"""Answers that go on: server-sent events, written by the event loop, without a thread for each (ADR 47).

A view makes the beginning of such an answer and opens an ``EventStream`` (``open_stream``); behind granian it goes on
from there until the client leaves, may not go on, or the process ends. A source is asked about all of its streams at
once, so many clients that look at one thing cost as much as one. granian takes whatever it is given, read or not: so
a stream ends after some MiB, keeps its place until they are read, and its client comes again for the rest.

Under another server (``flask run``, gunicorn) the answer ends after its beginning, and the client comes again: the same
events, later.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from flask import Response, request
from granian.rsgi import HTTPProtocol, ProtocolClosed, ProtocolError  # type: ignore[attr-defined]
from prometheus_client import Gauge

from wavecom.errors import OverloadedError, TooManyStreamsError, WaveComError
from wavecom.web.request_threads import RequestThreads

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = structlog.get_logger()

OPEN_STREAMS = Gauge(
    "wavecom_open_streams",
    "Clients and pages that this process sends events to as they happen.",
    ["kind"],
    multiprocess_mode="livesum",
)

MEDIA_TYPE: Final = "text/event-stream"
#: So long a client waits before it comes again, and others find it away.
RETRY_MILLISECONDS: Final = 2000
#: Streams of all clients and pages that a process has at most.
MOST: Final = 2000
#: Nothing is silent for longer: proxies end what is, and only by writing a client is found gone for sure.
HEARTBEAT_SECONDS: Final = 15.0
#: How often it is asked whether a client may still have what it gets.
CHECK_SECONDS: Final = 10.0
#: What a stream is given before it ends, so that a client which reads nothing costs no more.
MOST_BYTES: Final = 8 * 1024 * 1024
#: The pause where a source has more to give than it gave.
_BEHIND_SECONDS: Final = 0.02
#: Sources ask the store; one thread each is enough.
_THREADS: Final = 2

#: In the environ: the streams of the server that can have some, and the stream that the view has opened.
_STREAMS: Final = "wavecom.streams"
_OPENED: Final = "wavecom.opened_stream"


class StreamSource(Protocol):
    """Where streams of one kind get their events from."""

    #: For metrics: what such streams are for.
    kind: str
    #: How often it is asked.
    period_seconds: float
    #: How many streams one owner may have.
    most_each: int

    def look(self, streams: Sequence[EventStream]) -> Mapping[EventStream, bytes | None]:
        """What each of these is to be sent now; None ends it. In a thread. Raises ``WaveComError``."""
        ...

    def heartbeat(self, stream: EventStream) -> bytes:
        """What to send where nothing was sent for a while."""
        ...


class EventStream:
    """One client's. ``cursor`` is its source's; ``owner`` is whose places it takes: a key, a session.

    ``may_go_on`` is asked in a thread, now and then, once for all streams of an owner.
    """

    def __init__(self, source: StreamSource, owner: str, cursor: Any, may_go_on: Callable[[], bool]) -> None:
        self.source = source
        self.owner = owner
        self.cursor = cursor
        self.may_go_on = may_go_on
        #: Its source has more for it than it gave.
        self.is_behind = False
        self.is_closed = False
        #: By the loop's clock.
        self.written_at = 0.0
        self._room = MOST_BYTES
        self._pending = b""
        self._changed = asyncio.Event()

    def send(self, data: bytes) -> None:
        """Have it written. On the event loop."""
        self._pending += data
        self._changed.set()

    def close(self) -> None:
        """End it, after what waits to be written. On the event loop."""
        self.is_closed = True
        self._changed.set()

    async def write_to(self, transport: Any, monotonic: Callable[[], float]) -> None:
        """Write what is sent, until it is closed or has been given all that it may.

        Raises ``ProtocolClosed`` where the client has gone.
        """
        while True:
            while self._pending:
                data, self._pending = self._pending, b""
                await transport.send_bytes(data)
                self.written_at = monotonic()
                self._room -= len(data)
            if self.is_closed or self._room <= 0:
                return
            await self._changed.wait()
            self._changed.clear()


class Streams:
    """The open streams of a process. But for ``reserve`` and ``release``, for the event loop alone."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._by_owner: Counter[tuple[str, str]] = Counter()
        self._open: dict[StreamSource, set[EventStream]] = {}
        self._followers: dict[StreamSource, asyncio.Task[None]] = {}
        self._is_ending = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """To be called in the process that serves, before the first request."""
        self._loop = loop
        self._threads = RequestThreads("streams", _THREADS, loop)
        if threading.current_thread() is threading.main_thread():
            self._end_with_process()

    def reserve(self, stream: EventStream) -> None:
        """Take a place for it. Thread-safe. Raises ``TooManyStreamsError``, ``OverloadedError``."""
        place = stream.source.kind, stream.owner
        with self._lock:
            if self._by_owner[place] >= stream.source.most_each:
                raise TooManyStreamsError(stream.source.most_each)
            if self._is_ending or self._by_owner.total() >= self._most:
                raise OverloadedError("too many event streams are open")
            self._by_owner[place] += 1
        OPEN_STREAMS.labels(stream.source.kind).inc()

    def release(self, stream: EventStream) -> None:
        """Give its place back. Thread-safe."""
        place = stream.source.kind, stream.owner
        with self._lock:
            self._by_owner[place] -= 1
            if not self._by_owner[place]:
                del self._by_owner[place]
        OPEN_STREAMS.labels(stream.source.kind).dec()

    async def serve(
        self, proto: HTTPProtocol, status: int, headers: list[tuple[str, str]], beginning: bytes, stream: EventStream
    ) -> None:
        """Answer with ``beginning`` and all that ``stream`` is sent, until it ends; its place was reserved."""
        try:
            # A task of asyncio's own: what granian runs this in is none.
            await self._loop.create_task(self._serve(proto, status, headers, beginning, stream))
        finally:
            self.release(stream)

    async def _serve(
        self, proto: HTTPProtocol, status: int, headers: list[tuple[str, str]], beginning: bytes, stream: EventStream
    ) -> None:
        gone = self._loop.create_task(_gone(proto))
        gone.add_done_callback(lambda _: stream.close())
        stream.send(beginning)
        try:
            transport: Any = proto.response_stream(status, headers)
            if self._is_ending:
                stream.close()
            else:
                self._add(stream)
            await stream.write_to(transport, self._loop.time)
            # Without one who could go on, the answer ends.
            transport = None
        except (ProtocolClosed, ProtocolError):
            pass  # The client has gone.
        finally:
            self._open.get(stream.source, set()).discard(stream)
            stream.is_closed = True
        # Or has read all of it: until then it keeps its place.
        await gone

    def end(self) -> None:
        """End all: their clients come again, to another process or the next one."""
        self._is_ending = True
        for streams in self._open.values():
            for stream in streams:
                stream.close()

    def _end_with_process(self) -> None:
        # granian waits for answers that are under way, and then kills. Its own handler is called as before.
        before = signal.getsignal(signal.SIGTERM)

        def on_signal(number: int, frame: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(self.end)
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGTERM, on_signal)
        signal.siginterrupt(signal.SIGTERM, False)

    def _add(self, stream: EventStream) -> None:
        streams = self._open.setdefault(stream.source, set())
        streams.add(stream)
        follower = self._followers.get(stream.source)
        if follower is None or follower.done():
            self._followers[stream.source] = self._loop.create_task(self._follow(stream.source, streams))

    async def _follow(self, source: StreamSource, streams: set[EventStream]) -> None:
        """Ask ``source`` about its streams again and again, as long as there is one."""
        checked_at = self._loop.time()
        while streams:
            await asyncio.sleep(_BEHIND_SECONDS if any(each.is_behind for each in streams) else source.period_seconds)
            now = self._loop.time()
            if now - checked_at >= CHECK_SECONDS:
                checked_at = now
                await self._in_thread(partial(ended_streams, [*streams]))
            await self._in_thread(partial(source.look, [each for each in streams if not each.is_closed]))
            for stream in streams:
                if now - stream.written_at >= HEARTBEAT_SECONDS:
                    stream.written_at = now
                    stream.send(source.heartbeat(stream))

    async def _in_thread(self, call: Callable[[], Mapping[EventStream, bytes | None]]) -> None:
        """Send what ``call`` finds, and end what it says."""
        found: list[Mapping[EventStream, bytes | None]] = []

        def run() -> None:
            try:
                found.append(call())
            except WaveComError as error:
                # Nobody is sent anything meanwhile; the heartbeats go on.
                log.debug("stream_source_away", error=error.code)
            except Exception:
                log.exception("stream_source_failed")

        await self._threads.submit(run)
        for stream, data in (pair for each in found for pair in each.items()):
            if data is None:
                stream.close()
            elif data:
                stream.send(data)


def open_stream(beginning: bytes, stream: EventStream) -> Response:
    """The answer of a view that begins so and goes on as ``stream``. Raises as ``Streams.reserve`` does."""
    streams: Streams | None = request.environ.get(_STREAMS)
    if streams is not None:
        streams.reserve(stream)
        request.environ[_OPENED] = stream
    response = Response(b"retry: %d\n\n%b" % (RETRY_MILLISECONDS, beginning), mimetype=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    # nginx would hold events back until a buffer is full.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def offer(environ: WSGIEnvironment, streams: Streams) -> None:
    """Let views that serve ``environ`` open streams of these."""
    environ[_STREAMS] = streams


def opened(environ: WSGIEnvironment) -> EventStream | None:
    """The stream that the view has opened."""
    found: EventStream | None = environ.get(_OPENED)
    return found


def server_sent(data: str, *, id: str | None = None, event: str | None = None) -> bytes:
    """One event in the format of the HTML standard, section 9.2.6."""
    lines = [f"data: {line}" for line in data.split("\n")]
    head = [*([] if id is None else [f"id: {id}"]), *([] if event is None else [f"event: {event}"])]
    return ("\n".join([*head, *lines]) + "\n\n").encode()


def ended_streams(streams: Sequence[EventStream]) -> Mapping[EventStream, bytes | None]:
    """Those whose owners may not go on, to be ended. In a thread."""
    allowed: dict[tuple[str, str], bool] = {}
    for stream in streams:
        place = stream.source.kind, stream.owner
        if place not in allowed:
            try:
                allowed[place] = stream.may_go_on()
            except WaveComError:
                allowed[place] = True  # Nobody can tell now.
            except Exception:
                # A mistake of ours: it ends the streams of this owner, who comes again, and nobody else's.
                log.exception("stream_check_failed", kind=stream.source.kind)
                allowed[place] = False
    return {stream: None for stream in streams if not allowed[stream.source.kind, stream.owner]}


async def _gone(proto: HTTPProtocol) -> None:
    await proto.client_disconnect()
