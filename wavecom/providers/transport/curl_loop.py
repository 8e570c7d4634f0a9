"""Many HTTP calls on one thread: libcurl says which sockets it waits for, epoll which of them are ready.

A thread that waits for an answer is woken for it, and then waits for its turn under the interpreter's lock: with a
thread a call that was more than half of what a call cost (docs/performance.md). Here one thread takes all the answers
that have come.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import pycurl
import structlog

from wavecom.providers.transport.curl_handle import ABORTED, CurlHandle, origin_of
from wavecom.providers.transport.faults import not_begun_on_error
from wavecom.providers.transport.port import BODY_SECONDS, NotSentError, OnEnd, Request, Response, UnclearError

log = structlog.get_logger()

HAS_EPOLL: Final = hasattr(select, "epoll") and hasattr(os, "eventfd")

#: With so many calls under way answers are taken together, every few milliseconds, in place of one by one.
_BUSY_CALLS: Final = 16
_PAUSE_SECONDS: Final = 0.008
#: How long ``close`` waits for the calls under way: longer than any may take.
_CLOSE_SECONDS: Final = 15.0

#: libcurl looks at its clock before it looks at the socket: of a call that this thread came back to too late it would
#: say that the time was up, with the answer lying there. So the loop keeps the deadlines, and libcurl's are a net.
_GRACE_SECONDS: Final = 30.0

_NEVER: Final = float("inf")


class CurlLoop:
    """Runs the calls that ``put`` is given. The first one starts its thread, ``close`` ends it for good.

    Each call under way has a handle and a connection of its own; a connection that is free is kept for the next one to
    the same host until it has been idle for ``idle_seconds``, or until the other side closes it. ``on_lag`` hears by
    how many seconds this thread comes too late to a deadline.
    """

    def __init__(self, idle_seconds: float, on_lag: Callable[[float], None] = lambda _seconds: None) -> None:
        self._idle_seconds = idle_seconds
        self._on_lag = on_lag
        self._queued: deque[tuple[Request, OnEnd]] = deque()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_woken = False
        self._is_closing = False
        self._has_ended = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # The rest belongs to the thread.
        self._epoll = select.epoll()
        self._epoll.register(self._wakeup, select.EPOLLIN)
        self._owners: dict[int, _Connection] = {}
        self._idle: dict[tuple[str, ...], deque[_Connection]] = {}
        self._running = 0
        #: When to call which connection, the earliest first; the number only parts those of the same time.
        self._timers: list[tuple[float, int, _Connection]] = []
        self._numbers = itertools.count()
        self._close_idle_at = 0.0

    def put(self, request: Request, on_end: OnEnd) -> bool:
        """Start a call; False when this loop has been closed. Thread-safe."""
        with self._lock:
            if self._has_ended:
                return False
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="http", daemon=True)
                thread.start()  # before the call is taken: there may be no thread to be had
                self._thread = thread
            self._queued.append((request, on_end))
        self._wake()
        return True

    def close(self) -> None:
        """End the thread after the calls under way. May be called twice."""
        self._is_closing = True
        with self._lock:
            thread = self._thread
            self._has_ended = self._has_ended or thread is None
        if thread is not None:
            self._wake()
            thread.join(_CLOSE_SECONDS)

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(ValueError, OSError):  # closed meanwhile: the thread has ended
                os.eventfd_write(self._wakeup, 1)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._step()
            except Exception:
                # The thread's border: without it no call would be answered any more.
                log.exception("http_loop_failed", calls=self._running)
                # Those whose calls were put in meanwhile, and not looked at, don't ring again.
                self._is_woken = False
                self._wake()
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._epoll.close()
        wakeup, self._wakeup = self._wakeup, -1
        os.close(wakeup)

    def _is_over(self) -> bool:
        if not self._is_closing or self._running:
            return False
        with self._lock:
            self._has_ended = not self._queued
            return self._has_ended

    def _step(self) -> None:
        is_woken = False
        for descriptor, event in self._epoll.poll(self._seconds_to_wait()):
            if descriptor == self._wakeup:
                is_woken = True
            else:
                self._on_socket_event(descriptor, event)
        self._run_timers()
        # After what the sockets had to say: so a connection that was closed meanwhile is not used again.
        if is_woken:
            self._start_queued()
        self._close_idle()
        if self._running >= _BUSY_CALLS and not self._is_closing:
            time.sleep(_PAUSE_SECONDS)

    def _seconds_to_wait(self) -> float:
        at = self._timers[0][0] if self._timers else _NEVER
        if self._idle:
            at = min(at, self._close_idle_at)
        return -1 if at == _NEVER else max(0.0, at - time.monotonic())

    def _on_socket_event(self, descriptor: int, event: int) -> None:
        connection = self._owners.get(descriptor)
        if connection is None:
            self._unregister(descriptor)
        elif connection.on_end is None:
            # A connection that nobody uses has nothing to say but its end.
            self._idle[connection.origin].remove(connection)
            self._drop(connection)
        else:
            ready = (pycurl.CSELECT_IN if event & ~select.EPOLLOUT else 0) | (
                pycurl.CSELECT_OUT if event & select.EPOLLOUT else 0
            )
            self._advance(connection, descriptor, ready)

    def _start_queued(self) -> None:
        os.eventfd_read(self._wakeup)
        # First this, then the calls: who puts one in after the last look rings again.
        self._is_woken = False
        while self._queued:
            request, on_end = self._queued.popleft()
            connection: _Connection | None = None
            try:
                with not_begun_on_error(pycurl.error):
                    connection = self._take_connection(request)
                    connection.begin(request)
            except NotSentError as error:
                # A call that was taken is answered whatever happens: who waits for it holds a permit and a lease.
                self._report(on_end, error)
                if connection is not None:
                    self._drop(connection)
                continue
            self._running += 1
            connection.on_end = on_end
            self._advance(connection, pycurl.SOCKET_TIMEOUT, 0)

    def _take_connection(self, request: Request) -> _Connection:
        origin = origin_of(request)
        free = self._idle.get(origin)
        if free:
            # The one used last, so that those there are too many of grow old.
            return free.pop()
        return _Connection(
            self, origin, CurlHandle(round(self._idle_seconds), request.ca_file, grace_seconds=_GRACE_SECONDS)
        )

    def _advance(self, connection: _Connection, descriptor: int, ready: int) -> None:
        """Let libcurl do what can be done now."""
        try:
            if connection.advance(descriptor, ready):
                self._finish(connection, connection.result())
            elif connection.next_timer_at < connection.timer_at:
                connection.timer_at = connection.next_timer_at
                heapq.heappush(self._timers, (connection.next_timer_at, next(self._numbers), connection))
        except Exception:
            log.exception("http_call_failed")
            if connection.on_end is not None:
                self._finish(connection, connection.abort())

    def _time_out(self, connection: _Connection, now: float) -> None:
        """End a call whose deadline has passed: what has arrived counts, nothing that comes later."""
        self._on_lag(now - connection.deadline)
        for descriptor in connection.descriptors():
            self._advance(connection, descriptor, pycurl.CSELECT_IN)
            if connection.on_end is None:
                return
        self._finish(connection, connection.abort(pycurl.E_OPERATION_TIMEDOUT))

    def _finish(self, connection: _Connection, result: Response | Exception) -> None:
        on_end, connection.on_end = connection.on_end, None
        self._running -= 1
        if isinstance(result, Response) and result.is_complete:
            connection.idle_since = time.monotonic()
            self._idle.setdefault(connection.origin, deque()).append(connection)
        else:
            # Whatever state it is in, nobody else should get it.
            self._drop(connection)
        if on_end is not None:
            self._report(on_end, result)

    def _report(self, on_end: OnEnd, result: Response | Exception) -> None:
        try:
            on_end(result)
        except Exception:
            log.exception("http_end_failed")

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, connection = heapq.heappop(self._timers)
            connection.timer_at = _NEVER
            if connection.on_end is not None:
                if connection.deadline <= now:
                    self._time_out(connection, now)
                elif connection.body_ends_at <= now:
                    self._finish(connection, connection.abort())
                elif connection.due_at <= now:
                    connection.due_at = _NEVER
                    self._advance(connection, pycurl.SOCKET_TIMEOUT, 0)
                elif connection.next_timer_at < _NEVER:
                    connection.timer_at = connection.next_timer_at
                    heapq.heappush(self._timers, (connection.next_timer_at, next(self._numbers), connection))

    def _close_idle(self) -> None:
        """Let go of connections that have been idle for too long."""
        now = time.monotonic()
        if now < self._close_idle_at:
            return
        self._close_idle_at = now + self._idle_seconds / 4
        for origin, connections in list(self._idle.items()):
            while connections and connections[0].idle_since <= now - self._idle_seconds:
                self._drop(connections.popleft())
            if not connections:
                del self._idle[origin]

    def _drop(self, connection: _Connection) -> None:
        for descriptor in [descriptor for descriptor, owner in self._owners.items() if owner is connection]:
            self._unregister(descriptor)
        connection.close()

    # --- for the connections ------------------------------------------------------------------------------------------

    def watch(self, connection: _Connection, descriptor: int, mask: int) -> None:
        """Tell ``connection`` when something happens at this socket. The system forgets those that are closed."""
        is_known = self._owners.get(descriptor) is connection
        self._owners[descriptor] = connection
        try:
            (self._epoll.modify if is_known else self._epoll.register)(descriptor, mask)
        except FileNotFoundError:
            self._epoll.register(descriptor, mask)
        except FileExistsError:
            self._epoll.modify(descriptor, mask)

    def stop_waiting_to_write(self, descriptor: int) -> None:
        """Wait only for something to read at this socket."""
        with contextlib.suppress(OSError):  # the connection was closed with the call
            self._epoll.modify(descriptor, select.EPOLLIN)

    def unwatch(self, connection: _Connection, descriptor: int) -> None:
        """Stop waiting at this socket, unless its number is another connection's by now."""
        if self._owners.get(descriptor) is connection:
            self._unregister(descriptor)

    def _unregister(self, descriptor: int) -> None:
        self._owners.pop(descriptor, None)
        with contextlib.suppress(OSError):  # closed by now
            self._epoll.unregister(descriptor)


class _Connection:
    """A libcurl handle with its connection, and the sockets that its call waits for. Belongs to the loop's thread.

    Each has a ``CurlMulti`` of its own, so that it is known whose connection a socket is.
    """

    def __init__(self, loop: CurlLoop, origin: tuple[str, ...], handle: CurlHandle) -> None:
        self.origin = origin
        #: Whose call it is; None while it is free.
        self.on_end: OnEnd | None = None
        #: When libcurl asks to be called without a socket event, and for when the loop has a timer (monotonic).
        self.due_at = _NEVER
        self.timer_at = _NEVER
        #: Until when the rest of an answer is waited for whose status and headers have come.
        self.body_ends_at = _NEVER
        #: When the call must be over.
        self.deadline = _NEVER
        self._waits_for_body = False
        self.idle_since = 0.0
        self._loop = loop
        self._handle = handle
        self._masks: dict[int, int] = {}
        #: Sockets that libcurl stopped waiting for in this step → the events it last waited for.
        self._removed: dict[int, int] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._wait_for)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def begin(self, request: Request) -> None:
        """Take a call; ``advance`` sends it."""
        self._waits_for_body = request.waits_for_body
        self.deadline = time.monotonic() + request.timeout_seconds
        self._handle.prepare(request)
        self._multi.add_handle(self._handle.curl)

    @property
    def next_timer_at(self) -> float:
        """When the loop must look at it without a socket event (monotonic)."""
        return min(self.due_at, self.body_ends_at, self.deadline)

    def advance(self, descriptor: int, ready: int) -> bool:
        """Let libcurl go on; True when the call is over."""
        _, running = self._multi.socket_action(descriptor, ready)
        if self._removed:
            for removed, mask in self._removed.items():
                if running:
                    self._loop.unwatch(self, removed)
                elif mask != select.EPOLLIN:
                    self._loop.stop_waiting_to_write(removed)
                # Else it is the connection, which is kept: the loop goes on listening, for its end.
            self._removed.clear()
        if running and not self._waits_for_body and self.body_ends_at == _NEVER and self._handle.has_head:
            self.body_ends_at = time.monotonic() + BODY_SECONDS
        return not running

    def result(self) -> Response | NotSentError | UnclearError:
        """What came of the call that is over."""
        _, _, failed = self._multi.info_read()
        self._multi.remove_handle(self._handle.curl)
        self.due_at = self.body_ends_at = self.deadline = _NEVER
        return self._handle.result(failed[0][1] if failed else pycurl.E_OK)

    def descriptors(self) -> list[int]:
        """The sockets that libcurl waits for."""
        return list(self._masks)

    def abort(self, code: int = ABORTED) -> Response | NotSentError | UnclearError:
        """What has come of the call so far; there will be no more, and the connection is of no more use."""
        return self._handle.result(code)

    def close(self) -> None:
        """Let go of the connection."""
        self.due_at = self.body_ends_at = self.deadline = _NEVER
        self._handle.curl.close()
        self._multi.close()

    def _wait_for(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._removed[descriptor] = self._masks.pop(descriptor, 0)
            return
        mask = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        if self._masks.get(descriptor) != mask:
            self._masks[descriptor] = mask
            self._removed.pop(descriptor, None)
            self._loop.watch(self, descriptor, mask)

    def _set_timer(self, milliseconds: int) -> None:
        self.due_at = _NEVER if milliseconds < 0 else time.monotonic() + milliseconds / 1000
