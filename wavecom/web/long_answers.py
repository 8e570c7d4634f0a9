"""Answers that are longer than memory should hold: made part by part, as fast as their reader takes them.

granian keeps whatever ``response_stream`` is given, read or not, so a reader that is slow would have all of a long
answer wait in memory. A file it reads no faster than its client does: so a long answer is given to it as one, the
reading end of a pipe, and the next part is made when the last one has gone in. A thread makes each part and is free
between them, so one who does not read costs two descriptors and one part.

Where the store is away in the middle, the answer waits for it. One that can't go on is never ended: what is cut short
must not pass for a whole one, and HTTP tells the two apart by the end alone.

Under another server (``flask run``, gunicorn) the parts are given to it as WSGI has it: it asks for each in turn.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import termios
import threading
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

import structlog
from flask import Response, request
from granian.rsgi import HTTPProtocol  # type: ignore[attr-defined]

from wavecom.errors import OverloadedError, StoreError, TooManyStreamsError
from wavecom.web.request_threads import RequestThreads

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = structlog.get_logger()

#: Long answers of one key, and of all, that a process makes at once.
MOST_EACH: Final = 2
MOST: Final = 16
#: Parts are made by so many threads, which are no others' (``RequestThreads``).
_THREADS: Final = 2
#: How long the store is left alone that was away.
_AWAY_SECONDS: Final = 1.0
#: How often, and how many times, it is looked whether the server has begun to read.
_LOOK_SECONDS: Final = 0.01
_LOOKS: Final = 1000

#: In the environ: the long answers of the server that can have some, and the one that the view has begun.
_OFFERED: Final = "wavecom.long_answers"
_BEGUN: Final = "wavecom.long_answer"


@dataclass(slots=True, eq=False)
class LongAnswer:
    """The parts that are still to come, and whose place it takes.

    ``parts`` may be asked again after it has raised ``StoreError``: what a generator is not.
    """

    parts: Iterator[bytes]
    owner: str


class LongAnswers:
    """The long answers of a process. But for ``reserve`` and ``release``, for the event loop alone."""

    def __init__(self, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._most = most
        self._most_each = most_each
        self._lock = threading.Lock()
        self._by_owner: Counter[str] = Counter()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """To be called in the process that serves, before the first request."""
        self._loop = loop
        self._threads = RequestThreads("long-answers", _THREADS, loop)

    def reserve(self, answer: LongAnswer) -> None:
        """Take a place for it. Thread-safe. Raises ``TooManyStreamsError``, ``OverloadedError``."""
        with self._lock:
            if self._by_owner[answer.owner] >= self._most_each:
                raise TooManyStreamsError(self._most_each, of_exports=True)
            if self._by_owner.total() >= self._most:
                raise OverloadedError("too many long answers are under way")
            self._by_owner[answer.owner] += 1

    def release(self, answer: LongAnswer) -> None:
        """Give its place back. Thread-safe."""
        with self._lock:
            self._by_owner[answer.owner] -= 1
            if not self._by_owner[answer.owner]:
                del self._by_owner[answer.owner]

    async def serve(
        self, proto: HTTPProtocol, status: int, headers: list[tuple[str, str]], beginning: bytes, answer: LongAnswer
    ) -> None:
        """Answer with ``beginning`` and the parts until all are read or the client has gone; its place was reserved."""
        try:
            # A task of asyncio's own: what granian runs this in is none.
            await self._loop.create_task(self._serve(proto, status, headers, beginning, answer))
        finally:
            self.release(answer)

    async def _serve(
        self, proto: HTTPProtocol, status: int, headers: list[tuple[str, str]], beginning: bytes, answer: LongAnswer
    ) -> None:
        reading, writing = os.pipe()
        pipe = await self._writer(writing)
        try:
            try:
                pipe.write(beginning)
                proto.response_file(status, headers, f"/dev/fd/{reading}")
                await _until_opened(reading, pipe, len(beginning))
            finally:
                # From now on the server alone reads: that it has closed its end tells that the client has gone.
                os.close(reading)
            await pipe.drain()
            while (part := await self._next(answer, writing)) is not None:
                pipe.write(part)
                await pipe.drain()
            pipe.close()
        except OSError:
            pass  # The client has gone.
        finally:
            if not pipe.transport.is_closing():
                pipe.transport.abort()

    async def _writer(self, descriptor: int) -> asyncio.StreamWriter:
        transport, protocol = await self._loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(descriptor, "wb", buffering=0)
        )
        # A drain then ends when all is in the pipe.
        transport.set_write_buffer_limits(0)
        return asyncio.StreamWriter(transport, protocol, None, self._loop)

    async def _next(self, answer: LongAnswer, writing: int) -> bytes | None:
        """The next part; None after the last. Waits while the store is away, and after a bug until the client goes.

        Raises ``BrokenPipeError`` where it has gone.
        """
        made: list[bytes | None] = []
        failed: list[Exception] = []

        def make() -> None:
            try:
                made.append(next(answer.parts, None))
            except Exception as error:  # noqa: BLE001 - looked at below, on the loop
                failed.append(error)

        is_broken = False
        while _has_reader(writing):
            if not is_broken:
                await self._threads.submit(make)
            if made:
                return made[0]
            if failed and not isinstance(error := failed.pop(), StoreError):
                is_broken = True
                log.error("long_answer_failed", exc_info=error)
            await asyncio.sleep(_AWAY_SECONDS)
        raise BrokenPipeError


def long_answer(beginning: bytes, rest: Iterator[bytes] | None, *, owner: str, mimetype: str) -> Response:
    """The answer of a view that begins so and goes on with ``rest``; None: it is whole.

    ``rest`` is as ``LongAnswer.parts``. Raises as ``LongAnswers.reserve`` does.
    """
    offered: LongAnswers | None = request.environ.get(_OFFERED)
    if rest is not None and offered is None:
        return Response(chain([beginning], rest), mimetype=mimetype)
    if rest is not None and offered is not None:
        answer = LongAnswer(rest, owner)
        offered.reserve(answer)
        request.environ[_BEGUN] = answer
    return Response(beginning, mimetype=mimetype)


def offer(environ: WSGIEnvironment, answers: LongAnswers) -> None:
    """Let views that serve ``environ`` begin long answers of these."""
    environ[_OFFERED] = answers


def begun(environ: WSGIEnvironment) -> LongAnswer | None:
    """The long answer that the view has begun."""
    found: LongAnswer | None = environ.get(_BEGUN)
    return found


async def _until_opened(reading: int, pipe: asyncio.StreamWriter, written: int) -> None:
    """Until the server has read some of what was written: by then it has an end of the pipe of its own.

    Raises ``BrokenPipeError`` where it does not come to that: its client has gone before.
    """
    unread = array("i", [0])
    for _ in range(_LOOKS):
        fcntl.ioctl(reading, termios.FIONREAD, unread)
        if unread[0] + pipe.transport.get_write_buffer_size() < written:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    raise BrokenPipeError


def _has_reader(writing: int) -> bool:
    """Whether anybody may still read what goes into this end of a pipe."""
    look = select.poll()
    look.register(writing, 0)
    return not look.poll(0)
