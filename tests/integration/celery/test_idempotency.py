"""Equal requests at one instant, against real servers and a real worker, with Redis and without."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests.waiting import wait_until
from wavecom.core.job import JobId
from wavecom.core.states import Status
from wavecom.local.servers import PrivateRedis
from wavecom.services.web import web_services
from wavecom.settings import Settings
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.outbox import MongoOutbox
from wavecom.web import create_app

KEY = "wc_live_" + "k" * 43
REQUESTS = 100
SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}


@pytest.fixture
def app(
    amqp_url: str, redis_url: str, mongodb_uri: str, database: Database[dict[str, Any]], tmp_path: Path
) -> Iterator[Flask]:
    settings = Settings(
        home=tmp_path,
        amqp_url=amqp_url,
        redis_url=redis_url,
        mongodb_uri=mongodb_uri,
        api_key=KEY,
        secret_key="a secret for tests only",
        web_threads=REQUESTS,
    )
    services = web_services(settings, database)
    app = create_app(settings, services)
    client = app.test_client()
    wait_until(lambda: client.get("/readyz").status_code == 200, "the app to be ready")
    yield app
    services.close()


def _post_at_once(app: Flask, key: str, body: dict[str, Any]) -> list[Any]:
    barrier = threading.Barrier(REQUESTS)

    def post(_: int) -> Any:
        client = app.test_client()
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": key}
        barrier.wait(30)
        return client.post("/api/notifications", json=body, headers=headers)

    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(post, range(REQUESTS)))


def _check(answers: list[Any], database: Database[dict[str, Any]], jobs: MongoJobRepository, already: int) -> None:
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.data for answer in answers}) == 1, "every answer is the first one"
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert database["jobs"].count_documents({}) == already + 1
    job_id = JobId(answers[0].json["jobId"])

    def is_delivered() -> bool:
        job = jobs.get(job_id)
        return job is not None and job.status is Status.DELIVERED

    wait_until(is_delivered, "the delivery")
    [sent] = [entry for entry in MongoOutbox(database).page(10).entries if entry["jobId"] == job_id]
    assert sent["times"] == 1


def test_a_hundred_equal_requests_make_one_job_one_send_and_a_hundred_equal_answers(
    celery_setup: CeleryTestSetup,
    app: Flask,
    database: Database[dict[str, Any]],
    jobs: MongoJobRepository,
    redis_server: PrivateRedis,
) -> None:
    with_redis = _post_at_once(app, "order-1", SMS)
    _check(with_redis, database, jobs, already=0)

    redis_server.kill()
    try:
        without_redis = _post_at_once(app, "order-2", SMS)
        again = _post_at_once(app, "order-1", SMS)
        other = _post_at_once(app, "order-1", SMS | {"priority": "high"})
        _check(without_redis, database, jobs, already=1)
    finally:
        redis_server.start()

    assert {answer.data for answer in again} == {with_redis[0].data}
    assert all(answer.headers["Idempotent-Replayed"] == "true" for answer in again)
    assert {(answer.status_code, answer.json["code"]) for answer in other} == {(422, "idempotency_mismatch")}
    assert database["jobs"].count_documents({}) == 2
