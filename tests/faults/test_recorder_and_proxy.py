"""The recording provider and the proxies, as real processes: beyond doubt before they judge others."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.control import HelperProcess
from harness.provider_server import Behaviour, Fault, FaultKind, set_behaviour
from tests.waiting import wait_until
from wavecom.local.ports import LOOPBACK, free_ports


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[HelperProcess]:
    """One provider, ``gate``, without latency; ``port`` is where it listens."""
    [port] = free_ports(1)
    helper = HelperProcess("tests.faults.recorder", [f"--provider=gate={port}"], log=tmp_path / "log")
    yield from running(helper, port)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[HelperProcess]:
    """A proxy before a server that says everything back, line by line; ``port`` is where it listens."""
    [port] = free_ports(1)
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=echo, args=(listener,), name="echo").start()
        link = f"--link=echo={port}:{listener.getsockname()[1]}"
        helper = HelperProcess("tests.faults.proxy", [link], log=tmp_path / "log")
        try:
            yield from running(helper, port)
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def running(helper: HelperProcess, port: int) -> Iterator[HelperProcess]:
    helper.port = port  # type: ignore[attr-defined]
    helper.launch()
    try:
        wait_until(helper.answers)
        yield helper
    finally:
        helper.kill()


def echo(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo_one, args=(connection,), name="echo-one").start()


def echo_one(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
        except OSError:
            return


def behave(recorder: HelperProcess, *faults: Fault) -> None:
    set_behaviour(recorder, "gate", Behaviour(latency_seconds=0, faults=faults))


def send(recorder: HelperProcess, job_id: str, metadata: dict[str, str] | None = None) -> http.client.HTTPResponse:
    body = {"jobId": job_id, "attempt": 1, "metadata": metadata or {}}
    connection = http.client.HTTPConnection(LOOPBACK, recorder.port, timeout=1)  # type: ignore[attr-defined]
    try:
        connection.request("POST", "/send", json.dumps(body), {"Idempotency-Key": job_id})
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def seen(recorder: HelperProcess) -> list[tuple[str, str, bool]]:
    return [(record["job_id"], record["answer"], record["is_sent"]) for record in recorder.ask("fetch")]


def test_what_is_answered_200_counts_as_sent(recorder: HelperProcess) -> None:
    behave(recorder)

    assert send(recorder, "a").status == 200
    assert seen(recorder) == [("a", "200", True)]


def test_a_refusal_is_not_sent_and_carries_retry_after(recorder: HelperProcess) -> None:
    behave(recorder, Fault(status=429, retry_after_seconds=7))

    response = send(recorder, "a")

    assert (response.status, response.getheader("Retry-After")) == (429, "7")
    assert seen(recorder) == [("a", "429", False)]


def test_a_request_can_ask_to_be_refused(recorder: HelperProcess) -> None:
    behave(recorder)

    assert send(recorder, "a", {"provider": "reject"}).status == 422
    assert send(recorder, "b", {"provider": "unavailable"}).status == 500


def test_receipts_are_due_for_what_was_answered_200_and_for_nothing_else(recorder: HelperProcess) -> None:
    recorder.ask("withhold", provider="gate", url=f"http://{LOOPBACK}/receipts/gate")
    behave(recorder)
    send(recorder, "a")
    send(recorder, "a")
    send(recorder, "b", {"provider": "reject"})

    assert recorder.ask("receipts", provider="gate") == {"due": 0, "confirmed": 0, "repeated": 0, "withheld": 1}


def test_silence_after_a_whole_body_counts_as_sent(recorder: HelperProcess) -> None:
    behave(recorder, Fault(FaultKind.SILENCE))

    with pytest.raises(TimeoutError):
        send(recorder, "a")
    assert seen(recorder) == [("a", "silence", True)]


@pytest.mark.parametrize(("kind", "is_sent"), [(FaultKind.RESET, True), (FaultKind.EARLY_RESET, False)])
def test_a_reset_counts_as_sent_only_after_the_body(recorder: HelperProcess, kind: FaultKind, is_sent: bool) -> None:
    behave(recorder, Fault(kind))

    with pytest.raises(ConnectionError):
        send(recorder, "a")
    assert seen(recorder) == [("a", kind, is_sent)]


def test_a_provider_can_refuse_connections_and_come_back(recorder: HelperProcess) -> None:
    recorder.ask("refuse", provider="gate")
    with pytest.raises(ConnectionRefusedError):
        send(recorder, "a")

    recorder.ask("listen", provider="gate")

    behave(recorder)
    assert send(recorder, "b").status == 200


def connect(proxy: HelperProcess) -> socket.socket:
    connection = socket.create_connection((LOOPBACK, proxy.port), timeout=10)  # type: ignore[attr-defined]
    connection.sendall(b"hello")
    assert connection.recv(5) == b"hello"
    return connection


def test_a_cut_resets_the_connection_and_new_ones_work(proxy: HelperProcess) -> None:
    with connect(proxy) as connection:
        proxy.ask("cut", server="echo")

        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    connect(proxy).close()


def test_a_frozen_connection_says_nothing_and_goes_on_when_it_is_healed(proxy: HelperProcess) -> None:
    with connect(proxy) as connection:
        proxy.ask("freeze", server="echo")
        connection.sendall(b"late")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(4)

        proxy.ask("heal", server="echo")

        connection.settimeout(10)
        assert connection.recv(4) == b"late"


def test_a_connection_that_is_made_while_the_link_is_frozen_says_nothing_until_it_is_healed(
    proxy: HelperProcess,
) -> None:
    proxy.ask("freeze", server="echo")
    with socket.create_connection((LOOPBACK, proxy.port), timeout=0.5) as connection:  # type: ignore[attr-defined]
        connection.sendall(b"late")
        with pytest.raises(TimeoutError):
            connection.recv(4)

        proxy.ask("heal", server="echo")

        connection.settimeout(10)
        assert connection.recv(4) == b"late"


def test_a_refusing_link_takes_no_connections_until_it_is_healed(proxy: HelperProcess) -> None:
    with connect(proxy) as connection:
        proxy.ask("refuse", server="echo")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)

    proxy.ask("heal", server="echo")

    connect(proxy).close()
