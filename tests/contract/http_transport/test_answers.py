"""Every HTTP transport: a response is given as it was sent."""

from __future__ import annotations

import pytest

from tests import peers
from tests.contract.http_transport.requests import request_to
from tests.peers import HttpPeer
from wavecom.providers.transport import HttpTransport, Request, Response
from wavecom.providers.transport.port import MAX_BODY_BYTES, Method

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


def test_a_request_arrives_as_it_was_given(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply()) as peer:
        transport.send(request_to(peer.url, "grüß".encode()))

        [received] = peer.requests
    assert received.line == "POST /send HTTP/1.1"
    assert received.body == "grüß".encode()
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-key"] == "k-1"
    assert received.headers["user-agent"] == "WaveCom"
    assert received.headers["host"] == f"127.0.0.1:{peer.port}"
    assert {"expect", "transfer-encoding", "cookie", "authorization"}.isdisjoint(received.headers)


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b"", "0"),
        ("PUT", b"{}", "2"),
        ("PATCH", b"{}", "2"),
        ("DELETE", b"", None),
        ("DELETE", b"{}", "2"),
        ("GET", b"", None),
    ],
)
def test_the_method_is_the_requests(transport: HttpTransport, method: Method, body: bytes, length: str | None) -> None:
    with HttpPeer(peers.reply()) as peer:
        # Whatever the call before on the same connection was.
        for request in (request_to(peer.url), Request(peer.url, body, {"X-Key": "k"}, 5, method=method)):
            transport.send(request)

        received = peer.requests[1]
        # A request without a body may have to go out on a connection of its own: libcurl would repeat it in silence.
        assert peer.connections == 1 or not body
    assert received.line == f"{method} /send HTTP/1.1"
    assert received.body == body
    assert received.headers.get("content-length") == length
    assert "content-type" not in received.headers


@pytest.mark.parametrize("status", [200, 202, 301, 307, 400, 404, 408, 429, 500, 503, 599])
def test_every_status_is_an_answer_and_no_redirect_is_followed(transport: HttpTransport, status: int) -> None:
    headers = {"Location": "/elsewhere", "Retry-After": "7", "X-Twice": "a"}
    with HttpPeer(peers.reply(status, b'{"id": "m-1"}', headers=headers)) as peer:
        response = transport.send(request_to(peer.url))

        assert len(peer.requests) == 1
    assert response.status == status
    assert response.body == b'{"id": "m-1"}'
    assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_the_body_is_read_however_its_end_is_marked(transport: HttpTransport, data: bytes) -> None:
    with HttpPeer(peers.send(data)) as peer:
        response = transport.send(request_to(peer.url))

    assert (response.status, response.body) == (200, b"hello")
    assert "x-a" not in response.headers


@pytest.mark.parametrize("marks_end", [True, False])
def test_of_too_long_a_body_the_beginning_is_given(transport: HttpTransport, marks_end: bool) -> None:
    body = b"x" * (MAX_BODY_BYTES + 100_000)
    head = peers.head(200, {"Content-Length": str(len(body))} if marks_end else {})
    with HttpPeer(peers.send(head + body), peers.reply(204)) as peer:
        response = transport.send(request_to(peer.url))
        after = transport.send(request_to(peer.url))

    assert response == Response(200, response.headers, b"x" * MAX_BODY_BYTES)
    assert after.status == 204


def test_a_server_that_never_stops_sending_is_cut_off(transport: HttpTransport) -> None:
    def pour(connection: peers.PeerConnection) -> bool:
        connection.send(peers.head(200, {}))
        while True:
            connection.send(b"x" * 65536)

    with HttpPeer(pour) as peer:
        assert len(transport.send(request_to(peer.url)).body) == MAX_BODY_BYTES
