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

from wavecom.providers.transport.curl_handle import BROKEN_OFF, Handle, origin_of
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
        self._inbox: deque[tuple[Request, OnEnd]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_rung = False
        self._is_closing = False
        self._has_ended = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # The rest belongs to the thread.
        self._epoll = select.epoll()
        self._epoll.register(self._bell, select.EPOLLIN)
        self._owners: dict[int, _Wire] = {}
        self._free: dict[tuple[str, ...], deque[_Wire]] = {}
        self._running = 0
        #: When to call which wire, the earliest first; the number only parts those of the same time.
        self._alarms: list[tuple[float, int, _Wire]] = []
        self._numbers = itertools.count()
        self._look_over_at = 0.0

    def put(self, request: Request, on_end: OnEnd) -> bool:
        """Start a call; False when this loop has been closed. Thread-safe."""
        with self._lock:
            if self._has_ended:
                return False
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="http", daemon=True)
                thread.start()  # before the call is taken: there may be no thread to be had
                self._thread = thread
            self._inbox.append((request, on_end))
        self._ring()
        return True

    def close(self) -> None:
        """End the thread after the calls under way. May be called twice."""
        self._is_closing = True
        with self._lock:
            thread = self._thread
            self._has_ended = self._has_ended or thread is None
        if thread is not None:
            self._ring()
            thread.join(_CLOSE_SECONDS)

    def _ring(self) -> None:
        if not self._is_rung:
            self._is_rung = True
            with contextlib.suppress(ValueError, OSError):  # closed meanwhile: nobody is there to hear it
                os.eventfd_write(self._bell, 1)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._step()
            except Exception:
                # The thread's border: without it no call would be answered any more.
                log.exception("http_loop_failed", calls=self._running)
                # Those whose calls were put in meanwhile, and not looked at, don't ring again.
                self._is_rung = False
                self._ring()
        for wires in self._free.values():
            for wire in wires:
                wire.close()
        self._epoll.close()
        bell, self._bell = self._bell, -1
        os.close(bell)

    def _is_over(self) -> bool:
        if not self._is_closing or self._running:
            return False
        with self._lock:
            self._has_ended = not self._inbox
            return self._has_ended

    def _step(self) -> None:
        has_rung = False
        for descriptor, event in self._epoll.poll(self._seconds_to_wait()):
            if descriptor == self._bell:
                has_rung = True
            else:
                self._hear(descriptor, event)
        self._sound_alarms()
        # After what the sockets had to say: so a connection that was closed meanwhile is not used again.
        if has_rung:
            self._start_all()
        self._look_over()
        if self._running >= _BUSY_CALLS and not self._is_closing:
            time.sleep(_PAUSE_SECONDS)

    def _seconds_to_wait(self) -> float:
        at = self._alarms[0][0] if self._alarms else _NEVER
        if self._free:
            at = min(at, self._look_over_at)
        return -1 if at == _NEVER else max(0.0, at - time.monotonic())

    def _hear(self, descriptor: int, event: int) -> None:
        wire = self._owners.get(descriptor)
        if wire is None:
            self._forget(descriptor)
        elif wire.on_end is None:
            # A connection that nobody uses has nothing to say but its end.
            self._free[wire.origin].remove(wire)
            self._drop(wire)
        else:
            heard = (pycurl.CSELECT_IN if event & ~select.EPOLLOUT else 0) | (
                pycurl.CSELECT_OUT if event & select.EPOLLOUT else 0
            )
            self._act(wire, descriptor, heard)

    def _start_all(self) -> None:
        os.eventfd_read(self._bell)
        # First this, then the calls: who puts one in after the last look rings again.
        self._is_rung = False
        while self._inbox:
            request, on_end = self._inbox.popleft()
            wire: _Wire | None = None
            try:
                with not_begun_on_error(pycurl.error):
                    wire = self._take_wire(request)
                    wire.begin(request)
            except NotSentError as error:
                # A call that was taken is answered whatever happens: who waits for it holds a permit and a lease.
                self._tell(on_end, error)
                if wire is not None:
                    self._drop(wire)
                continue
            self._running += 1
            wire.on_end = on_end
            self._act(wire, pycurl.SOCKET_TIMEOUT, 0)

    def _take_wire(self, request: Request) -> _Wire:
        origin = origin_of(request)
        free = self._free.get(origin)
        if free:
            # The one used last, so that those there are too many of grow old.
            return free.pop()
        return _Wire(self, origin, Handle(round(self._idle_seconds), request.ca_file, grace_seconds=_GRACE_SECONDS))

    def _act(self, wire: _Wire, descriptor: int, heard: int) -> None:
        """Let libcurl do what can be done now."""
        try:
            if wire.act(descriptor, heard):
                self._end(wire, wire.result())
            elif wire.wants_at < wire.alarm_at:
                wire.alarm_at = wire.wants_at
                heapq.heappush(self._alarms, (wire.wants_at, next(self._numbers), wire))
        except Exception:
            log.exception("http_call_failed")
            if wire.on_end is not None:
                self._end(wire, wire.break_off())

    def _give_up(self, wire: _Wire, now: float) -> None:
        """The time of a call is up: what has arrived counts, nothing that comes later."""
        self._on_lag(now - wire.deadline)
        for descriptor in wire.descriptors():
            self._act(wire, descriptor, pycurl.CSELECT_IN)
            if wire.on_end is None:
                return
        self._end(wire, wire.break_off(pycurl.E_OPERATION_TIMEDOUT))

    def _end(self, wire: _Wire, result: Response | Exception) -> None:
        on_end, wire.on_end = wire.on_end, None
        self._running -= 1
        if isinstance(result, Response) and result.is_complete:
            wire.free_since = time.monotonic()
            self._free.setdefault(wire.origin, deque()).append(wire)
        else:
            # Whatever state it is in, nobody else should get it.
            self._drop(wire)
        if on_end is not None:
            self._tell(on_end, result)

    def _tell(self, on_end: OnEnd, result: Response | Exception) -> None:
        try:
            on_end(result)
        except Exception:
            log.exception("http_end_failed")

    def _sound_alarms(self) -> None:
        now = time.monotonic()
        while self._alarms and self._alarms[0][0] <= now:
            _, _, wire = heapq.heappop(self._alarms)
            wire.alarm_at = _NEVER
            if wire.on_end is not None:
                if wire.deadline <= now:
                    self._give_up(wire, now)
                elif wire.body_ends_at <= now:
                    self._end(wire, wire.break_off())
                elif wire.due_at <= now:
                    wire.due_at = _NEVER
                    self._act(wire, pycurl.SOCKET_TIMEOUT, 0)
                elif wire.wants_at < _NEVER:
                    wire.alarm_at = wire.wants_at
                    heapq.heappush(self._alarms, (wire.wants_at, next(self._numbers), wire))

    def _look_over(self) -> None:
        """Let go of connections that have been idle for too long."""
        now = time.monotonic()
        if now < self._look_over_at:
            return
        self._look_over_at = now + self._idle_seconds / 4
        for origin, wires in list(self._free.items()):
            while wires and wires[0].free_since <= now - self._idle_seconds:
                self._drop(wires.popleft())
            if not wires:
                del self._free[origin]

    def _drop(self, wire: _Wire) -> None:
        for descriptor in [descriptor for descriptor, owner in self._owners.items() if owner is wire]:
            self._forget(descriptor)
        wire.close()

    # --- for the wires ------------------------------------------------------------------------------------------------

    def watch(self, wire: _Wire, descriptor: int, mask: int) -> None:
        """Tell ``wire`` when something happens at this socket. The system forgets those that are closed."""
        is_known = self._owners.get(descriptor) is wire
        self._owners[descriptor] = wire
        try:
            (self._epoll.modify if is_known else self._epoll.register)(descriptor, mask)
        except FileNotFoundError:
            self._epoll.register(descriptor, mask)
        except FileExistsError:
            self._epoll.modify(descriptor, mask)

    def only_listen(self, descriptor: int) -> None:
        """Whether there is room to write does not matter any more."""
        with contextlib.suppress(OSError):  # the connection was closed with the call
            self._epoll.modify(descriptor, select.EPOLLIN)

    def unwatch(self, wire: _Wire, descriptor: int) -> None:
        """No longer, unless the number is another's by now."""
        if self._owners.get(descriptor) is wire:
            self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        self._owners.pop(descriptor, None)
        with contextlib.suppress(OSError):  # closed by now
            self._epoll.unregister(descriptor)


class _Wire:
    """A handle with a connection, and what libcurl waits for in its call. Belongs to the loop's thread.

    Each has a ``CurlMulti`` of its own, so that it is known whose connection a socket is.
    """

    def __init__(self, loop: CurlLoop, origin: tuple[str, ...], handle: Handle) -> None:
        self.origin = origin
        #: Whose call it is; None while it is free.
        self.on_end: OnEnd | None = None
        #: When libcurl wants to be called without anything having happened, and when it will be (monotonic).
        self.due_at = _NEVER
        self.alarm_at = _NEVER
        #: Until when the rest of an answer is waited for whose status and headers have come.
        self.body_ends_at = _NEVER
        #: When the call must be over.
        self.deadline = _NEVER
        self._waits_for_body = False
        self.free_since = 0.0
        self._loop = loop
        self._handle = handle
        self._masks: dict[int, int] = {}
        #: What it no longer waits for, with what for it last waited.
        self._parted: dict[int, int] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._wait_for)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def begin(self, request: Request) -> None:
        """Take a call; ``act`` sends it."""
        self._waits_for_body = request.waits_for_body
        self.deadline = time.monotonic() + request.timeout_seconds
        self._handle.prepare(request)
        self._multi.add_handle(self._handle.curl)

    @property
    def wants_at(self) -> float:
        """When it wants to be looked at although nothing happened."""
        return min(self.due_at, self.body_ends_at, self.deadline)

    def act(self, descriptor: int, heard: int) -> bool:
        """Let libcurl go on; True when the call is over."""
        _, running = self._multi.socket_action(descriptor, heard)
        if self._parted:
            for parted, mask in self._parted.items():
                if running:
                    self._loop.unwatch(self, parted)
                elif mask != select.EPOLLIN:
                    self._loop.only_listen(parted)
                # Else it is the connection, which is kept: the loop goes on listening, for its end.
            self._parted.clear()
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

    def break_off(self, code: int = BROKEN_OFF) -> Response | NotSentError | UnclearError:
        """What has come of the call so far; there will be no more, and the connection is of no more use."""
        return self._handle.result(code)

    def close(self) -> None:
        """Let go of the connection."""
        self.due_at = self.body_ends_at = self.deadline = _NEVER
        self._handle.curl.close()
        self._multi.close()

    def _wait_for(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._parted[descriptor] = self._masks.pop(descriptor, 0)
            return
        mask = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        if self._masks.get(descriptor) != mask:
            self._masks[descriptor] = mask
            self._parted.pop(descriptor, None)
            self._loop.watch(self, descriptor, mask)

    def _set_timer(self, milliseconds: int) -> None:
        self.due_at = _NEVER if milliseconds < 0 else time.monotonic() + milliseconds / 1000
