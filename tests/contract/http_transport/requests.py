"""Requests, and the errors that they end with."""

from __future__ import annotations

import ssl

import pytest
import trustme

from wavecom.providers.transport import HttpTransport, Request, TransportError


def request_to(url: str, body: bytes = b'{"a": 1}', timeout_seconds: float = 20, ca_file: str | None = None) -> Request:
    return Request(url, body, {"Content-Type": "application/json", "X-Key": "k-1"}, timeout_seconds, ca_file)


def fault_of(transport: HttpTransport, request: Request) -> TransportError:
    with pytest.raises(TransportError) as caught:
        transport.send(request)
    return caught.value


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context
