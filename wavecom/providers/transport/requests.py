"""HTTP by requests, for platforms without pycurl: works everywhere, at ten times the CPU time.

requests and urllib3 have no total deadline; the connections given to them here do.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from typing import Any, Final
from weakref import WeakSet

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from wavecom.providers.transport.deadline import Deadline, DeadlineSocket, Resolve, connect, tls_context
from wavecom.providers.transport.faults import FaultTable, fault_of, is_caused_by_exhaustion, not_begun_on_error
from wavecom.providers.transport.port import (
    BODY_SECONDS,
    CONNECT_SECONDS,
    IDLE_SECONDS,
    MAX_BODY_BYTES,
    USER_AGENT,
    NotSentError,
    OnEnd,
    Request,
    Response,
    TransportFault,
    UnclearError,
)

#: See ``fault_of``.
FAULTS: Final[FaultTable] = (
    (socket.gaierror, TransportFault.DNS),
    (ConnectionRefusedError, TransportFault.CONNECT),
    (ssl.SSLError, TransportFault.TLS),
    (TimeoutError, TransportFault.TIMEOUT),
    (http.client.RemoteDisconnected, TransportFault.NO_ANSWER),
    (http.client.IncompleteRead, TransportFault.SHORT_ANSWER),
    (urllib3.exceptions.IncompleteRead, TransportFault.SHORT_ANSWER),
    (http.client.HTTPException, TransportFault.MALFORMED_ANSWER),
    (ConnectionError, TransportFault.RESET),
    (OSError, TransportFault.CONNECT),
)


#: What a network brings about; anything else is a fault of ours.
_EXPECTED: Final = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


class RequestsTransport:
    """``HttpTransport`` with one of requests' adapters per thread and set of trusted authorities.

    Adapters and not sessions: a session reads proxies, passwords and cookies, and the whole body of a redirect.
    """

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS, resolve: Resolve = socket.getaddrinfo) -> None:
        self._idle_seconds = idle_seconds
        self._resolve = resolve
        self._thread_local = _ThreadLocal()
        self._adapters: WeakSet[_Adapter] = WeakSet()
        #: By file of authorities; one for all threads, for reading the file takes long.
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def send(self, request: Request) -> Response:
        """See ``HttpTransport.send``."""
        _call.begin(request, self._resolve, self._idle_seconds)
        try:
            return self._send(request)
        except Exception as error:
            if _call.head is not None:
                # Whatever the libraries made of what followed: the status was read.
                return Response(*_call.head, bytes(_call.body), is_complete=False)
            if not _call.is_sent and not isinstance(error, _EXPECTED):
                with not_begun_on_error():
                    raise
            if not _call.is_sent and is_caused_by_exhaustion(error):
                raise NotSentError(TransportFault.NOT_BEGUN) from None
            fault = fault_of(error, FAULTS)
            raise (UnclearError(fault) if _call.is_sent else NotSentError(fault)) from None  # its text has the address

    def start(self, request: Request, on_end: OnEnd) -> bool:
        """See ``HttpTransport.start``: not without a thread that waits."""
        return False

    def close(self) -> None:
        """See ``HttpTransport.close``."""
        with self._lock:
            adapters = list(self._adapters)
        for adapter in adapters:
            adapter.close()

    def _send(self, request: Request) -> Response:
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **request.headers}
        prepared = requests.Request("POST", request.url, headers=headers, data=request.body).prepare()
        adapter = self._adapter(request)
        answer = adapter.send(prepared, stream=True, timeout=request.timeout_seconds)
        with answer:
            while len(_call.body) <= MAX_BODY_BYTES and (
                part := answer.raw.read1(MAX_BODY_BYTES + 1 - len(_call.body), decode_content=False)
            ):
                _call.body += part
        status, answer_headers = _call.head or (answer.status_code, {})
        return Response(status, answer_headers, bytes(_call.body[:MAX_BODY_BYTES]))

    def _adapter(self, request: Request) -> _Adapter:
        adapters = self._thread_local.adapters
        ca_file = (request.ca_file or certifi.where()) if request.url.startswith("https") else None
        if ca_file not in adapters:
            with self._lock:
                if ca_file and ca_file not in self._contexts:
                    self._contexts[ca_file] = tls_context(ca_file)
                adapters[ca_file] = _Adapter(self._contexts.get(ca_file or ""))
                self._adapters.add(adapters[ca_file])
        return adapters[ca_file]


class _ThreadLocal(threading.local):
    def __init__(self) -> None:
        self.adapters: dict[str | None, _Adapter] = {}


class _CurrentCall(threading.local):
    """The call that this thread is making; its connections look here for their deadline."""

    deadline: Deadline
    resolve: Resolve
    idle_seconds: float
    is_sent: bool
    waits_for_body: bool
    #: Status and headers, once they have come.
    head: tuple[int, dict[str, str]] | None
    body: bytearray

    def begin(self, request: Request, resolve: Resolve, idle_seconds: float) -> None:
        self.deadline = Deadline(request.timeout_seconds)
        self.resolve = resolve
        self.idle_seconds = idle_seconds
        self.is_sent = False
        self.waits_for_body = request.waits_for_body
        self.head = None
        self.body = bytearray()


_call = _CurrentCall()


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
                _call.head = (self.status, {})
            raise
        self._refuse_incomplete_head()
        _call.head = (self.status, {name.lower(): value.strip() for name, value in self.headers.items()})
        # The libraries get what they need for the body and no more: they look at all sorts of headers, raise what they
        # like, and log what they can't read together with the address.
        kept = http.client.HTTPMessage()
        for name in ("Content-Length", "Transfer-Encoding", "Connection"):
            if value := self.headers.get(name):
                kept[name] = value
        self.headers = self.msg = kept
        if not _call.waits_for_body:
            self._socket.deadline = _call.deadline.at_most(BODY_SECONDS)

    def _refuse_incomplete_head(self) -> None:
        """http.client takes the end of the connection for the end of the headers."""
        if self._socket.has_ended:
            raise http.client.IncompleteRead(b"")


class _Connection(HTTPConnection):
    sock: Any  # a DeadlineSocket, or a DeadlineTlsSocket
    response_class: Any = _HttpResponse
    _used_at = 0.0

    def _new_conn(self) -> DeadlineSocket:
        return connect(self._dns_host, self.port, _call.deadline.at_most(CONNECT_SECONDS), _call.resolve)

    def connect(self) -> None:
        super().connect()
        self.sock.deadline = _call.deadline

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self.sock.deadline = _call.deadline
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _call.is_sent = True
        self._used_at = time.monotonic()
        super().send(data)

    @property
    def is_connected(self) -> bool:
        return super().is_connected and time.monotonic() - self._used_at < _call.idle_seconds


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """Connections with a deadline, which trust what ``context`` trusts."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(*args, **kwargs)
        return host, {}  # without requests' own idea of what to trust

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """The context does it, whereas requests would add the usual authorities to it at every connection."""
