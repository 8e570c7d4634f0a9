"""A request that names its addresses is sent to them and nowhere else, whatever its host resolves to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests import peers
from tests.peers import HttpPeer
from tests.started_transport import StartedTransport
from wavecom.internals.fast_paths import Library
from wavecom.providers.transport import HttpTransport, NotSentError, Request, TransportFault, UnclearError
from wavecom.providers.transport import urllib3 as deadlines
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=[CurlTransport, StartedTransport, RequestsTransport])
def transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made = request.param()
    yield made
    made.close()


def test_the_addresses_count_and_the_certificate_is_the_hosts(transport: HttpTransport, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    right, wrong = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    authority.issue_cert("push.invalid").configure_cert(right)
    authority.issue_cert("127.0.0.1").configure_cert(wrong)

    def request_to(peer: HttpPeer) -> Request:
        url = f"https://push.invalid:{peer.port}/s"
        return Request(url, b"{}", {}, 5, str(tmp_path / "ca.pem"), addresses=("127.0.0.1",))

    with HttpPeer(peers.reply(200), context=right) as peer:
        assert [transport.send(request_to(peer)).status for _ in range(2)] == [200, 200]
        assert peer.requests[0].headers["host"] == f"push.invalid:{peer.port}"
    with HttpPeer(peers.reply(200), context=wrong) as peer, pytest.raises(NotSentError) as caught:
        transport.send(request_to(peer))
    assert caught.value.fault is TransportFault.TLS


@pytest.mark.parametrize("stays_open", [True, False])
def test_new_addresses_take_the_place_of_old_ones(transport: HttpTransport, stays_open: bool) -> None:
    with HttpPeer(peers.reply(200, goes_on=stays_open)) as peer:
        url = f"http://push.invalid:{peer.port}/s"

        assert transport.send(Request(url, b"{}", {}, 5, addresses=("127.0.0.1",))).status == 200
        with pytest.raises(NotSentError):
            transport.send(Request(url, b"{}", {}, 5, addresses=("127.0.0.2",)))

        assert len(peer.requests) == 1


@pytest.mark.parametrize("stays_open", [True, False])
def test_a_request_without_addresses_looks_its_host_up(transport: HttpTransport, stays_open: bool) -> None:
    with HttpPeer(peers.reply(200, goes_on=stays_open)) as peer:
        url = f"http://push.invalid:{peer.port}/s"
        assert transport.send(Request(url, b"{}", {}, 5, addresses=("127.0.0.1",))).status == 200

        with pytest.raises(NotSentError) as caught:
            transport.send(Request(url, b"{}", {}, 5))
    assert caught.value.fault is TransportFault.DNS


@pytest.fixture
def plain_transport(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpTransport]:
    """requests over a urllib3 that is not as WaveCom knows it: with connections of the library's own."""
    monkeypatch.setattr(deadlines, "LIBRARY", Library("urllib3", lambda: ["it is another one"]))
    made = RequestsTransport()
    yield made
    made.close()


@pytest.mark.parametrize("is_secure", [True, False])
def test_the_librarys_own_connections_go_there_too(
    plain_transport: HttpTransport, tmp_path: Path, is_secure: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if is_secure else None
    if context:
        authority.issue_cert("push.invalid").configure_cert(context)

    with HttpPeer(peers.reply(200), context=context) as peer:
        url = f"{'https' if is_secure else 'http'}://push.invalid:{peer.port}/s"
        there, elsewhere = (
            Request(url, b"{}", {}, 5, str(tmp_path / "ca.pem"), addresses=(address,))
            for address in ("127.0.0.1", "127.0.0.2")
        )
        assert plain_transport.send(there).status == 200
        with pytest.raises(UnclearError):  # whatever fails there may have been sent
            plain_transport.send(elsewhere)

        assert [each.headers["host"] for each in peer.requests] == [f"push.invalid:{peer.port}"]
