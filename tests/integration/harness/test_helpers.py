"""The load generator and the recording provider as real processes: beyond doubt before they judge others."""

from __future__ import annotations

import http.client
import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.control import HelperProcess
from harness.figures import RequestRecord
from harness.measure import read_arrivals, read_requests
from harness.provider_server import Behaviour, Fault, set_behaviour
from tests.waiting import wait_until
from wavecom.local.ports import LOOPBACK, free_ports

KEY = "4d43adeac1cba6e9da1c9ee66139a417"


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[HelperProcess]:
    """One provider, ``gate``, that answers at once; ``port`` is where it listens."""
    [port] = free_ports(1)
    helper = HelperProcess("harness.provider", [f"--provider=gate={port}"], log=tmp_path / "provider.log")
    helper.port = port  # type: ignore[attr-defined]
    helper.launch()
    try:
        wait_until(helper.answers)
        set_behaviour(helper, "gate", Behaviour(latency_seconds=0))
        yield helper
    finally:
        helper.kill()


def call(provider: Any, key: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection(LOOPBACK, provider.port, timeout=5)
    connection.request("POST", "/send", b"{}", {"Idempotency-Key": key, "Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("Retry-After")


def test_the_provider_counts_each_key_and_how_often_it_came(provider: HelperProcess, tmp_path: Path) -> None:
    began = time.monotonic()
    for key in ("one", "two", "two"):
        assert call(provider, key)[0] == 200
    provider.ask("write", path=str(tmp_path / "arrivals"))

    arrivals = read_arrivals(tmp_path / "arrivals")

    assert {key: arrival.times for key, arrival in arrivals.items()} == {"one": 1, "two": 2}
    assert began <= arrivals["one"].at <= arrivals["two"].at <= time.monotonic()


def test_a_refused_call_counts_as_a_call_and_not_as_received(provider: HelperProcess) -> None:
    set_behaviour(provider, "gate", Behaviour(0, [Fault(status=429, retry_after_seconds=7)]))

    answer = call(provider, "one")

    assert answer == (429, "7")
    assert provider.ask("progress") == {"received": 0, "calls": 1, "refused": 1}


def test_receipts_are_due_for_what_was_answered_200_and_for_nothing_else(provider: HelperProcess) -> None:
    provider.ask("withhold", provider="gate", url=f"http://{LOOPBACK}/receipts/gate")
    call(provider, "one")
    call(provider, "one")
    set_behaviour(provider, "gate", Behaviour(0, [Fault(status=503)]))
    call(provider, "two")

    assert provider.ask("receipts", provider="gate") == {"due": 0, "confirmed": 0, "repeated": 0, "withheld": 1}


def test_the_provider_answers_after_its_latency(provider: HelperProcess) -> None:
    set_behaviour(provider, "gate", Behaviour(latency_seconds=0.2))
    began = time.monotonic()

    call(provider, "one")

    assert 0.19 <= time.monotonic() - began < 2


def test_a_request_in_pieces_is_one_request(provider: Any) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, provider.port, timeout=5)
    connection.connect()
    for piece in (b"POST / HTTP/1.1\r\nidempotency-key: on", b"e\r\nContent-Length: 4\r\n\r\n{", b'"a"'):
        connection.sock.sendall(piece)
        time.sleep(0.05)
    answer = connection.sock.recv(1000)
    connection.close()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert provider.ask("progress")["received"] == 1


def test_the_busiest_second_is_found_across_the_borders_of_seconds(provider: HelperProcess) -> None:
    began = time.monotonic()
    for number in range(5):
        call(provider, str(number))

    calls = provider.ask("calls", provider="gate", since=began)

    assert calls["busiest"] == 5
    assert sum(count for _, count in calls["per_second"]) == 5


class Api(http.server.BaseHTTPRequestHandler):
    """An API that accepts everything, unless it is told to be slow or to refuse."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, dict[str, str], Any]]] = []
    numbers: ClassVar[Iterator[int]] = itertools.count()
    status = 202
    pause_seconds = 0.0
    retry_after: str | None = None

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, dict(self.headers), content))
        time.sleep(self.pause_seconds)
        count = len(content.get("notifications", [content]))
        ids = [{"jobId": f"00000000-0000-0000-0000-{next(self.numbers):012d}"} for _ in range(count)]
        body = json.dumps({"notifications": ids} if count > 1 else ids[0]).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        if self.retry_after is not None:
            self.send_header("Retry-After", self.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[tuple[type[Api], int]]:
    handler = type("Own", (Api,), {"seen": []})
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="api")
        thread.start()
        try:
            yield handler, server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def load(api: tuple[type[Api], int], tmp_path: Path) -> Iterator[HelperProcess]:
    helper = HelperProcess(
        "harness.load",
        [f"--url=http://127.0.0.1:{api[1]}"],
        log=tmp_path / "load.log",
        environment={"WAVECOM_API_KEY": KEY},
    )
    helper.launch()
    try:
        wait_until(helper.answers)
        yield helper
    finally:
        helper.kill()


def outcome(load: HelperProcess, tmp_path: Path) -> list[RequestRecord]:
    wait_until(lambda: load.ask("progress", name="phase")["is_over"])
    load.ask("close", name="phase")
    load.ask("write", name="phase", path=str(tmp_path / "requests"))
    return read_requests(tmp_path / "requests")


def test_paced_load_is_sent_at_its_moments_and_every_answer_kept(
    load: HelperProcess, api: tuple[type[Api], int], tmp_path: Path
) -> None:
    load.ask("pace", name="phase", rate=100, seconds=1, mix={"keys": 0.5})

    requests = outcome(load, tmp_path)

    assert len(requests) == 100
    assert {request.status for request in requests} == {202}
    assert len({request.job_ids for request in requests}) == 100
    assert requests[-1].intended - requests[0].intended == pytest.approx(0.99)
    assert all(request.intended <= request.sent <= request.answered for request in requests)
    keys = [headers["Idempotency-Key"] for _, headers, _ in api[0].seen if "Idempotency-Key" in headers]
    assert len(keys) == len(set(keys)) == 50
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers, _ in api[0].seen)
    assert {content["type"] for _, _, content in api[0].seen} == {"email", "sms", "push"}


def test_a_system_that_stalls_is_asked_no_less_and_the_wait_counts(
    load: HelperProcess, api: tuple[type[Api], int], tmp_path: Path
) -> None:
    api[0].pause_seconds = 0.2
    load.ask("pace", name="phase", rate=20, seconds=1, mix={}, connections=1)

    requests = outcome(load, tmp_path)

    assert len(requests) == 20
    # One connection carries five a second: the last is sent three seconds after its moment.
    last = requests[-1]
    assert last.answered - last.intended > 2.5
    assert last.answered - last.sent < 1


def test_a_flood_keeps_every_connection_busy_and_counts_batches_by_their_notifications(
    load: HelperProcess, api: tuple[type[Api], int], tmp_path: Path
) -> None:
    load.ask("flood", name="phase", count=4, connections=2, mix={"batch": 10, "keys": 0})

    requests = outcome(load, tmp_path)

    assert [len(request.job_ids) for request in requests] == [10, 10, 10, 10]
    assert {path for path, _, _ in api[0].seen} == {"/api/notifications/batch"}
    assert load.ask("progress", name="phase")["accepted"] == 40


def test_a_refusal_is_kept_as_what_it_was(load: HelperProcess, api: tuple[type[Api], int], tmp_path: Path) -> None:
    api[0].status = 503
    load.ask("flood", name="phase", count=3, mix={})

    requests = outcome(load, tmp_path)

    assert [request.status for request in requests] == [503, 503, 503]
    assert all(not request.job_ids and not request.has_retry_after for request in requests)


def test_a_refusal_that_says_when_to_come_again_is_told_apart(
    load: HelperProcess, api: tuple[type[Api], int], tmp_path: Path
) -> None:
    api[0].status, api[0].retry_after = 503, "1"
    load.ask("flood", name="phase", count=3, mix={})

    requests = outcome(load, tmp_path)

    assert all(request.has_retry_after for request in requests)
