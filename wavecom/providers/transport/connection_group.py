"""Connections to one host whose calls share a ``CurlMulti``, and what libcurl waits for in each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Final

import pycurl
import structlog

from wavecom.providers.transport.curl_handle import CurlHandle
from wavecom.providers.transport.port import (
    BODY_SECONDS,
    NotSentError,
    OnEnd,
    Request,
    Response,
    TransportFault,
    UnclearError,
)
from wavecom.providers.transport.socket_watcher import READABLE, WRITABLE, SocketWatcher

log = structlog.get_logger()

NEVER: Final = float("inf")

#: Connections that share a ``CurlMulti``. It holds two descriptors (libcurl wakes itself by them), which so many share;
#: and it has 20 threads for name look-ups, of which a call needs two: with many more a burst would wait for them.
GROUP_SIZE: Final = 32


class Connection:
    """A handle with a connection of its own, which no other handle can take. Belongs to the loop's thread.

    Its pool of connections is its own (a ``CurlShare`` that nobody shares, which takes no descriptor): so it is known
    whose a socket is, and one that the other side has closed is not used again.
    """

    def __init__(self, group: ConnectionGroup, handle: CurlHandle) -> None:
        self.group = group
        self.handle = handle
        #: Whose call it is; None while it is free.
        self.on_end: OnEnd | None = None
        #: The socket that is listened to for its end, because libcurl does not wait for it; else -1.
        self.kept_descriptor = -1
        self.idle_since = 0.0
        #: When the call must be over (monotonic).
        self.deadline = NEVER
        #: Until when the rest of an answer is waited for whose status and headers have come.
        self.body_ends_at = NEVER
        #: When the loop will look at the two.
        self.checked_at = NEVER
        self._waits_for_body = False
        self._pool: pycurl.CurlShare | None = self.new_pool()
        handle.curl.setopt(pycurl.SOCKOPTFUNCTION, self.take_socket)
        # Each new connection asks for the address: a name that one call could not find is not held against the others.
        handle.curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)

    def new_pool(self) -> pycurl.CurlShare | None:
        """Its own pool of connections; None: the group's."""
        pool = pycurl.CurlShare()
        pool.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
        self.handle.curl.setopt(pycurl.SHARE, pool)
        return pool

    def begin(self, request: Request) -> None:
        """Take a call; the group's ``advance`` sends it."""
        self._waits_for_body = request.waits_for_body
        self.deadline = time.monotonic() + request.timeout_seconds
        self.handle.prepare(request)
        self.group.add(self)

    def end(self, code: int) -> Response | NotSentError | UnclearError:
        """What has come of the call, which is over; ``code`` is libcurl's, or ``ABORTED``. To be called once."""
        self.deadline = self.body_ends_at = NEVER
        try:
            self.group.remove(self)
            return self.handle.result(code)
        except Exception:
            log.exception("http_call_failed")
            return UnclearError(TransportFault.OTHER)

    @property
    def due_at(self) -> float:
        """When it must be looked at although nothing happened (monotonic)."""
        return min(self.body_ends_at, self.deadline)

    def look_for_head(self, now: float) -> bool:
        """Whether status and headers have come: from then on the body is waited for only so long."""
        if self._waits_for_body or self.body_ends_at < NEVER or not self.handle.has_head:
            return False
        self.body_ends_at = now + BODY_SECONDS
        return True

    @property
    def active_descriptor(self) -> int:
        """The socket that the next call would use; -1 where that makes a new one. Another may be about to be closed."""
        return int(self.handle.curl.getinfo(pycurl.ACTIVESOCKET))

    @property
    def is_reusable(self) -> bool:
        """Whether its end would have been heard of, or it has no socket that could have ended."""
        return self.kept_descriptor == self.active_descriptor

    def close(self) -> None:
        """Let go of the connection."""
        self.deadline = self.body_ends_at = NEVER
        self.group.drop(self)
        self.handle.curl.close()
        if self._pool is not None:
            self._pool.close()

    def take_socket(self, descriptor: int, _purpose: int) -> int:
        """Called by libcurl for each socket that it has made for this handle."""
        self.group.own(descriptor, self)
        return pycurl.SOCKOPT_OK


class ConnectionGroup:
    """Up to ``GROUP_SIZE`` connections to one origin. Belongs to the loop's thread."""

    def __init__(self, origin: tuple[str, ...], watcher: SocketWatcher[ConnectionGroup | None]) -> None:
        self.origin = origin
        self.connections: set[Connection] = set()
        #: When libcurl wants to be called without anything having happened (monotonic).
        self.due_at = NEVER
        #: Since when it has no connection.
        self.empty_since = 0.0
        self._watcher = watcher
        self.running: dict[pycurl.Curl, Connection] = {}
        #: Whose each socket is.
        self.sockets: dict[int, Connection] = {}
        #: The descriptors by which libcurl wakes itself, and whether it waits for them now.
        self.wakeups: dict[int, bool] = {}
        #: What libcurl has made, or no longer waits for, since ``settle``; by now it may be closed.
        self.unwatched: set[int] = set()
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        # A TLS connection that is closed waits for the other side to take leave: no more of those than of calls.
        self.multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, GROUP_SIZE)

    # --- for the loop -------------------------------------------------------------------------------------------------

    @property
    def has_room_for_calls(self) -> bool:
        """Whether its free connections may take calls."""
        return True

    @property
    def has_room(self) -> bool:
        """Whether another connection may be made."""
        return len(self.connections) < GROUP_SIZE

    def connect(self, handle: CurlHandle) -> Connection:
        """One connection more, free to take a call."""
        connection = self.new_connection(handle)
        self.connections.add(connection)
        return connection

    def new_connection(self, handle: CurlHandle) -> Connection:
        """What ``connect`` adds."""
        return Connection(self, handle)

    def touched_by(self, descriptor: int) -> Sequence[Connection]:
        """Whose answers may have come by what happened at a socket that is no single connection's."""
        return ()

    def retire(self) -> None:
        """A call got no answer: whatever it shared with others takes no new call."""

    def on_resting_event(self, descriptor: int) -> None:
        """Something happened at a socket for which libcurl does not wait."""

    def is_resting(self, descriptor: int) -> bool:
        """Whether libcurl wakes itself by it, but does not wait for that now: it would not look there."""
        return self.wakeups.get(descriptor) is False

    def sockets_of(self, connection: Connection) -> list[int]:
        """The sockets made for it, of which one at most is in use; the numbers of closed ones stay among them."""
        return [descriptor for descriptor, owner in self.sockets.items() if owner is connection]

    def advance(self, descriptor: int, events: int) -> Sequence[tuple[Connection, int]]:
        """Let libcurl go on; the calls that are over by that, with its codes. They stay until ``Connection.end``.

        Raises whatever libcurl raises where it can't go on at all: then no call of this group can.
        """
        _, running = self.multi.socket_action(descriptor, events)
        if running >= len(self.running):
            return ()
        _, done, failed = self.multi.info_read()
        codes = [(curl, pycurl.E_OK) for curl in done] + [(curl, code) for curl, code, _ in failed]
        return [(self.running[curl], code) for curl, code in codes if curl in self.running]

    def settle(self) -> None:
        """After all that libcurl had to do: listen to free connections for their end, and to nothing else left over."""
        for descriptor in self.unwatched:
            connection = self.sockets.get(descriptor)
            # An older one, of which libcurl has taken leave only now, is not what the next call would use.
            if connection is not None and connection.on_end is None and connection.active_descriptor == descriptor:
                with contextlib.suppress(OSError):  # the connection was closed with the call
                    self._watcher.watch(descriptor, READABLE, self)
                    connection.kept_descriptor = descriptor
            else:
                self._watcher.forget(descriptor, self)
        self.unwatched.clear()

    def clean_up(self) -> None:
        """Close TLS connections of which nobody has taken leave in time; libcurl sets no timer for them."""
        if not self.running:
            self.multi.perform()

    def close(self) -> None:
        """Let go of everything. Waits for name look-ups under way."""
        for connection in list(self.connections):
            connection.close()
        self.multi.close()

    # --- for its connections ------------------------------------------------------------------------------------------

    def add(self, connection: Connection) -> None:
        """Count a call in: it has begun on one of these connections."""
        self.multi.add_handle(connection.handle.curl)
        self.running[connection.handle.curl] = connection

    def remove(self, connection: Connection) -> None:
        """A call is over, or broken off."""
        if self.running.pop(connection.handle.curl, None) is not None:
            try:
                self.multi.remove_handle(connection.handle.curl)
            except pycurl.error:  # libcurl has given up this group
                log.exception("http_call_not_removed")

    def own(self, descriptor: int, connection: Connection) -> None:
        """A new socket."""
        self._watcher.expect_new(descriptor)
        self.wakeups.pop(descriptor, None)
        self.unwatched.add(descriptor)
        self.sockets[descriptor] = connection

    def own_shared(self, descriptor: int) -> None:
        """A new socket that is no single connection's: libcurl alone says what to wait for there."""
        self._watcher.expect_new(descriptor)
        self.wakeups.pop(descriptor, None)

    def drop(self, connection: Connection) -> None:
        """A connection is about to be closed."""
        self.remove(connection)
        for descriptor in [each for each, owner in self.sockets.items() if owner is connection]:
            del self.sockets[descriptor]
            # Others libcurl may still wait for: it takes leave of a TLS connection that has no owner any more.
            if descriptor == connection.kept_descriptor:
                self._watcher.forget(descriptor, self)
        self.connections.discard(connection)
        if not self.connections:
            self.empty_since = time.monotonic()

    # --- called by libcurl --------------------------------------------------------------------------------------------

    def _on_socket(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        connection = self.sockets.get(descriptor)
        if what == pycurl.POLL_REMOVE:
            if descriptor in self.wakeups:
                # The next call waits for it again: epoll is not told each time.
                self.wakeups[descriptor] = False
            else:
                self.unwatched.add(descriptor)
            return
        if connection is None:
            self.wakeups[descriptor] = True
        elif connection.kept_descriptor == descriptor:
            connection.kept_descriptor = -1
        self.unwatched.discard(descriptor)
        events = (READABLE if what & pycurl.POLL_IN else 0) | (WRITABLE if what & pycurl.POLL_OUT else 0)
        try:
            self._watcher.watch(descriptor, events, self)
        except OSError:
            # libcurl would give up all calls of this group; so it is one, at its deadline.
            log.exception("http_socket_not_watched")

    def _on_timer(self, milliseconds: int) -> None:
        self.due_at = NEVER if milliseconds < 0 else time.monotonic() + milliseconds / 1000
