"""One libcurl handle: one host, one connection, one call at a time."""

from __future__ import annotations

from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

import certifi
import pycurl

from wavecom.core.exhaustion import EXHAUSTED_ERRNOS
from wavecom.providers.transport.faults import lacks_descriptors
from wavecom.providers.transport.port import (
    CONNECT_SECONDS,
    MAX_BODY_BYTES,
    USER_AGENT,
    HttpVersion,
    NotSentError,
    Request,
    Response,
    TransportFault,
    UnclearError,
)

#: A busy connection is made anew after this, so that a provider can move to other addresses.
LIFETIME_SECONDS: Final = 300

#: Don't wait at the end for a name look-up that hangs: CURLOPT_QUICK_EXIT, which pycurl has no name for.
_QUICK_EXIT: Final = 322

#: No code of libcurl's: the call was given up by us.
ABORTED: Final = -1

#: CURLE_TOO_LARGE, which pycurl has no name for.
_TOO_LARGE: Final = 100

#: CURLE_HTTP2_STREAM, likewise.
_HTTP2_STREAM: Final = 92

#: libcurl's errors for a head that it refuses to read on: a header that is none, or too much of them. It was the
#: server's all the same, and its first line was read.
_REFUSED_HEADS: Final = frozenset({pycurl.E_FTP_WEIRD_SERVER_REPLY, pycurl.E_BAD_CONTENT_ENCODING, _TOO_LARGE})

#: libcurl reads no more than 300 KiB of headers; what it says then is what it says of a connection that breaks.
_ENDLESS_HEAD_BYTES: Final = 256 * 1024

#: https://curl.se/libcurl/c/libcurl-errors.html; what is not listed is ``TransportFault.OTHER``.
FAULTS: Final = {
    pycurl.E_COULDNT_RESOLVE_HOST: TransportFault.DNS,
    pycurl.E_COULDNT_CONNECT: TransportFault.CONNECT,
    pycurl.E_OPERATION_TIMEDOUT: TransportFault.TIMEOUT,
    pycurl.E_GOT_NOTHING: TransportFault.NO_ANSWER,
    pycurl.E_PARTIAL_FILE: TransportFault.SHORT_ANSWER,
    pycurl.E_OK: TransportFault.SHORT_ANSWER,  # libcurl takes the end of the connection for the end of the headers
    pycurl.E_SEND_ERROR: TransportFault.RESET,
    pycurl.E_RECV_ERROR: TransportFault.RESET,
    pycurl.E_SEND_FAIL_REWIND: TransportFault.NO_ANSWER,
    pycurl.E_UNSUPPORTED_PROTOCOL: TransportFault.MALFORMED_ANSWER,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: TransportFault.MALFORMED_ANSWER,
    pycurl.E_BAD_CONTENT_ENCODING: TransportFault.MALFORMED_ANSWER,
    pycurl.E_SSL_CONNECT_ERROR: TransportFault.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: TransportFault.TLS,
    pycurl.E_SSL_CACERT_BADFILE: TransportFault.TLS,
    pycurl.E_SSL_ISSUER_ERROR: TransportFault.TLS,
    pycurl.E_HTTP2: TransportFault.RESET,
    _HTTP2_STREAM: TransportFault.RESET,
}

_VERSIONS: Final = {
    HttpVersion.HTTP_1_1: pycurl.CURL_HTTP_VERSION_1_1,
    # Without "or less": who asks for HTTP/2 calls a server that takes nothing else.
    HttpVersion.HTTP_2: pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
}


def http_versions() -> frozenset[HttpVersion]:
    """The versions that this libcurl was built for."""
    has_http_2 = bool(pycurl.version_info()[4] & pycurl.VERSION_HTTP2)
    return frozenset(HttpVersion) if has_http_2 else frozenset({HttpVersion.HTTP_1_1})


def origin_of(request: Request) -> tuple[str, ...]:
    """What calls must have in common to share a handle."""
    return (*request.url.split("/", 3)[:3], request.ca_file or "", request.http_version, *request.addresses)


class CurlHandle:
    """Set up once for an origin, then for each request ``prepare``, whatever makes ``curl`` do it, and ``result``."""

    def __init__(self, idle_seconds: int, request: Request, *, grace_seconds: float = 0) -> None:
        #: What libcurl gives a call beyond its time, where the caller keeps the deadline.
        self._grace_seconds = grace_seconds
        self._header_lines: list[bytes] = []
        self._body = bytearray()
        self._is_body_full = False
        self._url = ""
        self._timeout_seconds = 0.0
        #: Method and whether there is a body.
        self._form: tuple[str, bool] = ("", False)
        self.curl = curl = pycurl.Curl()
        # libcurl's time-outs would else use signals, which belong to the main thread.
        curl.setopt(pycurl.NOSIGNAL, True)
        curl.setopt(pycurl.HTTP_VERSION, _VERSIONS[request.http_version])
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.CAINFO, request.ca_file or certifi.where())
        curl.setopt(_QUICK_EXIT, True)
        if request.addresses:
            curl.setopt(pycurl.RESOLVE, [_resolve_entry(request)])
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.PROXY, "")  # it would read http_proxy from the environment
        curl.setopt(pycurl.FOLLOWLOCATION, False)
        curl.setopt(pycurl.MAXCONNECTS, 1)
        curl.setopt(pycurl.MAXAGE_CONN, idle_seconds)
        curl.setopt(pycurl.MAXLIFETIME_CONN, LIFETIME_SECONDS)
        curl.setopt(pycurl.USERAGENT, USER_AGENT)
        # Only gathered meanwhile: libcurl has to get the interpreter's lock for each line.
        curl.setopt(pycurl.HEADERFUNCTION, self._header_lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._take_body)
        # libcurl silently sends a POST again when a kept connection dies before the answer begins. The other side may
        # have acted on the first one, so the body is given out once and can't be rewound. See also ``prepare``.
        curl.setopt(pycurl.SEEKFUNCTION, _refuse_to_rewind)

    def prepare(self, request: Request) -> None:
        """Make the next call that of ``request``, of the same origin as the last one."""
        self._header_lines.clear()
        self._body.clear()
        self._is_body_full = False
        curl = self.curl
        if request.url != self._url:
            curl.setopt(pycurl.URL, request.url)
            self._url = request.url
        form = (request.method, request.has_body)
        if form != self._form:
            curl.setopt(pycurl.POST if form[1] else pycurl.HTTPGET, True)
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)
            self._form = form
        # What has no body needs no rewinding and would be sent again all the same, but for a connection that is new.
        curl.setopt(pycurl.FRESH_CONNECT, not request.body)
        # Expect: 100-continue would cost a second with servers that don't know it.
        headers = ["Expect:", *[f"{name}: {value}" for name, value in request.headers.items()]]
        if not any(name.lower() == "content-type" for name in request.headers):
            headers.append("Content-Type:")  # libcurl would call it a form
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(request.body))
        curl.setopt(pycurl.READFUNCTION, BytesIO(request.body).read)
        if request.timeout_seconds != self._timeout_seconds:
            curl.setopt(pycurl.TIMEOUT_MS, _milliseconds(request.timeout_seconds + self._grace_seconds))
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, _milliseconds(min(request.timeout_seconds, CONNECT_SECONDS)))
            self._timeout_seconds = request.timeout_seconds

    @property
    def has_head(self) -> bool:
        """Whether the answer's status and headers have come, whatever becomes of the rest."""
        lines = self._header_lines
        return bool(lines) and not lines[-1].strip() and _read_head(lines)[2]

    def result(self, code: int) -> Response | NotSentError | UnclearError:
        """What came of a call that ended with libcurl's ``code`` (0: well, ``ABORTED``: by us).

        As soon as status and headers have come they are the answer, whatever the code says of the rest.
        """
        status, headers, is_whole = _read_head(self._header_lines)
        if is_whole or (status and self._is_refused_head(code)):
            # A write error is our own: the body is long enough.
            is_complete = code == pycurl.E_OK or (code == pycurl.E_WRITE_ERROR and self._is_body_full)
            return Response(status, headers, bytes(self._body), is_complete)
        fault = FAULTS.get(code, TransportFault.OTHER)
        if self.curl.getinfo(pycurl.REQUEST_SIZE) > 0:
            return UnclearError(fault)
        return NotSentError(TransportFault.NOT_BEGUN if self._is_exhaustion(code) else fault)

    def _is_exhaustion(self, code: int) -> bool:
        """Whether this machine had no means for the call. libcurl takes that for trouble of the other side."""
        match code:
            case pycurl.E_OUT_OF_MEMORY | pycurl.E_FAILED_INIT:
                return True
            case pycurl.E_COULDNT_CONNECT:
                # Who refuses gives a number. There is none where not even a socket could be made: for want of
                # descriptors, or because this machine has no addresses of that kind (IPv6).
                errno = self.curl.getinfo(pycurl.OS_ERRNO)
                return errno in EXHAUSTED_ERRNOS or (errno == 0 and lacks_descriptors())
            case pycurl.E_COULDNT_RESOLVE_HOST:
                return lacks_descriptors()
        return False

    def _is_refused_head(self, code: int) -> bool:
        if code == pycurl.E_RECV_ERROR:  # of a connection that broke, or of headers that have no end
            return sum(map(len, self._header_lines)) > _ENDLESS_HEAD_BYTES
        return code in _REFUSED_HEADS

    def _take_body(self, data: bytes) -> int | None:
        room = MAX_BODY_BYTES - len(self._body)
        self._body += data[:room]
        self._is_body_full = len(data) > room
        return 0 if self._is_body_full else None  # taking less than all ends the transfer


def _read_head(lines: list[bytes]) -> tuple[int, dict[str, str], bool]:
    """Status, headers and whether they came whole, to the empty line; interim answers (100, 103) are passed by.

    The status is 0 where no answer but interim ones has begun. Trailers, which come after the body, are not headers.
    """
    status, headers = 0, dict[str, str]()
    for line in lines:
        if status == 0:
            status = _status_of(line)
            headers = {}
        elif not line.strip():
            if status >= 200 or status == 101:
                return status, headers, True
            status = 0
        else:
            name, is_header, value = line.partition(b":")
            if is_header:
                headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return (status, headers, False) if status >= 200 else (0, {}, False)


def _status_of(line: bytes) -> int:
    """The number in ``HTTP/1.1 200 OK``; 0 for another line."""
    parts = line.split(None, 2)
    is_status = len(parts) > 1 and line.startswith(b"HTTP/") and parts[1].isdigit() and len(parts[1]) <= 3
    return int(parts[1]) if is_status else 0


def _resolve_entry(request: Request) -> str:
    """https://curl.se/libcurl/c/CURLOPT_RESOLVE.html; it lasts as long as what the calls of an origin share."""
    parts = urlsplit(request.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    shown = ",".join(f"[{each}]" if ":" in each else each for each in request.addresses)
    return f"{parts.hostname}:{port}:{shown}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _refuse_to_rewind(_offset: int, _origin: int) -> int:
    return pycurl.SEEKFUNC_FAIL
