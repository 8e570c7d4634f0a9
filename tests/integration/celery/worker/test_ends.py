"""What a worker leaves behind when it ends, loses its connection or is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from pytest_celery import CeleryTestSetup

from tests.integration.celery.conftest import in_every_mode
from tests.integration.celery.worker.jobs import (
    SLOW,
    Read,
    Submit,
    Taken,
    wait_for_status,
)
from wavecom.broker import topology
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


def test_the_messages_of_a_killed_worker_are_redelivered(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read
) -> None:
    in_the_call = [submit(type=Channel.SMS, to=SLOW) for _ in range(4)]
    for job in in_the_call:
        wait_for_status(read, job, Status.PROCESSING)
    waiting = [submit(type=Channel.SMS) for _ in range(6)]

    celery_setup.worker.kill()
    celery_setup.worker.restart()

    for job in waiting:
        assert wait_for_status(read, job, Status.DELIVERED).attempts == 1
    # Claimed by the one that was killed: redelivered too, and left alone until their leases end.
    assert {read(job.job_id).status for job in in_the_call} == {Status.PROCESSING}


def test_what_was_delivered_is_acknowledged_and_comes_to_nobody_again(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read, taken: Taken
) -> None:
    # The worker's sweep ticks run on the same channel meanwhile, and are acknowledged by Celery.
    jobs = [submit(type=Channel.SMS) for _ in range(40)]
    for job in jobs:
        wait_for_status(read, job, Status.DELIVERED)
    celery_setup.app.send_task(topology.SWEEP_TASK, queue=topology.PERIODIC_TASKS)
    late = submit(type=Channel.EMAIL)
    wait_for_status(read, late, Status.DELIVERED)
    time.sleep(1)

    celery_setup.worker.kill()

    assert [taken(queue.name) for queue in topology.DELIVERY_QUEUES] == [[]] * len(topology.DELIVERY_QUEUES)
    assert {read(job.job_id).attempts for job in [*jobs, late]} == {1}


def test_a_worker_that_lost_its_connection_goes_on_with_the_next(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read, close_connections: Callable[[], None]
) -> None:
    in_the_call = submit(type=Channel.SMS, to=SLOW)
    wait_for_status(read, in_the_call, Status.PROCESSING)
    jobs = [submit(type=Channel.SMS) for _ in range(5)]

    close_connections()

    for job in [in_the_call, *jobs, submit(type=Channel.PUSH)]:
        after = wait_for_status(read, job, Status.DELIVERED)
        assert after.attempts == 1


@in_every_mode
def test_a_graceful_stop_finishes_what_is_running_and_leaves_nothing_processing(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read, taken: Taken
) -> None:
    in_the_call = [submit(type=Channel.SMS, to=SLOW) for _ in range(4)]
    for job in in_the_call:
        wait_for_status(read, job, Status.PROCESSING)
    waiting = [submit(type=Channel.SMS) for _ in range(6)]

    celery_setup.worker.kill("SIGTERM")

    assert {read(job.job_id).status for job in in_the_call} == {Status.DELIVERED}
    back = [job for job in waiting if read(job.job_id).status is Status.QUEUED]
    assert Status.PROCESSING not in {read(job.job_id).status for job in waiting}
    published = {json.loads(message.body)[0][0] for message in taken("notifications.sms.normal")}
    assert {job.job_id for job in back} <= published
    # Acknowledged: what comes back is counted by the broker, which makes a dead letter of what does so too often.
    assert {job.job_id for job in in_the_call}.isdisjoint(published)
