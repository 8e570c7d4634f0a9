"""How the clients of benchmark and drill call the API: requests as bytes, over connections that are kept alive."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass
from typing import Protocol, Self
from urllib.parse import urlsplit

from harness.http_messages import HEAD_END, whole_length

#: A client waits for an answer so long.
TIMEOUT_SECONDS = 10.0

_CLOSE = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is: what to connect to, and what requests say of it."""

    host: str
    port: int
    #: Its certificate is checked as every client does it; None: no TLS.
    tls: ssl.SSLContext | None
    #: The Host header, and what comes before "/api".
    authority: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Of ``http://host:port/prefix``, or https. Raises ``ValueError`` for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"{url!r} is not the address of an API, as https://wavecom.example.com")
        is_tls = parts.scheme == "https"
        return cls(
            host=parts.hostname,
            port=parts.port or (443 if is_tls else 80),
            tls=ssl.create_default_context() if is_tls else None,
            authority=parts.netloc,
            prefix=parts.path.rstrip("/"),
        )

    def post_head(self, path: str, api_key: str) -> bytes:
        """The first lines of a POST with a body of JSON, for ``post``."""
        lines = (
            f"POST {self.prefix}{path} HTTP/1.1",
            f"Host: {self.authority}",
            f"Authorization: Bearer {api_key}",
            "Content-Type: application/json",
            "",
        )
        return "\r\n".join(lines).encode()

    async def connect(self, owner: ConnectionOwner) -> ClientConnection:
        """A connected socket. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: ClientConnection(owner), self.host, self.port, ssl=self.tls
        )
        return connection


def post(head: bytes, body: bytes, idempotency_key: bytes | None) -> bytes:
    """The bytes of a whole POST, head and body."""
    key = b"" if idempotency_key is None else b"Idempotency-Key: %b\r\n" % idempotency_key
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, key, len(body), body)


class ConnectionOwner(Protocol):
    """Who sends requests over connections, each with a number of its own."""

    def on_answer(self, number: int, status: int, head: bytes, body: bytes) -> None:
        """The answer to a request is there."""

    def is_ready(self, connection: ClientConnection) -> None:
        """The connection is free for another request."""

    def is_lost(self, connection: ClientConnection, number: int | None) -> None:
        """The connection is gone; with it the request it was busy with."""


class ClientConnection(asyncio.Protocol):
    """A kept-alive connection: one request after the other."""

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._number: int | None = None
        self._buffer = b""
        self._transport: asyncio.Transport
        #: When its last request was sent (monotonic).
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection makes no others
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        number, self._number = self._number, None
        self._owner.is_lost(self, number)

    def send(self, number: int, request: bytes) -> float:
        """Send; the moment at which it was (monotonic)."""
        self._number = number
        self._transport.write(request)
        self.since = time.monotonic()
        return self.since

    def give_up(self) -> int | None:
        """Break the connection off; the number of the request it was busy with, of which its owner hears no more."""
        number, self._number = self._number, None
        self._transport.abort()
        return number

    def close(self) -> None:
        """Close it."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        head_end = data.find(HEAD_END)
        if head_end < 0:
            return
        length = whole_length(data, head_end)
        if len(data) < length or self._number is None:
            return
        self._buffer = data[length:]
        head = data[:head_end]
        number, self._number = self._number, None
        self._owner.on_answer(number, int(data[9:12]), head, data[head_end + len(HEAD_END) : length])
        if _CLOSE.search(head):
            self._transport.close()
        else:
            self._owner.is_ready(self)
