"""Notifications as people send them, through the real processes and all provider types, compared where they arrive."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from aiosmtpd.controller import Controller
from pymongo.database import Database

from tests.corpus.bodies import good_notifications
from tests.peers import free_port
from wavecom.local.programs import PROGRAMS, ProgramService

KEY = "wc_live_e2Xm7RkTz9LbQ4nVc8HsYp0JdGaEuW1fK5oBiMxCzNh"
RUN = {"web", "worker", "worker-high", "ops", "beat"}

PROVIDERS = """
[providers.gateway]
type = "http"
url = "http://127.0.0.1:{gateway_port}/send"
headers = {{ Authorization = "$GATEWAY_TOKEN" }}

[providers.mail]
type = "smtp"
host = "127.0.0.1"
port = {smtp_port}
tls = "none"

[providers.outbox]
type = "sandbox"

[routes]
email = ["mail"]
sms = ["gateway"]
push = ["outbox"]
"""


@dataclass
class Mailbox:
    """A real SMTP server that keeps what it is given."""

    received: list[tuple[EmailMessage, list[str]]] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail: Any = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.received.append((mail, envelope.rcpt_tos))
        return "250 kept"


class Gateway(ThreadingHTTPServer):
    """A real HTTP gateway that keeps what it is given."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        super().__init__(("127.0.0.1", 0), _GatewayHandler)


class _GatewayHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), json.loads(body)))
        answer = json.dumps({"id": f"g-{len(self.server.requests)}"}).encode()
        self.send_response(202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        return None


@dataclass
class Deployment:
    url: str
    gateway: Gateway
    mailbox: Mailbox
    database: Database[dict[str, Any]]

    def post(self, body: Any) -> requests.Response:
        return requests.post(
            f"{self.url}/api/notifications", json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=30
        )

    def get(self, path: str) -> Any:
        answer = requests.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_until_settled(self, job_ids: list[str], seconds: float = 120) -> dict[str, Any]:
        """Every job, once it is final."""
        deadline = time.monotonic() + seconds
        settled: dict[str, Any] = {}
        while len(settled) < len(job_ids):
            for job_id in job_ids:
                if job_id not in settled:
                    job = self.get(f"/api/notifications/{job_id}")
                    if job["status"] in {"delivered", "failed", "expired"}:
                        settled[job_id] = job
            waiting = [job_id for job_id in job_ids if job_id not in settled]
            assert time.monotonic() < deadline, f"not settled: {waiting}"
            time.sleep(0.1)
        return settled


@pytest.fixture
def deployment(
    tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str, database: Database[dict[str, Any]]
) -> Iterator[Deployment]:
    mailbox = Mailbox()
    smtp = Controller(mailbox, hostname="127.0.0.1", port=free_port(), data_size_limit=30_000_000, enable_SMTPUTF8=True)
    smtp.start()
    gateway = Gateway()
    serving = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    providers = tmp_path / "providers.toml"
    providers.write_text(PROVIDERS.format(gateway_port=gateway.server_port, smtp_port=smtp.port))
    port = free_port()
    environment = {
        **os.environ,
        "AMQP_URL": amqp_url,
        "REDIS_URL": redis_url,
        "MONGODB_URI": mongodb_uri,
        "WAVECOM_HOME": str(tmp_path),
        "WAVECOM_PORT": str(port),
        "WAVECOM_API_KEY": KEY,
        "WAVECOM_PROVIDERS": str(providers),
        "WAVECOM_WORKER_CONCURRENCY": "8",
        "GATEWAY_TOKEN": "Bearer gateway-secret",
    }
    services = [
        ProgramService(program, title=program.name, log=tmp_path / f"{program.name}.log", environment=environment)
        for program in PROGRAMS
        if program.name in RUN
    ]
    deployment = Deployment(f"http://127.0.0.1:{port}", gateway, mailbox, database)
    try:
        for service in services:
            service.launch()
        wait_until_ready(deployment, services)
        yield deployment
    finally:
        for service in services:
            service.kill()
        gateway.shutdown()
        gateway.server_close()
        serving.join()
        smtp.stop()


def wait_until_ready(deployment: Deployment, services: list[ProgramService], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        for service in services:
            assert service.is_running, f"{service.title} ended:\n{service.log.read_text()[-3000:]}"
        try:
            if requests.get(f"{deployment.url}/readyz", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline, "the web app did not become ready"
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_a_corpus_of_real_notifications_arrives_byte_for_byte(deployment: Deployment) -> None:
    corpus = good_notifications()
    sent: dict[str, dict[str, Any]] = {}
    for entry in corpus:
        answer = deployment.post(entry["body"])
        assert answer.status_code == 202, (entry["name"], answer.text)
        sent[answer.json()["jobId"]] = entry

    jobs = deployment.wait_until_settled([job_id for job_id, entry in sent.items() if is_sent_now(entry)])

    assert {job["status"] for job in jobs.values()} == {"delivered"}
    by_gateway = {body["jobId"]: (headers, body) for headers, body in deployment.gateway.requests}
    by_mail = {mail["Message-ID"]: (mail, to) for mail, to in deployment.mailbox.received}
    by_outbox = {kept["jobId"]: kept for kept in deployment.database["sandbox_outbox"].find()}
    assert len(by_gateway) == len(deployment.gateway.requests), "an SMS was sent twice"
    assert len(by_mail) == len(deployment.mailbox.received), "a mail was sent twice"
    for job_id in jobs:
        entry = sent[job_id]
        expected = as_stored(entry)
        match entry["body"]["type"]:
            case "sms":
                headers, body = by_gateway.pop(job_id)
                assert headers["Idempotency-Key"] == job_id
                assert headers["Authorization"] == "Bearer gateway-secret"
                assert body["payload"] == expected["payload"], entry["name"]
                assert without_as_sent(body["to"]) == without_as_sent(expected["to"]), entry["name"]
                assert body["metadata"] == entry["body"].get("metadata", {}), entry["name"]
                assert body["attempt"] == 1
            case "email":
                [message_id] = [each for each in by_mail if job_id in each]
                mail, recipients = by_mail.pop(message_id)
                check_mail(entry["name"], mail, recipients, expected)
            case "push":
                kept = by_outbox.pop(job_id)
                assert kept["payload"] == expected["payload"], entry["name"]
                assert kept["times"] == 1
    assert (by_gateway, by_mail, by_outbox) == ({}, {}, {}), "something arrived that nobody sent"


def is_sent_now(entry: dict[str, Any]) -> bool:
    return "sendAt" not in entry["body"]


def as_stored(entry: dict[str, Any]) -> dict[str, Any]:
    """What a provider is to get: as sent, save for what the API normalises (``stored`` in the corpus)."""
    stored = entry.get("stored", {})
    return {
        "to": stored.get("to", entry["body"]["to"]),
        "payload": {**entry["body"]["payload"], **stored.get("payload", {})},
    }


def without_as_sent(to: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in to.items() if key != "asSent"}


def check_mail(name: str, mail: EmailMessage, recipients: list[str], expected: dict[str, Any]) -> None:
    payload = expected["payload"]
    assert recipients == [expected["to"]["email"]], name
    assert mail.defects == [], name
    assert mail["Subject"] == payload["subject"], name
    for kind, subtype in (("text", "plain"), ("html", "html")):
        part = mail.get_body((subtype,))
        if kind in payload:
            assert part is not None, name
            assert lines(part.get_content()) == lines(payload[kind]), name
        else:
            assert part is None, name
    # Images of the HTML stand beside it, deeper than other files.
    attached = [part for part in mail.walk() if part.get_filename()]
    expected_ones = payload.get("attachments", [])
    assert [part.get_filename() for part in attached] == [each["filename"] for each in expected_ones], name
    for part, each in zip(attached, expected_ones, strict=True):
        wanted = EmailMessage()
        wanted["Content-Type"] = each.get("contentType", "application/octet-stream")
        assert part.get_content_type() == wanted.get_content_type(), name
        assert dict(wanted["Content-Type"].params).items() <= dict(part["Content-Type"].params).items(), name
        assert part.get_payload(decode=True) == base64.b64decode(each["content"]), name
    for header, value in payload.get("headers", {}).items():
        assert mail[header] == value, name


def lines(text: str) -> list[str]:
    """The text's lines: mail has its own line ends, and always one at the end."""
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")


@pytest.mark.timeout(300)
def test_a_scheduled_notification_leaves_at_its_time_and_bad_recipients_fail_with_a_reason(
    deployment: Deployment,
) -> None:
    in_two_seconds = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    scheduled = deployment.post(
        {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "later"}, "sendAt": in_two_seconds}
    ).json()
    rejected = deployment.post(
        {
            "type": "push",
            "to": {"platform": "fcm", "token": "sandbox-rejected"},
            "payload": {"title": "no", "body": "such device"},
        }
    ).json()
    assert scheduled["status"] == "scheduled"

    jobs = deployment.wait_until_settled([scheduled["jobId"], rejected["jobId"]])

    assert jobs[scheduled["jobId"]]["status"] == "delivered"
    failed = jobs[rejected["jobId"]]
    assert (failed["status"], failed["error"]["code"], failed["attempts"]) == ("failed", "rejected", 1)
