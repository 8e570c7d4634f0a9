"""What is due is moved on: published, queued, tried again, expired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import NOW, later, make_claim
from tests.unit.core.sweep.environment import Store, SweepEnvironment
from wavecom.core.job import Job, UnknownOutcomePolicy
from wavecom.core.states import Status


def test_nothing_due_does_nothing() -> None:
    environment = SweepEnvironment()
    environment.job(due_at=later(1))

    report = environment.sweep.run()

    assert (report.moved, environment.publisher.delivery_messages, environment.jobs.writes) == (0, [], 0)


def test_a_lost_message_is_published_again_once() -> None:
    environment = SweepEnvironment()
    job = environment.job(due_at=later(-1), queued_at=later(-31))

    environment.sweep.run()
    environment.clock.advance(5)
    environment.sweep.run()

    assert environment.published() == [job.job_id]
    assert environment.read(job).due_at == later(30)


def test_a_job_that_nobody_can_make_sense_of_costs_only_itself() -> None:
    environment = SweepEnvironment()
    nonsense: Any = "soon"
    odd = environment.job(status=Status.PROCESSING, due_at=later(-2), claim=replace(make_claim(), lease_until=nonsense))
    job = environment.job(due_at=later(-1), queued_at=later(-31))
    lost = environment.job(
        status=Status.PROCESSING, due_at=later(-1), claim=replace(make_claim(), lease_until=later(-1))
    )

    with capture_logs() as logs:
        environment.sweep.run()

    assert set(environment.published()) == {job.job_id, lost.job_id}
    assert [entry["job_id"] for entry in logs if entry["event"] == "sweep_job_failed"] == [odd.job_id]


def test_a_scheduled_job_is_queued_when_its_time_has_come() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))

    environment.sweep.run()

    assert environment.read(job).status is Status.QUEUED
    assert environment.published() == [job.job_id]


def test_a_campaign_larger_than_a_batch_leaves_in_one_run() -> None:
    environment = SweepEnvironment(batch=50)
    jobs = [environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0)) for _ in range(420)]

    report = environment.sweep.run()

    assert report.published == 420
    assert sorted(environment.published()) == sorted(job.job_id for job in jobs)


def test_a_job_whose_worker_vanished_is_tried_again_and_says_that_the_outcome_is_unknown() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))

    environment.sweep.run()

    after = environment.read(job)
    assert after.status is Status.RETRYING
    assert after.may_have_been_sent
    assert after.attempts == job.attempts + 1
    assert after.logs[-1].event == "outcome_unknown"


def test_under_stop_a_vanished_worker_leaves_the_job_unconfirmed() -> None:
    environment = SweepEnvironment()
    job = environment.job(
        status=Status.PROCESSING,
        claim=make_claim(lease_until=later(-1)),
        due_at=later(-1),
        on_unknown_outcome=UnknownOutcomePolicy.STOP,
    )

    environment.sweep.run()

    assert environment.read(job).status is Status.UNCONFIRMED
    assert environment.publisher.delivery_messages == []


def test_a_failed_job_gets_the_dead_letter_it_is_owed() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.FAILED, due_at=later(-1))

    environment.sweep.run()
    environment.clock.advance(60)
    environment.sweep.run()

    assert [dead_letter.job_id for dead_letter in environment.publisher.dead_letters] == [job.job_id]
    assert environment.read(job).dead_lettered_at == NOW


def test_a_dead_letter_that_the_broker_does_not_take_is_tried_again() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.FAILED, due_at=later(-1))
    environment.publisher.is_up = False
    environment.sweep.run()
    environment.publisher.is_up = True
    environment.clock.advance(31)

    environment.sweep.run()

    assert [dead_letter.job_id for dead_letter in environment.publisher.dead_letters] == [job.job_id]


@pytest.mark.parametrize("is_deep", [False, True])
def test_a_waiting_job_past_its_deadline_expires_unsent(is_deep: bool) -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = is_deep
    job = environment.job(due_at=later(-1), expires_at=later(-1), queued_at=later(-31), created_at=later(-3600))

    environment.sweep.run()

    assert environment.read(job).status is Status.EXPIRED
    assert environment.publisher.delivery_messages == []


def test_after_the_store_was_away_leases_are_left_alone_for_one_lease() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))
    environment.jobs.is_away = True
    environment.sweep.run()
    environment.jobs.is_away = False

    environment.clock.advance(29)
    environment.sweep.run()
    before = environment.read(job).status
    environment.clock.advance(2)
    environment.sweep.run()

    assert before is Status.PROCESSING
    assert environment.read(job).status is Status.RETRYING


def test_of_a_store_that_is_an_older_copy_nothing_is_moved_or_published() -> None:
    environment = SweepEnvironment()
    scheduled = environment.job(status=Status.SCHEDULED, send_at=NOW, due_at=NOW)
    queued = environment.job(queued_at=later(-31), due_at=later(-1))
    lapsed = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))
    environment.is_store_older = True

    environment.sweep.run()

    assert environment.jobs.writes == 0
    assert environment.published() == []
    environment.is_store_older = False
    environment.sweep.run()
    assert environment.read(scheduled).status is Status.QUEUED
    assert set(environment.published()) == {scheduled.job_id, queued.job_id}
    # Its worker could not record anything meanwhile, as while a store is away.
    assert environment.read(lapsed).status is Status.PROCESSING


class SlowReader(Store):
    """What it has found may have been moved by another sweep before it is here."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = None

    def due(self, *args: Any, **kwargs: Any) -> list[Job]:
        found = super().due(*args, **kwargs)
        if found and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return found


def test_several_sweeps_at_once_move_a_job_once() -> None:
    store = SlowReader()
    first, second = SweepEnvironment(jobs=store), SweepEnvironment(jobs=store)
    job = first.job(due_at=later(-1), queued_at=later(-31))
    store.meanwhile = second.sweep.run

    report = first.sweep.run()

    assert report.moved == 0
    assert (first.published(), second.published()) == ([], [job.job_id])


def test_counts_follow_the_statuses_that_are_entered() -> None:
    environment = SweepEnvironment()
    environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))

    environment.sweep.run()

    assert environment.stats.counts == {Status.QUEUED: 1}


def test_the_budget_ends_a_run_that_would_last_too_long() -> None:
    environment = SweepEnvironment(batch=10)
    for _ in range(100):
        environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))
    original = environment.publisher.publish

    def slowly(delivery_messages: Sequence[Any]) -> list[bool]:
        environment.clock.advance(8)
        return original(delivery_messages)

    environment.publisher.publish = slowly  # type: ignore[method-assign]

    report = environment.sweep.run()

    assert report.moved == 30
    assert timedelta(seconds=20) <= environment.clock.now() - NOW < timedelta(seconds=32)
