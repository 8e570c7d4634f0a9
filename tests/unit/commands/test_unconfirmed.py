"""``wavecom unconfirmed`` over memory: what it finds, what it moves, and what it leaves behind in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.dead_letter_environment import DeadLetterEnvironment
from tests.factories import make_job, make_job_id
from tests.operator_services import operator_services_with
from wavecom.commands.unconfirmed import unconfirmed as command
from wavecom.core.audit import AuditAction
from wavecom.core.job import Job, JobError, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


class Environment(DeadLetterEnvironment):
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

    def run(self, *arguments: str) -> Result:
        services = operator_services_with(clock=self.clock, jobs=self.jobs, dead_letters=self.dead_letters)
        return CliRunner().invoke(command, list(arguments), obj=services)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_the_list_has_those_alone_without_whole_recipients(environment: Environment) -> None:
    mine = environment.unconfirmed()
    environment.unconfirmed(provider="sms-b")
    environment.unconfirmed(status=Status.FAILED)

    shown = environment.run("list", "--provider", "sms-a")
    lines = environment.run("list", "--provider", "sms-a", "--json")

    assert (shown.exit_code, lines.exit_code) == (0, 0)
    assert mine.job_id in shown.output
    assert "1 in all." in shown.output
    assert mine.to["phone"] not in shown.output + lines.output
    [entry] = [json.loads(line) for line in lines.output.splitlines()]
    assert (entry["jobId"], entry["status"]) == (mine.job_id, "unconfirmed")


@pytest.mark.parametrize("outcome", ["delivered", "failed"])
def test_what_matches_is_settled_and_nothing_else(outcome: str, environment: Environment) -> None:
    meant = [environment.unconfirmed() for _ in range(3)]
    others = [environment.unconfirmed(provider="sms-b"), environment.unconfirmed(type=Channel.PUSH)]

    result = environment.run(
        "settle", outcome, "--provider", "sms-a", "--type", "sms", "--reason", "seen in the console"
    )

    assert result.exit_code == 0
    assert f"3 settled as {outcome}" in result.output
    assert {environment.status(job) for job in meant} == {Status(outcome)}
    assert {environment.status(job) for job in others} == {Status.UNCONFIRMED}
    run = environment.audit.only()
    assert (run.action, run.done, run.filters["reason"]) == (AuditAction.SETTLE, 3, "seen in the console")
    assert "@" in run.operator
    assert len(environment.queue.content) == (3 if outcome == "failed" else 0)


def test_a_retry_needs_the_word_that_accepts_a_duplicate(environment: Environment) -> None:
    job = environment.unconfirmed()

    refused = environment.run("retry", job.job_id)
    taken = environment.run("retry", job.job_id, "--accept-duplicate")

    assert refused.exit_code == 2
    assert "--accept-duplicate" in refused.output
    assert taken.exit_code == 0
    assert environment.status(job) is Status.QUEUED
    assert [delivery_message.job_id for delivery_message in environment.queue.delivery_messages] == [job.job_id]


def test_a_dry_run_changes_nothing(environment: Environment) -> None:
    job = environment.unconfirmed()

    results = [
        environment.run("retry", "--accept-duplicate", "--dry-run"),
        environment.run("settle", "failed", "--reason", "looked", "--dry-run"),
    ]

    assert [result.exit_code for result in results] == [0, 0]
    assert environment.status(job) is Status.UNCONFIRMED


def test_what_is_not_unconfirmed_is_left_alone_and_named(environment: Environment) -> None:
    job = environment.unconfirmed(status=Status.FAILED)

    result = environment.run("settle", "delivered", job.job_id, "--reason", "looked")

    assert environment.status(job) is Status.FAILED
    assert job.job_id in result.output


def test_an_unknown_id_is_told_and_nothing_is_done(environment: Environment) -> None:
    job = environment.unconfirmed()

    result = environment.run("settle", "delivered", job.job_id, make_job_id(), "--reason", "looked")

    assert result.exit_code == 1
    assert "unknown" in result.output
    assert environment.status(job) is Status.UNCONFIRMED


@pytest.mark.parametrize("reason", ["", " ", "x" * 501, "two\nlines"])
def test_a_settlement_takes_a_reason_that_can_be_read(reason: str, environment: Environment) -> None:
    job = environment.unconfirmed()

    result = environment.run("settle", "delivered", job.job_id, "--reason", reason)

    assert result.exit_code == 2
    assert environment.status(job) is Status.UNCONFIRMED


def test_the_limit_holds(environment: Environment) -> None:
    jobs = [environment.unconfirmed() for _ in range(4)]

    result = environment.run("settle", "failed", "--reason", "looked", "--limit", "3")

    assert result.exit_code == 0
    assert [environment.status(job) for job in jobs].count(Status.FAILED) == 3
