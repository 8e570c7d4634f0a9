"""Receipts while a server is away, or the web process is killed: what was answered 200 is there, once.

The gateway is one as they are: it repeats a report until it is answered 200, and also where the answer got lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo.database import Database

from tests.factories import make_job
from tests.gateway_receipts import events_body, receipts_table, signed
from tests.waiting import PATIENCE_SECONDS, wait_until
from tests.web_process import WebProcess
from wavecom.core.job import Job
from wavecom.core.states import Status
from wavecom.local.mongo import PrivateMongo
from wavecom.local.rabbitmq import PrivateRabbitMQ
from wavecom.local.redis import PrivateRedis
from wavecom.local.server import PrivateServer
from wavecom.storage.mongo.jobs import MongoJobRepository

pytestmark = pytest.mark.timeout(400)

FILE = '[routes]\nsms = ["gateway"]\n[providers.gateway]\ntype = "http"\nurl = "https://gateway.example/"\n'
JOBS = 150


def words_of(number: int) -> tuple[str, ...]:
    """What is reported of a message, in the order in which it happens. One in five fails, and owes a dead letter."""
    return ("ACCEPTD", "UNDELIV") if number % 5 == 0 else ("ACCEPTD", "DELIVRD", "SPAM")


class Gateway:
    """Reports each event, by itself, until it is answered 200."""

    def __init__(self, url: str) -> None:
        self.confirmed = 0
        self._url = url
        self._lock = threading.Lock()

    def report(self, event: dict[str, Any]) -> None:
        body = events_body([event])
        wait_until(lambda: self._is_taken(body, event["id"]), "the report is taken", 2 * PATIENCE_SECONDS)
        with self._lock:
            self.confirmed += 1
            is_again = self.confirmed % 7 == 0
        if is_again:  # its answer got lost
            self._is_taken(body, event["id"])

    def _is_taken(self, body: bytes, event_id: str) -> bool:
        try:
            answer = requests.post(self._url, body, headers=signed(body, datetime.now(UTC), event_id), timeout=30)
        except requests.RequestException:
            return False
        assert answer.status_code in {200, 503}, answer.text
        return answer.status_code == 200


@pytest.fixture
def web(tmp_path: Path, mongodb_uri: str, redis_url: str, amqp_url: str) -> Iterator[WebProcess]:
    (tmp_path / "providers.toml").write_text(FILE + receipts_table("gateway"), encoding="utf-8")
    servers = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "AMQP_URL": amqp_url}
    variables = {"WAVECOM_PROVIDERS": str(tmp_path / "providers.toml"), "WAVECOM_WEB_WORKERS": "1"}
    with WebProcess(tmp_path, servers, variables=variables) as web:
        yield web


@contextmanager
def away(server: PrivateServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


def sent_jobs(database: Database[dict[str, Any]]) -> list[Job]:
    now = datetime.now(UTC).replace(microsecond=0)
    jobs = [
        make_job(status=Status.SENT, provider="gateway", provider_message_id=f"m-{number}", created_at=now)
        for number in range(JOBS)
    ]
    MongoJobRepository(database["jobs"]).insert(jobs)
    return jobs


def report_all(gateway: Gateway, jobs: Sequence[Job], trouble: Callable[[], None]) -> None:
    """Report everything of all jobs, several at once; ``trouble`` strikes when a third is confirmed."""

    def report_one(number: int) -> None:
        for word in words_of(number):
            gateway.report({"id": f"{number}-{word}", "status": word, "message": f"m-{number}"})

    with ThreadPoolExecutor(12) as pool:
        reports = [pool.submit(report_one, number) for number in range(len(jobs))]
        wait_until(lambda: gateway.confirmed >= len(jobs), "a third is confirmed")
        trouble()
        for each in reports:
            each.result()


def check_all_are_applied_once(database: Database[dict[str, Any]], jobs: Sequence[Job]) -> None:
    found = MongoJobRepository(database["jobs"]).by_ids([job.job_id for job in jobs])
    for number, job in enumerate(found[each.job_id] for each in jobs):
        receipts = [entry.outcome for entry in job.logs if entry.event == "receipt"]
        if number % 5 == 0:
            assert (job.status, receipts) == (Status.FAILED, ["progress", "failed"])
        else:
            assert (job.status, receipts) == (Status.DELIVERED, ["progress", "delivered", "complaint"])
    assert database["receipts"].count_documents({}) == 0


@pytest.mark.parametrize("victim", ["mongo_server", "redis_server", "rabbitmq"])
def test_no_receipt_is_lost_or_applied_twice_while_a_server_is_killed(
    request: pytest.FixtureRequest, victim: str, web: WebProcess, database: Database[dict[str, Any]]
) -> None:
    server: PrivateMongo | PrivateRedis | PrivateRabbitMQ = request.getfixturevalue(victim)
    jobs = sent_jobs(database)
    gateway = Gateway(f"{web.url}/receipts/gateway")

    def trouble() -> None:
        with away(server):
            if victim != "mongo_server":
                # Neither of these two is needed to take receipts in.
                before = gateway.confirmed
                wait_until(lambda: gateway.confirmed > before + 20, "receipts are taken without it")

    report_all(gateway, jobs, trouble)

    check_all_are_applied_once(database, jobs)


def test_no_receipt_is_lost_or_applied_twice_while_the_web_process_is_killed(
    web: WebProcess, database: Database[dict[str, Any]]
) -> None:
    jobs = sent_jobs(database)

    def trouble() -> None:
        web.kill()
        web.__enter__()

    report_all(Gateway(f"{web.url}/receipts/gateway"), jobs, trouble)

    check_all_are_applied_once(database, jobs)
