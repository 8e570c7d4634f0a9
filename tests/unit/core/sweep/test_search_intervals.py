"""Appointments are looked for by every run, what only a crash leaves behind less often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.factories import later, make_claim
from tests.unit.core.sweep.environment import SweepEnvironment
from wavecom.core.engine import Transition
from wavecom.core.lanes import Priority
from wavecom.core.states import Status


def test_appointments_are_kept_by_every_run() -> None:
    environment = SweepEnvironment()
    environment.sweep.run()
    scheduled = environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))
    parked = environment.job(status=Status.RETRYING, queued_at=None, due_at=later(0))

    environment.sweep.run()

    assert set(environment.published()) == {scheduled.job_id, parked.job_id}


def test_what_only_a_crash_leaves_behind_is_not_looked_for_by_every_run_but_within_seconds() -> None:
    environment = SweepEnvironment()
    environment.sweep.run()
    crashed = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))
    lost = environment.job(due_at=later(-1), queued_at=later(-31))
    sent = environment.job(status=Status.SENT, due_at=later(-1))
    found: dict[str, int] = {}

    for second in range(6):
        environment.sweep.run()
        for job in (crashed, lost, sent):
            if environment.read(job).due_at != job.due_at:
                found.setdefault(job.job_id, second)
        environment.clock.advance(1)

    assert found == {crashed.job_id: 2, lost.job_id: 5, sent.job_id: 5}


def test_a_search_that_was_not_finished_goes_on_with_the_next_run() -> None:
    environment = SweepEnvironment(batch=10)
    jobs = [environment.job(due_at=later(-1), queued_at=later(-31)) for _ in range(100)]
    original = environment.publisher.publish

    def slowly(delivery_messages: Sequence[Any]) -> list[bool]:
        environment.clock.advance(8)
        return original(delivery_messages)

    environment.publisher.publish = slowly  # type: ignore[method-assign]

    for _ in range(4):
        environment.sweep.run()

    assert set(environment.published()) == {job.job_id for job in jobs}


def test_after_a_storm_passwords_are_published_before_campaigns_also_while_those_are_published() -> None:
    environment = SweepEnvironment(batch=10)
    campaign = [environment.job(priority=Priority.BULK, queued_at=None, due_at=later(-5)) for _ in range(30)]
    passwords = [environment.job(priority=Priority.HIGH, queued_at=None, due_at=later(due)) for due in (-1, 1)]
    original = environment.publisher.publish

    def slowly(delivery_messages: Sequence[Any]) -> list[bool]:
        environment.clock.advance(2)
        return original(delivery_messages)

    environment.publisher.publish = slowly  # type: ignore[method-assign]

    environment.sweep.run()

    published = environment.published()
    assert published[0] == passwords[0].job_id
    assert published[10] == passwords[1].job_id, "it became due while the first batch was published"
    assert len(published) == len(campaign) + 2


def test_a_search_that_met_an_error_does_not_rest() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))
    original = environment.jobs.apply

    def trip(_transitions: Sequence[Transition]) -> list[bool]:
        raise ValueError("a bug")

    environment.jobs.apply = trip  # type: ignore[method-assign]
    environment.sweep.run()
    environment.jobs.apply = original  # type: ignore[method-assign]

    environment.sweep.run()

    assert environment.read(job).status is Status.RETRYING


def test_a_quiet_run_asks_the_store_only_for_appointments() -> None:
    environment = SweepEnvironment()
    asked: list[Status] = []
    original = environment.jobs.due
    environment.jobs.due = lambda status, *args, **kwargs: (asked.append(status), original(status, *args, **kwargs))[1]  # type: ignore[method-assign]
    environment.sweep.run()
    asked.clear()

    environment.clock.advance(1)
    environment.sweep.run()

    assert asked == [Status.SCHEDULED]
