"""HTTP for providers: one port, two implementations."""

from collections.abc import Callable

from wavecom.providers.transport.port import (
    HttpTransport,
    HttpVersion,
    NotSentError,
    OnEnd,
    Request,
    Response,
    TransportError,
    TransportFault,
    UnclearError,
)

__all__ = [
    "HttpTransport",
    "HttpVersion",
    "NotSentError",
    "OnEnd",
    "Request",
    "Response",
    "TransportError",
    "TransportFault",
    "UnclearError",
    "make_transport",
]


def make_transport(on_lag: Callable[[float], None] = lambda _seconds: None) -> HttpTransport:
    """The fast implementation where pycurl can be imported, else the one that works everywhere.

    ``on_lag`` hears by how many seconds its own thread comes too late. To be made after the last fork: connections must
    not be shared between processes.
    """
    try:
        from wavecom.providers.transport.curl import CurlTransport
    except ImportError:  # no wheel for this platform
        from wavecom.providers.transport.requests import RequestsTransport

        return RequestsTransport()
    return CurlTransport(on_lag=on_lag)
