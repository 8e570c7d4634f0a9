"""A worker's consumers, when somebody cancels them, and what its health check says of it."""

from __future__ import annotations

import time
from pathlib import Path

import redis
from kombu import Connection
from pytest_celery import CeleryTestSetup

from tests.integration.celery.worker.jobs import (
    UNAVAILABLE,
    Read,
    Submit,
    wait_for_status,
)
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.health import health_of


def test_its_health_check_tells_a_worker_that_works_from_one_that_hangs(
    celery_setup: CeleryTestSetup, worker_environment: dict[str, str], submit: Submit, read: Read
) -> None:
    home = Path(worker_environment["WAVECOM_HOME"])
    wait_for_status(read, submit(type=Channel.SMS), Status.DELIVERED)
    wait_until(lambda: health_of(home, "worker@local").is_well, "the first report")

    celery_setup.worker.container.signal("SIGSTOP")
    stopped = health_of(home, "worker@local", now=time.time() + 60)
    celery_setup.worker.container.signal("SIGCONT")

    assert not stopped.is_well
    wait_until(lambda: health_of(home, "worker@local").is_well, "its recovery")


def consumed(setup: CeleryTestSetup) -> set[str]:
    asked = setup.app.control.inspect(timeout=5, destination=["worker@local"])
    [queues] = (asked.active_queues() or {"": []}).values()
    return {queue["name"] for queue in queues}


def test_a_consumer_that_somebody_cancels_is_told_and_started_again(
    celery_setup: CeleryTestSetup,
    worker_environment: dict[str, str],
    redis_url: str,
    submit: Submit,
    read: Read,
) -> None:
    home, queue = Path(worker_environment["WAVECOM_HOME"]), "notifications.sms.normal"
    wait_until(lambda: health_of(home, "worker@local").is_well, "the first report")

    celery_setup.app.control.cancel_consumer(queue)
    job = submit(type=Channel.SMS)

    wait_until(lambda: "consumer_cancelled" in health_of(home, "worker@local").reason, "the worker to say so")
    with redis.Redis.from_url(redis_url) as client:
        assert queue in str(client.hgetall("wavecom:progress:cancelled"))
    wait_for_status(read, job, Status.DELIVERED)
    wait_until(lambda: health_of(home, "worker@local").is_well, "its recovery")
    assert consumed(celery_setup) == {queue.name for queue in topology.TASK_QUEUES}
    assert '"event": "consumers_cancelled"' in celery_setup.worker.container.logs().replace('":"', '": "')


def test_a_queue_that_is_deleted_is_made_again_and_consumed(
    celery_setup: CeleryTestSetup, amqp_url: str, submit: Submit, read: Read
) -> None:
    with Connection(amqp_url) as connection:
        connection.default_channel.queue_delete("notifications.sms.normal")

    wait_until(lambda: "notifications.sms.normal" in consumed(celery_setup), "the queue")
    wait_for_status(read, submit(type=Channel.SMS), Status.DELIVERED)


def test_messages_held_because_no_provider_may_be_called_are_no_cancelled_consumer(
    celery_setup: CeleryTestSetup, worker_environment: dict[str, str], submit: Submit, read: Read, redis_url: str
) -> None:
    home = Path(worker_environment["WAVECOM_HOME"])
    jobs = [submit(type=Channel.SMS, to=UNAVAILABLE[Channel.SMS]) for _ in range(30)]
    wait_for_status(read, jobs[0], Status.RETRYING)
    wait_until(lambda: health_of(home, "worker@local").is_well, "the first report")

    deadline = time.monotonic() + 12
    reasons = set()
    while time.monotonic() < deadline:
        reasons.add(health_of(home, "worker@local").reason)
        time.sleep(0.2)

    assert reasons == {""}
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.hgetall("wavecom:progress:cancelled") == {}
        assert "notifications.sms.normal" in client.hgetall("wavecom:progress:moved")
