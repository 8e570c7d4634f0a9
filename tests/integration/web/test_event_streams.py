"""A stream of events from a real web process, which is stopped, killed and started again: nothing is passed over."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from urllib3.exceptions import HTTPError

from tests.waiting import wait_until
from tests.web_process import WebProcess, workers
from wavecom.web.api.event_stream import MOST_EACH

SMS: dict[str, Any] = {"type": "sms", "to": {"phone": "+12025550143"}, "payload": {"text": "hello"}}
JOBS = 12
PASSWORD = "q8Zt1vXc5LmR2nWy7KpHs0JdGbEuF4oTiBxMaC9rNhU="


class StreamReader:
    """A client of server-sent events: comes again, with the last id that it had, until it is stopped."""

    def __init__(self, web: WebProcess) -> None:
        self._web = web
        self._stopping = threading.Event()
        self._last_id = "0"
        self.events: list[dict[str, Any]] = []
        #: How each connection ended: in order, or broken off.
        self.endings: list[bool] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(40)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except requests.RequestException:
                time.sleep(0.1)

    def _read(self) -> None:
        headers = self._web.authorization | {"Last-Event-ID": self._last_id}
        with requests.get(f"{self._web.url}/api/events/stream", headers=headers, stream=True, timeout=20) as answer:
            if answer.status_code != 200:
                return
            try:
                for line in answer.iter_lines(chunk_size=1):
                    self._take(line.decode())
                    if self._stopping.is_set():
                        return
            except requests.RequestException:
                self.endings.append(False)
                raise
            self.endings.append(True)

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self._last_id = value
        elif name == "data":
            self.events.append(orjson.loads(value))

    def delivered(self) -> set[str]:
        return {each["data"]["jobId"] for each in self.events if each["type"] == "notification.delivered"}


@pytest.fixture
def servers(amqp_url: str, redis_url: str, mongodb_uri: str) -> dict[str, str]:
    return {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}


@pytest.fixture
def web(tmp_path: Path, servers: dict[str, str]) -> WebProcess:
    """Not started yet."""
    return WebProcess(tmp_path, servers, variables={"WAVECOM_OPERATOR_PASSWORD": PASSWORD})


@pytest.fixture
def running_workers(tmp_path: Path, servers: dict[str, str]) -> Iterator[None]:
    with workers(tmp_path, servers):
        yield


def send(web: WebProcess) -> str:
    answer = requests.post(f"{web.url}/api/notifications", json=SMS, headers=web.authorization, timeout=30)
    job_id: str = answer.json()["jobId"]
    return job_id


@pytest.mark.usefixtures("running_workers")
@pytest.mark.timeout(180)
def test_a_reader_that_comes_again_has_every_event_once_whatever_becomes_of_the_process(web: WebProcess) -> None:
    sent: set[str] = set()
    with web:
        page = requests.get(f"{web.url}/api/events", headers=web.authorization, timeout=10).json()
        since = datetime.fromisoformat(page["recordedSince"])
        while datetime.now(UTC) <= since:
            time.sleep(0.2)
        reader = StreamReader(web)
        try:
            sent |= {send(web) for _ in range(JOBS)}
            wait_until(lambda: len(reader.events) > JOBS, "events while it listens")
            began = time.monotonic()
            web.__exit__()
            stopped_in = time.monotonic() - began
            with web:
                sent |= {send(web) for _ in range(JOBS)}
                web.kill()
                with web:
                    sent |= {send(web) for _ in range(JOBS)}
                    wait_until(lambda: reader.delivered() == sent, "all are told of as delivered")
        finally:
            reader.stop()

    ids = [event["eventId"] for event in reader.events]
    assert len(ids) == len(set(ids))
    # Without the end of its streams granian waits for them, and is killed after three seconds.
    assert stopped_in < 2.5
    assert reader.endings[0] is True


#: What a request for a stream may come with; the status of its answer, and whether the stream goes on.
REQUESTS = {
    "a body": ("GET {} HTTP/1.1\nContent-Length: 2\n\n{{}}", 200, True),
    "a body that is asked for": ("GET {} HTTP/1.1\nExpect: 100-continue\nContent-Length: 2\n\n{{}}", 200, True),
    "a body that stays away": ("GET {} HTTP/1.1\nContent-Length: 2\n\n", 200, False),
    "a body of unknown length": ("GET {} HTTP/1.1\nTransfer-Encoding: chunked\n\n2\n{{}}\n0\n\n", 200, False),
    "a body that is too long": ("GET {} HTTP/1.1\nContent-Length: 999999999\n\n{{}}", 200, False),
    "another protocol": ("GET {} HTTP/1.1\nConnection: Upgrade\nUpgrade: h2c\n\n", 200, True),
    "a web socket": ("GET {} HTTP/1.1\nConnection: Upgrade, close\nUpgrade: websocket\n\n", 400, False),
    "an old protocol": ("GET {} HTTP/1.0\n\n", 200, True),
    "no wish for the answer": ("HEAD {} HTTP/1.1\nConnection: close\n\n", 200, False),
}


def ask(web: WebProcess, request: str) -> socket.socket:
    """A connection on which this was sent, which has line ends as text has them."""
    head, separator, rest = request.format("/api/events/stream").partition("\n")
    fields = f"Host: localhost\nAuthorization: Bearer {web.key}\n"
    connection = socket.create_connection(("127.0.0.1", web.port), timeout=20)
    connection.sendall(f"{head}{separator}{fields}{rest}".replace("\n", "\r\n").encode())
    return connection


def read_until(connection: socket.socket, expected: bytes) -> bytes:
    """What has come when ``expected`` has, or all where the other side ends before."""
    found = b""
    while expected not in found and (part := connection.recv(65536)):
        found += part
    return found


@pytest.mark.timeout(180)
def test_whatever_comes_with_a_request_for_a_stream_it_is_answered_and_its_place_comes_back(tmp_path: Path) -> None:
    heartbeat = b": nothing new"
    with WebProcess(tmp_path) as web:
        with ExitStack() as connections:
            held = {name: connections.enter_context(ask(web, request)) for name, (request, *_) in REQUESTS.items()}
            for name, (_, status, goes_on) in REQUESTS.items():
                # A heartbeat, which comes after some seconds, shows that a stream goes on; the others end.
                answer = read_until(held[name], heartbeat)
                assert (b" %d " % status in answer, heartbeat in answer) == (True, goes_on), (name, answer)
        for request, *_ in REQUESTS.values():
            for _ in range(MOST_EACH):
                ask(web, request).close()

        def all_places_are_free() -> bool:
            with ExitStack() as connections:
                plain = [connections.enter_context(ask(web, "GET {} HTTP/1.1\n\n")) for _ in range(MOST_EACH)]
                return all(read_until(each, b"\r\n").startswith(b"HTTP/1.1 200 ") for each in plain)

        wait_until(all_places_are_free, "every place that was taken has come back", poll_seconds=1)


WINDOWS = 100
MEASURED_SECONDS = 6


class Window:
    """A browser's window that shows the overview: reads the stream as fast as it comes."""

    def __init__(self, web: WebProcess, session: requests.Session) -> None:
        self._answer = session.get(f"{web.url}/overview/stream", stream=True, timeout=30)
        assert self._answer.status_code == 200, self._answer.text
        self.parts = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        # Its socket: what reads from it would go on to do so.
        self._answer.raw.connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)

    def _run(self) -> None:
        try:
            for chunk in self._answer.raw.stream(65536):
                self.parts += chunk.count(b"event: part")
        except (OSError, ValueError, AttributeError, HTTPError):
            pass  # closed


def _cpu_seconds(web: WebProcess) -> float:
    """Of the process and all below it, since it began."""
    found = 0.0
    ticks = os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        # pgrp; utime and stime.
        if int(fields[2]) == web.pid:
            found += (int(fields[11]) + int(fields[12])) / ticks
    return found


@pytest.mark.timeout(180)
def test_a_hundred_open_pages_cost_the_web_process_less_than_two_percent_of_a_core(web: WebProcess) -> None:
    with web:
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=WINDOWS))
        [token] = re.findall(r'name="csrf_token" value="([^"]+)"', session.get(f"{web.url}/login", timeout=30).text)
        form = {"csrf_token": token, "secret": PASSWORD}
        assert session.post(f"{web.url}/login", data=form, timeout=30).status_code == 200

        def cost() -> float:
            before = _cpu_seconds(web)
            deadline = time.monotonic() + MEASURED_SECONDS
            while time.monotonic() < deadline:
                send(web)
                time.sleep(1)
            return (_cpu_seconds(web) - before) / MEASURED_SECONDS

        windows: list[Window] = []
        try:
            windows.append(Window(web, session))
            time.sleep(3)
            for_one = cost()
            windows += [Window(web, session) for _ in range(WINDOWS - 1)]
            time.sleep(3)
            for_hundred = cost()
            assert min(window.parts for window in windows) >= 3
            print(f"one window: {for_one:.2%} of a core; {WINDOWS}: {for_hundred:.2%}")
            # What the one that looks costs, notifications and Python's own idling included, is paid once.
            assert for_hundred - for_one < 0.02
        finally:
            for window in windows:
                window.close()
