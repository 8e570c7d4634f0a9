"""What a worker makes of jobs that can't be delivered now, or at all."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pytest_celery import CeleryTestSetup

from tests.integration.celery.conftest import in_every_mode
from tests.integration.celery.worker.jobs import (
    UNAVAILABLE,
    Read,
    Submit,
    Taken,
    delayed_messages,
    metrics_of,
    publish_raw,
    wait_for_status,
)
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import Status
from wavecom.services.provider_control import provider_services
from wavecom.settings import Settings


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
            services.switch.pause(name, 22, "test")
        time.sleep(6)  # until the worker has heard of it, on a busy machine too: it asks every second
        job = submit(type=Channel.SMS)
        # So long 100 returns to the broker would take at most, after which it makes a dead letter of a message.
        time.sleep(3)
        waiting = read(job.job_id)
        dead = taken("notifications.dead")
    finally:
        services.close()

    assert (waiting.status, waiting.attempts, dead) == (Status.QUEUED, 0, [])
    assert wait_for_status(read, job, Status.DELIVERED).attempts == 1


# So long that on a busy machine all are planned before the first comes back: one that is tried once more while the
# worker stops may be left to the sweep.
@pytest.mark.parametrize("retry_base_seconds", [20])
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
