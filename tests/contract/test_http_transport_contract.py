"""Both HTTP transports keep one contract, against a real server that behaves as badly as servers do."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import trustme
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests import peers
from tests.peers import HttpPeer
from tests.started_transport import StartedTransport
from wavecom.providers.transport import (
    HttpTransport,
    HttpVersion,
    NotSentError,
    Request,
    Response,
    TransportError,
    TransportFault,
    UnclearError,
    make_transport,
)
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.deadline import Deadline, DeadlineSocket, Resolve, secure, tls_context
from wavecom.providers.transport.port import BODY_SECONDS, MAX_BODY_BYTES, Method
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=[CurlTransport, StartedTransport, RequestsTransport])
def transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made = request.param()
    yield made
    made.close()


def request_to(url: str, body: bytes = b'{"a": 1}', timeout_seconds: float = 20, ca_file: str | None = None) -> Request:
    return Request(url, body, {"Content-Type": "application/json", "X-Key": "k-1"}, timeout_seconds, ca_file)


def fault_of(transport: HttpTransport, request: Request) -> TransportError:
    with pytest.raises(TransportError) as caught:
        transport.send(request)
    return caught.value


# --- Answers ------------------------------------------------------------------------------------------------------


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


# --- Nothing was sent ---------------------------------------------------------------------------------------------


def test_a_refused_connection_sent_nothing(transport: HttpTransport) -> None:
    error = fault_of(transport, request_to(f"http://127.0.0.1:{peers.free_port()}/"))

    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.CONNECT


def test_a_name_that_does_not_exist_sent_nothing(transport: HttpTransport) -> None:
    error = fault_of(transport, request_to("http://no-such-host.invalid/"))

    assert isinstance(error, NotSentError)
    assert error.fault in {
        TransportFault.DNS,
        TransportFault.TIMEOUT,
    }  # a machine without a name server may wait for one


def test_a_look_up_that_hangs_ends_at_the_deadline_and_sent_nothing() -> None:
    release = threading.Event()
    transport = RequestsTransport(resolve=lambda *_args, **_named: release.wait() and [])

    error = fault_of(transport, request_to("http://slow.invalid/", timeout_seconds=0.2))

    release.set()
    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.TIMEOUT


def test_a_silent_handshake_sent_nothing(transport: HttpTransport) -> None:
    def never(connection: peers.PeerConnection) -> bool:
        raise AssertionError("no request can come")

    with HttpPeer(never) as peer:  # it speaks no TLS, and waits for a request that can't be read
        error = fault_of(transport, request_to(peer.url.replace("http:", "https:"), timeout_seconds=0.3))

    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.TIMEOUT


# --- Nobody can tell ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "faults"),
    [
        (peers.be_silent, {TransportFault.TIMEOUT}),
        (peers.drip(peers.head(200, {f"X-{n}": "drip" for n in range(90)})), {TransportFault.TIMEOUT}),
        (peers.drip(b"HTTP/1.1 200 " + b"O" * 5000), {TransportFault.TIMEOUT}),
        (peers.drip(b"\r\n" * 2500), {TransportFault.TIMEOUT, TransportFault.MALFORMED_ANSWER}),
        (peers.hang_up, {TransportFault.NO_ANSWER}),
        (peers.reset, {TransportFault.RESET}),
        (
            peers.send(b"HTTP/1.1 200 OK\r\nX-A: b\r\n"),
            {TransportFault.SHORT_ANSWER, TransportFault.NO_ANSWER, TransportFault.RESET},
        ),
        (
            peers.send(b"HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n"),
            {TransportFault.NO_ANSWER, TransportFault.SHORT_ANSWER},
        ),
        (peers.send(b"SSH-2.0-OpenSSH\r\n"), {TransportFault.MALFORMED_ANSWER}),
        (peers.send(b"HTTP/1.1 2"), {TransportFault.MALFORMED_ANSWER, TransportFault.NO_ANSWER}),
    ],
    ids=[
        "silence",
        "dripping headers",
        "dripping status line",
        "dripping blank lines",
        "closed without an answer",
        "reset after the body",
        "half a head",
        "nothing after an interim answer",
        "not HTTP",
        "half a status line",
    ],
)
def test_without_a_whole_head_in_time_the_outcome_is_unclear(
    transport: HttpTransport, behaviour: peers.Behaviour, faults: set[TransportFault]
) -> None:
    with HttpPeer(behaviour) as peer:
        error = fault_of(transport, request_to(peer.url, timeout_seconds=1))

        assert len(peer.requests) == 1
    assert isinstance(error, UnclearError)
    assert error.fault in faults


def test_a_reset_in_the_middle_of_the_body_is_unclear(transport: HttpTransport) -> None:
    with HttpPeer(peers.reset, reads_whole_requests=False) as peer:
        error = fault_of(transport, request_to(peer.url, b"x" * 20_000_000))

    assert isinstance(error, UnclearError)
    assert error.fault in {TransportFault.RESET, TransportFault.NO_ANSWER}


def test_a_peer_that_does_not_read_is_unclear_at_the_deadline(transport: HttpTransport) -> None:
    with HttpPeer(lambda c: c.stopping.wait() and False, reads_whole_requests=False) as peer:
        error = fault_of(transport, request_to(peer.url, b"x" * 20_000_000, timeout_seconds=1))

    assert isinstance(error, UnclearError)
    assert error.fault is TransportFault.TIMEOUT


def test_errors_name_no_address_and_no_header(transport: HttpTransport) -> None:
    with HttpPeer(peers.hang_up) as peer:
        error = fault_of(transport, request_to(peer.url + "?token=secret"))

    assert "127.0.0.1" not in str(error)
    assert "secret" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


# --- A status that was read counts --------------------------------------------------------------------------------


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


@pytest.fixture(params=[CurlTransport, StartedTransport, RequestsTransport], scope="module")
def shared_transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made = request.param()
    yield made
    made.close()


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

    head = [b"HTTP/1.1 %d " % status + one_line(reason).replace(b"\0", b"")]  # a line with NUL is no status line
    head += [one_line(name) + b": " + one_line(value) for name, value in headers]
    with HttpPeer(peers.send(b"\r\n".join(head) + b"\r\n\r\n" + body)) as peer:
        response = shared_transport.send(request_to(peer.url))

    assert response.status == status
    assert len(response.body) <= MAX_BODY_BYTES


# --- A call that can't begin --------------------------------------------------------------------------------------


def test_without_descriptors_every_call_ends_as_not_sent_and_the_next_one_goes(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}")) as peer, capture_logs():
        taken: list[int] = []
        with low_limit(1024):
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            errors = [fault_of(transport, request_to(peer.url)) for _ in range(3)]
            for descriptor in taken:
                os.close(descriptor)
        response = transport.send(request_to(peer.url))

        assert len(peer.requests) == 1
    assert {type(error) for error in errors} == {NotSentError}
    assert {error.fault for error in errors} == {TransportFault.NOT_BEGUN}, "it is not the other side that lacks them"
    assert not any(error.is_bug for error in errors if isinstance(error, NotSentError))
    assert response.status == 200


def test_a_request_that_no_library_takes_is_a_bug_and_no_want(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}")) as peer, capture_logs():
        request = replace(request_to(peer.url), headers={"X-Note": "\udc80"})
        error = fault_of(transport, request)
        response = transport.send(request_to(peer.url))

    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.NOT_BEGUN
    assert error.is_bug
    assert response.status == 200


@contextlib.contextmanager
def low_limit(descriptors: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- Kept connections ---------------------------------------------------------------------------------------------


def test_a_connection_is_kept_for_the_next_request(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}")) as peer:
        for _ in range(5):
            transport.send(request_to(peer.url))

        assert (len(peer.requests), peer.connections) == (5, 1)


def test_one_thread_may_call_several_hosts(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}")) as first, HttpPeer(peers.reply(204)) as second:
        statuses = [transport.send(request_to(peer.url)).status for peer in (first, second, first, second)]

    assert statuses == [200, 204, 200, 204]


def test_a_connection_closed_while_idle_is_replaced_unnoticed(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}", goes_on=False)) as peer:
        for _ in range(3):
            assert transport.send(request_to(peer.url)).status == 200
            assert peer.closed_one.wait(10)
            peer.closed_one.clear()

        assert (len(peer.requests), peer.connections) == (3, 3)


@pytest.mark.parametrize("ending", [peers.hang_up, peers.reset])
@pytest.mark.parametrize(
    ("method", "body"), [("POST", b"{}"), ("POST", b""), ("PUT", b""), ("DELETE", b""), ("GET", b"")]
)
def test_a_kept_connection_that_dies_with_a_request_does_not_send_it_again(
    transport: HttpTransport, ending: peers.Behaviour, method: Method, body: bytes
) -> None:
    with HttpPeer(peers.reply(200, b"{}"), ending, peers.reply(200, b"{}")) as peer:
        transport.send(request_to(peer.url))
        error = fault_of(transport, Request(peer.url, body, {}, 20, method=method))
        after = transport.send(request_to(peer.url))

        assert len(peer.requests) == 3
    assert isinstance(error, UnclearError)
    assert after.status == 200


@pytest.mark.parametrize("kind", [CurlTransport, StartedTransport, RequestsTransport])
def test_a_connection_idle_for_long_is_not_used_again(kind: type[CurlTransport] | type[RequestsTransport]) -> None:
    transport = kind(idle_seconds=1)
    with HttpPeer(peers.reply(200, b"{}")) as peer:
        transport.send(request_to(peer.url))
        time.sleep(2.1)  # libcurl counts whole seconds by a clock that can't be given
        transport.send(request_to(peer.url))

        assert peer.connections == 2
    transport.close()


def test_a_timeout_does_not_leave_its_answer_to_the_next_request(transport: HttpTransport) -> None:
    def silent_at_first(connection: peers.PeerConnection) -> bool:
        return peers.be_silent(connection) if connection.number == 1 else peers.reply(200, b"second")(connection)

    with HttpPeer(silent_at_first) as peer:
        fault_of(transport, request_to(peer.url, timeout_seconds=0.2))

        assert transport.send(request_to(peer.url)).body == b"second"


def test_cookies_are_not_kept(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}", headers={"Set-Cookie": "a=b; Path=/"})) as peer:
        transport.send(request_to(peer.url))
        transport.send(request_to(peer.url))

        assert "cookie" not in peer.requests[1].headers


# --- The world around ---------------------------------------------------------------------------------------------


def test_proxies_and_passwords_of_the_account_are_not_used(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{peers.free_port()}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with HttpPeer(peers.reply()) as peer:
        assert transport.send(request_to(peer.url)).status == 200
        assert "authorization" not in peer.requests[0].headers


def test_many_threads_share_a_transport_and_each_keeps_a_connection(transport: HttpTransport) -> None:
    def echo(connection: peers.PeerConnection) -> bool:
        connection.send(peers.head(200, {"Content-Length": "2"}) + b"ok")
        return True

    # Their first calls are answered when all have come: none finds a connection that another has done with.
    together = threading.Barrier(16)

    def echo_together(connection: peers.PeerConnection) -> bool:
        together.wait(60)
        return echo(connection)

    def work(number: int) -> set[int]:
        return {transport.send(request_to(peer.url, str(number).encode())).status for _ in range(10)}

    with HttpPeer(*[echo_together] * 16, echo) as peer, ThreadPoolExecutor(16) as pool:
        statuses = set.union(*pool.map(work, range(16)))

        assert statuses == {200}
        assert peer.connections == 16
        assert sorted(received.body for received in peer.requests) == sorted([str(n).encode() for n in range(16)] * 10)


def test_closing_twice_and_sending_again_are_allowed(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply()) as peer:
        transport.send(request_to(peer.url))
        transport.close()
        transport.close()

        assert transport.send(request_to(peer.url)).status == 200
        assert peer.connections == 2


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_a_certificate_of_a_trusted_authority_is_taken(
    transport: HttpTransport, authority: trustme.CA, ca_file: str
) -> None:
    with HttpPeer(peers.reply(200, b"{}"), context=server_context(authority, "127.0.0.1")) as peer:
        for _ in range(2):
            assert transport.send(request_to(peer.url, ca_file=ca_file)).status == 200

        assert peer.connections == 1


@pytest.mark.parametrize("kind", [CurlTransport, StartedTransport])
def test_an_older_connection_that_ends_late_is_not_taken_for_the_one_in_use(
    kind: type[CurlTransport], authority: trustme.CA, ca_file: str
) -> None:
    """libcurl takes leave of a TLS connection and goes on waiting for the other side to do so."""
    ends = {1: threading.Event(), 2: threading.Event()}

    def reply_and_end_when_told(connection: peers.PeerConnection) -> bool:
        peers.reply(200, b"{}")(connection)
        if connection.number in ends and not connection.stopping.is_set():
            is_last = len(peer.requests) == connection.number
            return not (is_last and ends[connection.number].wait(30))
        return True

    transport = kind()
    with HttpPeer(reply_and_end_when_told, context=server_context(authority, "127.0.0.1")) as peer:
        # The second one has no body and so a connection of its own; the first one's is let go of.
        statuses = [transport.send(request_to(peer.url, ca_file=ca_file)).status]
        statuses.append(transport.send(Request(peer.url, b"", {}, 20, ca_file, method="GET")).status)
        for number in (1, 2):
            peer.closed_one.clear()
            ends[number].set()
            assert peer.closed_one.wait(10)
            time.sleep(0.1)  # for what is wrong to show: the thread of the calls looks at each end by itself
        statuses.append(transport.send(request_to(peer.url, ca_file=ca_file)).status)

        assert (statuses, len(peer.requests), peer.connections) == ([200, 200, 200], 3, 3)
    transport.close()


@pytest.mark.parametrize("mistake", ["unknown authority", "other name"])
def test_a_certificate_that_is_not_right_sent_nothing(
    transport: HttpTransport, authority: trustme.CA, ca_file: str, mistake: str
) -> None:
    name = "other.example" if mistake == "other name" else "127.0.0.1"
    trusted = ca_file if mistake == "other name" else None
    with HttpPeer(peers.reply(), context=server_context(authority, name)) as peer:
        error = fault_of(transport, request_to(peer.url, ca_file=trusted))

        assert peer.requests == []
    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.TLS


def test_dripping_over_tls_ends_at_the_deadline_too(
    transport: HttpTransport, authority: trustme.CA, ca_file: str
) -> None:
    context = server_context(authority, "127.0.0.1")
    with HttpPeer(peers.drip(peers.head(200, {"X": "y" * 5000})), context=context) as peer:
        error = fault_of(transport, request_to(peer.url, timeout_seconds=1, ca_file=ca_file))

    assert isinstance(error, UnclearError)
    assert error.fault is TransportFault.TIMEOUT


# --- Addresses ----------------------------------------------------------------------------------------------------


def address(host: str, port: int) -> tuple[object, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


def test_of_several_addresses_the_first_that_answers_is_used() -> None:
    with HttpPeer(peers.reply(204)) as peer:
        found = [address("127.0.0.1", peers.free_port()), address("127.0.0.1", peer.port)]
        transport = RequestsTransport(resolve=lambda *_args, **_named: found)

        assert transport.send(request_to("http://gateway.invalid/")).status == 204
        transport.close()


def no_address(*_args: object, **_named: object) -> list[object]:
    return []


def no_such_name(*_args: object, **_named: object) -> list[object]:
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


def no_name_at_all(*_args: object, **_named: object) -> list[object]:
    raise UnicodeError("label too long")


@pytest.mark.parametrize("resolve", [no_address, no_such_name, no_name_at_all])
def test_a_look_up_that_finds_nothing_sent_nothing(resolve: Resolve) -> None:
    error = fault_of(RequestsTransport(resolve=resolve), request_to("http://gateway.invalid/"))

    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.DNS


# --- Many on one thread -------------------------------------------------------------------------------------------


def test_started_calls_run_at_once_and_their_connections_are_kept() -> None:
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()

    # None is answered before all have come.
    together = threading.Barrier(20)

    def answer_together(connection: peers.PeerConnection) -> bool:
        together.wait(60)
        return peers.reply(200, b"{}")(connection)

    threads_before = threading.active_count()
    with HttpPeer(answer_together) as peer:
        for _ in range(2):
            for _ in range(20):
                assert transport.start(request_to(peer.url), ends.put)
            assert {getattr(ends.get(timeout=30), "status", None) for _ in range(20)} == {200}

        assert len(peer.requests) == 40
        assert peer.connections == 20
    transport.close()
    assert threading.active_count() <= threads_before


def test_closing_waits_for_started_calls_and_the_next_one_starts_anew() -> None:
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()

    def slow(connection: peers.PeerConnection) -> bool:
        time.sleep(0.3)
        return peers.reply(200, b"{}")(connection)

    with HttpPeer(slow) as peer:
        assert transport.start(request_to(peer.url), ends.put)
        transport.close()
        ended_by_the_close = ends.qsize()
        assert transport.start(request_to(peer.url), ends.put)
        transport.close()

    assert ended_by_the_close == 1
    assert [getattr(ends.get_nowait(), "status", None) for _ in range(2)] == [200, 200]


def test_who_trips_over_an_answer_costs_the_others_nothing() -> None:
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()

    def trip(_: Response | Exception) -> None:
        raise ValueError("a bug")

    with capture_logs(), HttpPeer(peers.reply(200, b"{}")) as peer:
        assert transport.start(request_to(peer.url), trip)
        assert transport.start(Request(peer.url, b"", {"X-Key": "gr\u00fc\u00df \u2014"}, 5), ends.put)
        tripped = ends.get(timeout=30)
        assert transport.start(request_to(peer.url), ends.put)
        after = ends.get(timeout=30)
        transport.close()

    assert isinstance(tripped, Exception)
    assert isinstance(after, Response)


def test_an_answer_that_is_here_counts_though_the_thread_comes_too_late_to_read_it() -> None:
    lags: list[float] = []
    transport = CurlTransport(on_lag=lags.append)
    ends: SimpleQueue[Response | Exception] = SimpleQueue()
    begun, may_answer, answered = threading.Event(), threading.Event(), threading.Event()

    def answer_later(connection: peers.PeerConnection) -> bool:
        begun.set()
        may_answer.wait(30)
        is_kept = peers.reply(200, b"{}")(connection)
        answered.set()
        return is_kept

    def starve(_: Response | Exception) -> None:
        may_answer.set()
        answered.wait(30)
        time.sleep(1.5)  # until the deadline of the other call has passed

    with HttpPeer(answer_later) as late, HttpPeer(peers.reply(200, b"{}")) as quick:
        assert transport.start(request_to(late.url, timeout_seconds=1), ends.put)
        assert begun.wait(30)
        assert transport.start(request_to(quick.url), starve)
        end = ends.get(timeout=30)
        transport.close()

    assert isinstance(end, Response), end


def test_without_an_answer_the_time_is_up_and_the_lag_is_told() -> None:
    lags: list[float] = []
    transport = CurlTransport(on_lag=lags.append)
    ends: SimpleQueue[Response | Exception] = SimpleQueue()
    begun, is_over = threading.Event(), threading.Event()

    def never_answer(_: peers.PeerConnection) -> bool:
        begun.set()
        return is_over.wait(30) and False

    with HttpPeer(never_answer) as silent, HttpPeer(peers.reply(200, b"{}")) as quick:
        assert transport.start(request_to(silent.url, timeout_seconds=1), ends.put)
        assert begun.wait(30)
        assert transport.start(request_to(quick.url), lambda _: time.sleep(2))
        end = ends.get(timeout=30)
        is_over.set()
        transport.close()

    assert isinstance(end, UnclearError)
    assert end.fault is TransportFault.TIMEOUT
    assert max(lags) >= 0.5


@pytest.mark.parametrize("is_secure", [False, True])
def test_a_socket_past_its_deadline_reads_what_is_there_and_nothing_that_comes_later(
    is_secure: bool, authority: trustme.CA, ca_file: str
) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        sock: Any = DeadlineSocket(fileno=ours.detach())
        sock.deadline = Deadline(30)
        other: Any = theirs
        if is_secure:
            with ThreadPoolExecutor() as pool:
                serving = pool.submit(server_context(authority, "localhost").wrap_socket, theirs, server_side=True)
                sock = secure(sock, tls_context(ca_file), "localhost")
                other = serving.result()
        other.sendall(b"here")
        select.select([sock], [], [], 30)
        sock.deadline = Deadline(0)
        buffer = bytearray(10)

        read = sock.recv_into(buffer)
        with pytest.raises(TimeoutError):
            sock.recv_into(buffer)
        with pytest.raises(TimeoutError):
            sock.sendall(b"more")

        sock.close()
        other.close()
    assert bytes(buffer[:read]) == b"here"


# --- The choice ---------------------------------------------------------------------------------------------------


def test_the_fast_transport_is_chosen_where_it_can_be_imported() -> None:
    assert isinstance(make_transport(), CurlTransport)


def test_without_pycurl_requests_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wavecom.providers.transport.curl", None)  # importing it fails, as without pycurl

    assert isinstance(make_transport(), RequestsTransport)


def test_urllib3_is_the_original() -> None:
    # niquests replaces it by a fork without saying so; the fork's versions end in .9xx.
    assert int(urllib3.__version__.split(".")[2]) < 900


def test_without_http_2_nothing_is_sent() -> None:
    transport = RequestsTransport()
    with HttpPeer(peers.reply()) as peer:
        error = fault_of(transport, replace(request_to(peer.url), http_version=HttpVersion.HTTP_2))

        assert peer.connections == 0
    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.HTTP_VERSION
    assert transport.http_versions == {HttpVersion.HTTP_1_1}
