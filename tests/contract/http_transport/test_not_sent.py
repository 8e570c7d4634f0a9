"""Every HTTP transport: calls that sent nothing say so."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests import peers
from tests.contract.http_transport.requests import fault_of, request_to
from tests.peers import HttpPeer
from wavecom.providers.transport import HttpTransport, NotSentError, TransportFault
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
