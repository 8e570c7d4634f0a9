"""Every HTTP transport: connections are kept, never trusted, and the environment of the process is not used."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import peers
from tests.contract.http_transport.requests import fault_of, request_to
from tests.peers import HttpPeer
from tests.started_transport import StartedTransport
from wavecom.providers.transport import HttpTransport, Request, UnclearError
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.port import Method
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
