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

from wavecom.providers.transport.connection_group import NEVER, Connection, ConnectionGroup
from wavecom.providers.transport.curl_handle import ABORTED, CurlHandle, origin_of
from wavecom.providers.transport.faults import not_begun_on_error
from wavecom.providers.transport.port import (
    HttpVersion,
    NotSentError,
    OnEnd,
    Request,
    Response,
    TransportError,
    TransportFault,
    UnclearError,
)
from wavecom.providers.transport.socket_watcher import READABLE, WRITABLE, SocketWatcher
from wavecom.providers.transport.stream_group import StreamGroup

log = structlog.get_logger()

HAS_EPOLL: Final = hasattr(select, "epoll") and hasattr(os, "eventfd")

#: With so many calls under way answers are taken together, after each pause, in place of one by one (ADR 10).
_BUSY_CALLS: Final = 16
_PAUSE_SECONDS: Final = 0.008
#: How long ``close`` waits for the calls under way: longer than any may take.
_CLOSE_SECONDS: Final = 15.0

#: libcurl looks at its clock before it looks at the socket: of a call that this thread came back to too late it would
#: say that the time was up, with the answer lying there. So the loop keeps the deadlines, and libcurl's are a net.
_GRACE_SECONDS: Final = 30.0

#: So long a group without connections is kept. Closing it waits for its name look-ups, which nothing can break off: by
#: then they have ended.
_EMPTY_GROUP_SECONDS: Final = 60.0


class CurlLoop:
    """Runs the calls that ``put`` is given. The first one starts its thread, ``close`` ends it for good.

    Each call under way has a handle, and over HTTP/1.1 a connection of its own; one that is free is kept for the next
    call to the same host until it has been idle for ``idle_seconds``, or until the other side closes it. ``on_lag``
    hears by how many seconds this thread comes too late to a deadline.
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
        self._watcher: SocketWatcher[ConnectionGroup | None] = SocketWatcher()
        self._watcher.watch(self._wakeup, READABLE, None)
        self._groups: list[ConnectionGroup] = []
        self._idle: dict[tuple[str, ...], deque[Connection]] = {}
        self._running = 0
        #: Connections at which something happened, and whose answer's head may have come by that.
        self._touched: list[Connection] = []
        #: When to look at which connection, the earliest first; the number only parts those of the same time.
        self._checks: list[tuple[float, int, Connection]] = []
        self._numbers = itertools.count()
        self._clean_up_at = 0.0

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
            with contextlib.suppress(ValueError, OSError):  # closed meanwhile: nobody is there to be woken
                os.eventfd_write(self._wakeup, 1)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._step()
            except Exception:
                # The thread's border: without it no call would be answered any more.
                log.exception("http_loop_failed", calls=self._running)
                # Those whose calls were put in meanwhile, and not looked at, don't wake it again.
                self._is_woken = False
                self._wake()
        for group in self._groups:
            group.close()
        self._watcher.close()
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
        for descriptor, events in self._watcher.poll(self._seconds_to_wait()):
            if descriptor == self._wakeup:
                is_woken = True
            else:
                self._on_socket_event(descriptor, events)
        now = time.monotonic()
        if self._checks and self._checks[0][0] <= now:
            self._check_deadlines(now)
        if is_woken:
            # After what the sockets had to say: so a connection that was closed meanwhile is not used again.
            self._settle()
            self._start_queued()
            now = time.monotonic()
        for group in [group for group in self._groups if group.due_at <= now]:
            group.due_at = NEVER
            self._advance(group, pycurl.SOCKET_TIMEOUT, 0)
        if self._touched:
            self._look_for_heads(now)
        self._settle()
        if now >= self._clean_up_at:
            self._clean_up(now)
        if self._running >= _BUSY_CALLS and not self._is_closing:
            time.sleep(_PAUSE_SECONDS)

    def _seconds_to_wait(self) -> float:
        at = self._checks[0][0] if self._checks else NEVER
        for group in self._groups:
            at = min(at, group.due_at, self._clean_up_at)
        return -1 if at == NEVER else max(0.0, at - time.monotonic())

    def _settle(self) -> None:
        for group in self._groups:
            if group.unwatched:
                group.settle()

    def _on_socket_event(self, descriptor: int, events: int) -> None:
        group = self._watcher.owner(descriptor)
        if group is None:
            self._watcher.forget(descriptor, None)
            return
        connection = group.sockets.get(descriptor)
        if connection is not None:
            if connection.kept_descriptor == descriptor and connection.on_end is None:
                # A connection that nobody uses has nothing to say but its end, or over HTTP/2 a PING: which, only
                # libcurl could tell, and it reads none but busy ones. So a PING costs a new connection.
                self._idle[group.origin].remove(connection)
                connection.close()
                return
            self._touched.append(connection)
        elif group.is_resting(descriptor):
            self._watcher.forget(descriptor, group)
            group.on_resting_event(descriptor)
            return
        else:
            self._touched.extend(group.touched_by(descriptor))
        # An error or the end is read like an answer.
        ready = pycurl.CSELECT_IN if events & ~WRITABLE else 0
        self._advance(group, descriptor, ready | (pycurl.CSELECT_OUT if events & WRITABLE else 0))

    def _start_queued(self) -> None:
        os.eventfd_read(self._wakeup)
        # First this, then the calls: who puts one in after the last look wakes this thread again.
        self._is_woken = False
        while self._queued:
            request, on_end = self._queued.popleft()
            connection: Connection | None = None
            try:
                with not_begun_on_error(pycurl.error):
                    connection = self._take_connection(request)
                    connection.begin(request)
            except NotSentError as error:
                # A call that was taken is answered whatever happens: who waits for it holds a permit and a lease.
                self._report(on_end, error)
                if connection is not None:
                    connection.close()
                continue
            self._running += 1
            connection.on_end = on_end
            self._touched.append(connection)
            self._check_at_due_time(connection)

    def _take_connection(self, request: Request) -> Connection:
        origin = origin_of(request)
        free = self._idle.get(origin)
        while free:
            # The one used last, so that those there are too many of grow old.
            connection = free.pop()
            if connection.is_reusable:
                return connection
            connection.close()  # nobody would have heard of its end
        group = next((group for group in self._groups if group.origin == origin and group.has_room), None)
        if group is None:
            kind = StreamGroup if request.http_version is HttpVersion.HTTP_2 else ConnectionGroup
            group = kind(origin, self._watcher)
            self._groups.append(group)
        return group.connect(CurlHandle(round(self._idle_seconds), request, grace_seconds=_GRACE_SECONDS))

    def _advance(self, group: ConnectionGroup, descriptor: int, ready: int) -> None:
        """Let libcurl do what can be done now."""
        try:
            ends = group.advance(descriptor, ready)
        except Exception:
            log.exception("http_calls_failed")
            self._abandon(group)
            return
        for connection, code in ends:
            self._finish(connection, code)

    def _finish(self, connection: Connection, code: int) -> None:
        on_end, connection.on_end = connection.on_end, None
        self._running -= 1
        result = connection.end(code)
        if isinstance(result, Response) and result.is_complete:
            connection.idle_since = time.monotonic()
            self._idle.setdefault(connection.group.origin, deque()).append(connection)
        else:
            # Whatever state it is in, nobody else should get it.
            connection.close()
            if isinstance(result, TransportError):
                self._retire_after(result, connection.group)
        if on_end is not None:
            self._report(on_end, result)

    def _retire_after(self, error: TransportError, group: ConnectionGroup) -> None:
        """Have no new call use what the group's calls share, if it may be why this one got no answer.

        That is so where it went out, and where the time was up. Whoever refuses a connection, or lacks what a call
        takes, says nothing about those that there are.
        """
        if isinstance(error, UnclearError):
            group.retire()
            # Its calls have been sent, so no name is being looked up that closing it would wait for.
            if not group.has_room_for_calls and not group.running:
                self._abandon(group)
        elif error.fault is TransportFault.TIMEOUT:
            group.retire()

    def _abandon(self, group: ConnectionGroup) -> None:
        """Let go of a group at once. If it has calls, libcurl can't go on with them: what has come of them counts."""
        if group not in self._groups:
            # Another of its sockets was in the same poll.
            return
        self._groups.remove(group)
        if group.origin in self._idle:
            self._idle[group.origin] = deque(each for each in self._idle[group.origin] if each.group is not group)
        for connection in list(group.connections):
            if connection.on_end is not None:
                self._finish(connection, ABORTED)
        group.close()

    def _report(self, on_end: OnEnd, result: Response | Exception) -> None:
        try:
            on_end(result)
        except Exception:
            log.exception("http_end_failed")

    # --- time ---------------------------------------------------------------------------------------------------------

    def _check_at_due_time(self, connection: Connection) -> None:
        due_at = connection.due_at
        if due_at < connection.checked_at:
            connection.checked_at = due_at
            heapq.heappush(self._checks, (due_at, next(self._numbers), connection))

    def _check_deadlines(self, now: float) -> None:
        while self._checks and self._checks[0][0] <= now:
            _, _, connection = heapq.heappop(self._checks)
            connection.checked_at = NEVER
            if connection.on_end is None:
                continue
            if connection.deadline <= now:
                self._time_out(connection, now)
            elif connection.body_ends_at <= now:
                self._finish(connection, ABORTED)
            else:
                self._check_at_due_time(connection)

    def _time_out(self, connection: Connection, now: float) -> None:
        """End a call whose deadline has passed: what has arrived counts, nothing that comes later."""
        self._on_lag(now - connection.deadline)
        for descriptor in connection.group.sockets_of(connection):
            self._advance(connection.group, descriptor, pycurl.CSELECT_IN)
            if connection.on_end is None:
                return
        self._finish(connection, pycurl.E_OPERATION_TIMEDOUT)

    def _look_for_heads(self, now: float) -> None:
        for connection in self._touched:
            if connection.on_end is not None and connection.look_for_head(now):
                self._check_at_due_time(connection)
        # libcurl may read on by its own timer, without anything happening at the socket. It has set that after ``now``.
        at_once = time.monotonic()
        self._touched = [each for each in self._touched if each.group.due_at <= at_once and each.on_end is not None]

    def _clean_up(self, now: float) -> None:
        """Let go of connections that have been idle for too long, and of groups that are of no more use."""
        self._clean_up_at = now + self._idle_seconds / 4
        for origin, connections in list(self._idle.items()):
            while connections and connections[0].idle_since <= now - self._idle_seconds:
                connections.popleft().close()
            if not connections:
                del self._idle[origin]
        for group in list(self._groups):
            if not group.has_room_for_calls and not group.running:
                self._abandon(group)
            elif group.connections or group.empty_since > now - _EMPTY_GROUP_SECONDS:
                group.clean_up()
            else:
                self._groups.remove(group)
                group.close()
