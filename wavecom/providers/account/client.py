"""``AccountClient`` by requests, and what fetches small documents with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast, get_args
from urllib.parse import urljoin, urlsplit

import orjson

from wavecom.providers.account import AccountAnswer, AccountCallError
from wavecom.providers.configuration.basic_auth import basic_credentials
from wavecom.providers.transport import HttpTransport, Request, Response, TransportError
from wavecom.providers.transport.port import MAX_BODY_BYTES, Method

#: From the first name look-up to the last byte of the last answer, repetitions and redirects included.
DEADLINE_SECONDS: Final = 10.0

#: A repetition waits so long, so that what restarts has a moment.
PAUSE_SECONDS: Final = 0.2

#: How often a GET is repeated that got no answer, or that of a server in trouble.
MOST_REPETITIONS: Final = 2

#: Redirects that are followed, to the same scheme, host and port.
MOST_REDIRECTS: Final = 3

#: Of what stands before the API, or of an API that is busy for a moment (RFC 9110 section 15.6).
_PASSING: Final = frozenset({500, 502, 503, 504})

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class HttpAccountClient:
    """``AccountClient``. Its transport is requests', made with the first call: most processes never make one."""

    def __init__(self, transport: HttpTransport | None = None, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._transport = transport
        self._deadline_seconds = deadline_seconds

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        auth: tuple[str, str] | None = None,
        ca_file: str | None = None,
    ) -> AccountAnswer:
        """See ``AccountClient.call``."""
        if method not in get_args(Method):
            raise ValueError(f"method must be one of: {', '.join(get_args(Method))}")
        named = {"Accept": "application/json", **(headers or {})}
        if auth is not None:
            named["Authorization"] = basic_credentials(*auth)
        request = Request(
            url, body or b"", named, self._deadline_seconds, ca_file, waits_for_body=True, method=cast("Method", method)
        )
        response = self._answer(request)
        return AccountAnswer(response.status, _json_in(response.body), response.headers, response.body)

    def fetch(self, url: str, *, ca_file: str | None = None) -> bytes:
        """See ``wavecom.providers.receipts.Fetch``."""
        if urlsplit(url).scheme != "https":
            raise AccountCallError("only https addresses are fetched")
        request = Request(url, b"", {}, self._deadline_seconds, ca_file, waits_for_body=True, method="GET")
        response = self._answer(request, redirects=0)
        if response.status != 200 or not response.is_complete or len(response.body) >= MAX_BODY_BYTES:
            raise AccountCallError(f"no whole, small document came, but HTTP {response.status}")
        return response.body

    def close(self) -> None:
        """Let go of connections. May be called twice."""
        if self._transport is not None:
            self._transport.close()

    def _answer(self, request: Request, redirects: int = MOST_REDIRECTS) -> Response:
        """The last call's answer. Calls again only what changes nothing, and nothing after the deadline."""
        ends_at = time.monotonic() + request.timeout_seconds
        repetitions = MOST_REPETITIONS if request.method == "GET" else 0
        while True:
            fault: TransportError | None = None
            try:
                response = self._send(request, ends_at)
            except TransportError as error:
                fault = error
            else:
                target = _target_of(request, response) if redirects else None
                if target is not None:
                    redirects -= 1
                    request = replace(request, url=target)
                    continue
                if response.status not in _PASSING:
                    return response
            if repetitions and time.monotonic() + PAUSE_SECONDS < ends_at:
                repetitions -= 1
                time.sleep(PAUSE_SECONDS)
            elif fault is not None:
                raise AccountCallError(str(fault)) from None  # a library's error beneath it may name the address
            else:
                return response

    def _send(self, request: Request, ends_at: float) -> Response:
        if self._transport is None:
            from wavecom.providers.transport.requests import RequestsTransport

            self._transport = RequestsTransport()
        left = max(ends_at - time.monotonic(), 0.001)
        return self._transport.send(replace(request, timeout_seconds=left))


def _target_of(request: Request, response: Response) -> str | None:
    """Where an answer sends a GET, if that is the same scheme, host and port: what proves who we are goes along."""
    if request.method != "GET" or response.status not in _REDIRECTS:
        return None
    try:
        target = urlsplit(urljoin(request.url, response.headers.get("location", "")))
        here = urlsplit(request.url)
        is_here = (target.scheme, target.hostname, target.port) == (here.scheme, here.hostname, here.port)
    except ValueError:  # no address
        return None
    return target.geturl() if is_here and target.username is None else None


def _json_in(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
