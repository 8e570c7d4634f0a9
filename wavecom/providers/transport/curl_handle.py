"""One libcurl handle: one host, one connection, one call at a time."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import certifi
import pycurl

from wavecom.providers.transport.port import (
    CONNECT_SECONDS,
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


def origin_of(request: Request) -> tuple[str, ...]:
    """What calls must have in common to share a handle."""
    return (*request.url.split("/", 3)[:3], request.ca_file or "")


class Handle:
    """Set up once, then for each request ``prepare``, whatever makes ``curl`` do it, and ``response`` or ``result``."""

    def __init__(self, idle_seconds: int, ca_file: str | None) -> None:
        self._header_lines: list[bytes] = []
        self._body = bytearray()
        self._url = ""
        self._timeout_seconds = 0.0
        self.curl = curl = pycurl.Curl()
        # libcurl's time-outs would else use signals, which belong to the main thread.
        curl.setopt(pycurl.NOSIGNAL, True)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.CAINFO, ca_file or certifi.where())
        curl.setopt(_QUICK_EXIT, True)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.PROXY, "")  # it would read http_proxy from the environment
        curl.setopt(pycurl.FOLLOWLOCATION, False)
        curl.setopt(pycurl.MAXCONNECTS, 1)
        curl.setopt(pycurl.MAXAGE_CONN, idle_seconds)
        curl.setopt(pycurl.MAXLIFETIME_CONN, LIFETIME_SECONDS)
        curl.setopt(pycurl.USERAGENT, USER_AGENT)
        curl.setopt(pycurl.POST, True)
        # Only gathered meanwhile: libcurl has to get the interpreter's lock for each line.
        curl.setopt(pycurl.HEADERFUNCTION, self._header_lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._take_body)
        # libcurl silently sends a POST again when a kept connection dies before the answer begins. The other side may
        # have acted on the first one, so the body is given out once and can't be rewound.
        curl.setopt(pycurl.SEEKFUNCTION, _refuse_to_rewind)

    def prepare(self, request: Request) -> None:
        """Make the next call that of ``request``, of the same origin as the last one."""
        self._header_lines.clear()
        self._body.clear()
        curl = self.curl
        if request.url != self._url:
            curl.setopt(pycurl.URL, request.url)
            self._url = request.url
        # Expect: 100-continue would cost a second with servers that don't know it.
        curl.setopt(pycurl.HTTPHEADER, ["Expect:", *[f"{name}: {value}" for name, value in request.headers.items()]])
        curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(request.body))
        curl.setopt(pycurl.READFUNCTION, BytesIO(request.body).read)
        if request.timeout_seconds != self._timeout_seconds:
            curl.setopt(pycurl.TIMEOUT_MS, _milliseconds(request.timeout_seconds))
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, _milliseconds(min(request.timeout_seconds, CONNECT_SECONDS)))
            self._timeout_seconds = request.timeout_seconds

    def response(self) -> Response:
        """The answer, after a call that succeeded."""
        headers: dict[str, str] = {}
        for line in self._header_lines:
            name, is_header, value = line.partition(b":")
            if line.startswith(b"HTTP/"):
                headers.clear()  # those before were of an interim answer, such as 100 or 103
            elif is_header:
                headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
        return Response(self.curl.getinfo(pycurl.RESPONSE_CODE), headers, bytes(self._body))

    def result(self, code: int) -> Response | NotSentError | UnclearError:
        """What libcurl's error ``code`` means."""
        if code == pycurl.E_WRITE_ERROR:  # which is our own: the body is long enough
            return self.response()
        fault = FAULTS.get(code, Fault.OTHER)
        is_sent = self.curl.getinfo(pycurl.REQUEST_SIZE) > 0
        return UnclearError(fault) if is_sent else NotSentError(fault)

    def _take_body(self, data: bytes) -> int | None:
        room = MAX_BODY_BYTES - len(self._body)
        self._body += data[:room]
        return None if len(data) <= room else 0  # taking less than all ends the transfer


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _refuse_to_rewind(_offset: int, _origin: int) -> int:
    return pycurl.SEEKFUNC_FAIL
