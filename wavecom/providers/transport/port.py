"""The port: send one HTTP request within a total deadline. An error carries the one fact that counts for a retry.

::

    TransportError
    ├── NotSentError    nothing left this machine: it is safe to send again, anywhere
    └── UnclearError    the request, or a part of it, went out and no whole answer came
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. Never shown: address, headers and body hold secrets and recipients."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    #: From the first name look-up to the last byte of the answer.
    timeout_seconds: float
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. Names of headers are in lower case; of repeated ones the last counts."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class TransportError(Exception):
    """No answer. ``code`` is short, stable and free of addresses: ``connection_refused``, ``timeout``, …"""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotSentError(TransportError):
    """No byte of the request was sent: no such name, connection refused, TLS refused, or no time left before."""


class UnclearError(TransportError):
    """The request went out, at least in part, and no whole answer came: the other side may have acted on it."""


class HttpTransport(Protocol):
    """Sends requests; may be used by many threads at once, each of which keeps its own connections."""

    def send(self, request: Request) -> Response:
        """The answer, whatever its status; redirects are not followed and nothing is ever sent twice.

        Raises ``NotSentError`` or ``UnclearError``, always within ``request.timeout_seconds``.
        """
        ...

    def close(self) -> None:
        """Let go of all connections. May be called twice."""
        ...
