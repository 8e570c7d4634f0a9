"""HTTP by libcurl: a tenth of the CPU time of any client in Python, and a total deadline of its own."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from weakref import WeakSet

import pycurl

from wavecom.providers.transport.curl_handle import CurlHandle, http_versions, origin_of
from wavecom.providers.transport.curl_loop import HAS_EPOLL, CurlLoop
from wavecom.providers.transport.faults import not_begun_on_error
from wavecom.providers.transport.port import (
    BODY_SECONDS,
    IDLE_SECONDS,
    NotSentError,
    OnEnd,
    Request,
    Response,
    TransportFault,
    UnclearError,
)


class CurlTransport:
    """``HttpTransport`` by libcurl.

    ``send`` has a handle for each thread, which keeps one connection to the host called last. What ``start`` is given
    runs on one thread for all, where there is epoll; ``on_lag`` hears by how many seconds that one comes too late.
    """

    def __init__(
        self, *, idle_seconds: int = IDLE_SECONDS, on_lag: Callable[[float], None] = lambda _seconds: None
    ) -> None:
        self.http_versions = http_versions()
        self._idle_seconds = idle_seconds
        self._on_lag = on_lag
        self._thread_local = _ThreadLocal()
        self._handles: WeakSet[_ThreadHandle] = WeakSet()
        self._lock = threading.Lock()
        self._loop: CurlLoop | None = None

    def send(self, request: Request) -> Response:
        """See ``HttpTransport.send``."""
        with not_begun_on_error(pycurl.error):
            handles = self._thread_local.handles
            origin = origin_of(request)
            handle = handles.get(origin)
            if handle is None or handle.is_closed:
                # One a thread: hundreds of threads would else keep connections to every host they ever called.
                for other in handles.values():
                    other.close()
                handles.clear()
                handle = handles[origin] = _ThreadHandle(self._idle_seconds, request)
                with self._lock:
                    self._handles.add(handle)
        return handle.send(request)

    def start(self, request: Request, on_end: OnEnd) -> bool:
        """See ``HttpTransport.start``."""
        if not HAS_EPOLL:
            return False
        try:
            with not_begun_on_error(pycurl.error):
                while (loop := self._loop) is None or not loop.put(request, on_end):
                    with self._lock:
                        if self._loop is loop:
                            self._loop = CurlLoop(self._idle_seconds, self._on_lag)
        except NotSentError as error:
            on_end(error)
        return True

    def close(self) -> None:
        """See ``HttpTransport.close``."""
        with self._lock:
            handles = list(self._handles)
            loop = self._loop
        for handle in handles:
            handle.close()
        if loop is not None:
            loop.close()


class _ThreadLocal(threading.local):
    def __init__(self) -> None:
        self.handles: dict[tuple[str, ...], _ThreadHandle] = {}


class _ThreadHandle(CurlHandle):
    """A handle of one thread; only ``close`` may come from another."""

    def __init__(self, idle_seconds: int, request: Request) -> None:
        super().__init__(idle_seconds, request)
        self.is_closed = False
        self._lock = threading.Lock()
        self._waits_for_body = False
        self._body_ends_at: float | None = None
        self.curl.setopt(pycurl.XFERINFOFUNCTION, self._on_progress)
        self.curl.setopt(pycurl.NOPROGRESS, False)

    def send(self, request: Request) -> Response:
        with self._lock:
            with not_begun_on_error(pycurl.error):
                self.prepare(request)
                if self._is_stale():
                    self.curl.setopt(pycurl.FRESH_CONNECT, True)
            self._waits_for_body = request.waits_for_body
            self._body_ends_at = None
            code = pycurl.E_OK
            try:
                self.curl.perform()
            except pycurl.error as error:
                code = int(error.args[0])  # its text holds the address
        try:
            result = self.result(code)
        except MemoryError:
            raise UnclearError(TransportFault.OTHER) from None  # whatever has come: it went out
        if isinstance(result, Response):
            return result
        raise result from None

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            self.curl.close()

    def _on_progress(self, *_counts: int) -> int:
        """Called by libcurl with every step and at least each second; anything but 0 ends the call."""
        if self._waits_for_body or not self.has_head:
            return 0
        now = time.monotonic()
        if self._body_ends_at is None:
            self._body_ends_at = now + BODY_SECONDS
        return int(now >= self._body_ends_at)

    def _is_stale(self) -> bool:
        """Whether the other side has closed the kept connection. libcurl itself looks only after a second's pause."""
        descriptor = self.curl.getinfo(pycurl.ACTIVESOCKET)
        if descriptor == -1:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))  # an idle connection has nothing to say but its end
