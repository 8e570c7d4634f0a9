"""Jobs as a running worker treats them: submitting, watching, and what the broker holds of them."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from typing import Any

from amqp.exceptions import NotFound
from kombu import Connection
from kombu.transport.native_delayed_delivery import MAX_LEVEL, level_name

from tests.waiting import wait_until
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

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
    """How many messages wait for their time in the broker, in the queues that Celery delays them with.

    0 while those are not all there: a worker makes them beside its first deliveries.
    """
    with Connection(amqp_url) as connection:
        channel: Any = connection.default_channel
        queues = [level_name(level) for level in range(MAX_LEVEL + 1)]
        try:
            return sum(channel.queue_declare(queue, passive=True).message_count for queue in queues)
        except NotFound:
            return 0
