"""Clients that stall, by the hundred, against the HTTP server that production runs: everybody else is served."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from tests.unit.web.conftest import KEY as OTHER_KEY
from tests.web_process import WebProcess

SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}

#: How long somebody who does nothing wrong may have to wait meanwhile.
PATIENCE_SECONDS = 8


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    with WebProcess(tmp_path_factory.mktemp("web")) as web:
        yield web


def _stall(web: WebProcess, count: int, sent: str) -> ExitStack:
    """``count`` connections that have sent so much and send no more; closing the stack ends them."""
    stack = ExitStack()
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), 5))
        connection.sendall(sent.encode())
    time.sleep(0.5)
    return stack


def _everybody_else_is_served(web: WebProcess) -> float:
    """Seconds that it took to list and to send, as another client."""
    headers = {"Authorization": f"Bearer {OTHER_KEY}"}
    started_at = time.monotonic()

    listed = requests.get(f"{web.url}/api/notifications", headers=headers, timeout=PATIENCE_SECONDS)
    sent = requests.post(f"{web.url}/api/notifications", json=SMS, headers=headers, timeout=PATIENCE_SECONDS)

    assert (listed.status_code, sent.status_code) == (200, 202)
    seconds = time.monotonic() - started_at
    print(f"served in {seconds:.2f} s")
    return seconds


def test_a_hundred_bodies_that_never_come_hold_up_nobody_else(web: WebProcess) -> None:
    stalled = (
        f"POST /api/notifications HTTP/1.1\r\nHost: wavecom\r\nAuthorization: Bearer {web.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 300\r\n\r\n{"
    )

    with _stall(web, 100, stalled):
        assert _everybody_else_is_served(web) < PATIENCE_SECONDS
        own = requests.get(f"{web.url}/api/notifications", headers=web.authorization, timeout=PATIENCE_SECONDS)
        assert own.status_code == 200


def test_strangers_forms_that_never_come_hold_up_nobody(web: WebProcess) -> None:
    stalled = (
        "POST /login HTTP/1.1\r\nHost: wavecom\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: 300\r\n\r\na"
    )

    with _stall(web, 100, stalled):
        assert _everybody_else_is_served(web) < PATIENCE_SECONDS


def test_bodies_of_strangers_are_not_waited_for(web: WebProcess) -> None:
    stalled = (
        "POST /api/notifications HTTP/1.1\r\nHost: wavecom\r\nAuthorization: Bearer no\r\n"
        "Content-Type: application/json\r\nContent-Length: 300\r\n\r\n{"
    )

    with _stall(web, 100, stalled):
        assert _everybody_else_is_served(web) < PATIENCE_SECONDS


@pytest.mark.parametrize("sent", ["", "GET /healthz HTTP/1.1\r\nHost: wave"], ids=["idle", "in their headers"])
def test_a_thousand_connections_that_stall_hold_up_nobody(sent: str, web: WebProcess) -> None:
    with _stall(web, 1000, sent):
        assert _everybody_else_is_served(web) < PATIENCE_SECONDS


def test_who_stalls_in_the_headers_is_cut_off(web: WebProcess) -> None:
    with socket.create_connection(("127.0.0.1", web.port), 20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: wave")
        started_at = time.monotonic()

        assert connection.recv(1) == b""

    assert 5 < time.monotonic() - started_at < 15
