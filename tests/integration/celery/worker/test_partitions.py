"""Lanes that are parted into several queues, while the number of partitions is being changed: nothing is stranded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests.factories import make_job
from tests.integration.celery.conftest import in_every_mode
from tests.integration.celery.worker.jobs import UNAVAILABLE, Read, wait_for_status
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, QueueLayout
from wavecom.core.states import Status
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.queue_layout import MongoQueueLayout

Send = Callable[..., list[Job]]
SMS = "notifications.sms.normal"


@pytest.fixture
def worker_environment(worker_environment: dict[str, str]) -> dict[str, str]:
    return worker_environment | {"WAVECOM_QUEUE_PARTITIONS": "4"}


@pytest.fixture
def web(amqp_url: str, database: Database[dict[str, Any]], jobs: MongoJobRepository) -> Callable[[int], Any]:
    """A context manager: what a web process with so many partitions does with notifications that it accepts."""

    @contextmanager
    def started(partitions: int) -> Iterator[Send]:
        queues = DeliveryQueues(QueueLayout(partitions), MongoQueueLayout(database))
        queues.refresh()
        publisher = AmqpPublisher(AmqpAddress.parse(amqp_url), origin=f"web {partitions}", queues=queues)

        def send(count: int, **overrides: Any) -> list[Job]:
            now = jobs.now()
            fields = {"type": Channel.SMS, "created_at": now, "updated_at": now, "queued_at": now} | overrides
            sent = [make_job(**fields) for _ in range(count)]
            assert jobs.insert(sent) == [None] * count
            messages = [job.delivery_message() for job in sent]
            wait_until(lambda: all(publisher.publish(messages)), "the broker to confirm the messages")
            return sent

        yield send
        publisher.close()

    return started


def test_from_four_to_one_and_to_eight_while_messages_flow_all_are_delivered(
    celery_setup: CeleryTestSetup, web: Callable[[int], Any], read: Read, amqp_url: str
) -> None:
    # The worker was started with four and stays: with eight, it must find out by itself.
    sent: list[Job] = []
    with web(4) as four, web(1) as one, web(8) as eight:
        for round_of_three in range(3):
            sent += four(40)
            if round_of_three >= 1:  # the old ones run on beside the new
                sent += one(40)
            if round_of_three >= 2:
                sent += eight(80)
        sent += eight(80)
        used = {topology.partition_of(job.job_id, 8) for job in sent[-80:]}

        for job in sent:
            wait_for_status(read, job, Status.DELIVERED)

    assert used == set(range(8)), "otherwise the test shows little"
    assert {read(job.job_id).attempts for job in sent} == {1}
    publisher = AmqpPublisher(AmqpAddress.parse(amqp_url), origin="test")
    left = {name: publisher.look_at(name) for name in topology.partition_names(SMS, 8)}
    publisher.close()
    assert {name: state.ready for name, state in left.items() if state} == dict.fromkeys(left, 0)
    assert all(state and state.consumers == 1 for state in left.values()), left


@in_every_mode
def test_every_partition_leads_to_a_delivery(
    celery_setup: CeleryTestSetup, web: Callable[[int], Any], read: Read
) -> None:
    with web(4) as send:
        sent = send(40)
        assert {topology.partition_of(job.job_id, 4) for job in sent} == {0, 1, 2, 3}

        for job in sent:
            wait_for_status(read, job, Status.DELIVERED)


def test_a_retry_comes_back_through_the_partition_of_its_job(
    celery_setup: CeleryTestSetup, web: Callable[[int], Any], read: Read
) -> None:
    # Nobody sweeps here: without the binding for delayed messages of each partition, most would never come.
    with web(4) as send:
        sent = send(8, to=UNAVAILABLE[Channel.SMS])
        assert len({topology.partition_of(job.job_id, 4) for job in sent}) > 1

        wait_until(lambda: all(read(job.job_id).attempts >= 2 for job in sent), "a second attempt of each")


def test_after_a_reconnection_every_partition_is_consumed_again(
    celery_setup: CeleryTestSetup,
    web: Callable[[int], Any],
    read: Read,
    close_connections: Callable[[], None],
) -> None:
    with web(8) as send:
        for job in send(40):
            wait_for_status(read, job, Status.DELIVERED)
        close_connections()

        for job in send(40):
            wait_for_status(read, job, Status.DELIVERED)
