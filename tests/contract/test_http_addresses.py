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
from wavecom.providers.transport import HttpTransport, NotSentError, Request, TransportFault
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


def test_new_addresses_take_the_place_of_old_ones(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, goes_on=False)) as peer:
        url = f"http://push.invalid:{peer.port}/s"

        assert transport.send(Request(url, b"{}", {}, 5, addresses=("127.0.0.1",))).status == 200
        with pytest.raises(NotSentError):
            transport.send(Request(url, b"{}", {}, 5, addresses=("127.0.0.2",)))

        assert len(peer.requests) == 1


def test_a_request_without_addresses_looks_its_host_up(transport: HttpTransport) -> None:
    with HttpPeer(peers.reply(200, goes_on=False)) as peer:
        url = f"http://push.invalid:{peer.port}/s"
        assert transport.send(Request(url, b"{}", {}, 5, addresses=("127.0.0.1",))).status == 200

        with pytest.raises(NotSentError) as caught:
            transport.send(Request(url, b"{}", {}, 5))
    assert caught.value.fault is TransportFault.DNS
