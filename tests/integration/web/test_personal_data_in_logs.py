"""From the API through providers, receipts and callbacks to the pages: what a client sends is in no process's log.

Providers and the callback's endpoint answer with all that they were sent, as real ones do in their errors.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.gateway_receipts import receipts_table, signed
from tests.peers import Behaviour, HttpPeer, PeerConnection, head
from tests.waiting import wait_until
from tests.web_process import WebProcess, workers

CANARIES = {
    "e-mail address": "zebrafinch@canary.example",
    "telephone number": "7700900777",
    "push token": "zztokenzz" * 4,
    "name": "Wombatson",
    "subject": "Quokkasubject",
    "text": "Echidnatext",
    "html": "Numbathtml",
    "metadata": "Bilbymetadata",
    "label": "Dunnartlabel",
    "data": "Bettongdata",
    "reason": "Pademelonreason",
}
BODIES: list[dict[str, Any]] = [
    {
        "type": "email",
        "to": {"email": CANARIES["e-mail address"], "name": CANARIES["name"]},
        "payload": {"subject": CANARIES["subject"], "html": f"<p>{CANARIES['html']}", "text": CANARIES["text"]},
    },
    {"type": "sms", "to": {"phone": f"+44{CANARIES['telephone number']}"}, "payload": {"text": CANARIES["text"]}},
    {
        "type": "push",
        "to": {"platform": "fcm", "token": CANARIES["push token"]},
        "payload": {"title": CANARIES["subject"], "body": CANARIES["text"], "data": {"what": CANARIES["data"]}},
    },
]
METADATA = {"order": CANARIES["metadata"]}
PROVIDERS = """
[providers.busy]
type = "http"
url = "{busy}"

[providers.refusing]
type = "http"
url = "{refusing}"

[providers.taking]
type = "http"
url = "{taking}"

[routes]
email = ["busy", "refusing"]
sms = ["busy", "taking"]
push = ["taking"]
"""


def echo(status: int, number: int = 0) -> Behaviour:
    """Answers with all that it may have been sent, as providers do in errors; ``number`` is in the id that it gives."""

    def behave(connection: PeerConnection) -> bool:
        body = json.dumps({"id": f"m-{number}", "error": list(CANARIES.values())}).encode()
        connection.send(head(status, {"Content-Length": str(len(body))}) + body)
        return True

    return behave


@pytest.fixture
def busy() -> Iterator[HttpPeer]:
    with HttpPeer(echo(503)) as peer:
        yield peer


@pytest.fixture
def refusing() -> Iterator[HttpPeer]:
    with HttpPeer(echo(400)) as peer:
        yield peer


@pytest.fixture
def taking() -> Iterator[HttpPeer]:
    with HttpPeer(echo(202, 1)) as peer:
        yield peer


@pytest.fixture
def endpoint() -> Iterator[HttpPeer]:
    """A client's, which fails first."""
    with HttpPeer(echo(500), echo(204)) as peer:
        yield peer


@pytest.fixture
def settings(tmp_path: Path, busy: HttpPeer, refusing: HttpPeer, taking: HttpPeer) -> dict[str, str]:
    file = tmp_path / "providers.toml"
    urls = {"busy": busy.url, "refusing": refusing.url, "taking": taking.url}
    file.write_text(PROVIDERS.format(**urls) + receipts_table("taking"), encoding="utf-8")
    return {
        "WAVECOM_LOG_LEVEL": "debug",
        "WAVECOM_PROVIDERS": str(file),
        "WAVECOM_CALLBACK_PRIVATE_HOSTS": "127.0.0.1",
        "WAVECOM_RETRY_BASE_SECONDS": "1",
    }


@pytest.fixture
def servers(amqp_url: str, redis_url: str, mongodb_uri: str) -> dict[str, str]:
    return {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}


@pytest.fixture
def web(tmp_path: Path, servers: dict[str, str], settings: dict[str, str]) -> Iterator[WebProcess]:
    with WebProcess(tmp_path, servers, variables=settings) as web:
        yield web


@pytest.fixture
def worker_log(tmp_path: Path, servers: dict[str, str], settings: dict[str, str], web: WebProcess) -> Iterator[Path]:
    with workers(tmp_path, servers, settings) as log:
        yield log


class Client:
    """Calls the API of a web process."""

    def __init__(self, web: WebProcess) -> None:
        self._web = web

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, self._web.url + path, json=body, headers=self._web.authorization, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def status(self, job_id: str) -> str:
        status: str = self.call("GET", f"/api/notifications/{job_id}")["status"]
        return status


def _report_delivery(web: WebProcess, job_id: str) -> None:
    report = {"id": "e-1", "status": "DELIVRD", "reference": job_id, "to": f"+44{CANARIES['telephone number']}"}
    said = {"error": {"code": "0", "text": CANARIES["text"]}}
    for body in (json.dumps([report | said]).encode(), json.dumps(report | said).encode(), b"{" + b"Echidnatext"):
        for headers in (signed(body, datetime.now(UTC)), {"Content-Type": "application/json"}):
            requests.post(f"{web.url}/receipts/taking", body, headers=headers, timeout=30)
    events = json.dumps({"events": [report | said]}).encode()
    answer = requests.post(f"{web.url}/receipts/taking", events, headers=signed(events, datetime.now(UTC)), timeout=30)
    assert answer.status_code == 200, answer.text


def _use_pages(web: WebProcess, job_ids: list[str]) -> None:
    browser = requests.Session()

    def token(path: str) -> str:
        [found, *_] = re.findall(r'name="csrf_token" value="([^"]+)"', browser.get(web.url + path, timeout=30).text)
        return str(found)

    login = {"csrf_token": token("/login"), "secret": CANARIES["name"]}
    assert browser.post(f"{web.url}/login", data=login, timeout=30).status_code == 401
    login = {"csrf_token": token("/login"), "secret": web.key}
    assert browser.post(f"{web.url}/login", data=login, timeout=30).status_code == 200
    for wanted in ("e-mail address", "telephone number", "name"):
        assert browser.get(f"{web.url}/notifications", params={"recipient": CANARIES[wanted]}, timeout=30).ok
    for job_id in job_ids:
        page = f"/notifications/{job_id}"
        assert browser.get(web.url + page, timeout=30).ok
        form = {"csrf_token": token(page), "reason": CANARIES["reason"]}
        for action in ("cancel", "retry"):
            browser.post(f"{web.url}{page}/{action}", data=form, timeout=30)


@pytest.mark.timeout(180)
def test_what_a_client_sends_is_in_no_log_from_the_api_to_the_callback(
    web: WebProcess, worker_log: Path, taking: HttpPeer, refusing: HttpPeer, endpoint: HttpPeer
) -> None:
    client = Client(web)
    client.call("POST", "/api/callbacks", {"url": f"{endpoint.url}/{CANARIES['label']}"})
    since = datetime.fromisoformat(client.call("GET", "/api/events")["recordedSince"])
    while datetime.now(UTC) <= since:
        time.sleep(0.2)

    bodies = [{**body, "metadata": METADATA} for body in BODIES]
    job_ids = [client.call("POST", "/api/notifications", body)["jobId"] for body in bodies]
    wait_until(lambda: client.status(job_ids[0]) == "failed", "the refused mail")
    wait_until(lambda: client.status(job_ids[1]) in {"sent", "delivered"}, "the text")
    _report_delivery(web, job_ids[1])
    wait_until(lambda: client.status(job_ids[1]) == "delivered", "the receipt")
    client.call("POST", "/api/suppressions", {"type": "email", "recipient": CANARIES["e-mail address"]})
    requests.post(f"{web.url}/api/notifications", json=bodies[0] | {"type": "fax"}, headers=web.authorization)
    _use_pages(web, job_ids)
    wait_until(lambda: len(endpoint.requests) >= 2, "two calls of the callback")

    logs = web.logged() + worker_log.read_text(encoding="utf-8", errors="replace")
    # They have met it, each of them, and have written lines.
    met = b"".join(each.body for each in [*taking.requests, *refusing.requests, *endpoint.requests]).decode()
    assert {name for name in CANARIES if CANARIES[name] not in met} == {"label", "reason"}
    assert {"web", "celery"} == set(re.findall(r'"process":"(\w+)"', logs))
    assert '"event":"callback_created"' in logs
    assert {name for name, canary in CANARIES.items() if canary.lower() in logs.lower()} == set()
