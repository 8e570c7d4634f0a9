"""Every HTTP transport: once the status was read it counts, whatever follows."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import peers
from tests.contract.http_transport.requests import request_to
from tests.peers import HttpPeer
from wavecom.providers.transport import HttpTransport, Response
from wavecom.providers.transport.port import BODY_SECONDS, MAX_BODY_BYTES

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


def then(status: int, headers: dict[str, str], rest: peers.Behaviour) -> peers.Behaviour:
    """Status and headers, then ``rest``."""

    def behave(connection: peers.PeerConnection) -> bool:
        connection.send(peers.head(status, headers))
        return rest(connection)

    return behave


CHUNKED = {"Transfer-Encoding": "chunked"}
#: What follows the headers, and what of it can be read at most.
BROKEN_BODIES: dict[str, tuple[dict[str, str], peers.Behaviour, bytes]] = {
    "cut short": ({"Content-Length": "100"}, peers.send(b"only this"), b"only this"),
    "silent": ({"Content-Length": "100"}, peers.be_silent, b""),
    "silent in the middle": ({"Content-Length": "100"}, peers.pause_after(b"only this"), b"only this"),
    "dripping": ({"Content-Length": "5000"}, peers.drip(b"x" * 5000), b"x" * 5000),
    "dripping without an end": ({}, peers.drip(b"x" * 5000), b"x" * 5000),
    "reset": ({"Content-Length": "100"}, peers.reset, b""),
    "no size of a chunk": (CHUNKED, peers.send(b"zzz\r\nhello\r\n"), b""),
    "a chunk cut short": (CHUNKED, peers.send(b"5\r\nwa"), b"wa"),
    "no last chunk": (CHUNKED, peers.send(b"5\r\nhello\r\n"), b"hello"),
    "a chunk of any size": (CHUNKED, peers.send(b"f" * 40 + b"\r\nhello\r\n"), b"hello\r\n"),
    "endless size of a chunk": (CHUNKED, peers.drip(b"0" * 5000), b""),
    "endless trailers": (CHUNKED, peers.drip(b"0\r\n" + b"X: y\r\n" * 5000), b""),
}


@pytest.mark.parametrize("status", [200, 202, 401, 422, 429, 503])
@pytest.mark.parametrize("kind", BROKEN_BODIES)
def test_what_follows_status_and_headers_only_adds_details(transport: HttpTransport, kind: str, status: int) -> None:
    headers, rest, readable = BROKEN_BODIES[kind]
    with HttpPeer(then(status, {"Retry-After": "7", **headers}, rest), peers.reply(204)) as peer:
        response = transport.send(request_to(peer.url, timeout_seconds=0.4))
        after = transport.send(request_to(peer.url))

        assert len(peer.requests) == 2
        assert peer.connections == 2  # what the rest of such an answer is must not be taken for the next one
    assert response.status == status
    assert response.headers["retry-after"] == "7"
    assert readable.startswith(response.body)
    assert not response.is_complete
    assert (after.status, after.is_complete) == (204, True)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "nonsense", "gzip, gzip, gzip"])
@pytest.mark.parametrize("name", ["Content-Encoding", "Transfer-Encoding"])
def test_a_body_that_is_not_what_its_encoding_says_changes_nothing(
    transport: HttpTransport, name: str, encoding: str
) -> None:
    with HttpPeer(peers.send(peers.head(202, {name: encoding}) + b"\x1f\x8bno gzip"), peers.reply(204)) as peer:
        assert transport.send(request_to(peer.url)).status == 202
        assert peer.closed_one.wait(10)
        assert transport.send(request_to(peer.url)).status == 204


@pytest.mark.parametrize("length", ["banana", "-1", "9" * 40, "5, 7", "5, 5", "", "0x5", "\u00b2"])
def test_a_length_that_is_none_changes_nothing(transport: HttpTransport, length: str) -> None:
    data = f"HTTP/1.1 202 Accepted\r\nContent-Length: {length}\r\n\r\nhello".encode("latin-1")
    with HttpPeer(peers.send(data), peers.reply(204)) as peer:
        assert transport.send(request_to(peer.url)).status == 202
        assert peer.closed_one.wait(10)
        assert transport.send(request_to(peer.url)).status == 204


@pytest.mark.parametrize(
    "header",
    [
        b"no colon at all",
        b": no name",
        b"X-Nul: a\x00b",
        b"X-Bytes: " + bytes(range(128, 256)),
        b"X-Controls: " + bytes(range(1, 10)) + b"\x0b\x0c\x1b\x7f",
        b" folded: as in old times",
        b"X-Long: " + b"x" * 200_000,
        b"\r\n".join(b"X-%d: y" % number for number in range(2000)),
        b"\r\n".join(b"X-%d: " % number + b"y" * 1000 for number in range(2000)),
        b"Set-Cookie: \xff=\xff; expires=Fri, 01 Jan 99999999999 00:00:00 GMT",
        b"Content-Type: text/html; charset=\xff\x01",
        b"Connection: \xff",
        b"Location: http://[::1",
    ],
)
@pytest.mark.parametrize("status", [200, 503])
def test_no_header_hides_the_status(transport: HttpTransport, header: bytes, status: int) -> None:
    data = f"HTTP/1.1 {status} X\r\n".encode() + header + b"\r\nContent-Length: 2\r\n\r\n{}"
    with HttpPeer(peers.send(data), peers.reply(204)) as peer:
        assert transport.send(request_to(peer.url)).status == status
        assert peer.closed_one.wait(10)
        assert transport.send(request_to(peer.url)).status == 204


def test_an_interim_answer_is_none(transport: HttpTransport) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" * 3
    with HttpPeer(peers.send(early + peers.head(503, {"Content-Length": "0", "X-A": "b"}))) as peer:
        response = transport.send(request_to(peer.url))

    assert response.status == 503
    assert "retry-after" not in response.headers


def test_trailers_are_no_headers(transport: HttpTransport) -> None:
    data = peers.head(503, {**CHUNKED, "Retry-After": "7"}) + b"0\r\nRetry-After: 86400\r\nHTTP/1.1 200 OK\r\n\r\n"
    with HttpPeer(peers.send(data)) as peer:
        response = transport.send(request_to(peer.url))

    assert (response.status, response.headers["retry-after"]) == (503, "7")


def test_the_rest_of_an_answer_is_not_waited_for_to_the_deadline(transport: HttpTransport) -> None:
    with HttpPeer(peers.begin(200, {"Content-Length": "100"}, b"{}")) as peer:
        started_at = time.monotonic()
        response = transport.send(request_to(peer.url, timeout_seconds=50))
        took_seconds = time.monotonic() - started_at

    assert (response.status, response.body, response.is_complete) == (200, b"{}", False)
    assert took_seconds < 40


def test_who_needs_the_body_has_it_waited_for(transport: HttpTransport) -> None:
    late = threading.Event()

    def slow(connection: peers.PeerConnection) -> bool:
        connection.send(peers.head(200, {"Content-Length": "2"}))
        late.wait(BODY_SECONDS + 1.5)
        connection.send(b"{}")
        return True

    with HttpPeer(slow) as peer:
        request = replace(request_to(peer.url, timeout_seconds=30), waits_for_body=True)

        assert transport.send(request) == Response(200, {"content-length": "2"}, b"{}")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    status=st.sampled_from([200, 202, 400, 401, 429, 500, 503]),
    reason=st.binary(max_size=20),
    headers=st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from([b"Retry-After", b"Content-Type", b"Set-Cookie", b"Date", b"Location", b"Server"]),
                st.binary(min_size=1, max_size=8),
            ),
            st.binary(max_size=40),
        ),
        max_size=6,
    ),
    body=st.binary(max_size=200),
)
def test_any_bytes_behind_a_status_leave_it(
    shared_transport: HttpTransport, status: int, reason: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    def one_line(data: bytes) -> bytes:
        return data.replace(b"\r", b"").replace(b"\n", b"")

    # RFC 9112 has no control characters in a reason but the tab; a line with one is no status line to some libraries.
    head = [b"HTTP/1.1 %d " % status + bytes(byte for byte in reason if byte >= 0x20 or byte == 0x09)]
    head += [one_line(name) + b": " + one_line(value) for name, value in headers]
    with HttpPeer(peers.send(b"\r\n".join(head) + b"\r\n\r\n" + body)) as peer:
        response = shared_transport.send(request_to(peer.url))

    assert response.status == status
    assert len(response.body) <= MAX_BODY_BYTES
