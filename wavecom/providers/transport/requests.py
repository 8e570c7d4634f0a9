"""HTTP by requests, for platforms without pycurl: works everywhere, at ten times the CPU time.

requests and urllib3 have no total deadline; the connections given to them here do. Where urllib3 is not as
``wavecom.providers.transport.urllib3`` knows it, they are its own, with its time-outs: then a peer that answers a byte
at a time may hold a call for longer, and whatever fails may have been sent.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakSet

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter

from wavecom.providers.transport import urllib3 as deadlines
from wavecom.providers.transport.deadline import Resolve, tls_context
from wavecom.providers.transport.faults import FaultTable, fault_of, is_caused_by_exhaustion, not_begun_on_error
from wavecom.providers.transport.port import (
    IDLE_SECONDS,
    MAX_BODY_BYTES,
    USER_AGENT,
    HttpVersion,
    NotSentError,
    OnEnd,
    Request,
    Response,
    TransportFault,
    UnclearError,
)
from wavecom.providers.transport.urllib3 import call

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

    http_versions = frozenset({HttpVersion.HTTP_1_1})

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
        if request.http_version not in self.http_versions:
            raise NotSentError(TransportFault.HTTP_VERSION)
        call.begin(request, _resolve_to(request.addresses) or self._resolve, self._idle_seconds)
        try:
            return self._send(request)
        except Exception as error:
            if call.head is not None:
                # Whatever the libraries made of what followed: the status was read.
                return Response(*call.head, bytes(call.body), is_complete=False)
            if not call.is_sent and not isinstance(error, _EXPECTED):
                with not_begun_on_error():
                    raise
            if not call.is_sent and is_caused_by_exhaustion(error):
                raise NotSentError(TransportFault.NOT_BEGUN) from None
            fault = fault_of(error, FAULTS)
            raise (UnclearError(fault) if call.is_sent else NotSentError(fault)) from None  # its text has the address

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
        if request.addresses:
            headers.setdefault("Host", urlsplit(request.url).netloc)  # the library may know the address alone
        prepared = requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
        if not request.has_body:
            prepared.headers.pop("Content-Length", None)
        adapter = self._adapter(request)
        call.is_sent = not deadlines.LIBRARY.is_as_expected()  # else the connection tells when it is
        answer = adapter.send(prepared, stream=True, timeout=request.timeout_seconds)
        with answer:
            while len(call.body) <= MAX_BODY_BYTES and (
                part := answer.raw.read1(MAX_BODY_BYTES + 1 - len(call.body), decode_content=False)
            ):
                call.body += part
        plain_head = (answer.status_code, {name.lower(): value for name, value in answer.headers.items()})
        status, answer_headers = call.head or plain_head
        return Response(status, answer_headers, bytes(call.body[:MAX_BODY_BYTES]))

    def _adapter(self, request: Request) -> _Adapter:
        adapters = self._thread_local.adapters
        ca_file = (request.ca_file or certifi.where()) if request.url.startswith("https") else None
        if ca_file not in adapters:
            with self._lock:
                if ca_file and ca_file not in self._contexts:
                    self._contexts[ca_file] = self._new_context(ca_file)
                adapters[ca_file] = _Adapter(self._contexts.get(ca_file or ""))
                self._adapters.add(adapters[ca_file])
        return adapters[ca_file]

    @staticmethod
    def _new_context(ca_file: str) -> ssl.SSLContext:
        if deadlines.LIBRARY.is_as_expected():
            return tls_context(ca_file)
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _resolve_to(addresses: Sequence[str]) -> Resolve | None:
    """A look-up of names that finds these addresses, whatever the name; None where there are none."""
    if not addresses:
        return None

    def resolve(_host: str, port: int, **options: Any) -> list[Any]:
        return [each for address in addresses for each in socket.getaddrinfo(address, port, **options)]

    return resolve


class _ThreadLocal(threading.local):
    def __init__(self) -> None:
        self.adapters: dict[str | None, _Adapter] = {}


class _Adapter(HTTPAdapter):
    """Connections with a deadline (``wavecom.providers.transport.urllib3``), which trust what ``context`` trusts."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        if deadlines.LIBRARY.is_as_expected():
            deadlines.use_in(self.poolmanager)

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        target, _ = super().build_connection_pool_key_attributes(*args, **kwargs)
        # Without requests' own idea of what to trust.
        if not call.addresses or deadlines.LIBRARY.is_as_expected():
            return target, {}
        # A connection of the library's own looks names up: it gets the address, and the name for the certificate alone.
        host = target["host"]
        is_secure = target["scheme"] == "https"
        names = {"server_hostname": host, "assert_hostname": host} if is_secure else {}
        return {**target, "host": call.addresses[0]}, names

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """The context does it, whereas requests would add the usual authorities to it at every connection."""
