"""A real ``celery -A wavecom worker`` with real servers."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection
from kombu.transport.native_delayed_delivery import MAX_LEVEL, level_name
from pytest_celery import CeleryTestSetup

from tests.factories import later
from tests.integration.celery.conftest import in_every_mode
from tests.peers import free_port
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import Status
from wavecom.health import health_of
from wavecom.services.provider_control import provider_services
from wavecom.settings import Settings

Submit = Callable[..., Job]
Read = Callable[[JobId], Job]
Taken = Callable[[str], list[Any]]

#: docs/sandbox.md: what these recipients bring.
SLOW = {"phone": "+12025550105"}
UNAVAILABLE = {
    Channel.EMAIL: {"email": "unavailable@sandbox.wavecom.test"},
    Channel.SMS: {"phone": "+12025550102"},
    Channel.PUSH: {"platform": "fcm", "token": "sandbox-unavailable"},
}


@pytest.fixture
def worker_environment(worker_environment: dict[str, str]) -> dict[str, str]:
    return worker_environment | {
        "WAVECOM_WORKER_CONCURRENCY": "4",
        "WAVECOM_RETRY_BASE_SECONDS": "8",
        "WAVECOM_METRICS_PORT": str(free_port()),
    }


def metrics_of(environment: dict[str, str]) -> dict[str, float]:
    """Sample with its labels → value, as the worker tells them."""
    address = f"http://127.0.0.1:{environment['WAVECOM_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


def wait_for_status(read: Read, job: Job, *statuses: Status) -> Job:
    def reached() -> Job | None:
        current = read(job.job_id)
        return current if current.status in statuses else None

    return wait_until(reached, f"{job.job_id} to become {statuses}")


def publish_raw(amqp_url: str, body: bytes, headers: dict[str, Any], content_type: str = "application/json") -> None:
    with Connection(amqp_url) as connection:
        channel: Any = connection.channel()
        message = channel.prepare_message(body, content_type=content_type, content_encoding="utf-8", headers=headers)
        channel.basic_publish(message, exchange="notifications", routing_key="notifications.sms.normal")


def delayed_messages(amqp_url: str) -> int:
    """How many messages wait for their time in the broker, in the queues that Celery delays them with."""
    with Connection(amqp_url) as connection:
        channel: Any = connection.default_channel
        queues = [level_name(level) for level in range(MAX_LEVEL + 1)]
        return sum(channel.queue_declare(queue, passive=True).message_count for queue in queues)


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
def test_while_no_provider_may_be_called_a_job_waits_and_makes_no_dead_letter(
    celery_setup: CeleryTestSetup,
    beat: None,
    worker_environment: dict[str, str],
    submit: Submit,
    read: Read,
    taken: Taken,
) -> None:
    services = provider_services(Settings.from_environment(worker_environment), new_id=lambda: "a")
    try:
        for name in services.switch.names:
            services.switch.pause(name, 8, "test")
        time.sleep(2.5)  # until the worker has heard of it: it asks every second
        job = submit(type=Channel.SMS)
        # So long 100 returns to the broker would take at most, after which it makes a dead letter of a message.
        time.sleep(3)
        waiting = read(job.job_id)
        dead = taken("notifications.dead")
    finally:
        services.close()

    assert (waiting.status, waiting.attempts, dead) == (Status.QUEUED, 0, [])
    assert wait_for_status(read, job, Status.DELIVERED).attempts == 1


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


@in_every_mode
def test_a_retry_of_every_lane_stays_in_its_lane_and_comes_when_the_store_says(
    celery_setup: CeleryTestSetup, beat: None, submit: Submit, read: Read, taken: Taken, amqp_url: str
) -> None:
    jobs = [
        submit(type=channel, priority=priority, to=UNAVAILABLE[channel]) for channel in Channel for priority in Priority
    ]
    planned = {job.job_id: wait_for_status(read, job, Status.RETRYING).next_attempt_at for job in jobs}
    # What the store says is written before its message is published, and a busy broker may not confirm that in time:
    # then it is the sweep's, which a worker that is stopped does not run any more.
    wait_until(lambda: delayed_messages(amqp_url) == len(jobs), "every retry to be published")
    celery_setup.worker.kill("SIGTERM")

    for job in jobs:
        queue = topology.queue_of(job.lane)
        [message] = wait_until(lambda queue=queue: taken(queue) or None, f"the retry in {queue}")
        assert json.loads(message.body)[0] == [job.job_id]
        assert planned[job.job_id] is not None
    assert [each for each in taken(topology.PERIODIC_QUEUE) if each.headers["task"] == topology.DELIVER_TASK] == []


@in_every_mode
def test_a_job_whose_attempts_are_used_up_fails_with_a_dead_letter_and_is_counted(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read, taken: Taken, worker_environment: dict[str, str]
) -> None:
    job = submit(type=Channel.SMS, to=UNAVAILABLE[Channel.SMS], max_attempts=1)

    after = wait_for_status(read, job, Status.FAILED)

    assert after.error is not None
    assert after.error.code == "attempts_exhausted"
    [letter] = wait_until(lambda: taken(topology.DEAD_QUEUE) or None, "the dead letter")
    assert json.loads(letter.body)["jobId"] == job.job_id
    wait_until(lambda: read(job.job_id).dead_lettered_at, "the note that it is dead-lettered")
    metrics = metrics_of(worker_environment)
    assert metrics['wavecom_dead_letters_total{code="attempts_exhausted"}'] == 1
    assert metrics['wavecom_jobs_total{status="failed",type="sms"}'] == 1
    assert (metrics["wavecom_store_up"], metrics["wavecom_broker_up"], metrics["wavecom_gate_degraded"]) == (1, 1, 0)


@in_every_mode
def test_what_cannot_be_understood_goes_to_the_dead_letters_and_stops_nobody(
    celery_setup: CeleryTestSetup, submit: Submit, read: Read, taken: Taken, amqp_url: str
) -> None:
    ours = {"task": "wavecom.deliver", "id": "1"}
    json_type = "application/json"
    bad: list[tuple[str, bytes, dict[str, Any], str]] = [
        ("malformed body", b"{not json", ours, json_type),
        ("no argument", b"[[], {}, {}]", ours, json_type),
        ("no job id", b"[[7], {}, {}]", ours, json_type),
        ("two arguments", b'[["a", "b"], {}, {}]', ours, json_type),
        ("an empty list", b"[]", ours, json_type),
        ("too short", b'[["a"], {}]', ours, json_type),
        ("a number", b"7", ours, json_type),
        ("null", b"null", ours, json_type),
        ("no id", b'[["a"], {}, {}]', {"task": "wavecom.deliver"}, json_type),
        ("unknown task", b'[["a"], {}, {}]', {"task": "no.such.task", "id": "1"}, json_type),
        ("pickle", b"\x80\x04.", ours, "application/x-python-serialize"),
        ("no task message at all", b"hello", {}, "text/plain"),
        ("not compressed as it says", b"hello", ours | {"compression": "application/x-gzip"}, json_type),
        ("a compression that nobody knows", b"hello", {"compression": "no-such"}, json_type),
        ("a type that nobody knows", b"{}", {}, "application/no-such"),
        ("a type that is not allowed", b"\x80\x04.", {}, "application/x-python-serialize"),
        ("broken JSON without a task", b"{", {}, json_type),
        ("a task of the first protocol without arguments", b'{"task": "wavecom.sweep"}', {}, json_type),
        ("a sweep with a broken body", b"{", {"task": "wavecom.sweep", "id": "1"}, json_type),
        ("a sweep with an argument too many", b'[["a"], {}, {}]', {"task": "wavecom.sweep", "id": "1"}, json_type),
    ]

    # More often than there are threads: none of it may cost a permit.
    for what, body, headers, content_type in bad + bad[1:4] * 2:
        publish_raw(amqp_url, body, headers, content_type)
        [dead] = wait_until(lambda: taken(topology.DEAD_QUEUE) or None, f"the dead letter of: {what}")
        found = dead.body if isinstance(dead.body, bytes) else dead.body.encode()
        assert found == body, what
        assert dead.headers["x-death"][0]["reason"] == "rejected", what

    logs = celery_setup.worker.logs()
    for sign in ("PRECONDITION_FAILED", "unknown delivery tag", "MessageStateError", "Connection to broker lost"):
        assert sign not in logs, "answered twice: the broker closes the channel, and everything held is redelivered"
    wait_for_status(read, submit(type=Channel.SMS), Status.DELIVERED)


@in_every_mode
def test_a_message_for_a_job_that_is_gone_is_dropped(
    celery_setup: CeleryTestSetup, publisher: AmqpPublisher, submit: Submit, read: Read, taken: Taken
) -> None:
    gone = submit(type=Channel.SMS, expires_at=later(0))

    wait_for_status(read, submit(type=Channel.SMS), Status.DELIVERED)

    assert read(gone.job_id).attempts == 0
    assert taken(topology.DEAD_QUEUE) == []


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
