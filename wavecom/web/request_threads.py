"""Threads for requests, in groups: what waits for the threads of one group holds up nobody in another."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

Call = Callable[[], None]

#: How late the loop may hear that a call has ended. To be told of each costs more than the rest of the way here.
_REPORT_SECONDS = 0.01


class RequestThreads:
    """A group of at most ``threads`` threads, started when they are needed, that run calls in the order they came in.

    The thread that became idle last is the next to work: its memory is in the processor's caches still, and the others
    sleep on. ``submit`` and ``depth`` belong to the thread of ``loop``: what is counted there needs no lock.
    """

    def __init__(self, name: str, threads: int, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._most = threads
        self._loop = loop
        self._started = 0
        #: Calls that wait or run, as far as the loop has heard.
        self.depth = 0
        # Shared with the threads; each step on them is atomic by itself.
        self._waiting: deque[tuple[Call, asyncio.Future[None]]] = deque()
        self._finished: deque[asyncio.Future[None]] = deque()
        self._idle: list[_Worker] = []

    def submit(self, call: Call) -> asyncio.Future[None]:
        """Have ``call`` run by a thread; the future is done soon after it. ``call`` must not raise: it is logged."""
        if not self.depth:
            self._loop.call_later(_REPORT_SECONDS, self._report)
        self.depth += 1
        future = self._loop.create_future()
        self._waiting.append((call, future))
        try:
            self._idle.pop().wake()
        except IndexError:
            if self._started < self._most:
                self._start()
        return future

    def _start(self) -> None:
        try:
            _Worker(self._waiting, self._finished, self._idle).start(f"{self._name}-{self._started + 1}")
        except RuntimeError as error:
            # The system gives no more threads now: those that there are do it, or the next that can be had.
            log.warning("thread_not_started", group=self._name, threads=self._started, error=str(error))
        else:
            self._started += 1

    def _report(self) -> None:
        finished = self._finished
        while finished:
            future = finished.popleft()
            self.depth -= 1
            if not future.done():
                future.set_result(None)
        if self.depth:
            self._loop.call_later(_REPORT_SECONDS, self._report)


class _Worker:
    def __init__(
        self,
        waiting: deque[tuple[Call, asyncio.Future[None]]],
        finished: deque[asyncio.Future[None]],
        idle: list[_Worker],
    ) -> None:
        self._waiting = waiting
        self._finished = finished
        self._idle = idle
        # Held while there is nothing to do.
        self._rest = threading.Lock()
        self._rest.acquire()

    def start(self, name: str) -> None:
        # A daemon: a call that hangs must not keep the process from ending.
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def wake(self) -> None:
        """There is something to do. To be called by who took this worker from among the idle."""
        self._rest.release()

    def _work(self) -> None:
        while True:
            try:
                call, future = self._waiting.popleft()
            except IndexError:
                self._pause()
            else:
                try:
                    call()
                except Exception:
                    # Else the thread would be lost, and whoever waits for the call.
                    log.exception("call_failed")
                finally:
                    self._finished.append(future)

    def _pause(self) -> None:
        self._idle.append(self)
        if self._waiting:
            # It came between the look and the entry, and nobody may have been woken for it.
            try:
                self._idle.remove(self)
            except ValueError:
                # Somebody has taken this worker meanwhile, and wakes it.
                pass
            else:
                return
        self._rest.acquire()


class LoopResults:
    """Brings results from other threads to those who wait for them on ``loop``, many with one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._is_awake = False

    def put(self, future: asyncio.Future[T], result: T) -> None:
        """``result`` is that of ``future``, soon. From any thread."""
        self._waiting.append((future, result))
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # First: what is put from now on wakes the loop again.
        self._is_awake = False
        while self._waiting:
            future, result = self._waiting.popleft()
            if not future.done():
                future.set_result(result)
