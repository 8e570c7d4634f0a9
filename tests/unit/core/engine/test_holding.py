"""What a worker may do with a job besides delivering it: give it back, keep it longer, leave it parked."""

from __future__ import annotations

import pytest

from tests.factories import later, make_claim, make_job
from wavecom.core import backoff
from wavecom.core.engine import (
    AttemptPrevented,
    ClaimRequested,
    DueReached,
    LeaseRenewed,
    Parked,
    Transition,
    decide,
)
from wavecom.core.job import Job, UnknownOutcomePolicy
from wavecom.core.states import Status
from wavecom.errors import TransitionError

TOKEN = "mine"


def claimed(**overrides: object) -> Job:
    return make_job(status=Status.PROCESSING, claim=make_claim(TOKEN), **overrides)


def done(transition: Transition | None) -> Transition:
    assert transition is not None
    return transition


# --- given back without a call ------------------------------------------------------------------------------------


def test_not_being_able_to_call_is_not_an_attempt() -> None:
    job = claimed(attempts=2)

    transition = done(decide(job, AttemptPrevented(TOKEN, 5), later(1)))

    waiting = transition.applied_to(job)
    assert (waiting.status, waiting.attempts, waiting.logs) == (Status.RETRYING, 2, job.logs)
    assert transition.delivery_message is None


def test_a_job_given_back_is_due_when_it_may_be_called_again() -> None:
    job = claimed()

    waiting = done(decide(job, AttemptPrevented(TOKEN, 5), later(1))).applied_to(job)

    assert (waiting.next_attempt_at, waiting.due_at, waiting.queued_at) == (later(6), later(6), None)
    assert done(decide(waiting, DueReached(is_message_lost=False), later(6))).delivery_message is not None


@pytest.mark.parametrize("seconds", [0.0, -3.0, float("nan"), 1e12, float("inf")])
def test_any_refusal_leaves_a_wait_that_can_be_stored(seconds: float) -> None:
    job = claimed()

    transition = done(decide(job, AttemptPrevented(TOKEN, seconds), later(0)))

    assert later(1) <= transition.changes["next_attempt_at"] <= later(backoff.LONGEST_SECONDS)


def test_the_wait_is_kept_in_whole_milliseconds_as_the_store_does() -> None:
    job = claimed()

    transition = done(decide(job, AttemptPrevented(TOKEN, 1.234_567), later(0)))

    assert transition.changes["next_attempt_at"] == later(1.235)


def test_a_job_given_back_past_its_deadline_expires_unsent() -> None:
    job = claimed(expires_at=later(10))

    expired = done(decide(job, AttemptPrevented(TOKEN, 5), later(10))).applied_to(job)

    assert (expired.status, expired.may_have_been_sent) == (Status.EXPIRED, False)


def test_a_doubtful_job_given_back_past_its_deadline_fails_instead_of_expiring() -> None:
    job = claimed(expires_at=later(10), attempts=1, may_have_been_sent=True)

    transition = done(decide(job, AttemptPrevented(TOKEN, 5), later(10)))

    failed = transition.applied_to(job)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "outcome_unknown"
    assert transition.needs_dead_letter


@pytest.mark.parametrize("policy", UnknownOutcomePolicy)
def test_a_worker_that_wakes_late_and_made_no_call_takes_the_sweep_s_doubt_back(policy: UnknownOutcomePolicy) -> None:
    job = claimed(on_unknown_outcome=policy)
    given_up = done(decide(job, DueReached(), later(30))).applied_to(job)
    assert (given_up.attempts, given_up.may_have_been_sent) == (1, True)

    late = done(decide(job, AttemptPrevented(TOKEN, 5), later(40)))

    assert late.guard.holds(given_up)
    waiting = late.applied_to(given_up)
    assert (waiting.status, waiting.attempts, waiting.may_have_been_sent, waiting.error) == (
        Status.RETRYING,
        0,
        False,
        None,
    )


# --- lease renewed ------------------------------------------------------------------------------------------------


def test_a_renewed_lease_is_a_full_one() -> None:
    job = claimed()

    renewed = done(decide(job, LeaseRenewed(TOKEN), later(12))).applied_to(job)

    assert renewed.claim == make_claim(TOKEN, lease_until=later(42))
    assert renewed.due_at == later(42)


def test_a_lease_is_not_renewed_once_the_sweep_has_moved_the_job() -> None:
    job = claimed()
    given_up = done(decide(job, DueReached(), later(30))).applied_to(job)

    transition = done(decide(job, LeaseRenewed(TOKEN), later(31)))

    assert not transition.guard.holds(given_up)


def test_the_sweep_leaves_alone_a_job_whose_lease_was_renewed_after_it_looked() -> None:
    job = claimed()
    sweep = done(decide(job, DueReached(), later(30)))

    renewed = done(decide(job, LeaseRenewed(TOKEN), later(29))).applied_to(job)

    assert sweep.guard.holds(job)
    assert not sweep.guard.holds(renewed)


def test_past_the_deadline_no_further_provider_may_be_called() -> None:
    job = claimed(expires_at=later(10))

    transition = decide(job, LeaseRenewed(TOKEN), later(10))

    assert transition is None


def test_a_lease_that_nobody_holds_can_t_be_renewed() -> None:
    job = make_job(status=Status.QUEUED)

    with pytest.raises(TransitionError, match="no lease to renew"):
        decide(job, LeaseRenewed(TOKEN), later(1))


# --- parked -------------------------------------------------------------------------------------------------------


def test_a_parked_job_is_published_at_its_slot_whatever_the_queue_holds() -> None:
    job = make_job(status=Status.QUEUED)

    parked = done(decide(job, Parked(later(20)), later(1))).applied_to(job)

    assert (parked.status, parked.due_at, parked.queued_at) == (Status.QUEUED, later(20), None)
    assert decide(parked, DueReached(is_message_lost=False), later(19)) is None
    published = done(decide(parked, DueReached(is_message_lost=False), later(20)))
    assert published.delivery_message is not None
    assert published.applied_to(parked).queued_at == later(20)


def test_a_stray_message_can_t_shorten_the_wait_that_a_provider_asked_for() -> None:
    job = make_job(status=Status.RETRYING, next_attempt_at=later(600), due_at=later(630))

    parked = done(decide(job, Parked(later(20)), later(10))).applied_to(job)

    assert (parked.next_attempt_at, parked.due_at) == (later(600), later(600))


def test_a_parked_job_is_looked_at_no_later_than_its_deadline() -> None:
    job = make_job(status=Status.QUEUED, expires_at=later(15))

    parked = done(decide(job, Parked(later(20)), later(1))).applied_to(job)

    assert parked.due_at == later(15)
    assert done(decide(parked, DueReached(), later(15))).status is Status.EXPIRED


def test_a_job_that_was_claimed_meanwhile_is_not_parked() -> None:
    job = make_job(status=Status.QUEUED)
    taken = done(decide(job, ClaimRequested(make_claim()), later(1))).applied_to(job)

    transition = done(decide(job, Parked(later(20)), later(1)))

    assert not transition.guard.holds(taken)
