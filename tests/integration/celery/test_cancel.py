"""Cancelling while a real worker takes the same jobs: never both cancelled and sent."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests.fakes import make_writer
from tests.peers import HttpPeer, reply
from tests.waiting import wait_until
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.engine import Policy
from wavecom.core.job import Job, JobId
from wavecom.core.operations import Operations
from wavecom.core.states import FINAL, Status
from wavecom.errors import TooLateToCancelError
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository

RACES = 500
CLIENTS = 8
REAL = """
[providers.gateway]
type = "http"
url = "{url}"

[routes]
email = ["gateway"]
sms = ["gateway"]
push = ["gateway"]
"""


@pytest.fixture
def provider() -> Iterator[HttpPeer]:
    with HttpPeer(reply(200, b'{"id": "m-1"}')) as peer:
        yield peer


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str], provider: HttpPeer, database: Database[dict[str, Any]], tmp_path: Path
) -> dict[str, str]:
    ensure_indexes(database)
    providers_file = tmp_path / "providers.toml"
    providers_file.write_text(REAL.format(url=provider.url))
    return worker_environment | {"WAVECOM_PROVIDERS": str(providers_file), "WAVECOM_WORKER_CONCURRENCY": "8"}


class CancelDelay:
    """How long a client waits before it cancels: a little longer after each race it won, shorter after a lost one.

    So the two arrive at the same time however fast the machine is today, and each wins about half of the races.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds = 0.02

    def settle(self, *, is_cancelled: bool) -> None:
        with self._lock:
            self.seconds = min(2.0, max(0.0005, self.seconds * (1.15 if is_cancelled else 0.87)))


def test_a_cancelled_job_is_never_sent_and_a_sent_one_never_called_cancelled_in_500_races(
    celery_setup: CeleryTestSetup,
    provider: HttpPeer,
    jobs: MongoJobRepository,
    publisher: AmqpPublisher,
    submit: Callable[..., Job],
    read: Callable[[JobId], Job],
) -> None:
    clock = StoreClock(jobs.now).start()
    operations = Operations(
        jobs=jobs, writer=make_writer(jobs, clock, publisher=publisher), clock=clock, policy=Policy()
    )
    delay = CancelDelay()
    warm = submit()
    wait_until(lambda: read(warm.job_id).status is Status.DELIVERED, "the worker to deliver")

    def race(_number: int) -> tuple[JobId, bool]:
        job = submit()
        time.sleep(delay.seconds)
        try:
            is_cancelled = operations.cancel(job.job_id, job.client).status is Status.CANCELLED
        except TooLateToCancelError:
            is_cancelled = False
        delay.settle(is_cancelled=is_cancelled)
        return job.job_id, is_cancelled

    with ThreadPoolExecutor(CLIENTS) as clients:
        told = dict(clients.map(race, range(RACES)))
    clock.close()
    wait_until(lambda: all(read(job_id).status in FINAL for job_id in told), "every job to settle")

    sent = Counter(request.headers["idempotency-key"] for request in provider.requests)
    for job_id, is_cancelled in told.items():
        assert (read(job_id).status, sent[job_id]) == ((Status.CANCELLED, 0) if is_cancelled else (Status.DELIVERED, 1))
    wins = Counter(told.values())
    assert min(wins[True], wins[False]) >= RACES // 10, f"no race at all: {wins}"
