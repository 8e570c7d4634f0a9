"""``wavecom unconfirmed`` over memory: what it finds, what it moves, and what it leaves behind in words."""

from __future__ import annotations

import itertools
import json
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from tests.dead_letter_twins import MemoryAuditLog, MemoryDeadLetterQueue, MemoryDeadLetterRepository
from tests.factories import later, make_job, make_job_id
from tests.fakes import CountingStats, FakeClock
from tests.memory_storage import MemoryJobRepository
from wavecom.commands.unconfirmed import unconfirmed as command
from wavecom.core.audit import Action
from wavecom.core.dead_letters import DeadLetters
from wavecom.core.engine import Policy
from wavecom.core.job import Channel, Job, JobError, UnknownOutcomePolicy
from wavecom.core.states import Status
from wavecom.services.operator import OperatorServices


class House:
    def __init__(self) -> None:
        self.clock = FakeClock(later(3600))
        self.jobs = MemoryJobRepository()
        self.queue = MemoryDeadLetterQueue()
        self.audit = MemoryAuditLog()
        repository = MemoryDeadLetterRepository(self.jobs)
        numbers = itertools.count(1)
        self.dead_letters = DeadLetters(
            jobs=self.jobs,
            repository=repository,
            queue=self.queue,
            publisher=self.queue,
            audit=self.audit,
            stats=CountingStats(),
            clock=self.clock,
            policy=Policy(),
            sleep=self.clock.advance,
            new_id=lambda: f"run-{next(numbers)}",
        )

    def unconfirmed(self, **fields: Any) -> Job:
        given: dict[str, Any] = {
            "status": Status.UNCONFIRMED,
            "attempts": 1,
            "may_have_been_sent": True,
            "on_unknown_outcome": UnknownOutcomePolicy.STOP,
            "provider": "sms-a",
            "error": JobError("outcome_unknown", "timeout", "sms-a"),
        }
        job = make_job(**given | fields)
        assert self.jobs.insert([job]) == [None]
        return job

    def status(self, job: Job) -> Status:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored.status

    def run(self, *arguments: str) -> Result:
        services = OperatorServices(
            audit=cast(Any, None),
            sessions=cast(Any, None),
            clock=self.clock,
            jobs=self.jobs,
            dead_letters=self.dead_letters,
            keys=cast(Any, None),
            reconciliation=cast(Any, None),
        )
        return CliRunner().invoke(command, list(arguments), obj=services)


@pytest.fixture
def house() -> House:
    return House()


def test_the_list_has_those_alone_without_whole_recipients(house: House) -> None:
    mine = house.unconfirmed()
    house.unconfirmed(provider="sms-b")
    house.unconfirmed(status=Status.FAILED)

    shown = house.run("list", "--provider", "sms-a")
    lines = house.run("list", "--provider", "sms-a", "--json")

    assert (shown.exit_code, lines.exit_code) == (0, 0)
    assert mine.job_id in shown.output
    assert "1 in all." in shown.output
    assert mine.to["phone"] not in shown.output + lines.output
    [entry] = [json.loads(line) for line in lines.output.splitlines()]
    assert (entry["jobId"], entry["status"]) == (mine.job_id, "unconfirmed")


@pytest.mark.parametrize("outcome", ["delivered", "failed"])
def test_what_matches_is_settled_and_nothing_else(outcome: str, house: House) -> None:
    meant = [house.unconfirmed() for _ in range(3)]
    others = [house.unconfirmed(provider="sms-b"), house.unconfirmed(type=Channel.PUSH)]

    result = house.run("settle", outcome, "--provider", "sms-a", "--type", "sms", "--reason", "seen in the console")

    assert result.exit_code == 0
    assert f"3 settled as {outcome}" in result.output
    assert {house.status(job) for job in meant} == {Status(outcome)}
    assert {house.status(job) for job in others} == {Status.UNCONFIRMED}
    run = house.audit.only()
    assert (run.action, run.done, run.filters["reason"]) == (Action.SETTLE, 3, "seen in the console")
    assert "@" in run.operator
    assert len(house.queue.content) == (3 if outcome == "failed" else 0)


def test_a_retry_needs_the_word_that_accepts_a_duplicate(house: House) -> None:
    job = house.unconfirmed()

    refused = house.run("retry", job.job_id)
    taken = house.run("retry", job.job_id, "--accept-duplicate")

    assert refused.exit_code == 2
    assert "--accept-duplicate" in refused.output
    assert taken.exit_code == 0
    assert house.status(job) is Status.QUEUED
    assert [delivery_message.job_id for delivery_message in house.queue.delivery_messages] == [job.job_id]


def test_a_dry_run_changes_nothing(house: House) -> None:
    job = house.unconfirmed()

    results = [
        house.run("retry", "--accept-duplicate", "--dry-run"),
        house.run("settle", "failed", "--reason", "looked", "--dry-run"),
    ]

    assert [result.exit_code for result in results] == [0, 0]
    assert house.status(job) is Status.UNCONFIRMED


def test_what_is_not_unconfirmed_is_left_alone_and_named(house: House) -> None:
    job = house.unconfirmed(status=Status.FAILED)

    result = house.run("settle", "delivered", job.job_id, "--reason", "looked")

    assert house.status(job) is Status.FAILED
    assert job.job_id in result.output


def test_an_unknown_id_is_told_and_nothing_is_done(house: House) -> None:
    job = house.unconfirmed()

    result = house.run("settle", "delivered", job.job_id, make_job_id(), "--reason", "looked")

    assert result.exit_code == 1
    assert "unknown" in result.output
    assert house.status(job) is Status.UNCONFIRMED


@pytest.mark.parametrize("reason", ["", " ", "x" * 501, "two\nlines"])
def test_a_settlement_takes_a_reason_that_can_be_read(reason: str, house: House) -> None:
    job = house.unconfirmed()

    result = house.run("settle", "delivered", job.job_id, "--reason", reason)

    assert result.exit_code == 2
    assert house.status(job) is Status.UNCONFIRMED


def test_the_limit_holds(house: House) -> None:
    jobs = [house.unconfirmed() for _ in range(4)]

    result = house.run("settle", "failed", "--reason", "looked", "--limit", "3")

    assert result.exit_code == 0
    assert [house.status(job) for job in jobs].count(Status.FAILED) == 3
