"""What a call by HTTP really takes of this process's descriptors: the budget of a worker must not promise more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from tests import peers
from tests.peers import HttpPeer
from wavecom.concurrency import DESCRIPTORS_PER_CALL
from wavecom.providers.transport import Request, Response
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
