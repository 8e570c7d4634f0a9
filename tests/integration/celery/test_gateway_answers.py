"""What a gateway answers, through a whole worker: a wrong token loses nothing, a status that was read counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests import peers
from tests.peers import HttpPeer
from tests.waiting import wait_until
from wavecom.core.job import Job, JobId, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.states import FINAL, Status
from wavecom.storage.mongo.indexes import ensure_indexes

pytestmark = pytest.mark.usefixtures("beat")

MESSAGES = 41
PROVIDERS = """
[providers.locked]
type = "http"
url = "{locked}"
headers = {{ Authorization = "Bearer ${{GATEWAY_TOKEN}}" }}

[providers.open]
type = "http"
url = "{open}"

[providers.broken]
type = "http"
url = "{broken}"

[routes]
sms = ["locked", "open"]
push = ["broken"]
"""


@pytest.fixture
def locked() -> Iterator[HttpPeer]:
    with HttpPeer(peers.reply(401, b'{"error": "wrong token"}')) as peer:
        yield peer


@pytest.fixture
def open_one() -> Iterator[HttpPeer]:
    with HttpPeer(peers.reply(202, b'{"id": "m-1"}')) as peer:
        yield peer


@pytest.fixture
def broken() -> Iterator[HttpPeer]:
    """Too busy for the first, and its answer breaks off; takes the others, with bodies that never end."""
    busy = peers.head(503, {"Content-Length": "5000", "Retry-After": "Fri, 01 Jan 99999999999 00:00:00 GMT"})
    with HttpPeer(peers.send(busy + b"half"), peers.begin(200, {"Content-Length": "5000"}, b'{"id"')) as peer:
        yield peer


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str],
    locked: HttpPeer,
    open_one: HttpPeer,
    broken: HttpPeer,
    database: Database[dict[str, Any]],
    tmp_path: Path,
) -> dict[str, str]:
    ensure_indexes(database)
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.format(locked=locked.url, open=open_one.url, broken=broken.url))
    more = {"WAVECOM_PROVIDERS": str(file), "GATEWAY_TOKEN": "expired", "WAVECOM_RETRY_BASE_SECONDS": "1"}
    return worker_environment | more


def log_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def test_a_wrong_token_sends_everything_through_the_next_provider_and_is_told_once(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    read: Callable[[JobId], Job],
    locked: HttpPeer,
    open_one: HttpPeer,
    tmp_path: Path,
) -> None:
    told = [submit(type=Channel.SMS).job_id for _ in range(MESSAGES)]

    wait_until(lambda: all(read(job_id).status in FINAL for job_id in told), "every job to settle")

    assert Counter((read(job_id).status, read(job_id).provider) for job_id in told) == {
        (Status.DELIVERED, "open"): MESSAGES
    }
    assert {request.headers["authorization"] for request in locked.requests} == {"Bearer expired"}
    assert len(open_one.requests) == MESSAGES
    [line] = [each for each in log_lines(tmp_path / "worker.log") if each["event"] == "provider_refuses_us"]
    assert (line["provider"], line["status"]) == ("locked", 401)
    assert "check the token" in line["check"]


def test_under_stop_a_status_that_was_read_counts(
    celery_setup: CeleryTestSetup, submit: Callable[..., Job], read: Callable[[JobId], Job], broken: HttpPeer
) -> None:
    job = submit(type=Channel.PUSH, on_unknown_outcome=UnknownOutcomePolicy.STOP)

    settled = wait_until(lambda: read(job.job_id) if read(job.job_id).status in FINAL else None, "the job to settle")

    assert settled.status is Status.DELIVERED
    assert [entry.code for entry in settled.logs if entry.code] == ["http_503", "http_200"]
    assert len(broken.requests) == 2


def test_a_job_of_a_channel_whose_route_was_taken_out_waits(
    celery_setup: CeleryTestSetup, submit: Callable[..., Job], read: Callable[[JobId], Job], tmp_path: Path
) -> None:
    waiting = submit(type=Channel.EMAIL)
    other = submit(type=Channel.SMS)

    wait_until(lambda: read(other.job_id).status is Status.DELIVERED, "the other to be delivered")

    assert read(waiting.job_id).status is Status.QUEUED
    assert read(waiting.job_id).attempts == 0
    errors = {each["event"] for each in log_lines(tmp_path / "worker.log") if each["level"] == "error"}
    assert "channel_without_route" in errors, "people are told of what waits for them"
    assert errors <= {"provider_refuses_account", "channel_without_route"}
