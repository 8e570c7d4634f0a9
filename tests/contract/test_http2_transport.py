"""HTTP/2 by libcurl, against a real server: the same promises as over HTTP/1.1, by ``send`` and by ``start``."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest
import trustme
from h2.errors import ErrorCodes

from tests import http2_peer, peers
from tests.http2_peer import Http2Behaviour, Http2Peer, Http2Stream
from tests.peers import HttpPeer
from tests.started_transport import StartedTransport
from wavecom.providers.transport import (
    HttpTransport,
    HttpVersion,
    NotSentError,
    Request,
    Response,
    TransportError,
    UnclearError,
)
from wavecom.providers.transport.curl import CurlTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=[CurlTransport, StartedTransport])
def transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = Path(tmp_path_factory.mktemp("ca") / "ca.pem")
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, protocols: Sequence[str]) -> ssl.SSLContext:
    """Of a server that chooses among ``protocols`` by ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(protocols)
    return context


def request_to(url: str, ca_file: str | None = None, body: bytes = b'{"a": 1}', timeout_seconds: float = 5) -> Request:
    headers = {"Content-Type": "application/json", "X-Key": "k-1"}
    return Request(url, body, headers, timeout_seconds, ca_file, http_version=HttpVersion.HTTP_2)


def test_a_request_arrives_as_it_was_given_and_the_connection_is_kept(
    transport: HttpTransport, authority: trustme.CA, ca_file: str
) -> None:
    script = http2_peer.reply(202, b'{"id": "m-1"}', {"x-more": "1"})
    with Http2Peer(script, context=server_context(authority, ["h2"])) as peer:
        responses = [transport.send(request_to(peer.url, ca_file, "grüß".encode())) for _ in range(3)]

        assert [request.connection for request in peer.requests] == [1, 1, 1]
        received = peer.requests[-1]
    assert bytes(received.body) == "grüß".encode()
    assert received.headers[":method"] == "POST"
    assert received.headers[":path"] == "/send"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-key"] == "k-1"
    assert received.headers["user-agent"] == "WaveCom"
    for response in responses:
        assert (response.status, response.body, response.is_complete) == (202, b'{"id": "m-1"}', True)
        assert response.headers == {"x-more": "1"}


def test_a_server_that_pings_an_idle_connection_costs_a_connection_and_no_call(
    transport: HttpTransport, authority: trustme.CA, ca_file: str
) -> None:
    streams: list[Http2Stream] = []

    def answer(stream: Http2Stream) -> bool:
        streams.append(stream)
        return http2_peer.reply(202, b"{}")(stream)

    with Http2Peer(answer, context=server_context(authority, ["h2"])) as peer:
        first = transport.send(request_to(peer.url, ca_file))
        streams[0].protocol.ping(b"are you?")
        streams[0].flush()
        if isinstance(transport, StartedTransport):
            # Nobody reads from an idle connection: what it has to say is taken for its end.
            assert peer.closed_one.wait(30)
        second = transport.send(request_to(peer.url, ca_file))

    assert (first.status, second.status) == (202, 202)
    assert len(peer.requests) == 2


def test_calls_at_once_are_streams_of_one_connection(authority: trustme.CA, ca_file: str) -> None:
    waiting: list[Http2Stream] = []

    def answer_when_all_are_there(stream: Http2Stream) -> bool:
        waiting.append(stream)
        if len(waiting) == 20:
            for each in waiting:
                http2_peer.reply(200, b"%d" % each.number)(each)
        return True

    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()
    with Http2Peer(answer_when_all_are_there, context=server_context(authority, ["h2"])) as peer:
        for _ in range(20):
            assert transport.start(request_to(peer.url, ca_file, timeout_seconds=10), ends.put)
        results = [ends.get(timeout=30) for _ in range(20)]

        assert peer.connections == 1
    transport.close()
    # Each call has the answer of its own stream.
    assert {each.body for each in results if isinstance(each, Response)} == {b"%d" % n for n in range(1, 41, 2)}


def test_a_connection_on_which_a_call_got_no_answer_takes_no_new_one(authority: trustme.CA, ca_file: str) -> None:
    transport = StartedTransport()
    script = [http2_peer.reply(), http2_peer.be_silent, http2_peer.reply()]
    with Http2Peer(*script, context=server_context(authority, ["h2"])) as peer:
        transport.send(request_to(peer.url, ca_file))
        with pytest.raises(UnclearError):
            transport.send(request_to(peer.url, ca_file, timeout_seconds=0.5))
        transport.send(request_to(peer.url, ca_file))

        assert [each.connection for each in peer.requests] == [1, 1, 2]
    transport.close()


@pytest.mark.parametrize("script", [None, http2_peer.hang_up], ids=["refused", "unclear"])
def test_calls_that_fail_one_after_the_other_take_no_more_descriptors(script: Http2Behaviour | None) -> None:
    transport = StartedTransport()
    with ExitStack() as opened:
        opened.callback(transport.close)
        if script is None:
            url = f"http://127.0.0.1:{peers.free_port()}/send"
        else:
            url = opened.enter_context(Http2Peer(script)).url

        def fail(calls: int) -> int:
            for _ in range(calls):
                with pytest.raises(TransportError):
                    transport.send(request_to(url))
            return len(os.listdir("/proc/self/fd"))

        # The server's ends of connections close when they like: hence the room, far less than a group a call takes.
        first, last = fail(3), fail(40)
        assert last - first < 20


def test_a_stream_that_is_given_up_leaves_the_others_alone(authority: trustme.CA, ca_file: str) -> None:
    """One call's time is up while another waits on the same connection, which then gets its answer."""
    streams: list[Http2Stream] = []
    both_there = threading.Event()

    def keep(stream: Http2Stream) -> bool:
        streams.append(stream)
        if len(streams) == 2:
            both_there.set()
        return True

    transport = CurlTransport()
    short: SimpleQueue[Response | Exception] = SimpleQueue()
    long: SimpleQueue[Response | Exception] = SimpleQueue()
    with Http2Peer(keep, context=server_context(authority, ["h2"])) as peer:
        assert transport.start(request_to(peer.url, ca_file, b"long", timeout_seconds=20), long.put)
        assert transport.start(request_to(peer.url, ca_file, b"short", timeout_seconds=2), short.put)
        assert both_there.wait(30)
        assert isinstance(short.get(timeout=30), UnclearError)
        [patient] = [stream for stream, request in zip(streams, peer.requests, strict=True) if request.body == b"long"]
        http2_peer.reply(200)(patient)
        end = long.get(timeout=30)

        assert peer.connections == 1
    transport.close()
    assert isinstance(end, Response)
    assert end.status == 200


def test_over_plain_http_it_is_begun_without_asking(transport: HttpTransport) -> None:
    with Http2Peer(http2_peer.reply(200, b"{}")) as peer:
        assert transport.send(request_to(peer.url)).status == 200


@pytest.mark.parametrize("status", [202, 400, 410, 429, 503])
def test_status_and_headers_are_the_answer_whatever_becomes_of_the_rest(transport: HttpTransport, status: int) -> None:
    with Http2Peer(http2_peer.begin(status, {"retry-after": "7"}, b"{")) as peer:
        response = transport.send(request_to(peer.url, timeout_seconds=1))

    assert (response.status, response.headers, response.is_complete) == (status, {"retry-after": "7"}, False)


@pytest.mark.parametrize(
    "behaviour",
    [
        http2_peer.be_silent,
        http2_peer.hang_up,
        http2_peer.go_away,
        # "Not processed", says the server: that it is so nobody can see, and nothing is sent twice in silence.
        http2_peer.reset_stream(ErrorCodes.REFUSED_STREAM),
        http2_peer.reset_stream(ErrorCodes.INTERNAL_ERROR),
        http2_peer.reset_stream(ErrorCodes.NO_ERROR),
    ],
    ids=["silent", "hangs up", "goes away", "refuses the stream", "fails", "ends the stream"],
)
@pytest.mark.parametrize("is_kept", [False, True], ids=["new connection", "kept connection"])
def test_without_a_status_the_outcome_is_unclear_and_nothing_is_sent_again(
    transport: HttpTransport, behaviour: Http2Behaviour, is_kept: bool
) -> None:
    first = [http2_peer.reply()] * is_kept
    with Http2Peer(*first, behaviour, http2_peer.reply()) as peer:
        for _ in first:
            transport.send(request_to(peer.url))
        with pytest.raises(UnclearError):
            transport.send(request_to(peer.url, timeout_seconds=1))

        assert len(peer.requests) == len(first) + 1
        # And the next call goes.
        assert transport.send(request_to(peer.url)).status == 200


def test_a_server_that_only_speaks_http_1_1_gets_no_request_that_it_could_take(
    transport: HttpTransport, authority: trustme.CA, ca_file: str
) -> None:
    with HttpPeer(peers.reply(200, b"{}"), context=server_context(authority, ["http/1.1"])) as peer:
        # Not over the connection of another version either.
        assert transport.send(Request(peer.url, b"{}", {}, 5, ca_file)).status == 200
        with pytest.raises(TransportError):
            transport.send(request_to(peer.url, ca_file))

        assert len([request for request in peer.requests if "/send" in request.line]) == 1


def test_http_1_1_is_spoken_where_it_is_asked_for_at_the_same_server(
    transport: HttpTransport, authority: trustme.CA, ca_file: str
) -> None:
    with HttpPeer(peers.reply(200, b"{}"), context=server_context(authority, ["h2", "http/1.1"])) as peer:
        response = transport.send(Request(peer.url, b"{}", {}, 5, ca_file))

        [received] = peer.requests
    assert response.status == 200
    assert received.line == "POST /send HTTP/1.1"


def test_a_certificate_that_is_not_right_sent_nothing(transport: HttpTransport, authority: trustme.CA) -> None:
    with Http2Peer(http2_peer.reply(), context=server_context(authority, ["h2"])) as peer:
        with pytest.raises(NotSentError):
            transport.send(request_to(peer.url))

        assert peer.requests == []
