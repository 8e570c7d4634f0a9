"""The port: send one HTTP request within a total deadline. An error carries the one fact that counts for a retry.

::

    TransportError
    ├── NotSentError    nothing left this machine: it is safe to send again, anywhere
    └── UnclearError    the request, or a part of it, went out and no answer came

Status and headers are the answer. What follows them may be late, broken or endless: it only adds details, and is read
within ``BODY_SECONDS`` and ``MAX_BODY_BYTES``. A head that breaks off is no answer; one that is no HTTP behind a status
line is: the server has spoken, and would say the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, Protocol

#: Of a longer answer only this much is read; its status still counts.
MAX_BODY_BYTES: Final = 64 * 1024

#: So long the rest of an answer is waited for, once its status and headers have come: they say what counts.
BODY_SECONDS: Final = 3.0

#: What is not connected by then leaves time for another provider.
CONNECT_SECONDS: Final = 3.0

#: An idle connection is let go after this: the other side may have closed it without our knowing.
IDLE_SECONDS: Final = 4

USER_AGENT: Final = "WaveCom"

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class HttpVersion(StrEnum):
    """The protocol of a call: this one is spoken, and no lower one in its place."""

    HTTP_1_1 = "HTTP/1.1"
    #: Over https the only one offered by ALPN; over http it is begun without asking (RFC 9113, section 3.3).
    HTTP_2 = "HTTP/2"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. Never shown: address, headers and body hold secrets and recipients."""

    #: http or https, ASCII; the host may be a name in its xn-- form.
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    #: From the name look-up to the last byte of the answer.
    timeout_seconds: float
    #: Whose certificates to trust instead of the usual authorities: path of a PEM file.
    ca_file: str | None = None
    #: Wait for the body to the deadline, and not just for ``BODY_SECONDS``: it says what the status doesn't.
    waits_for_body: bool = False
    method: Method = "POST"
    #: Connect to one of these IP addresses and look nothing up: they were checked. The certificate is still the host's.
    addresses: tuple[str, ...] = field(default=(), repr=False)
    #: Set by ``BaseHttpProvider`` to what its class declares.
    http_version: HttpVersion = HttpVersion.HTTP_1_1

    @property
    def has_body(self) -> bool:
        """Whether there is a body, be it an empty one, whose length is told (RFC 9110, section 8.6)."""
        return bool(self.body) or self.method in {"POST", "PUT", "PATCH"}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Names of headers are in lower case; of repeated ones the last counts."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    #: At most ``MAX_BODY_BYTES``; what came after them was not read.
    body: bytes = field(repr=False)
    #: False where the body, or the headers that are not understood, did not come whole: broken off, not HTTP, too long,
    #: too slow. The status was read all the same, and counts.
    is_complete: bool = True


class TransportFault(StrEnum):
    """Why no answer came. The words are codes in a job's log."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    HTTP_VERSION = "http_version"
    TIMEOUT = "timeout"
    RESET = "reset"
    NO_ANSWER = "no_answer"
    SHORT_ANSWER = "short_answer"
    MALFORMED_ANSWER = "malformed_answer"
    #: The call was not begun: no descriptors, memory or threads left on this machine, or a fault of ours.
    NOT_BEGUN = "not_begun"
    OTHER = "transport"


FAULT_TEXTS: Final[Mapping[TransportFault, str]] = {
    TransportFault.DNS: "the host's name could not be found",
    TransportFault.CONNECT: "the connection was refused or could not be made",
    TransportFault.TLS: "no secure connection: the certificate or the protocol was refused",
    TransportFault.HTTP_VERSION: "this process can't speak the HTTP version that is needed",
    TransportFault.TIMEOUT: "the time was up",
    TransportFault.RESET: "the connection broke",
    TransportFault.NO_ANSWER: "the connection was closed without an answer",
    TransportFault.SHORT_ANSWER: "the answer ended too early",
    TransportFault.MALFORMED_ANSWER: "the answer is not HTTP",
    TransportFault.NOT_BEGUN: "this machine could not begin the call: it lacks descriptors, memory or threads",
    TransportFault.OTHER: "the request could not be made",
}


class TransportError(Exception):
    """No status came. The text names no address, header or recipient."""

    def __init__(self, fault: TransportFault) -> None:
        super().__init__(FAULT_TEXTS[fault])
        self.fault = fault


class NotSentError(TransportError):
    """No byte of the request was sent: no such name, connection or TLS refused, no time left before.

    ``is_bug``: by a fault of ours, which the same request would meet again.
    """

    def __init__(self, fault: TransportFault, *, is_bug: bool = False) -> None:
        super().__init__(fault)
        self.is_bug = is_bug


class UnclearError(TransportError):
    """The request went out, at least in part, and no status came: the other side may have acted on it."""


#: Hears how a call ended: the answer, or the error that ``send`` would have raised.
OnEnd = Callable[[Response | Exception], None]


class HttpTransport(Protocol):
    """Sends requests; may be used by many threads at once, none of which waits for another's call."""

    #: What it speaks. A request of another version is refused with ``NotSentError``.
    http_versions: frozenset[HttpVersion]

    def send(self, request: Request) -> Response:
        """The answer, whatever its status and whatever follows it. Follows no redirect and sends nothing twice.

        Raises ``NotSentError`` or ``UnclearError``, always within ``request.timeout_seconds``; whatever goes wrong
        before the first byte leaves is a ``NotSentError``, want of descriptors, memory and threads included.
        """
        ...

    def start(self, request: Request, on_end: OnEnd) -> bool:
        """Send without waiting: ``on_end`` hears of the end, once, on a thread that all calls share.

        So it must be quick, and it must not raise. It hears of every call that was taken, even of one that could not
        begin (``NotSentError``). False, with nothing done, where this needs ``send``.
        """
        ...

    def close(self) -> None:
        """Let go of all connections, after the calls under way. May be called twice."""
        ...
