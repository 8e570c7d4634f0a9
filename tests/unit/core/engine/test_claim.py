from __future__ import annotations

import pytest

from tests.factories import later, make_claim, make_job
from wavecom.core.engine import ClaimRequested, decide
from wavecom.core.states import Status


def test_a_claim_gives_the_job_to_one_worker_until_its_lease_ends() -> None:
    job = make_job(status=Status.QUEUED)
    claim = make_claim(lease_until=later(31))

    transition = decide(job, ClaimRequested(claim), later(1))

    assert transition is not None
    claimed = transition.applied_to(job)
    assert (claimed.status, claimed.claim, claimed.due_at) == (Status.PROCESSING, claim, later(31))


def test_of_two_workers_that_saw_the_same_job_only_one_gets_it() -> None:
    job = make_job(status=Status.QUEUED)
    first = decide(job, ClaimRequested(make_claim("first")), later(1))
    second = decide(job, ClaimRequested(make_claim("second")), later(1))
    assert first is not None
    assert second is not None

    stored = first.applied_to(job)

    assert first.guard.holds(job)
    assert not second.guard.holds(stored)


def test_claiming_is_not_an_attempt_and_leaves_no_log_entry() -> None:
    job = make_job(status=Status.QUEUED)

    transition = decide(job, ClaimRequested(make_claim()), later(1))

    assert transition is not None
    claimed = transition.applied_to(job)
    assert (claimed.attempts, claimed.logs) == (job.attempts, job.logs)


@pytest.mark.parametrize(("early_seconds", "is_granted"), [(0, True), (2, True), (2.001, False), (60, False)])
def test_a_message_may_come_two_seconds_before_its_time(early_seconds: float, is_granted: bool) -> None:
    job = make_job(status=Status.RETRYING, next_attempt_at=later(100))

    transition = decide(job, ClaimRequested(make_claim()), later(100 - early_seconds))

    assert (transition is not None) is is_granted


def test_a_job_past_its_deadline_is_claimed_by_nobody() -> None:
    job = make_job(status=Status.QUEUED, expires_at=later(60))

    transition = decide(job, ClaimRequested(make_claim()), later(60))

    assert transition is None


def test_a_claimed_job_is_due_at_its_deadline_when_that_comes_before_the_end_of_the_lease() -> None:
    job = make_job(status=Status.QUEUED, expires_at=later(10))

    transition = decide(job, ClaimRequested(make_claim(lease_until=later(31))), later(1))

    assert transition is not None
    assert transition.changes["due_at"] == later(10)


def test_a_new_claim_puts_an_end_to_the_old_token() -> None:
    job = make_job(status=Status.RETRYING, claim=make_claim("old"), next_attempt_at=later(4))

    transition = decide(job, ClaimRequested(make_claim("new")), later(4))

    assert transition is not None
    claim = transition.applied_to(job).claim
    assert claim is not None
    assert claim.token == "new"
