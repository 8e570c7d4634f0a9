"""An HTTP/2 server for tests, on a real socket of 127.0.0.1, that does to each request as a script says."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded

from tests.peers import Peer, PeerConnection


@dataclass
class Http2Request:
    """One request as it came in. ``connection`` counts from 1; ``headers`` has ``:method`` and the like too."""

    connection: int
    headers: Mapping[str, str]
    body: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class Http2Stream:
    """A request that has arrived whole, to be answered."""

    connection: PeerConnection
    protocol: H2Connection
    number: int

    def begin(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Status, headers and a part of the body."""
        self.protocol.send_headers(self.number, [(":status", str(status)), *(headers or {}).items()])
        self.protocol.send_data(self.number, body)
        self.flush()

    def end(self) -> None:
        """The end of the body."""
        self.protocol.end_stream(self.number)
        self.flush()

    def flush(self) -> None:
        self.connection.send(self.protocol.data_to_send())


#: Answers whether to go on with the connection.
Http2Behaviour = Callable[[Http2Stream], bool]


def reply(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Http2Behaviour:
    """A whole response."""

    def behave(stream: Http2Stream) -> bool:
        stream.begin(status, headers, body)
        stream.end()
        return True

    return behave


def begin(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Http2Behaviour:
    """A response that has no end."""

    def behave(stream: Http2Stream) -> bool:
        stream.begin(status, headers, body)
        return True

    return behave


def reset_stream(code: ErrorCodes) -> Http2Behaviour:
    """RST_STREAM in place of a response."""

    def behave(stream: Http2Stream) -> bool:
        stream.protocol.reset_stream(stream.number, code)
        stream.flush()
        return True

    return behave


def go_away(stream: Http2Stream) -> bool:
    """GOAWAY after the request that it says it has not looked at, then the end of the connection."""
    stream.protocol.close_connection(ErrorCodes.NO_ERROR, last_stream_id=0)
    stream.flush()
    return False


def be_silent(_stream: Http2Stream) -> bool:
    """No response."""
    return True


def hang_up(_stream: Http2Stream) -> bool:
    """The connection ends."""
    return False


class Http2Peer(Peer):
    """Behaves, request by request, as ``script`` says; the last behaviour goes on for ever.

    Without a context it takes HTTP/2 unencrypted; ``context`` must offer ``h2`` by ALPN.
    """

    def __init__(self, *script: Http2Behaviour, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context=context)
        self.script = list(script)
        self.requests: list[Http2Request] = []

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/send"

    def converse(self, connection: PeerConnection) -> None:
        protocol = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        protocol.initiate_connection()
        connection.send(protocol.data_to_send())
        open_requests: dict[int, Http2Request] = {}
        while data := connection.socket.recv(65536):
            for event in protocol.receive_data(data):
                match event:
                    case RequestReceived(stream_id=number, headers=headers):
                        named = {str(name): str(value) for name, value in headers}
                        open_requests[number] = Http2Request(connection.number, named)
                    case DataReceived(stream_id=number, data=part, flow_controlled_length=length):
                        open_requests[number].body += part
                        protocol.acknowledge_received_data(length, number)
                    case StreamEnded(stream_id=number):
                        if not self._behave(connection, protocol, number, open_requests.pop(number)):
                            return
            connection.send(protocol.data_to_send())

    def _behave(self, connection: PeerConnection, protocol: H2Connection, number: int, request: Http2Request) -> bool:
        with self._lock:
            self.requests.append(request)
            behave = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return behave(Http2Stream(connection, protocol, number))
