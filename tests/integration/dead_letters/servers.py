"""Dead letters on a real RabbitMQ and a real store, for tests of what is done about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kombu import Connection
from pymongo.database import Database

from tests.factories import NOW, later, make_job
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.dead_letter_queue import AmqpDeadLetterQueue
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.bulk_operations import BulkOptions
from wavecom.core.dead_letter_publishing import dead_letter_of
from wavecom.core.dead_letters import DeadLetterFilter, QueuedDeadLetter
from wavecom.core.job import Job, JobId
from wavecom.core.states import Status
from wavecom.services.operator import OperatorServices, operator_services
from wavecom.settings import Settings
from wavecom.storage.mongo.jobs import MongoJobRepository

EVERYTHING = DeadLetterFilter()
FAST = BulkOptions(operator="ada@ops", rate_per_second=10_000)


class DeadLetterServers:
    """RabbitMQ and MongoDB as an operator's command finds them, with dead letters to be made in both."""

    def __init__(self, amqp_url: str, mongodb_uri: str, database: Database[dict[str, Any]]) -> None:
        self.amqp_url = amqp_url
        self.mongodb_uri = mongodb_uri
        self.database = database
        self.jobs = MongoJobRepository(database["jobs"])
        self.publisher = AmqpPublisher(
            AmqpAddress.parse(amqp_url), origin="test", pause_seconds=0.1, timeout_seconds=15
        )
        self.services = self.new_services()

    def new_services(self, **settings: Any) -> OperatorServices:
        return operator_services(Settings(**{"amqp_url": self.amqp_url, "mongodb_uri": self.mongodb_uri} | settings))

    def close(self) -> None:
        self.services.close()
        self.publisher.close()

    def dead(self, count: int, **overrides: Any) -> list[Job]:
        """Failed jobs, oldest first, each with its dead letter in the queue."""
        dates = [later(number) for number in range(count)]
        jobs = [
            make_job(status=Status.FAILED, **{"finished_at": at, "dead_lettered_at": at, "due_at": None} | overrides)
            for at in dates
        ]
        assert self.jobs.insert(jobs) == [None] * count
        assert all(self.publisher.publish_dead_letters([dead_letter_of(job, NOW) for job in jobs]))
        return jobs

    def foreign_messages(self, *bodies: bytes) -> None:
        """Messages that a worker rejects, as it does with what it can't understand."""
        before = self.depth()
        with Connection(self.amqp_url) as connection:
            channel: Any = connection.channel()
            topology.declare(channel)
            lane = "notifications.sms.normal"
            for body in bodies:
                message = channel.prepare_message(body, content_type="application/json", content_encoding="utf-8")
                channel.basic_publish(message, topology.NOTIFICATIONS.name, lane)
            for _ in bodies:
                taken: list[Any] = []
                wait_until(lambda taken=taken: bool(_get(channel, lane, taken)))  # type: ignore[misc]
                channel.basic_reject(taken[0].delivery_tag, requeue=False)
        wait_until(lambda: self.depth() == before + len(bodies))

    def depth(self) -> int:
        return self.publisher.depth(topology.DEAD_QUEUE) or 0

    def queued(self) -> list[QueuedDeadLetter]:
        """What lies in the dead-letter queue, in order; looked at without taking anything."""
        found: list[QueuedDeadLetter] = []

        def look(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
            found.extend(dead_letters)
            return [False] * len(dead_letters)

        AmqpDeadLetterQueue(AmqpAddress.parse(self.amqp_url), origin="test").scan(look)
        return found

    def ids(self) -> list[JobId | None]:
        return [dead_letter.job_id for dead_letter in self.queued()]

    def published(self) -> int:
        return sum(self.publisher.depth(queue.name) or 0 for queue in topology.DELIVERY_QUEUES)

    def everything(self) -> object:
        return list(self.database["jobs"].find().sort("jobId")), self.queued(), self.published()


def _get(channel: Any, queue: str, taken: list[Any]) -> list[Any]:
    message = channel.basic_get(queue)
    if message is not None:
        taken.append(message)
    return taken
