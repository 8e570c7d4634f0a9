"""Clients that stall, by the hundred and thousand, against the HTTP server that production runs: nobody else waits."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from tests.unit.web.conftest import KEY as OTHER_KEY
from tests.web_process import WebProcess
from wavecom.descriptors import raise_descriptor_limit
from wavecom.web.body_reads import GRACE_SECONDS

SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}
#: The head of a request whose time is over is answered so much later at most.
LATENESS_SECONDS = 8
#: How long somebody who does nothing wrong may have to wait meanwhile, on a busy machine.
PATIENCE_SECONDS = 8
#: A connection without a complete request head lives as long (Procfile).
HEAD_SECONDS = 10
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    with WebProcess(tmp_path_factory.mktemp("web")) as web:
        yield web
        assert "Traceback" not in web.logged()


@pytest.fixture(scope="module", autouse=True)
def many_descriptors() -> None:
    if raise_descriptor_limit(4_000) < 4_000:
        pytest.skip(f"needs 4,000 file descriptors: {resource.getrlimit(resource.RLIMIT_NOFILE)}")


def _head(path: str, key: str | None, *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: wavecom", "Content-Type: application/json", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _stalled(key: str | None, path: str = "/api/notifications") -> bytes:
    return _head(path, key, "Content-Length: 300") + b"{"


def _open(web: WebProcess, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", web.port), 20)
    connection.sendall(sent)
    return connection


@contextlib.contextmanager
def _many(web: WebProcess, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """``count`` connections that have sent so much and send no more."""
    with ExitStack() as stack:
        yield [stack.enter_context(_open(web, sent)) for _ in range(count)]


def _answer(connection: socket.socket, seconds: float = GRACE_SECONDS + LATENESS_SECONDS) -> bytes:
    """All that comes until the peer closes."""
    connection.settimeout(seconds)
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def _send(web: WebProcess, key: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(f"{web.url}/api/notifications", json=SMS, headers=headers, timeout=PATIENCE_SECONDS)


def _everybody_is_served(web: WebProcess) -> None:
    """The other client, the one that stalls itself, strangers on the pages, and who watches the process."""
    sent = [_send(web, OTHER_KEY), _send(web, web.key)]
    pages = [requests.get(f"{web.url}{path}", timeout=PATIENCE_SECONDS) for path in ("/login", "/healthz", "/readyz")]
    # Without the form's token it is refused, which takes reading it.
    form = requests.post(f"{web.url}/login", data={"secret": "x" * 30}, timeout=PATIENCE_SECONDS)

    assert [each.status_code for each in sent] == [202, 202]
    assert [each.status_code for each in pages] == [200, 200, 200]
    assert form.status_code == 400


@pytest.mark.parametrize(
    ("whose", "path"), [("client", "/api/notifications"), ("stranger", "/api/notifications"), ("stranger", "/login")]
)
def test_bodies_that_never_come_hold_up_nobody(whose: str, path: str, web: WebProcess) -> None:
    key = {"client": web.key, "stranger": "wc_live_" + "n" * 43}[whose]

    with _many(web, 700, _stalled(key, path)):
        _everybody_is_served(web)
    _everybody_is_served(web)


def test_what_stalls_is_told_so_in_time_and_closed(web: WebProcess) -> None:
    bodies = {
        "declared": _head("/api/notifications", web.key, "Content-Length: 300") + b"{",
        "large": _head("/api/notifications", web.key, "Content-Length: 14000000") + b"{",
        "in chunks": _head("/api/notifications", web.key, "Transfer-Encoding: chunked") + b"1\r\n{\r\n",
        "a form": _head("/login", None, "Content-Length: 300") + b"a",
        "before any of it": _head("/api/notifications", web.key, "Content-Length: 300", "Expect: 100-continue"),
    }
    began_at = time.monotonic()
    with ExitStack() as stack, ThreadPoolExecutor(len(bodies) + 1) as pool:
        connections = {name: stack.enter_context(_open(web, sent)) for name, sent in bodies.items()}
        trickling = stack.enter_context(_open(web, bodies["declared"]))
        answers = {name: pool.submit(_answer, connection) for name, connection in connections.items()}
        last = pool.submit(_answer, trickling)
        with contextlib.suppress(OSError):
            while not last.done():
                # A byte each second and more would keep a time-out between two reads away for good.
                trickling.sendall(b" ")
                time.sleep(1)
        told = {name: answer.result() for name, answer in answers.items()} | {"trickled": last.result()}
    took = time.monotonic() - began_at

    assert GRACE_SECONDS - 1 < took < GRACE_SECONDS + LATENESS_SECONDS
    for name, answer in told.items():
        final = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert final.startswith(b"HTTP/1.1 408 "), (name, answer)
        assert b"application/problem+json" in final, name
        assert b'"code":"request_timeout"' in final, name
        assert b"connection: close" in final.lower(), name
    _everybody_is_served(web)


def test_connections_without_a_request_hold_up_nobody_and_are_closed(web: WebProcess) -> None:
    """2,500 that are silent, stuck in their headers, or idle after a request."""
    kinds = (b"", b"GET /healthz HTTP/1.1\r\nHost: wave", _head("/healthz", None, method="GET"))
    with ExitStack() as stack:
        connections = [stack.enter_context(_open(web, kinds[number % 3])) for number in range(2_500)]
        opened_at = time.monotonic()
        _everybody_is_served(web)
        answers = [_answer(connection, HEAD_SECONDS + LATENESS_SECONDS) for connection in connections]
        took = time.monotonic() - opened_at

    assert took < HEAD_SECONDS + LATENESS_SECONDS
    assert {answer[:13] for answer in answers} == {b"", b"HTTP/1.1 200 "}


def test_http_2_gets_nowhere(web: WebProcess) -> None:
    """By prior knowledge, where it was once accepted, and by an upgrade."""
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with _many(web, 70, PREFACE + settings) as connections:
        assert {_answer(connection)[:12] for connection in connections} <= {b"", b"HTTP/1.1 400"}
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    with _open(web, _head("/healthz", None, *upgrade, method="GET")) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    _everybody_is_served(web)


def test_what_is_no_http_is_closed_at_once(web: WebProcess) -> None:
    tls = bytes.fromhex("16030100c8010000c40303") + b"a" * 60

    with _open(web, tls) as connection:
        assert _answer(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("how", ["closed", "half closed"])
def test_a_body_that_breaks_off_sends_nothing(how: str, web: WebProcess) -> None:
    whole = b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}'
    for sent in (
        _head("/api/notifications", web.key, "Content-Length: 300") + whole,
        # Valid JSON as far as it goes, and the last chunk is missing.
        _head("/api/notifications", web.key, "Transfer-Encoding: chunked")
        + b"%x\r\n%b\r\n" % (len(whole), whole),
    ):  # fmt: skip
        before = _sent_count(web)
        with _open(web, sent) as connection:
            if how == "half closed":
                connection.shutdown(socket.SHUT_WR)
                assert not _answer(connection).startswith(b"HTTP/1.1 202 ")
        _everybody_is_served(web)
        # Those that _everybody_is_served has sent for this client.
        assert _sent_count(web) == before + 1


def _sent_count(web: WebProcess) -> int:
    found = requests.get(
        f"{web.url}/api/notifications?limit=100", headers=web.authorization, timeout=PATIENCE_SECONDS
    ).json()
    return len(found["items"])


def test_requests_come_one_after_another_on_one_connection(web: WebProcess) -> None:
    body = b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}'
    one = _head("/api/notifications", web.key, f"Content-Length: {len(body)}") + body
    chunked = (
        _head("/api/notifications", web.key, "Transfer-Encoding: chunked")
        + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:20], body[20:]))
        + b"0\r\n\r\n"
    )
    last = _head("/healthz", None, "Connection: close", method="GET")

    with _open(web, one + chunked + one + last) as connection:
        told = _answer(connection)

    assert told.count(b"HTTP/1.1 202 ") == 3
    assert told.count(b"HTTP/1.1 200 ") == 1


def test_http_1_0_is_served(web: WebProcess) -> None:
    with _open(web, b"GET /healthz HTTP/1.0\r\n\r\n") as connection:
        assert _answer(connection).startswith(b"HTTP/1.0 200 ")


def test_a_body_where_none_belongs_is_not_waited_for(web: WebProcess) -> None:
    with _open(web, _head("/healthz", None, "Content-Length: 300", method="GET") + b"x") as connection:
        assert _answer(connection, PATIENCE_SECONDS).startswith(b"HTTP/1.1 200 ")


def test_headers_that_only_look_like_ours_or_cannot_be_read_are_not_taken(web: WebProcess) -> None:
    body = b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}'
    length = f"Content-Length: {len(body)}"

    def told(*headers: str) -> bytes:
        head = _head("/api/notifications", web.key, length, "Connection: close", *headers)
        with _open(web, head + body) as connection:
            return _answer(connection)

    underscores = [told("Idempotency_Key: same") for _ in range(2)]
    unreadable = told("Idempotency-Key: gr\u00fcn")
    two_hosts = told("Host: other")
    two_keys = told("Idempotency-Key: same", "Idempotency-Key: same")

    assert all(b" 202 " in each[:20] and b"idempotency-replayed" not in each.lower() for each in underscores)
    assert len({each.split(b'"jobId":"')[1][:36] for each in underscores}) == 2
    assert unreadable.startswith(b"HTTP/1.1 400 ")
    assert b"idempotency-key" in unreadable
    assert two_hosts.startswith(b"HTTP/1.1 400 ")
    assert two_keys.startswith(b"HTTP/1.1 400 ")
    assert b"Idempotency-Key" in two_keys
