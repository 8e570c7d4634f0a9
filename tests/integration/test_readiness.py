"""What readiness asks of real servers: not whether they answer, but whether they do their work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pymongo.database import Database

from tests.factories import make_job, make_job_id
from tests.fakes import FakeClock, make_writer
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.backlog import QueueBacklog
from wavecom.broker.connection import connect
from wavecom.broker.publisher import AmqpPublisher
from wavecom.broker.topology import queue_name
from wavecom.core.engine import Policy
from wavecom.core.job import DeliveryMessage, Job
from wavecom.core.lanes import TEST_LANES_QUEUE, Channel, Lane, Priority
from wavecom.core.progress import StallDetector, StallReport
from wavecom.core.sweep import Sweep
from wavecom.errors import BrokerError, UnavailableError
from wavecom.local.servers import PrivateRabbitMQ, PrivateRedis
from wavecom.readiness import NotReadyError, broker_check, deliveries_check, redis_check
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.redis.progress import RedisProgress

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SMS = Lane(Channel.SMS, Priority.NORMAL)

#: Erlang: stops the process that leads each quorum queue of the virtual host, which stays declared.
STOP_LEADERS = """
[begin {Name, _} = amqqueue:get_pid(Q), ra:stop_server(quorum_queues, {Name, node()}) end
 || Q <- rabbit_amqqueue:list(<<"wavecom">>), amqqueue:get_type(Q) =:= rabbit_quorum_queue].
"""


# --- RabbitMQ ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    """One of their own: an alarm is for all virtual hosts."""
    with PrivateRabbitMQ(Path(tmp_path_factory.mktemp("broker")), plugins=()) as broker:
        yield broker


@pytest.fixture
def publisher(broker: PrivateRabbitMQ) -> Iterator[AmqpPublisher]:
    publisher = AmqpPublisher(AmqpAddress.parse(broker.url), origin="test", pause_seconds=0.1, timeout_seconds=1.5)
    yield publisher
    publisher.close()


def is_ready(check: Callable[[], None]) -> bool:
    with contextlib.suppress(BrokerError):
        check()
        return True
    return False


def test_a_broker_that_works_is_ready_and_keeps_no_canary(broker: PrivateRabbitMQ, publisher: AmqpPublisher) -> None:
    check = broker_check(publisher)
    wait_until(lambda: is_ready(check))

    assert all(is_ready(check) for _ in range(5))
    wait_until(lambda: publisher.depth("ops.canary") == 0)


@pytest.mark.parametrize("resource", ["disk", "memory"])
def test_a_broker_under_an_alarm_is_not_ready_until_it_is_over(
    broker: PrivateRabbitMQ, publisher: AmqpPublisher, resource: str
) -> None:
    check = broker_check(publisher)
    wait_until(lambda: is_ready(check))

    broker.ctl("eval", f"rabbit_alarm:set_alarm({{{{resource_limit, {resource}, node()}}, []}}).")
    try:
        wait_until(lambda: not is_ready(check))
        assert publisher.publish([DeliveryMessage(make_job_id(), SMS)]) == [False]
    finally:
        broker.ctl("eval", f"rabbit_alarm:clear_alarm({{resource_limit, {resource}, node()}}).")

    wait_until(lambda: is_ready(check))


def test_a_broker_whose_queues_have_no_leader_answers_and_is_not_ready(tmp_path: Path) -> None:
    with PrivateRabbitMQ(tmp_path / "broker", plugins=()) as broker:
        publisher = AmqpPublisher(AmqpAddress.parse(broker.url), origin="test", pause_seconds=0.1, timeout_seconds=1.5)
        check = broker_check(publisher)
        wait_until(lambda: is_ready(check))

        broker.ctl("eval", STOP_LEADERS)

        assert broker.answers()
        wait_until(lambda: not is_ready(check))
        publisher.close()


# --- Redis ------------------------------------------------------------------------------------------------------------


def test_a_redis_that_takes_writes_is_ready(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        redis_check(client)()


@pytest.mark.parametrize(
    ("setting", "value", "back", "code"),
    [
        pytest.param("maxmemory", "1mb", "256mb", "full: it takes no writes", id="full"),
        pytest.param("min-replicas-to-write", "1", "0", "read_only: it takes no writes", id="too few replicas"),
    ],
)
def test_a_redis_that_answers_but_takes_no_writes_is_not_ready(
    redis_url: str, setting: str, value: str, back: str, code: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("ballast", "x" * 2_000_000)
        client.config_set(setting, value)
        try:
            with pytest.raises(NotReadyError) as refused:
                redis_check(client)()
        finally:
            client.config_set(setting, back)
        redis_check(client)()

    assert refused.value.code == code


def test_a_redis_that_only_follows_another_is_not_ready(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as client:
        client.replicaof("127.0.0.1", "1")

        with pytest.raises(NotReadyError) as refused:
            redis_check(client)()

    assert refused.value.code == "read_only: it takes no writes"


def test_a_redis_that_is_away_is_not_ready(tmp_path: Path) -> None:
    with redis.Redis(port=1) as client, pytest.raises(UnavailableError):
        redis_check(client)()


# --- deliveries -------------------------------------------------------------------------------------------------------


@pytest.fixture
def progress(redis_url: str) -> Iterator[RedisProgress]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield RedisProgress(client, queue_name, lambda: NOW)


def failure(progress: RedisProgress, seconds: float = 0, *, is_older: bool = False) -> str | None:
    try:
        deliveries_check(progress, lambda: NOW + timedelta(seconds=seconds), lambda: is_older)()
    except NotReadyError as error:
        return error.code
    return None


def test_before_anybody_has_swept_there_is_nothing_to_say(progress: RedisProgress) -> None:
    assert failure(progress) is None


def test_a_restored_store_is_what_holds_deliveries_and_not_a_sweep_that_is_silent(progress: RedisProgress) -> None:
    progress.publish(StallReport(NOW, []))

    assert failure(progress, 3600, is_older=True) == "store_older"
    assert failure(progress, 3600) == "sweep_silent"


def test_what_moves_is_told_by_lane_and_by_queue(progress: RedisProgress) -> None:
    progress.note_moved(["notifications.sms.normal", "notifications.test", "ops.ticks"])
    progress.note_moved([])

    assert progress.moved_at() == {SMS.queue: NOW, TEST_LANES_QUEUE: NOW}


def test_a_stalled_lane_makes_everybody_unready_and_is_named(progress: RedisProgress) -> None:
    progress.publish(StallReport(NOW, ["notifications.sms.normal"]))
    stalled = failure(progress)
    progress.publish(StallReport(NOW, []))

    assert stalled == "deliveries_stalled: notifications.sms.normal"
    assert failure(progress) is None


def test_a_sweep_that_has_fallen_silent_is_told(progress: RedisProgress) -> None:
    progress.publish(StallReport(NOW, []))

    assert (failure(progress, 89), failure(progress, 91)) == (None, "sweep_silent")


def test_a_cancelled_consumer_is_told_as_long_as_its_worker_says_so(progress: RedisProgress) -> None:
    progress.note_cancelled("worker1@host", ["notifications.sms.normal"])
    told = failure(progress)
    progress.note_cancelled("worker1@host", [])

    assert told == "consumer_cancelled: notifications.sms.normal"
    assert failure(progress) is None


def test_what_a_worker_said_that_is_gone_is_forgotten(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        before = RedisProgress(client, queue_name, lambda: NOW - timedelta(seconds=31))
        before.note_cancelled("gone@host", ["notifications.sms.normal"])

        assert failure(RedisProgress(client, queue_name, lambda: NOW)) is None


def test_without_redis_that_is_said_by_its_own_check(redis_url: str) -> None:
    with redis.Redis(port=1, decode_responses=True) as client:
        assert failure(RedisProgress(client, queue_name, lambda: NOW)) is None


# --- due work behind real queues --------------------------------------------------------------------------------------


class SweepEnvironment:
    """The sweep over real servers; its clock moves only when told to."""

    def __init__(self, broker: PrivateRabbitMQ, database: Database[dict[str, Any]], client: redis.Redis) -> None:
        self.clock = FakeClock(NOW)
        self.amqp_url = broker.url
        self.jobs = MongoJobRepository(database["jobs"])
        self.publisher = AmqpPublisher(
            AmqpAddress.parse(broker.url), origin="test", pause_seconds=0.1, timeout_seconds=1
        )
        self.progress = RedisProgress(client, queue_name, self.clock.now)
        self.sweep = Sweep(
            jobs=self.jobs,
            writer=make_writer(self.jobs, self.clock, publisher=self.publisher),
            backlog=QueueBacklog(self.publisher.depth, lambda queue: None),
            clock=self.clock,
            policy=Policy(),
            jitter=lambda: 0.5,
            stalls=StallDetector(queue_name, lambda stalled: None),
            board=self.progress,
        )

    def accept(self) -> Job:
        job = make_job(type=Channel.SMS, created_at=NOW, queued_at=NOW, due_at=NOW + timedelta(seconds=30))
        assert self.jobs.insert([job]) == [None]
        self.publisher.publish([job.delivery_message()])
        return job

    def run_for(self, seconds: int, meanwhile: Callable[[], object] = lambda: None) -> str | None:
        for _ in range(seconds // 10):
            self.clock.advance(10)
            meanwhile()
            self.sweep.run()
        return failure(self.progress, (self.clock.now() - NOW).total_seconds())


@pytest.fixture
def ops(broker: PrivateRabbitMQ, database: Database[dict[str, Any]], redis_url: str) -> Iterator[SweepEnvironment]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        ops = SweepEnvironment(broker, database, client)
        wait_until(ops.publisher.ping)
        with contextlib.closing(connect(AmqpAddress.parse(broker.url), 10, "test")) as connection:
            connection.channel().queue_purge("notifications.sms.normal")
        yield ops
        ops.publisher.close()


def test_due_work_that_no_worker_takes_is_stalled_and_moves_again_when_one_does(ops: SweepEnvironment) -> None:
    ops.accept()
    stalled = ops.run_for(90)

    with contextlib.closing(connect(AmqpAddress.parse(ops.amqp_url), 10, "test")) as connection:
        assert connection.channel().basic_get("notifications.sms.normal", no_ack=True) is not None
    ops.progress.note_moved(["notifications.sms.normal"])

    assert stalled == "deliveries_stalled: notifications.sms.normal"
    assert ops.run_for(20) is None


def test_due_work_that_workers_hold_for_minutes_is_not_stalled(ops: SweepEnvironment) -> None:
    ops.accept()

    assert ops.run_for(300, lambda: ops.progress.note_moved(["notifications.sms.normal"])) is None


def test_due_work_behind_queues_without_leaders_is_stalled(
    tmp_path: Path, database: Database[dict[str, Any]], redis_url: str
) -> None:
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    with client, PrivateRabbitMQ(tmp_path / "broker", plugins=()) as broker:
        ops = SweepEnvironment(broker, database, client)
        wait_until(ops.publisher.ping)
        broker.ctl("eval", STOP_LEADERS)
        ops.accept()

        assert ops.run_for(120) == "deliveries_stalled: notifications.sms.normal"
        ops.publisher.close()
