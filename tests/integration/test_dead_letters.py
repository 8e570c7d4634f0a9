"""Dead letters on a real RabbitMQ and a real store: what is written, what leaves the queue, who may die between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from click.testing import CliRunner
from kombu import Connection
from pymongo.database import Database

from tests.factories import NOW, later, make_job
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.broker.dead_letter_queue import AmqpDeadLetterQueue
from wavecom.broker.publisher import AmqpPublisher
from wavecom.commands.dead_letters import dead_letters as command
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.core.dead_letter_publishing import dead_letter_of
from wavecom.core.dead_letters import DeadLetterFilter, QueueBusyError, QueuedDeadLetter
from wavecom.core.job import Job, JobError, JobId
from wavecom.core.states import Status
from wavecom.errors import BrokerError
from wavecom.services.operator import OperatorServices, operator_services
from wavecom.settings import Settings
from wavecom.storage.mongo.jobs import MongoJobRepository

EVERYTHING = DeadLetterFilter()
FAST = BulkOptions(operator="ada@ops", rate_per_second=10_000)


class Environment:
    """The servers as an operator's command finds them."""

    def __init__(self, amqp_url: str, mongodb_uri: str, database: Database[dict[str, Any]]) -> None:
        self.amqp_url = amqp_url
        self.mongodb_uri = mongodb_uri
        self.database = database
        self.jobs = MongoJobRepository(database["jobs"])
        self.publisher = AmqpPublisher(amqp_url, origin="test", pause_seconds=0.1, timeout_seconds=15)
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

        AmqpDeadLetterQueue(self.amqp_url, origin="test").scan(look)
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


@pytest.fixture
def environment(amqp_url: str, mongodb_uri: str, database: Database[dict[str, Any]]) -> Iterator[Environment]:
    environment = Environment(amqp_url, mongodb_uri, database)
    wait_until(environment.publisher.ping)
    yield environment
    environment.close()


# --- the queue ------------------------------------------------------------------------------------------------------


def test_a_scan_removes_what_must_go_and_leaves_the_rest_in_its_order(environment: Environment) -> None:
    jobs = environment.dead(1300)
    doomed = {job.job_id for job in jobs[::3]}

    scan = AmqpDeadLetterQueue(environment.amqp_url, origin="test").scan(
        lambda dead_letters: [dead_letter.job_id in doomed for dead_letter in dead_letters]
    )

    assert (scan.seen, scan.removed, scan.is_complete) == (1300, len(doomed), True)
    assert environment.ids() == [job.job_id for job in jobs if job.job_id not in doomed]


def test_a_whole_queue_can_be_taken(environment: Environment) -> None:
    environment.dead(1300)

    scan = AmqpDeadLetterQueue(environment.amqp_url, origin="test").scan(
        lambda dead_letters: [True] * len(dead_letters)
    )

    assert (scan.removed, environment.queued()) == (1300, [])


class Killed(BaseException):
    """The process is gone: nobody may tidy up after it."""


def test_a_scan_that_dies_leaves_every_message_that_was_not_removed(environment: Environment) -> None:
    jobs = environment.dead(1300)
    batches: list[int] = []

    def die(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
        batches.append(len(dead_letters))
        if len(batches) == 2:
            raise Killed
        return [dead_letter.job_id == jobs[7].job_id for dead_letter in dead_letters]

    with pytest.raises(Killed):
        AmqpDeadLetterQueue(environment.amqp_url, origin="test").scan(die)
    wait_until(lambda: environment.depth() >= 1299)

    left = environment.ids()
    # The one acknowledgement may have died with its connection; that costs another scan, never a dead letter.
    assert [job_id for job_id in left if job_id != jobs[7].job_id] == [job.job_id for job in jobs if job is not jobs[7]]


def test_a_budget_ends_a_scan_early(environment: Environment) -> None:
    environment.dead(600)

    scan = AmqpDeadLetterQueue(environment.amqp_url, origin="test").scan(
        lambda dead_letters: [True] * len(dead_letters), budget_seconds=0
    )

    assert not scan.is_complete
    wait_until(lambda: environment.depth() == 600 - scan.removed)


def test_two_do_not_scan_at_once(environment: Environment) -> None:
    environment.dead(2)
    refusals: list[BaseException] = []

    def look(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
        try:
            AmqpDeadLetterQueue(environment.amqp_url, origin="second").scan(look)
        except QueueBusyError as error:
            refusals.append(error)
        return [False] * len(dead_letters)

    AmqpDeadLetterQueue(environment.amqp_url, origin="first").scan(look)

    assert len(refusals) == 1
    assert len(environment.queued()) == 2


def test_a_queue_that_nobody_has_declared_is_empty(amqp_url: str) -> None:
    scan = AmqpDeadLetterQueue(amqp_url, origin="test").scan(lambda dead_letters: [True] * len(dead_letters))

    assert (scan.seen, scan.is_complete) == (0, False)


def test_messages_that_rabbitmq_put_there_are_told_from_dead_letters(environment: Environment) -> None:
    [job] = environment.dead(1)
    environment.foreign_messages(b"\xff\xfe not json", b"[]")

    dead_letter, *foreign_messages = environment.queued()

    assert (dead_letter.job_id, dead_letter.reason, dead_letter.failed_at) == (job.job_id, "failed_job", NOW)
    assert [(each.job_id, each.reason, each.queue) for each in foreign_messages] == [
        (None, "rejected", "notifications.sms.normal")
    ] * 2
    assert {each.head for each in foreign_messages} == {b"\xff\xfe not json", b"[]"}


# --- runs -----------------------------------------------------------------------------------------------------------


def test_a_replay_publishes_messages_and_its_dead_letters_leave_the_queue(environment: Environment) -> None:
    jobs = environment.dead(20)
    [other] = environment.dead(1, error=JobError("outcome_unknown", "timeout", "mail"))

    result = CliRunner().invoke(
        command, ["replay", "--error-code", "rejected", "--rate", "1000", "--operator", "ada"], obj=environment.services
    )

    assert result.exit_code == 0, result.output
    replayed = [environment.jobs.get(job.job_id) for job in jobs]
    assert {(job.status, job.replays, job.logs[-1].event) for job in replayed if job} == {
        (Status.QUEUED, 1, "replayed")
    }
    assert (environment.published(), environment.ids()) == (20, [other.job_id])
    [entry] = environment.database["audit"].find()
    assert {name: entry[name] for name in ("action", "operator", "state", "filters", "dryRun", "done")} == {
        "action": "replay",
        "operator": "ada",
        "state": "finished",
        "filters": {"error_code": "rejected"},
        "dryRun": False,
        "done": 20,
    }
    assert (entry["firstJobId"], entry["lastJobId"]) == (jobs[0].job_id, jobs[-1].job_id)
    assert entry["reasons"] == [{"code": "rejected", "provider": "sandbox", "count": 20}]


def test_a_discarded_job_has_no_dead_letter_and_can_still_be_replayed_by_its_id(environment: Environment) -> None:
    job, _ = environment.dead(2)

    discarded = CliRunner().invoke(command, ["discard", job.job_id], obj=environment.services)
    again = CliRunner().invoke(command, ["discard", job.job_id], obj=environment.services)
    depth = len(environment.queued())
    replayed = CliRunner().invoke(command, ["replay", job.job_id], obj=environment.services)

    assert "1 discarded." in discarded.output
    assert "0 discarded, 1 were done already" in again.output
    assert "1 replayed." in replayed.output
    assert depth == 1
    stored = environment.jobs.get(job.job_id)
    assert stored is not None
    assert [entry.event for entry in stored.logs] == ["accepted", "discarded", "replayed"]


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_dry_run_changes_nothing(environment: Environment, action: str) -> None:
    environment.dead(5)
    environment.foreign_messages(b"x")
    before = environment.everything()

    result = CliRunner().invoke(command, [action, "--dry-run"], obj=environment.services)
    raw = CliRunner().invoke(command, ["discard", "--raw", "--dry-run"], obj=environment.services)

    assert "5 would be" in result.output
    assert "1 would be dropped" in raw.output
    assert environment.everything() == before
    assert environment.database["audit"].count_documents({"dryRun": True}) == 2


def test_raw_messages_are_dropped_and_dead_letters_stay(environment: Environment) -> None:
    jobs = environment.dead(3)
    environment.foreign_messages(b"one", b"two")

    listed = CliRunner().invoke(command, ["list", "--raw"], obj=environment.services)
    dropped = CliRunner().invoke(command, ["discard", "--raw"], obj=environment.services)

    assert "2 in all." in listed.output
    assert "2 dropped." in dropped.output
    assert environment.ids() == [job.job_id for job in jobs]


def start_and_kill(environment: Environment, action: str) -> None:
    """A command that is killed when it has moved some jobs."""
    variables = {**os.environ, "AMQP_URL": environment.amqp_url, "MONGODB_URI": environment.mongodb_uri}
    first = subprocess.Popen(
        [sys.executable, "-m", "wavecom.cli", "dead-letters", action, "--yes", "--rate", "5"],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: environment.database["jobs"].count_documents({"deadLetteredAt": {"$exists": False}}) >= 3)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait(10)


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_command_killed_in_the_middle_is_finished_by_running_it_again(environment: Environment, action: str) -> None:
    jobs = environment.dead(30)
    start_and_kill(environment, action)

    second = getattr(environment.services.dead_letters, action)(EVERYTHING, FAST)
    environment.services.reconciliation.run()

    assert 0 < second.done < 30
    stored = [environment.jobs.get(job.job_id) for job in jobs]
    done = {"replay": "replayed", "discard": "discarded"}[action]
    assert {tuple(entry.event for entry in job.logs) for job in stored if job} == {("accepted", done)}
    assert environment.queued() == []
    states = {entry["state"]: entry["done"] for entry in environment.database["audit"].find()}
    assert set(states) == {"running", "finished"}
    # Its last batch may be written and not counted yet.
    assert 30 - second.done - states["running"] in {0, 1}


def test_a_command_that_was_killed_is_resumed_by_its_audit_entry(environment: Environment) -> None:
    jobs = environment.dead(30)
    start_and_kill(environment, "replay")
    [first] = environment.database["audit"].find()
    assert first["state"] == "running"

    resumed = CliRunner().invoke(command, ["resume", first["_id"], "--rate", "1000"], obj=environment.services)

    assert resumed.exit_code == 0, resumed.output
    stored = [environment.jobs.get(job.job_id) for job in jobs]
    assert [job.replays for job in stored if job] == [1] * 30
    assert (environment.published(), environment.queued()) == (30, [])
    second = environment.database["audit"].find_one({"resumes": first["_id"]})
    assert second is not None
    assert (second["state"], second["asOf"]) == ("finished", first["startedAt"])
    # Its last batch may be written and not counted yet.
    assert 30 - second["done"] - first["done"] in {0, 1}


def test_two_operators_at_once_replay_each_job_once(environment: Environment) -> None:
    jobs = environment.dead(40)
    second = environment.new_services()
    others: list[BulkOperation] = []

    def meanwhile(_run: BulkOperation) -> None:
        if not others:
            others.append(second.dead_letters.replay(EVERYTHING, FAST))

    try:
        first = environment.services.dead_letters.replay(
            EVERYTHING, BulkOptions(operator="ada", rate_per_second=50), meanwhile
        )
    finally:
        second.close()

    assert first.done + others[0].done == 40
    stored = [environment.jobs.get(job.job_id) for job in jobs]
    assert [job.replays for job in stored if job] == [1] * 40
    assert environment.published() == 40


# --- reconciliation -------------------------------------------------------------------------------------------------


def test_after_a_crash_between_store_and_queue_the_dead_letters_go(environment: Environment) -> None:
    jobs = environment.dead(10)
    environment.foreign_messages(b"x")
    # A run that dies right after its last write to the store.
    environment.services.dead_letters.replay(tuple(job.job_id for job in jobs[:6]), FAST)
    assert environment.depth() == 11

    report = environment.services.reconciliation.run_if_needed()

    assert report is not None
    assert (report.removed, report.published_again, report.foreign_messages) == (6, 0, 1)
    assert environment.ids() == [*(job.job_id for job in jobs[6:]), None]
    assert environment.services.reconciliation.run_if_needed() is None


def test_a_purged_queue_is_filled_again_from_the_store(environment: Environment) -> None:
    jobs = environment.dead(700)
    with Connection(environment.amqp_url) as connection:
        channel: Any = connection.channel()
        channel.queue_purge(topology.DEAD_QUEUE)

    # Missed once they may be in somebody's hands; nobody waits here for the next tick.
    first = environment.services.reconciliation.run()
    wait_until(lambda: environment.services.reconciliation.run().published_again == 700)

    assert first.published_again == 0
    assert sorted(map(str, environment.ids())) == sorted(job.job_id for job in jobs)


def test_an_agreeing_queue_is_left_alone(environment: Environment) -> None:
    environment.dead(3)
    first = environment.services.reconciliation.run_if_needed()

    assert first is not None
    assert (first.removed, first.published_again, first.is_complete) == (0, 0, True)
    assert len(environment.queued()) == 3


# --- servers away ---------------------------------------------------------------------------------------------------


def test_a_broker_that_is_away_is_said_in_words(environment: Environment) -> None:
    environment.dead(1)
    services = environment.new_services(amqp_url="amqp://guest:guest@127.0.0.1:1//")

    try:
        raw = CliRunner().invoke(command, ["list", "--raw"], obj=services)
        listed = CliRunner().invoke(command, ["list"], obj=services)
        tick = services.reconciliation.run_if_needed()
        with pytest.raises(BrokerError):
            services.reconciliation.run()
    finally:
        services.close()

    assert (raw.exit_code, "Check AMQP_URL" in raw.stderr) == (1, True)
    assert (listed.exit_code, "1 in all." in listed.output) == (0, True)
    assert tick is None


def test_a_store_that_is_away_is_said_in_words(environment: Environment) -> None:
    services = environment.new_services(mongodb_uri="mongodb://127.0.0.1:1/wavecom")

    try:
        result = CliRunner().invoke(command, ["replay"], obj=services)
        tick = services.reconciliation.run_if_needed()
    finally:
        services.close()

    assert (result.exit_code, "Check MONGODB_URI" in result.stderr) == (1, True)
    assert isinstance(result.exception, SystemExit)
    assert tick is None
