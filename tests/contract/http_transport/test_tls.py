"""Every HTTP transport: TLS."""

from __future__ import annotations

import threading
import time

import pytest
import trustme

from tests import peers
from tests.contract.http_transport.requests import fault_of, request_to, server_context
from tests.peers import HttpPeer
from tests.started_transport import StartedTransport
from wavecom.providers.transport import HttpTransport, NotSentError, Request, TransportFault, UnclearError
from wavecom.providers.transport.curl import CurlTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
