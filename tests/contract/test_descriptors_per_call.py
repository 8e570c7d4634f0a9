"""What a call by HTTP really takes of this process's descriptors: the budget of a worker must not promise more."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest
import trustme

from tests import peers
from tests.peers import HttpPeer
from wavecom.concurrency import DESCRIPTORS_PER_CALL
from wavecom.providers.transport import Request, Response
from wavecom.providers.transport.connection_group import GROUP_SIZE
from wavecom.providers.transport.curl import CurlTransport

pytestmark = pytest.mark.timeout(60)

CALLS = 96
#: Of the thread that all started calls share: its epoll, and what wakes it.
LOOP = 2
#: Each call may hold a connection to the store as well.
STORE = 1


class HoldingPeer(HttpPeer):
    """Answers no call until ``answer_all``."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self._may_answer = threading.Event()
        self._arrivals = threading.Semaphore(0)

    def wait_for(self, calls: int) -> None:
        for _ in range(calls):
            assert self._arrivals.acquire(timeout=30)

    def answer_all(self) -> None:
        self._may_answer.set()

    def _hold(self, connection: peers.PeerConnection) -> bool:
        self._arrivals.release()
        self._may_answer.wait(30)
        return peers.reply(200, b"{}")(connection)


@pytest.fixture
def peer() -> Iterator[HoldingPeer]:
    with HoldingPeer() as each:
        yield each
        each.answer_all()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def request_to(peer: HoldingPeer) -> Request:
    return Request(peer.url, b"{}", {}, 30)


def started(transport: CurlTransport, peer: HoldingPeer, ends: SimpleQueue[Response | Exception]) -> None:
    for _ in range(CALLS):
        assert transport.start(request_to(peer), ends.put)
    peer.wait_for(CALLS)


def descriptors_taken(peer: HoldingPeer, make_calls: Callable[[], None]) -> int:
    """By this side of the calls: the peer, which is in this process as well, has one for each connection."""
    before = open_descriptors()
    connections_before = peer.connections
    make_calls()
    return open_descriptors() - before - (peer.connections - connections_before)


def test_a_started_call_takes_one_descriptor_and_a_small_share(peer: HoldingPeer) -> None:
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()

    taken = descriptors_taken(peer, lambda: started(transport, peer, ends))
    peer.answer_all()
    statuses = {getattr(ends.get(timeout=30), "status", None) for _ in range(CALLS)}
    transport.close()

    assert statuses == {200}
    assert CALLS <= taken - LOOP <= CALLS * 1.1


def test_a_call_that_is_followed_by_one_on_a_thread_keeps_within_its_budget(peer: HoldingPeer) -> None:
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()

    with ThreadPoolExecutor(CALLS) as threads:

        def both_kinds() -> None:
            started(transport, peer, ends)
            for _ in range(CALLS):
                threads.submit(transport.send, request_to(peer))
            peer.wait_for(CALLS)

        taken = descriptors_taken(peer, both_kinds)
        peer.answer_all()
    transport.close()

    assert taken - LOOP + CALLS * STORE <= CALLS * DESCRIPTORS_PER_CALL


def test_what_was_taken_is_given_back(peer: HoldingPeer) -> None:
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()
    before = open_descriptors()

    started(transport, peer, ends)
    peer.answer_all()
    for _ in range(CALLS):
        ends.get(timeout=30)
    transport.close()

    # The peer's own are given back by its threads.
    while open_descriptors() > before:
        time.sleep(0.01)


class RudePeer(HttpPeer):
    """Answers once and hears no leave-taking afterwards; ``b"wait"`` it answers when it ends."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(peers.reply(200, b"{}"), context=context)
        self._is_over = threading.Event()
        self._waiting = threading.Semaphore(0)

    def wait_for_one(self) -> None:
        assert self._waiting.acquire(timeout=30)

    def end(self) -> None:
        self._is_over.set()

    def converse(self, connection: peers.PeerConnection) -> None:
        received = connection.receive(True)
        if received is not None and received.body == b"wait":
            self._waiting.release()
        elif received is not None:
            peers.reply(200, b"{}", headers={"Connection": "close"})(connection)
        self._is_over.wait(60)


def test_connections_of_which_nobody_takes_leave_take_no_more_than_a_group_may_have(tmp_path: Path) -> None:
    # A group that is never at rest does not clean up; libcurl lets the oldest go where there would be too many.
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    transport = CurlTransport()
    ends: SimpleQueue[Response | Exception] = SimpleQueue()
    with RudePeer(context) as peer:
        before = open_descriptors()

        def start(body: bytes) -> None:
            assert transport.start(Request(peer.url, body, {}, 30, ca_file=str(tmp_path / "ca.pem")), ends.put)

        start(b"wait")
        peer.wait_for_one()
        for _ in range(3):
            for _ in range(GROUP_SIZE - 1):
                start(b"{}")
            assert {getattr(ends.get(timeout=30), "status", None) for _ in range(GROUP_SIZE - 1)} == {200}
        taken = open_descriptors() - before - peer.connections
        peer.end()

    assert GROUP_SIZE / 2 < taken <= GROUP_SIZE + LOOP + 8
    transport.close()
