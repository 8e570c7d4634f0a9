"""What a client's traffic does to others, and where a test key's goes: a real worker between real servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests.factories import make_job
from tests.peers import HttpPeer, PeerConnection, reply
from tests.waiting import wait_until
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import TEST_SANDBOX
from wavecom.core.states import Status
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository

Submit = Callable[..., Job]
Read = Callable[[JobId], Job]

THREADS = 4
REAL = """
[providers.gateway]
type = "http"
url = "{url}"
breaker = {{ min_calls = 2, open_seconds = 600 }}

[routes]
email = ["gateway"]
sms = ["gateway"]
push = ["gateway"]
"""


class Gateway:
    """A real provider that takes a moment for each message, and can be told to refuse them all."""

    def __init__(self) -> None:
        self.is_up = True

    def __call__(self, connection: PeerConnection) -> bool:
        time.sleep(0.02)
        return reply(200 if self.is_up else 503, b'{"id": "m-1"}')(connection)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def provider(gateway: Gateway) -> Iterator[HttpPeer]:
    with HttpPeer(gateway) as peer:
        yield peer


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str], provider: HttpPeer, database: Database[dict[str, Any]], tmp_path: Path
) -> dict[str, str]:
    # Else each look at one of five hundred jobs would read them all.
    ensure_indexes(database)
    providers_file = tmp_path / "providers.toml"
    providers_file.write_text(REAL.format(url=provider.url))
    return worker_environment | {
        "WAVECOM_PROVIDERS": str(providers_file),
        "WAVECOM_WORKER_CONCURRENCY": str(THREADS),
        "WAVECOM_RETRY_BASE_SECONDS": "1",
        "WAVECOM_RETRY_CAP_SECONDS": "4",
    }


def _settled(read: Read, job: Job, status: Status = Status.DELIVERED) -> Job:
    def reached() -> Job | None:
        current = read(job.job_id)
        return current if current.status is status else None

    return wait_until(reached, f"{job.job_id} to be {status}")


@pytest.mark.usefixtures("beat")
def test_what_a_test_key_sends_never_reaches_a_real_provider_not_even_while_that_is_shut(
    celery_setup: CeleryTestSetup,
    provider: HttpPeer,
    gateway: Gateway,
    submit: Submit,
    read: Read,
    database: Database[dict[str, Any]],
) -> None:
    live = [submit(type=channel) for channel in Channel]
    tests = [
        submit(client="acme:test", type=channel, priority=priority) for channel in Channel for priority in Priority
    ]
    for job in (*live, *tests):
        _settled(read, job)
    # A shut provider, before whose door live messages of the same channel and lane wait.
    gateway.is_up = False
    shut = [submit(type=Channel.SMS) for _ in range(3 * THREADS)]
    wait_until(lambda: len(provider.requests) > len(live) + 1, "the provider to be asked")
    meanwhile = [submit(client="acme:test", type=Channel.SMS) for _ in range(3)]
    # Unavailable at the first attempt: the second comes through the delay queues.
    again = submit(client="acme:test", type=Channel.SMS, to={"phone": "+12025550106"})

    after = [_settled(read, job) for job in (*meanwhile, again)]

    assert {job.provider for job in after} == {TEST_SANDBOX}
    assert after[-1].attempts == 2
    assert all(read(job.job_id).status is not Status.DELIVERED for job in shut)
    asked_for = {request.headers["idempotency-key"] for request in provider.requests}
    assert asked_for <= {job.job_id for job in (*live, *shut)}
    delivered = {entry["jobId"] for entry in database["sandbox_outbox"].find()}
    assert delivered == {job.job_id for job in (*tests, *meanwhile, again)}


def test_a_clients_bulk_holds_up_nobody_elses_normal_messages(
    celery_setup: CeleryTestSetup, jobs: MongoJobRepository, publisher: AmqpPublisher, submit: Submit, read: Read
) -> None:
    at = jobs.now()
    flood = [make_job(client="flooder", type=Channel.SMS, priority=Priority.BULK, created_at=at) for _ in range(500)]
    jobs.insert(flood)
    publisher.publish([job.delivery_message() for job in flood])
    wait_until(lambda: read(flood[4].job_id).status is Status.DELIVERED, "the flood to flow")

    normal = [_settled(read, job) for job in [submit(client="acme", type=Channel.SMS) for _ in range(5)]]

    assert read(flood[-1].job_id).status is Status.QUEUED, "the flood was over too early to say anything"
    ends = [end for job in flood if (end := _settled(read, job).finished_at) is not None]
    for job in normal:
        assert job.finished_at is not None
        overtaken_by = sum(job.created_at < end < job.finished_at for end in ends)
        # Those in the threads when it came, and then as many at its side; not the hundreds that came before it.
        assert overtaken_by <= 5 * THREADS
