"""urllib3 beyond its documentation: connections that keep the total deadline of the call which uses them.

urllib3's own time-outs begin anew with every byte. The documented way is to live with that; see ``transport.requests``.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from wavecom.internals.fast_paths import Library, changed_signature, missing_attributes
from wavecom.providers.transport.deadline import Deadline, DeadlineSocket, Resolve, connect
from wavecom.providers.transport.port import BODY_SECONDS, CONNECT_SECONDS, Request


class CurrentCall(threading.local):
    """The call that this thread is making; its connections look here for their deadline."""

    deadline: Deadline
    resolve: Resolve
    #: See ``Request.addresses``.
    addresses: tuple[str, ...]
    idle_seconds: float
    is_sent: bool
    waits_for_body: bool
    #: Status and headers, once they have come.
    head: tuple[int, dict[str, str]] | None
    body: bytearray

    def begin(self, request: Request, resolve: Resolve, idle_seconds: float) -> None:
        self.deadline = Deadline(request.timeout_seconds)
        self.resolve = resolve
        self.addresses = request.addresses
        self.idle_seconds = idle_seconds
        self.is_sent = False
        self.waits_for_body = request.waits_for_body
        self.head = None
        self.body = bytearray()


call: Final = CurrentCall()


class _HttpResponse(http.client.HTTPResponse):
    """Keeps status and headers for the call as soon as they have come, before any library looks at them."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._socket = sock  # a DeadlineSocket, or a DeadlineTlsSocket

    def begin(self) -> None:
        try:
            super().begin()
            while 100 <= self.status < 200 and self.status != 101:  # 103 and the like: the answer is still to come
                self._refuse_incomplete_head()
                self.headers = None  # type: ignore[assignment]  # as before the first head: then begin reads one more
                super().begin()
        except http.client.HTTPException:
            # No HTTP behind a status line: a header too long, too many of them.
            if isinstance(self.status, int) and self.status >= 200 and not self._socket.has_ended:
                call.head = (self.status, {})
            raise
        self._refuse_incomplete_head()
        call.head = (self.status, {name.lower(): value.strip() for name, value in self.headers.items()})
        # The libraries get what they need for the body and no more: they look at all sorts of headers, raise what they
        # like, and log what they can't read together with the address.
        kept = http.client.HTTPMessage()
        for name in ("Content-Length", "Transfer-Encoding", "Connection"):
            if value := self.headers.get(name):
                kept[name] = value
        self.headers = self.msg = kept
        if not call.waits_for_body:
            self._socket.deadline = call.deadline.at_most(BODY_SECONDS)

    def _refuse_incomplete_head(self) -> None:
        """http.client takes the end of the connection for the end of the headers."""
        if self._socket.has_ended:
            raise http.client.IncompleteRead(b"")


class _Connection(HTTPConnection):
    sock: Any  # a DeadlineSocket, or a DeadlineTlsSocket
    response_class: Any = _HttpResponse
    _used_at = 0.0
    #: What the request that it was made for named; urllib3 keeps connections by host alone.
    _addresses: tuple[str, ...] = ()

    def _new_conn(self) -> DeadlineSocket:
        return connect(self._dns_host, self.port, call.deadline.at_most(CONNECT_SECONDS), call.resolve)

    def connect(self) -> None:
        super().connect()
        self._addresses = call.addresses
        self.sock.deadline = call.deadline

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self.sock.deadline = call.deadline
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        call.is_sent = True
        self._used_at = time.monotonic()
        super().send(data)

    @property
    def is_connected(self) -> bool:
        if self._addresses != call.addresses or time.monotonic() - self._used_at >= call.idle_seconds:
            return False
        return super().is_connected


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def use_in(pool_manager: Any) -> None:
    """Have a ``urllib3.PoolManager`` make connections with deadlines."""
    pool_manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


def _check() -> Iterator[str]:
    yield from missing_attributes(urllib3.PoolManager(), "pool_classes_by_scheme")
    yield from missing_attributes(urllib3.HTTPConnectionPool, "ConnectionCls")
    yield from missing_attributes(HTTPConnection("localhost"), "_dns_host", "response_class", "is_connected", "sock")
    yield from changed_signature(HTTPConnection, "_new_conn")
    yield from changed_signature(HTTPConnection, "connect")
    yield from changed_signature(HTTPConnection, "send", "data")
    if not issubclass(HTTPSConnection, HTTPConnection):
        yield "HTTPSConnection is no HTTPConnection"


LIBRARY: Final = Library("urllib3", lambda: list(_check()))
