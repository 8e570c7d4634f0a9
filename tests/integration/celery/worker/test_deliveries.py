"""A real ``celery -A wavecom worker`` with real servers delivers what comes, once."""

from __future__ import annotations

import time

import pytest
from pytest_celery import CeleryTestSetup

from tests.factories import later
from tests.integration.celery.conftest import in_every_mode
from tests.integration.celery.worker.jobs import (
    SLOW,
    Read,
    Submit,
    Taken,
    wait_for_status,
)
from wavecom.broker import topology
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import Status


def test_without_a_flag_it_takes_every_queue_with_threads(celery_setup: CeleryTestSetup) -> None:
    inspect = celery_setup.app.control.inspect(timeout=5)

    [queues] = (inspect.active_queues() or {}).values()
    [stats] = (inspect.stats() or {}).values()

    assert {queue["name"] for queue in queues} == {queue.name for queue in topology.TASK_QUEUES}
    assert "thread" in stats["pool"]["implementation"]
    assert stats["pool"]["max-concurrency"] == 4


@in_every_mode
def test_a_job_of_every_lane_is_delivered(celery_setup: CeleryTestSetup, submit: Submit, read: Read) -> None:
    jobs = [submit(type=channel, priority=priority) for channel in Channel for priority in Priority]

    for job in jobs:
        after = wait_for_status(read, job, Status.DELIVERED)
        assert (after.provider, after.attempts) == ("sandbox", 1)


@pytest.mark.parametrize(
    ("worker_mode", "is_a_task"), [("fast paths", False), ("plain tasks", True)], indirect=["worker_mode"]
)
def test_without_fast_paths_deliveries_are_tasks_of_celery(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read, is_a_task: bool
) -> None:
    job = submit(type=Channel.SMS, to=SLOW)
    wait_for_status(read, job, Status.PROCESSING)

    reserved = celery_setup.app.control.inspect(timeout=5).query_task(job.job_id) or {}

    # Celery finds by their ids what it has made requests of; the pipeline's messages are not among them.
    assert any(found for found in reserved.values()) is is_a_task
    wait_for_status(read, job, Status.DELIVERED)


@in_every_mode
def test_a_message_that_comes_twice_is_sent_once_and_both_are_done_with(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read, publisher: AmqpPublisher, taken: Taken
) -> None:
    jobs = [submit(type=Channel.SMS) for _ in range(10)]
    publisher.publish([job.delivery_message() for job in jobs] * 2)

    # Behind all of them in their queue: once it is delivered the worker has had every one of them.
    jobs.append(submit(type=Channel.SMS))
    for job in jobs:
        wait_for_status(read, job, Status.DELIVERED)
    time.sleep(1)
    celery_setup.worker.kill()

    assert {read(job.job_id).attempts for job in jobs} == {1}
    assert taken("notifications.sms.normal") == []


@in_every_mode
def test_a_message_for_a_job_that_is_gone_is_dropped(
    celery_setup: CeleryTestSetup, publisher: AmqpPublisher, submit: Submit, read: Read, taken: Taken
) -> None:
    gone = submit(type=Channel.SMS, expires_at=later(0))

    wait_for_status(read, submit(type=Channel.SMS), Status.DELIVERED)

    assert read(gone.job_id).attempts == 0
    assert taken(topology.DEAD_QUEUE) == []
