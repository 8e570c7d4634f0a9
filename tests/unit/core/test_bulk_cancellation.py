"""Cancelling by a filter over memory: what is cancelled, what is left, and what is done after a stop or a crash."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.dead_letter_environment import DRY, OPTIONS, Killed, bulk_runner_over
from tests.factories import NOW, later, make_job, make_job_id
from tests.fakes import FakeClock, make_writer
from tests.memory_storage import MemoryAuditLog, MemoryJobRepository
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_cancellation import (
    SINGLE,
    BulkCancellation,
    filter_from_text,
    filter_to_text,
    waiting,
)
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState, NotResumableError, OperationStoppedError
from wavecom.core.engine import Policy
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import JobFilter
from wavecom.core.states import WAITING, Status

CAMPAIGN = JobFilter(metadata_key="campaign", metadata_value="spring")


class Environment:
    """Everything over memory, with a clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(3600))
        self.jobs = MemoryJobRepository(self.clock.now)
        self.audit = MemoryAuditLog()
        self.cancellation = BulkCancellation(
            jobs=self.jobs,
            writer=make_writer(self.jobs, self.clock),
            runner=bulk_runner_over(self.audit, self.clock),
            audit=self.audit,
            clock=self.clock,
            policy=Policy(),
        )

    def put(self, count: int = 1, campaign: str = "spring", **overrides: Any) -> list[Job]:
        jobs = [
            make_job(
                **{"status": Status.QUEUED, "metadata": {"campaign": campaign}, "created_at": later(number)} | overrides
            )
            for number in range(count)
        ]
        self.jobs.insert(jobs)
        return jobs

    def cancelled(self, jobs: list[Job]) -> int:
        found = [self.jobs.get(job.job_id) for job in jobs]
        return sum(job is not None and job.status is Status.CANCELLED for job in found)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_what_waits_and_matches_is_cancelled_and_nothing_else(environment: Environment) -> None:
    campaign = [job for status in sorted(WAITING) for job in environment.put(3, status=status)]
    sent = environment.put(2, status=Status.SENT) + environment.put(status=Status.DELIVERED)
    other = environment.put(2, campaign="autumn")
    doubtful = environment.put(status=Status.RETRYING, may_have_been_sent=True)
    since = environment.put(created_at=later(3601))

    run = environment.cancellation.cancel(CAMPAIGN, replace(OPTIONS, reason="wrong price"))

    assert (run.done, run.already_done, run.state) == (9, 1, BulkOperationState.FINISHED)
    assert environment.cancelled(campaign) == 9
    assert environment.cancelled(sent + other + doubtful + since) == 0
    kept = environment.audit.operations[run.operation_id]
    assert (kept.action, kept.operator, kept.filters["reason"]) == (AuditAction.CANCEL, OPTIONS.operator, "wrong price")


def test_a_status_of_the_filter_narrows_it_and_none_that_does_not_wait_widens_it(environment: Environment) -> None:
    queued, scheduled = environment.put(2), environment.put(2, status=Status.SCHEDULED)

    run = environment.cancellation.cancel(
        replace(CAMPAIGN, statuses=frozenset({Status.SCHEDULED, Status.DELIVERED})), OPTIONS
    )

    assert (run.done, environment.cancelled(scheduled), environment.cancelled(queued)) == (2, 2, 0)
    with pytest.raises(ValueError, match="nothing of this status waits"):
        environment.cancellation.cancel(replace(CAMPAIGN, statuses=frozenset({Status.DELIVERED})), OPTIONS)
    assert environment.cancelled(queued) == 0


def test_a_dry_run_counts_what_would_be_cancelled(environment: Environment) -> None:
    jobs = environment.put(7)

    run = environment.cancellation.cancel(CAMPAIGN, DRY)

    assert (run.done, environment.cancelled(jobs)) == (7, 0)
    assert environment.cancellation.expected(CAMPAIGN) == 7


def test_it_keeps_its_pace(environment: Environment) -> None:
    environment.put(50)
    began = environment.clock.monotonic()

    environment.cancellation.cancel(CAMPAIGN, replace(OPTIONS, rate_per_second=10))

    assert environment.clock.monotonic() - began == pytest.approx(4.8, abs=0.3)


@pytest.mark.parametrize("end", [OperationStoppedError("stopped"), Killed()])
def test_what_was_stopped_or_killed_goes_on_where_it_ended_and_leaves_what_came_since(
    environment: Environment, end: BaseException
) -> None:
    jobs = environment.put(20)

    def stop(operation: BulkOperation) -> None:
        if operation.done >= 8:
            raise end

    with pytest.raises(type(end)):
        environment.cancellation.cancel(CAMPAIGN, replace(OPTIONS, rate_per_second=20), stop)
    done = environment.cancelled(jobs)
    assert 8 <= done < 20
    since = environment.put(3, created_at=environment.clock.now())

    first = environment.cancellation.resumable("run-1")
    run = environment.cancellation.resume(first, OPTIONS)

    assert (run.resumes, run.done) == ("run-1", 20 - done)
    assert (environment.cancelled(jobs), environment.cancelled(since)) == (20, 0)


def test_what_is_no_cancellation_by_a_filter_is_not_resumed(environment: Environment) -> None:
    with pytest.raises(NotResumableError):
        environment.cancellation.resumable("run-7")


def test_a_client_cancels_its_own_alone(environment: Environment) -> None:
    own, others = environment.put(2, client="acme"), environment.put(2, client="globex")

    run = environment.cancellation.cancel(CAMPAIGN, replace(OPTIONS, client="acme"))

    assert (run.done, environment.cancelled(own), environment.cancelled(others)) == (2, 2, 0)


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_a_filter_for_many_names_no_person(name: str) -> None:
    single: Any = {name: make_job_id() if name == "job_id" else "amina@example.com"}

    with pytest.raises(ValueError, match="no recipient"):
        waiting(replace(CAMPAIGN, **single))


def test_an_audit_entry_has_the_whole_filter() -> None:
    where = waiting(
        JobFilter(
            client="acme",
            accounts=frozenset({"acme", "acme:test"}),
            is_test=False,
            type=Channel.SMS,
            priority=Priority.BULK,
            provider="gateway",
            error_code="rejected",
            campaign="spring",
            metadata_key="campaign",
            metadata_value="spring sale",
            created_since=NOW,
            created_before=later(60),
        )
    )

    assert {each.name for each in fields(where)} - SINGLE == set(filter_to_text(where))
    assert filter_from_text(filter_to_text(where)) == where
    assert filter_from_text(filter_to_text(waiting(JobFilter()))) == waiting(JobFilter())
