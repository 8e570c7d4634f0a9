"""Both HTTP transports keep one contract, against a real server that behaves as badly as servers do."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest
import trustme
import urllib3
from structlog.testing import capture_logs

from tests import peers
from tests.peers import HttpPeer
from wavecom.providers.transport import (
    Fault,
    HttpTransport,
    NotSentError,
    Request,
    Response,
    TransportError,
    UnclearError,
    make_transport,
)
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.deadline import Resolve
from wavecom.providers.transport.port import MAX_BODY_BYTES
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


class StartedTransport(CurlTransport):
    """Every call started, on the one thread for all; who wants the answer waits here."""

    def send(self, request: Request) -> Response:
        ends: SimpleQueue[Response | Exception] = SimpleQueue()
        assert self.start(request, ends.put)
        end = ends.get(timeout=60)
        if isinstance(end, Exception):
            raise end from None
        return end


@pytest.fixture(params=[CurlTransport, StartedTransport, RequestsTransport])
def transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made = request.param()
    yield made
    made.close()


def request_to(url: str, body: bytes = b'{"a": 1}', timeout_seconds: float = 5, ca_file: str | None = None) -> Request:
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
    assert error.fault is Fault.CONNECT


def test_a_name_that_does_not_exist_sent_nothing(transport: HttpTransport) -> None:
    error = fault_of(transport, request_to("http://no-such-host.invalid/"))

    assert isinstance(error, NotSentError)
    assert error.fault in {Fault.DNS, Fault.TIMEOUT}  # a machine without a name server may wait for one


def test_a_look_up_that_hangs_ends_at_the_deadline_and_sent_nothing() -> None:
    release = threading.Event()
    transport = RequestsTransport(resolve=lambda *_args, **_named: release.wait() and [])

    error = fault_of(transport, request_to("http://slow.invalid/", timeout_seconds=0.2))

    release.set()
    assert isinstance(error, NotSentError)
    assert error.fault is Fault.TIMEOUT


def test_a_silent_handshake_sent_nothing(transport: HttpTransport) -> None:
    def never(connection: peers.PeerConnection) -> bool:
        raise AssertionError("no request can come")

    with HttpPeer(never) as peer:  # it speaks no TLS, and waits for a request that can't be read
        error = fault_of(transport, request_to(peer.url.replace("http:", "https:"), timeout_seconds=0.3))

    assert isinstance(error, NotSentError)
    assert error.fault is Fault.TIMEOUT


# --- Nobody can tell ----------------------------------------------------------------------------------------------

HALF_AN_ANSWER = peers.head(200, {"Content-Length": "100"}) + b"only this"


@pytest.mark.parametrize(
    ("behaviour", "faults"),
    [
        (peers.be_silent, {Fault.TIMEOUT}),
        (peers.drip(peers.head(200, {f"X-{n}": "drip" for n in range(90)})), {Fault.TIMEOUT}),
        (peers.drip(b"HTTP/1.1 200 " + b"O" * 5000), {Fault.TIMEOUT}),
        (peers.drip(b"\r\n" * 2500), {Fault.TIMEOUT, Fault.MALFORMED_ANSWER}),
        (lambda c: c.send(peers.head(200, {"Content-Length": "5000"})) or peers.drip(b"x" * 5000)(c), {Fault.TIMEOUT}),
        (lambda c: c.send(peers.head(200, {})) or peers.drip(b"x" * 5000)(c), {Fault.TIMEOUT}),
        (peers.hang_up, {Fault.NO_ANSWER}),
        (peers.reset, {Fault.RESET}),
        (peers.send(HALF_AN_ANSWER), {Fault.SHORT_ANSWER}),
        (peers.send(b"SSH-2.0-OpenSSH\r\n"), {Fault.MALFORMED_ANSWER}),
        (peers.send(b"HTTP/1.1 2"), {Fault.MALFORMED_ANSWER, Fault.NO_ANSWER}),
    ],
    ids=[
        "silence",
        "dripping headers",
        "dripping status line",
        "dripping blank lines",
        "dripping body",
        "dripping body without an end",
        "closed without an answer",
        "reset after the body",
        "half a body",
        "not HTTP",
        "half a status line",
    ],
)
def test_without_a_whole_answer_in_time_the_outcome_is_unclear(
    transport: HttpTransport, behaviour: peers.Behaviour, faults: set[Fault]
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
    assert error.fault in {Fault.RESET, Fault.NO_ANSWER}


def test_a_peer_that_does_not_read_is_unclear_at_the_deadline(transport: HttpTransport) -> None:
    with HttpPeer(lambda c: c.stopping.wait() and False, reads_whole_requests=False) as peer:
        error = fault_of(transport, request_to(peer.url, b"x" * 20_000_000, timeout_seconds=1))

    assert isinstance(error, UnclearError)
    assert error.fault is Fault.TIMEOUT


def test_errors_name_no_address_and_no_header(transport: HttpTransport) -> None:
    with HttpPeer(peers.hang_up) as peer:
        error = fault_of(transport, request_to(peer.url + "?token=secret"))

    assert "127.0.0.1" not in str(error)
    assert "secret" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


# --- Kept connections ---------------------------------------------------------------------------------------------


def test_a_connection_is_kept_for_the_next_request(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}")) as peer:
        for _ in range(5):
            transport.send(request_to(peer.url))

        assert (len(peer.requests), peer.connections) == (5, 1)


def test_a_connection_closed_while_idle_is_replaced_unnoticed(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, b"{}", goes_on=False)) as peer:
        for _ in range(3):
            assert transport.send(request_to(peer.url)).status == 200
            assert peer.closed_one.wait(10)
            peer.closed_one.clear()

        assert (len(peer.requests), peer.connections) == (3, 3)


@pytest.mark.parametrize("ending", [peers.hang_up, peers.reset])
def test_a_kept_connection_that_dies_with_a_request_does_not_send_it_again(
    transport: HttpTransport, ending: peers.Behaviour
) -> None:
    with HttpPeer(peers.reply(200, b"{}"), ending, peers.reply(200, b"{}")) as peer:
        transport.send(request_to(peer.url))
        error = fault_of(transport, request_to(peer.url))
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

    barrier = threading.Barrier(16)

    def work(number: int) -> set[int]:
        barrier.wait()
        return {transport.send(request_to(peer.url, str(number).encode())).status for _ in range(10)}

    with HttpPeer(echo) as peer, ThreadPoolExecutor(16) as pool:
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
    assert error.fault is Fault.TLS


def test_dripping_over_tls_ends_at_the_deadline_too(
    transport: HttpTransport, authority: trustme.CA, ca_file: str
) -> None:
    context = server_context(authority, "127.0.0.1")
    with HttpPeer(peers.drip(peers.head(200, {"X": "y" * 5000})), context=context) as peer:
        error = fault_of(transport, request_to(peer.url, timeout_seconds=1, ca_file=ca_file))

    assert isinstance(error, UnclearError)
    assert error.fault is Fault.TIMEOUT


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
    assert error.fault is Fault.DNS


# --- Many on one thread -------------------------------------------------------------------------------------------


def test_started_calls_run_at_once_and_their_connections_are_kept() -> None:
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()

    def slow(connection: peers.PeerConnection) -> bool:
        time.sleep(0.2)
        return peers.reply(200, b"{}")(connection)

    threads_before = threading.active_count()
    with HttpPeer(slow) as peer:
        started = time.monotonic()
        for _ in range(2):
            for _ in range(20):
                assert transport.start(request_to(peer.url), ends.put)
            assert {getattr(ends.get(timeout=30), "status", None) for _ in range(20)} == {200}
        took_seconds = time.monotonic() - started

        assert len(peer.requests) == 40
        assert peer.connections == 20
    transport.close()
    assert took_seconds < 40 * 0.2 / 2
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


# --- The choice ---------------------------------------------------------------------------------------------------


def test_the_fast_transport_is_chosen_where_it_can_be_imported() -> None:
    assert isinstance(make_transport(), CurlTransport)


def test_without_pycurl_requests_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wavecom.providers.transport.curl", None)  # importing it fails, as without pycurl

    assert isinstance(make_transport(), RequestsTransport)


def test_urllib3_is_the_original() -> None:
    # niquests replaces it by a fork without saying so; the fork's versions end in .9xx.
    assert int(urllib3.__version__.split(".")[2]) < 900
