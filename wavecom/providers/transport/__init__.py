"""HTTP for providers: one port, two implementations."""

from wavecom.providers.transport.port import (
    HttpTransport,
    NotSentError,
    Request,
    Response,
    TransportError,
    UnclearError,
)

__all__ = [
    "HttpTransport",
    "NotSentError",
    "Request",
    "Response",
    "TransportError",
    "UnclearError",
]
