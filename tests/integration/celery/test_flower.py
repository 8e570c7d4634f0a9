"""Flower as it is started, beside a real worker: locked, read-only, and telling the truth."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from pytest_celery import CeleryTestSetup

from tests.peers import free_port
from tests.virtual_hosts import rabbitmq_api
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.local.servers import PrivateRabbitMQ

PASSWORD = "kTq3-7vYb0ZrW9xL2mNc5sDf8hGj1pQe"
LOGIN = ("operator", PASSWORD)
#: docs/sandbox.md: answers after seconds.
SLOW = {"phone": "+12025550105"}


class RunningFlower:
    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = "-m celery -A wavecom flower --address=127.0.0.1 --enable_events=False --max_tasks=10000"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command.split(), f"--port={self.port}"],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )
        self._log = log

    def __enter__(self) -> RunningFlower:
        wait_until(self._answers, "Flower")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            return requests.get(f"{self.url}/healthcheck", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def get(self, path: str, login: tuple[str, str] | None = LOGIN, **kwargs: Any) -> requests.Response:
        return requests.get(self.url + path, auth=login, timeout=30, **kwargs)

    def post(self, path: str, **data: Any) -> requests.Response:
        return requests.post(self.url + path, auth=LOGIN, data=data, timeout=30)


@pytest.fixture
def flower_environment(worker_environment: dict[str, str], rabbitmq: PrivateRabbitMQ) -> dict[str, str]:
    vhost = urlsplit(worker_environment["AMQP_URL"]).path[1:]
    nothing = {"configure": "^$", "write": "^$", "read": "^$"}
    rabbitmq_api(rabbitmq, "PUT", f"permissions/{vhost}/monitor", nothing)
    others = {name: value for name, value in worker_environment.items() if name != "WAVECOM_METRICS_PORT"}
    return others | {"WAVECOM_FLOWER_PASSWORD": PASSWORD, "WAVECOM_RABBITMQ_API_URL": rabbitmq.api_url}


@pytest.fixture
def flower(flower_environment: dict[str, str], tmp_path: Path) -> Iterator[RunningFlower]:
    with RunningFlower(flower_environment, tmp_path / "flower.log") as flower:
        yield flower


def test_it_lets_in_its_own_password_only_and_is_not_framed(flower: RunningFlower) -> None:
    pages = ["/", "/workers", "/broker", "/tasks", "/api/workers", "/api/queues/length", "/metrics", "/api/tasks"]

    assert {flower.get(path, None).status_code for path in pages} == {401}
    assert flower.get("/workers", ("operator", "wrong")).status_code == 401
    assert flower.get("/workers", ("admin", PASSWORD)).status_code == 401
    answers = [flower.get(path) for path in pages]
    assert {answer.status_code for answer in answers} == {200}
    for answer in (*answers, flower.get("/workers", None), flower.get("/nowhere")):
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_guessing_is_slowed_down_and_the_right_password_never(flower: RunningFlower) -> None:
    answers = [flower.get("/workers", ("operator", f"guess-{number}")) for number in range(40)]

    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert flower.get("/workers").status_code == 200


def test_it_controls_nothing(flower: RunningFlower, celery_setup: CeleryTestSetup) -> None:
    queue = "notifications.sms.normal"
    for path in (
        "/api/worker/queue/cancel-consumer/worker@local",
        "/api/worker/shutdown/worker@local",
        "/api/worker/pool/shrink/worker@local",
        "/api/worker/pool/restart/worker@local",
        "/api/task/send-task/wavecom.sweep",
        "/api/task/async-apply/wavecom.sweep",
        "/api/task/apply/wavecom.sweep",
        "/api/task/revoke/0190c9e0-0000-7000-8000-000000000000",
        "/api/task/rate-limit/wavecom.deliver",
        "/task/0190c9e0-0000-7000-8000-000000000000",
        "/worker/worker@local",
    ):
        refused = flower.post(path, queue=queue, n=1, workername="worker@local")
        assert (path, refused.status_code) == (path, 403)
    assert "WAVECOM_FLOWER_CONTROL" in flower.post("/api/worker/shutdown/worker@local").text
    [queues] = (celery_setup.app.control.inspect(timeout=5).active_queues() or {}).values()
    assert queue in {each["name"] for each in queues}


def test_it_controls_workers_where_that_is_switched_on(
    flower_environment: dict[str, str], celery_setup: CeleryTestSetup, tmp_path: Path
) -> None:
    with RunningFlower(flower_environment | {"WAVECOM_FLOWER_CONTROL": "true"}, tmp_path / "flower.log") as flower:
        wait_until(lambda: "worker@local" in flower.get("/api/workers").text, "Flower to see the worker")
        answer = flower.post("/api/worker/queue/cancel-consumer/worker@local", queue="notifications.sms.bulk")

    assert answer.status_code == 200


def test_every_queue_is_listed_from_the_start_without_any_worker(flower: RunningFlower) -> None:
    names = {queue.name for queue in (*topology.DELIVERY_QUEUES, topology.DEAD)}

    page = flower.get("/broker").text
    lengths = flower.get("/api/queues/length").json()["active_queues"]

    assert {name for name in names if name in page} == names
    assert names <= {row["name"] for row in lengths}
    assert {row["messages"] for row in lengths} == {0}


def test_without_a_management_api_the_queues_are_listed_too(flower_environment: dict[str, str], tmp_path: Path) -> None:
    environment = {name: value for name, value in flower_environment.items() if "RABBITMQ_API" not in name}
    with RunningFlower(environment, tmp_path / "flower.log") as flower:
        assert "notifications.dead" in flower.get("/broker").text


def test_it_shows_what_workers_have_delivered_and_have_in_hand(
    flower: RunningFlower,
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    read: Callable[[JobId], Job],
) -> None:
    jobs = [submit(type=Channel.SMS) for _ in range(50)]
    for job in jobs:
        wait_until(lambda job=job: read(job.job_id).status is Status.DELIVERED, "the delivery")  # type: ignore[misc]
    slow: list[str] = []

    def worker() -> dict[str, Any]:
        """Flower's row, while there is always something in hand."""
        slow.append(submit(type=Channel.SMS, to=SLOW).job_id)
        [row] = flower.get("/workers", params={"json": "1"}).json()["data"]
        return dict(row)

    def active() -> list[dict[str, Any]]:
        """What the worker says; nothing as long as it has not done with the last of the 50, delivered a moment ago."""
        slow.append(submit(type=Channel.SMS, to=SLOW).job_id)
        asked = celery_setup.app.control.inspect(timeout=5, destination=["worker@local"])
        entries = (asked.active() or {}).get("worker@local", [])
        return [] if {entry["id"] for entry in entries} & {job.job_id for job in jobs} else entries

    wait_until(lambda: worker()["active"] > 0, "Flower to see what is in hand")
    wait_until(lambda: worker()["task-received"] >= 50, "Flower to count")
    found = wait_until(active, "what is in hand")
    [stats] = (celery_setup.app.control.inspect(timeout=5).stats() or {}).values()

    assert {entry["id"] for entry in found} <= set(slow)
    assert {entry["name"] for entry in found} == {"wavecom.deliver"}
    assert stats["total"]["wavecom.deliver"] >= 50
