"""HTTP by libcurl: a tenth of the CPU time of any client in Python, and a total deadline of its own."""

from __future__ import annotations

import select
import threading
from io import BytesIO
from typing import Final
from weakref import WeakSet

import certifi
import pycurl

from wavecom.providers.transport.port import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    MAX_BODY_BYTES,
    USER_AGENT,
    Fault,
    NotSentError,
    Request,
    Response,
    UnclearError,
)

#: A busy connection is made anew after this, so that a provider can move to other addresses.
LIFETIME_SECONDS: Final = 300

#: Don't wait at the end for a name look-up that hangs: CURLOPT_QUICK_EXIT, which pycurl has no name for.
_QUICK_EXIT: Final = 322

#: https://curl.se/libcurl/c/libcurl-errors.html; what is not listed is ``Fault.OTHER``.
FAULTS: Final = {
    pycurl.E_COULDNT_RESOLVE_HOST: Fault.DNS,
    pycurl.E_COULDNT_CONNECT: Fault.CONNECT,
    pycurl.E_OPERATION_TIMEDOUT: Fault.TIMEOUT,
    pycurl.E_GOT_NOTHING: Fault.NO_ANSWER,
    pycurl.E_PARTIAL_FILE: Fault.SHORT_ANSWER,
    pycurl.E_SEND_ERROR: Fault.RESET,
    pycurl.E_RECV_ERROR: Fault.RESET,
    pycurl.E_SEND_FAIL_REWIND: Fault.NO_ANSWER,
    pycurl.E_UNSUPPORTED_PROTOCOL: Fault.MALFORMED_ANSWER,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Fault.MALFORMED_ANSWER,
    pycurl.E_BAD_CONTENT_ENCODING: Fault.MALFORMED_ANSWER,
    pycurl.E_SSL_CONNECT_ERROR: Fault.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Fault.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Fault.TLS,
    pycurl.E_SSL_ISSUER_ERROR: Fault.TLS,
}


class CurlTransport:
    """``HttpTransport`` with one libcurl handle per thread and host, which keeps one connection."""

    def __init__(self, *, idle_seconds: int = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._of_thread = _OfThread()
        self._handles: WeakSet[_Handle] = WeakSet()
        self._lock = threading.Lock()

    def send(self, request: Request) -> Response:
        """See ``HttpTransport.send``."""
        handles = self._of_thread.handles
        origin = (*request.url.split("/", 3)[:3], request.ca_file or "")
        handle = handles.get(origin)
        if handle is None or handle.is_closed:
            handle = handles[origin] = _Handle(self._idle_seconds, request.ca_file or certifi.where())
            with self._lock:
                self._handles.add(handle)
        return handle.send(request)

    def close(self) -> None:
        """See ``HttpTransport.close``."""
        with self._lock:
            handles = list(self._handles)
        for handle in handles:
            handle.close()


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.handles: dict[tuple[str, ...], _Handle] = {}


class _Handle:
    """One libcurl handle, used by one thread for one host; only ``close`` may come from another."""

    def __init__(self, idle_seconds: int, ca_file: str) -> None:
        self.is_closed = False
        self._lock = threading.Lock()
        self._status_and_headers: dict[str, str] = {}
        self._body = bytearray()
        self._curl = curl = pycurl.Curl()
        # libcurl's time-outs would else use signals, which belong to the main thread.
        curl.setopt(pycurl.NOSIGNAL, True)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.CAINFO, ca_file)
        curl.setopt(_QUICK_EXIT, True)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.PROXY, "")  # it would read http_proxy from the environment
        curl.setopt(pycurl.FOLLOWLOCATION, False)
        curl.setopt(pycurl.MAXCONNECTS, 1)
        curl.setopt(pycurl.MAXAGE_CONN, idle_seconds)
        curl.setopt(pycurl.MAXLIFETIME_CONN, LIFETIME_SECONDS)
        curl.setopt(pycurl.USERAGENT, USER_AGENT)
        curl.setopt(pycurl.POST, True)
        curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._take_body)
        # libcurl silently sends a POST again when a kept connection dies before the answer begins. The other side may
        # have acted on the first one, so the body is given out once and can't be rewound.
        curl.setopt(pycurl.SEEKFUNCTION, _refuse_to_rewind)

    def send(self, request: Request) -> Response:
        with self._lock:
            self._prepare(request)
            try:
                self._curl.perform()
            except pycurl.error as error:
                if error.args[0] != pycurl.E_WRITE_ERROR:  # which is our own: the body is long enough
                    raise self._translated(int(error.args[0])) from None  # its text holds the address
            status = self._curl.getinfo(pycurl.RESPONSE_CODE)
            return Response(status, self._status_and_headers, bytes(self._body))

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            self._curl.close()

    def _prepare(self, request: Request) -> None:
        self._status_and_headers = {}
        self._body.clear()
        curl = self._curl
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.FRESH_CONNECT, self._is_stale())
        # Expect: 100-continue would cost a second with servers that don't know it.
        curl.setopt(pycurl.HTTPHEADER, ["Expect:", *[f"{name}: {value}" for name, value in request.headers.items()]])
        curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(request.body))
        curl.setopt(pycurl.READFUNCTION, BytesIO(request.body).read)
        curl.setopt(pycurl.TIMEOUT_MS, _milliseconds(request.timeout_seconds))
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, _milliseconds(min(request.timeout_seconds, CONNECT_SECONDS)))

    def _is_stale(self) -> bool:
        """Whether the other side has closed the kept connection. libcurl itself looks only after a second's pause."""
        descriptor = self._curl.getinfo(pycurl.ACTIVESOCKET)
        if descriptor == -1:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))  # an idle connection has nothing to say but its end

    def _take_header(self, line: bytes) -> None:
        name, is_header, value = line.partition(b":")
        if line.startswith(b"HTTP/"):
            self._status_and_headers.clear()  # those before were of an interim answer, such as 100 or 103
        elif is_header:
            self._status_and_headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")

    def _take_body(self, data: bytes) -> int | None:
        room = MAX_BODY_BYTES - len(self._body)
        self._body += data[:room]
        return None if len(data) <= room else 0  # taking less than all ends the transfer

    def _translated(self, code: int) -> NotSentError | UnclearError:
        fault = FAULTS.get(code, Fault.OTHER)
        is_sent = self._curl.getinfo(pycurl.REQUEST_SIZE) > 0
        return UnclearError(fault) if is_sent else NotSentError(fault)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _refuse_to_rewind(_offset: int, _origin: int) -> int:
    return pycurl.SEEKFUNC_FAIL
