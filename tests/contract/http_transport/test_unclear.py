"""Every HTTP transport: where nobody can tell whether the request was taken, the error says so."""

from __future__ import annotations

import pytest

from tests import peers
from tests.contract.http_transport.requests import fault_of, request_to
from tests.peers import HttpPeer
from wavecom.providers.transport import HttpTransport, TransportFault, UnclearError

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
