"""A worker with few file descriptors makes fewer calls at once, says so, and loses none."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests.peers import HttpPeer, PeerConnection, reply
from tests.waiting import wait_until
from wavecom.concurrency import calls_within
from wavecom.core.job import Job, JobId, UnknownOutcomePolicy
from wavecom.core.states import FINAL, Status
from wavecom.storage.mongo.indexes import ensure_indexes

OPEN_FILES = 320
JOBS = 90
PROVIDERS = """
[providers.gateway]
type = "http"
url = "{url}"

[routes]
sms = ["gateway"]
email = ["gateway"]
"""


@pytest.fixture
def gateway() -> Iterator[HttpPeer]:
    def slow(connection: PeerConnection) -> bool:
        time.sleep(1)
        return reply(200, b'{"id": "m-1"}')(connection)

    with HttpPeer(slow) as peer:
        yield peer


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str], gateway: HttpPeer, database: Database[dict[str, Any]], tmp_path: Path
) -> dict[str, str]:
    ensure_indexes(database)
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.format(url=gateway.url))
    return worker_environment | {"WAVECOM_PROVIDERS": str(file)}


@pytest.fixture
def worker_prefix() -> list[str]:
    return ["sh", "-c", f'ulimit -Sn 256; ulimit -Hn {OPEN_FILES}; exec "$@"', "sh"]


def test_more_jobs_than_descriptors_are_all_delivered_once(
    celery_setup: CeleryTestSetup,
    gateway: HttpPeer,
    submit: Callable[..., Job],
    read: Callable[[JobId], Job],
    tmp_path: Path,
) -> None:
    told = [submit(on_unknown_outcome=UnknownOutcomePolicy.STOP).job_id for _ in range(JOBS)]

    wait_until(lambda: all(read(job_id).status in FINAL for job_id in told), "every job to settle")

    assert Counter(read(job_id).status for job_id in told) == {Status.DELIVERED: JOBS}
    assert Counter(request.headers["idempotency-key"] for request in gateway.requests) == dict.fromkeys(told, 1)
    assert gateway.connections <= calls_within(OPEN_FILES, 384) * 2
    log = (tmp_path / "worker.log").read_text()
    assert '"event":"concurrency_lowered"' in log
    assert '"wanted":384' in log
    assert "Too many open files" not in log
