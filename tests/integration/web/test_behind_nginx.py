"""Two web processes behind nginx, which sends each request to the next of them: nobody can tell that they are two."""

from __future__ import annotations

import re
import socket
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo.database import Database

from harness.nginx import listens
from tests.nginx import Nginx
from tests.waiting import wait_until
from tests.web_process import WebProcess
from wavecom.local.ports import free_ports

pytestmark = pytest.mark.timeout(300)

SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}
QUOTA = 150
CLIENTS = 16
#: What all web processes of a deployment have in common.
COMMON = {
    "WAVECOM_TRUSTED_PROXIES": "1",
    "WAVECOM_SECRET_KEY": "m3Tq8WzXr1LbV6nKc9HsYp2JdGaEuR7f",
    "WAVECOM_KEY_DAILY_QUOTA": str(QUOTA),
}


@pytest.fixture
def servers(amqp_url: str, redis_url: str, mongodb_uri: str) -> dict[str, str]:
    return {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}


@pytest.fixture
def webs(tmp_path: Path, servers: dict[str, str]) -> Iterator[list[WebProcess]]:
    with ExitStack() as stack:
        made = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            made.append(stack.enter_context(WebProcess(tmp_path / name, servers, variables=COMMON)))
        yield made


@pytest.fixture
def nginx(tmp_path: Path, webs: list[WebProcess]) -> Iterator[Nginx]:
    with Nginx(tmp_path / "nginx", [web.port for web in webs]) as made:
        yield made


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which connections are neither taken nor refused, as of a host that is switched off."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # Once this one is waiting to be taken, the system answers no other.
        waiting = opened.enter_context(socket.create_connection(listener.getsockname()))
        assert waiting.getpeername() == listener.getsockname()
        yield listener.getsockname()[1]


@pytest.fixture
def client(nginx: Nginx, webs: list[WebProcess]) -> Iterator[requests.Session]:
    """With the key of ``webs``."""
    with requests.Session() as session:
        trust(session, nginx)
        session.headers.update(webs[0].authorization)
        yield session


def trust(session: requests.Session, nginx: Nginx) -> None:
    # REQUESTS_CA_BUNDLE would have its way over ``verify``.
    session.trust_env = False
    session.verify = str(nginx.ca_file)


def send_many(
    client: requests.Session, nginx: Nginx, count: int, idempotency_key: str | None
) -> list[requests.Response]:
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}

    def send(_: int) -> requests.Response:
        return client.post(f"{nginx.url}/api/notifications", json=SMS, headers=headers, timeout=30)

    with ThreadPoolExecutor(CLIENTS) as threads:
        return list(threads.map(send, range(count)))


def test_a_hundred_equal_requests_make_one_job(
    client: requests.Session, nginx: Nginx, database: Database[dict[str, Any]]
) -> None:
    answers = send_many(client, nginx, 100, f"order-{uuid.uuid4()}")

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["jobId"] for answer in answers}) == 1
    assert database["jobs"].count_documents({}) == 1
    assert min(nginx.served().values()) > 30


def test_a_quota_is_counted_over_all_processes(
    client: requests.Session, nginx: Nginx, database: Database[dict[str, Any]]
) -> None:
    answers = send_many(client, nginx, 2 * QUOTA, None)

    assert Counter(answer.status_code for answer in answers) == {202: QUOTA, 429: QUOTA}
    assert database["jobs"].count_documents({}) == QUOTA
    assert min(nginx.served().values()) > QUOTA / 2


def test_a_session_and_its_forms_hold_at_every_process(nginx: Nginx, webs: list[WebProcess]) -> None:
    with requests.Session() as browser:
        trust(browser, nginx)

        def opened(path: str) -> requests.Response:
            return browser.get(nginx.url + path, timeout=30)

        def posted(path: str, page: requests.Response, **fields: str) -> requests.Response:
            token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
            assert token is not None
            return browser.post(
                nginx.url + path,
                data={"csrf_token": token[1], **fields},
                headers={"Referer": page.url},
                allow_redirects=False,
                timeout=30,
            )

        entered = posted("/login", opened("/login"), secret=webs[0].key)
        pages = [opened("/sessions") for _ in range(8)]
        left = posted("/logout", pages[-1])
        after = [opened("/sessions") for _ in range(4)]

    assert entered.status_code == 303
    assert {(page.status_code, page.url.removeprefix(nginx.url)) for page in pages} == {(200, "/sessions")}
    assert left.status_code == 303
    assert all("/login" in page.url for page in after)
    assert len(nginx.served()) == 2


def test_a_process_that_dies_refuses_nobody(
    client: requests.Session, nginx: Nginx, webs: list[WebProcess], database: Database[dict[str, Any]]
) -> None:
    before = send_many(client, nginx, 20, None)
    webs[0].kill()
    # What nginx has handed to a process that ends in this moment is answered 503: it may have been taken.
    wait_until(lambda: not listens(webs[0].port), "its sockets are closed")

    during = send_many(client, nginx, 40, None)
    with webs[0]:
        after = send_many(client, nginx, 20, None)
        served = nginx.served()[webs[0].port]
        send_many(client, nginx, 20, None)
        wait_until(lambda: nginx.served()[webs[0].port] > served, "the one that is back is asked again")

    answers = [*before, *during, *after]
    assert Counter(answer.status_code for answer in answers) == {202: len(answers)}
    assert database["jobs"].count_documents({}) == len(answers) + 20


def test_a_host_that_swallows_connections_refuses_nobody(
    tmp_path: Path, servers: dict[str, str], silent_port: int, database: Database[dict[str, Any]]
) -> None:
    with ExitStack() as stack:
        web = stack.enter_context(WebProcess(tmp_path, servers, variables=COMMON))
        nginx = stack.enter_context(Nginx(tmp_path / "nginx", [silent_port, web.port]))
        session = stack.enter_context(requests.Session())
        trust(session, nginx)
        session.headers.update(web.authorization)

        answers = send_many(session, nginx, 6, None)

    assert {answer.status_code for answer in answers} == {202}
    assert database["jobs"].count_documents({}) == len(answers)


def test_without_any_process_the_answer_is_a_problem_that_says_what_to_do(tmp_path: Path) -> None:
    with Nginx(tmp_path / "nginx", free_ports(2)) as nginx, requests.Session() as session:
        trust(session, nginx)

        [answer] = send_many(session, nginx, 1, None)
        too_large = session.post(f"{nginx.url}/api/notifications", data=b"x" * 14_700_000, timeout=30)

    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (503, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")
