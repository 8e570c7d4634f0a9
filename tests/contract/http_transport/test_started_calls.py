"""Calls that no thread waits for: many on one thread, each with its deadline."""

from __future__ import annotations

import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from tests import peers
from tests.contract.http_transport.requests import request_to, server_context
from tests.peers import HttpPeer
from wavecom.providers.transport import Request, Response, TransportFault, UnclearError
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.deadline import Deadline, DeadlineSocket, secure, tls_context

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
