"""Regions with a real broker: each worker takes its region's jobs, and another's backlog only where that is allowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_job
from tests.integration.celery.conftest import LocalWorker
from tests.integration.celery.worker.jobs import Read, wait_for_status
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, QueueLayout
from wavecom.core.states import Status
from wavecom.storage.mongo.jobs import MongoJobRepository

#: The shortest that can be set.
TAKEOVER_SECONDS = 10
#: us may help eu; nobody may help ch.
PROVIDERS = """\
[regions]
default = "us"
[regions.us]
[regions.eu]
takeover = ["us"]
[regions.ch]
[providers.everywhere]
type = "sandbox"
[providers.european]
type = "sandbox"
regions = ["eu"]
[routes]
sms = ["european", "everywhere"]
"""

REGIONS = ("eu", "us", "ch", "")

Start = Callable[[str], LocalWorker]
Send = Callable[[str, int], list[Job]]


@pytest.fixture
def start(worker_environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of a region."""
    (tmp_path / "providers.toml").write_text(PROVIDERS, encoding="utf-8")
    workers: list[LocalWorker] = []

    def started(region: str) -> LocalWorker:
        environment = worker_environment | {
            "WAVECOM_PROVIDERS": str(tmp_path / "providers.toml"),
            "WAVECOM_REGION": region,
            "WAVECOM_REGION_TAKEOVER_SECONDS": str(TAKEOVER_SECONDS),
        }
        number = len(workers)
        node = f"{region}{number}@local"  # of two with one name the second is refused by the broker
        worker = LocalWorker(tmp_path / f"{region}-{number}.log", environment, ["-n", node])
        workers.append(worker)
        worker.ready()
        return worker

    yield started
    for worker in workers:
        worker.teardown()


@pytest.fixture
def send(amqp_url: str, jobs: MongoJobRepository) -> Iterator[Send]:
    queues = DeliveryQueues(QueueLayout(1, ("us", "eu", "ch")))
    publisher = AmqpPublisher(AmqpAddress.parse(amqp_url), origin="test", queues=queues)

    def sent(region: str, count: int) -> list[Job]:
        now = jobs.now()
        fields: dict[str, Any] = {"type": Channel.SMS, "created_at": now, "updated_at": now, "queued_at": now}
        made = [make_job(region=region, **fields) for _ in range(count)]
        assert jobs.insert(made) == [None] * count
        messages = [job.delivery_message() for job in made]
        wait_until(lambda: all(publisher.publish(messages)), "the broker to confirm the messages")
        return made

    yield sent
    publisher.close()


@pytest.mark.timeout(180)
def test_the_backlog_of_a_region_whose_worker_is_killed_is_taken_where_it_is_allowed_and_waits_where_it_is_not(
    start: Start, send: Send, read: Read
) -> None:
    eu, us, ch = start("eu"), start("us"), start("ch")
    before = [*send("eu", 5), *send("us", 5), *send("ch", 5), *send("", 5)]
    for job in before:
        wait_for_status(read, job, Status.DELIVERED)
    by_region = {region: {read(job.job_id).provider for job in before if job.region == region} for region in REGIONS}
    # While the first of a route has no permit left, the next is called.
    assert "european" in by_region.pop("eu")
    assert by_region == {"us": {"everywhere"}, "ch": {"everywhere"}, "": {"everywhere"}}

    eu.kill()
    ch.kill()
    killed_at = time.monotonic()
    of_eu, of_ch = send("eu", 10), send("ch", 10)
    wait_for_status(read, of_eu[0], Status.DELIVERED)

    assert time.monotonic() - killed_at >= TAKEOVER_SECONDS / 2, "it was not absent for long enough"
    providers = {wait_for_status(read, job, Status.DELIVERED).provider for job in of_eu}
    assert "european" in providers, "a job is of its region, whoever delivers it"
    wait_until(lambda: time.monotonic() - killed_at > 3 * TAKEOVER_SECONDS, "time enough to take the other's", 60)
    assert {read(job.job_id).status for job in of_ch} == {Status.QUEUED}
    assert us.status == "running"

    start("ch")
    for job in of_ch:
        assert wait_for_status(read, job, Status.DELIVERED).attempts == 1


@pytest.mark.timeout(120)
def test_who_has_taken_a_backlog_leaves_it_when_the_region_has_a_worker_again(
    start: Start, send: Send, read: Read, amqp_url: str
) -> None:
    us = start("us")
    send("eu", 1)
    with closing(AmqpPublisher(AmqpAddress.parse(amqp_url), origin="looking")) as publisher:

        def consumers() -> int | None:
            state = publisher.look_at("notifications.eu.sms.normal")
            return None if state is None else state.consumers

        wait_until(lambda: consumers() == 1, "us to take over")
        start("eu")
        wait_until(lambda: consumers() == 1, "us to leave")
    for job in send("eu", 5):
        wait_for_status(read, job, Status.DELIVERED)
    assert us.status == "running"
