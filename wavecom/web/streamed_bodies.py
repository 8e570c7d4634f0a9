"""Bodies that are longer than memory should hold: read by a view while they come, no faster than it takes them.

The event loop reads a part from granian only when the view's thread has asked for more, and so does the peer's TCP: of
an upload that nobody keeps up with, a few parts are held and the rest waits where it is. Until the view asks for the
first byte none is read, so a request that is refused by its head need not send its body (``Expect: 100-continue``).

The view holds a thread for as long as its peer sends, so these have threads of their own, few for all and fewer for
one client; and a peer must go on sending: it may keep a view waiting for half a minute in all, and for a second more
for each ``LEAST_BYTES_PER_SECOND`` that came.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from granian.rsgi import HTTPProtocol, ProtocolClosed, ProtocolError  # type: ignore[attr-defined]
from werkzeug.exceptions import ClientDisconnected

from wavecom.errors import OverloadedError, RequestTimeoutError
from wavecom.web.body_reads import GRACE_SECONDS, LEAST_BYTES_PER_SECOND
from wavecom.web.request_threads import RequestThreads

#: Such bodies that a process reads at once, of all clients and of one.
MOST: Final = 4
MOST_EACH: Final = 2
#: Bytes that may wait for the view.
_HELD_BYTES: Final = 256 * 1024


class StreamedBody(io.RawIOBase):
    """A body as WSGI has its input, for one thread; fed by the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._changed = threading.Condition()
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._error: Exception | None = None
        #: Nothing more comes.
        self.has_ended = False
        self._wanted = asyncio.Event()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size``; none at the end. Waits. Raises what the body broke off with."""
        with self._changed:
            if self._held < _HELD_BYTES and not self.has_ended:
                self._loop.call_soon_threadsafe(self._wanted.set)
            self._changed.wait_for(lambda: self._parts or self.has_ended)
            if not self._parts:
                if self._error is not None:
                    raise self._error
                return b""
            part = self._parts.popleft()
            if 0 <= size < len(part):
                self._parts.appendleft(part[size:])
                part = part[:size]
            self._held -= len(part)
            return part

    def readinto(self, buffer: Any) -> int:
        """``read`` into a buffer, as werkzeug does it."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    # --- For the event loop. ------------------------------------------------------------------------------------------

    async def wanted(self) -> None:
        """Returns when the view has asked for more than is here."""
        while self._held >= _HELD_BYTES:
            self._wanted.clear()
            await self._wanted.wait()
        await self._wanted.wait()

    def feed(self, part: bytes) -> None:
        """These are the next bytes."""
        with self._changed:
            self._parts.append(part)
            self._held += len(part)
            if self._held >= _HELD_BYTES:
                self._wanted.clear()
            self._changed.notify()

    def end(self, error: Exception | None = None) -> None:
        """It is all here, or breaks off with ``error``. The first call counts."""
        with self._changed:
            if not self.has_ended:
                self.has_ended, self._error = True, error
            self._changed.notify()


class StreamedBodies:
    """The streamed bodies of a process; for the event loop alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._loop = loop
        self._threads = RequestThreads("uploads", most, loop)
        self._most = most
        self._most_each = most_each
        self._by_owner: Counter[str] = Counter()

    async def serve(
        self, proto: HTTPProtocol, length: int | None, owner: str, answer: Callable[[StreamedBody], None]
    ) -> None:
        """Have a thread ``answer`` a request whose body comes meanwhile; of ``length`` bytes, None: until it ends.

        Raises ``OverloadedError`` where there is no place for it.
        """
        if self._by_owner[owner] >= self._most_each or self._by_owner.total() >= self._most:
            raise OverloadedError("too many long bodies are being read")
        self._by_owner[owner] += 1
        try:
            # A task of asyncio's own: what granian runs this in is none.
            await self._loop.create_task(self._serve(proto, length, answer))
        finally:
            self._by_owner[owner] -= 1

    async def _serve(self, proto: HTTPProtocol, length: int | None, answer: Callable[[StreamedBody], None]) -> None:
        body = StreamedBody(self._loop)
        feeding = self._loop.create_task(self._feed(proto, length, body))
        try:
            # The thread goes on when the wait is called off, and ends by what the body ends with.
            await asyncio.shield(self._threads.submit(lambda: answer(body)))
        finally:
            body.end(ClientDisconnected())
            feeding.cancel()

    async def _feed(self, proto: HTTPProtocol, length: int | None, body: StreamedBody) -> None:
        try:
            await self._feed_all(proto, length, body)
        finally:
            # Whatever went wrong: the view must not wait for ever for what nobody brings.
            body.end(ClientDisconnected())

    async def _feed_all(self, proto: HTTPProtocol, length: int | None, body: StreamedBody) -> None:
        parts = aiter(proto)
        byte_count = empty = 0
        waited = 0.0
        while length is None or byte_count < length:
            await body.wanted()
            began = self._loop.time()
            patience = GRACE_SECONDS + byte_count / LEAST_BYTES_PER_SECOND - waited
            try:
                async with asyncio.timeout(patience):
                    part = await anext(parts)
            except StopAsyncIteration:
                break
            except TimeoutError:
                words = f"The body did not arrive in time: {byte_count} bytes. Ask for the offset and go on there."
                body.end(RequestTimeoutError(words))
                return
            except (ProtocolClosed, ProtocolError):
                body.end(ClientDisconnected())
                return
            waited += self._loop.time() - began
            byte_count += len(part)
            empty += not part
            if part:
                body.feed(part)
        # granian ends a stream with an empty part, and one that broke off with two.
        is_whole = byte_count >= length if length is not None else empty <= 1
        body.end(None if is_whole else ClientDisconnected())
