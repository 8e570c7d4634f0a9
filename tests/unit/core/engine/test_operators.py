"""What people ask for: cancel, replay; and the dead letter that they read."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.factories import NOW, later, make_claim, make_job, make_try
from wavecom.core.engine import (
    AttemptFinished,
    CancelRequested,
    ClaimRequested,
    DeadLettered,
    Discarded,
    DueReached,
    ReplayRequested,
    Transition,
    decide,
)
from wavecom.core.job import Job, JobError
from wavecom.core.states import Status
from wavecom.errors import TransitionError

REPLAY = ReplayRequested(expires_at=later(hours=72))


def done(transition: Transition | None) -> Transition:
    assert transition is not None
    return transition


def fail_in_the_queue(job: Job) -> Job:
    """A doubtful job whose deadline passes before any worker claims it; its dead letter is still owed."""
    return done(decide(job, DueReached(), job.expires_at)).applied_to(job)


# --- cancel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_a_cancelled_job_is_over(status: Status) -> None:
    job = make_job(status=status)

    transition = done(decide(job, CancelRequested(), later(1)))

    cancelled = transition.applied_to(job)
    assert (cancelled.status, cancelled.due_at, cancelled.finished_at) == (Status.CANCELLED, None, later(1))
    assert [entry.event for entry in transition.entries] == ["cancelled"]
    assert (transition.delivery_message, transition.needs_dead_letter) == (None, False)


def test_a_job_in_a_worker_s_hands_can_t_be_cancelled() -> None:
    job = make_job(status=Status.PROCESSING)

    with pytest.raises(TransitionError) as refusal:
        decide(job, CancelRequested(), later(1))

    assert refusal.value.code == "too_late_to_cancel"


def test_a_cancel_loses_the_race_against_a_claim() -> None:
    job = make_job(status=Status.QUEUED)
    cancel = done(decide(job, CancelRequested(), later(1)))

    claimed = done(decide(job, ClaimRequested(make_claim()), later(1))).applied_to(job)

    assert not cancel.guard.holds(claimed)


def test_a_job_that_the_recipient_may_have_can_t_be_cancelled() -> None:
    job = make_job(status=Status.RETRYING, may_have_been_sent=True)

    with pytest.raises(TransitionError) as refusal:
        decide(job, CancelRequested(), later(1))

    assert refusal.value.code == "may_have_been_sent"


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING])
def test_a_job_that_the_recipient_may_have_can_be_kept_from_being_sent_again(status: Status) -> None:
    job = make_job(status=status, may_have_been_sent=True)

    transition = done(decide(job, CancelRequested("fallback", ends_attempts=True), later(1)))

    held = transition.applied_to(job)
    assert (held.status, held.error and held.error.code) == (Status.UNCONFIRMED, "outcome_unknown")
    assert decide(held, ClaimRequested(make_claim()), later(2)) is None
    assert held.due_at is not None
    ended = done(decide(held, DueReached(), held.due_at)).applied_to(held)
    assert ended.status is Status.FAILED


def test_ending_the_attempts_of_a_job_that_was_not_sent_cancels_it() -> None:
    job = make_job(status=Status.RETRYING)

    transition = done(decide(job, CancelRequested("fallback", ends_attempts=True), later(1)))

    assert transition.status is Status.CANCELLED


def test_a_delivered_job_is_refused_as_too_late_whatever_happened_on_the_way() -> None:
    job = make_job(status=Status.DELIVERED, may_have_been_sent=True)

    with pytest.raises(TransitionError) as refusal:
        decide(job, CancelRequested(), later(1))

    assert refusal.value.code == "too_late_to_cancel"


# --- replay -------------------------------------------------------------------------------------------------------


def test_a_replay_starts_a_new_life() -> None:
    job = make_job(
        status=Status.FAILED,
        attempts=5,
        error=JobError("attempts_exhausted", "http_503", "sandbox"),
        provider_message_id="m-1",
        dead_lettered_at=later(2),
        due_at=None,
    )

    transition = done(decide(job, REPLAY, later(60)))

    again = transition.applied_to(job)
    assert (again.status, again.attempts, again.replays) == (Status.QUEUED, 0, 1)
    assert (again.error, again.provider_message_id, again.next_attempt_at) == (None, None, None)
    assert (again.finished_at, again.dead_lettered_at, again.purge_at) == (None, None, None)
    assert (again.expires_at, again.queued_at, again.due_at) == (later(hours=72), later(60), later(90))
    assert [entry.event for entry in transition.entries] == ["replayed"]
    assert transition.delivery_message == job.delivery_message()


def test_a_replay_asks_those_again_who_had_refused_the_message() -> None:
    job = make_job(status=Status.FAILED, refused_by=("old",))

    transition = decide(job, ReplayRequested(later(hours=9)), NOW)

    assert transition is not None
    assert transition.applied_to(job).refused_by == ()


def test_a_replay_gives_providers_a_new_idempotency_key() -> None:
    job = make_job(status=Status.FAILED)

    again = done(decide(job, REPLAY, later(60))).applied_to(job)

    assert (job.delivery_key, again.delivery_key) == (job.job_id, f"{job.job_id}:1")


def test_a_replay_does_not_forget_a_doubt() -> None:
    job = make_job(status=Status.FAILED, may_have_been_sent=True)

    again = done(decide(job, REPLAY, later(60))).applied_to(job)

    assert again.may_have_been_sent


def test_a_replay_shuts_out_late_results_of_the_former_life() -> None:
    claim = make_claim("former")
    job = make_job(status=Status.FAILED, claim=claim)
    claimed = make_job(status=Status.PROCESSING, job_id=job.job_id, claim=claim)
    again = done(decide(job, REPLAY, later(60))).applied_to(job)

    late = done(decide(claimed, AttemptFinished("former", (make_try(),)), later(61)))

    assert not late.guard.holds(again)


def test_two_operators_replay_a_job_once() -> None:
    job = make_job(status=Status.FAILED)
    first = done(decide(job, REPLAY, later(60)))
    second = done(decide(job, REPLAY, later(61)))

    again = first.applied_to(job)

    assert not second.guard.holds(again)


def test_a_replay_that_comes_late_is_not_taken_for_one_of_the_next_life() -> None:
    """Neither life was ever claimed: the first ran out of time in the queue, and so did the second."""
    job = make_job(status=Status.FAILED, may_have_been_sent=True)
    first_life = fail_in_the_queue(done(decide(job, REPLAY, later(60))).applied_to(job))
    one = done(decide(first_life, REPLAY, later(hours=80)))
    other = done(decide(first_life, REPLAY, later(hours=80)))

    second_life = fail_in_the_queue(one.applied_to(first_life))

    assert one.guard.holds(first_life)
    assert not other.guard.holds(second_life)


def test_a_replay_is_looked_at_no_later_than_its_own_deadline() -> None:
    job = make_job(status=Status.FAILED)

    again = done(decide(job, ReplayRequested(expires_at=later(70)), later(60))).applied_to(job)

    assert again.due_at == later(70)


# --- dead letters -------------------------------------------------------------------------------------------------


def test_a_confirmed_dead_letter_is_owed_no_more() -> None:
    job = make_job(status=Status.FAILED)

    buried = done(decide(job, DeadLettered(), later(2))).applied_to(job)

    assert (buried.status, buried.dead_lettered_at, buried.due_at) == (Status.FAILED, later(2), None)


def test_a_dead_letter_confirmed_twice_is_noted_once() -> None:
    job = make_job(status=Status.FAILED, dead_lettered_at=later(2), due_at=None)

    transition = decide(job, DeadLettered(), later(3))

    assert transition is None


def test_a_sweep_that_asked_again_meanwhile_does_not_lose_the_confirmation() -> None:
    job = make_job(status=Status.FAILED, due_at=later(30))
    asked_again = done(decide(job, DueReached(), later(30))).applied_to(job)

    confirmation = done(decide(job, DeadLettered(), later(31)))

    assert confirmation.guard.holds(asked_again)


def test_the_confirmation_of_a_former_life_s_dead_letter_is_not_taken_for_the_new_one() -> None:
    job = make_job(status=Status.FAILED, claim=make_claim("former"))
    failed_again = make_job(status=Status.FAILED, job_id=job.job_id, claim=make_claim("second"), replays=1)

    confirmation = done(decide(job, DeadLettered(), later(60)))

    assert not confirmation.guard.holds(failed_again)


def test_neither_is_it_when_nobody_ever_claimed_the_job() -> None:
    job = make_job(status=Status.FAILED, may_have_been_sent=True)
    first_life = fail_in_the_queue(done(decide(job, REPLAY, later(60))).applied_to(job))
    second_life = fail_in_the_queue(done(decide(first_life, REPLAY, later(hours=80))).applied_to(first_life))

    confirmation = done(decide(first_life, DeadLettered(), later(hours=80)))

    assert confirmation.guard.holds(first_life)
    assert not confirmation.guard.holds(second_life)


def test_a_replay_that_comes_late_is_not_taken_for_one_of_the_next_life_when_both_were_discarded() -> None:
    job = make_job(status=Status.FAILED, may_have_been_sent=True)
    first_life = done(decide(job, Discarded(), later(60))).applied_to(job)
    one = done(decide(first_life, REPLAY, later(61)))
    other = done(decide(first_life, REPLAY, later(61)))

    again = fail_in_the_queue(one.applied_to(first_life))
    second_life = done(decide(again, Discarded(), later(hours=80))).applied_to(again)

    assert one.guard.holds(first_life)
    assert not other.guard.holds(second_life)


# --- discard ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dates",
    [{"dead_lettered_at": later(2), "due_at": None}, {"due_at": later(30)}],
    ids=["buried", "letter still owed"],
)
def test_a_discarded_job_stays_failed_and_nobody_looks_at_it_again(dates: dict[str, datetime | None]) -> None:
    job = make_job(status=Status.FAILED, **dates)

    transition = done(decide(job, Discarded("run 7"), later(60)))

    discarded = transition.applied_to(job)
    assert (discarded.status, discarded.error, discarded.finished_at) == (Status.FAILED, job.error, job.finished_at)
    assert (discarded.dead_lettered_at, discarded.due_at) == (None, None)
    assert [(entry.event, entry.message) for entry in transition.entries] == [("discarded", "run 7")]
    assert (transition.delivery_message, transition.needs_dead_letter) == (None, False)
    assert decide(discarded, DueReached(), later(hours=100)) is None


def test_discarding_twice_is_once() -> None:
    job = make_job(status=Status.FAILED)
    discarded = done(decide(job, Discarded(), later(60))).applied_to(job)

    assert decide(discarded, Discarded(), later(61)) is None


def test_a_confirmation_that_comes_late_does_not_bring_a_discarded_job_s_dead_letter_back() -> None:
    job = make_job(status=Status.FAILED)
    confirmation = done(decide(job, DeadLettered(), later(2)))

    discarded = done(decide(job, Discarded(), later(3))).applied_to(job)

    assert not confirmation.guard.holds(discarded)
    assert decide(discarded, DeadLettered(), later(4)) is None


def test_a_discarded_job_can_be_replayed() -> None:
    job = make_job(status=Status.FAILED)
    discarded = done(decide(job, Discarded(), later(60))).applied_to(job)

    again = done(decide(discarded, REPLAY, later(61))).applied_to(discarded)

    assert again.status is Status.QUEUED


def test_a_discard_loses_the_race_against_a_replay() -> None:
    job = make_job(status=Status.FAILED)
    discard = done(decide(job, Discarded(), later(60)))

    again = done(decide(job, REPLAY, later(59))).applied_to(job)

    assert not discard.guard.holds(again)


def test_only_a_failed_job_can_be_discarded() -> None:
    with pytest.raises(TransitionError) as refusal:
        decide(make_job(status=Status.RETRYING), Discarded(), later(60))

    assert refusal.value.code == "not_failed"


def test_the_log_says_on_whose_behalf_a_job_was_replayed() -> None:
    transition = done(decide(make_job(status=Status.FAILED), ReplayRequested(later(hours=72), "run 7"), later(60)))

    assert [(entry.event, entry.message) for entry in transition.entries] == [("replayed", "run 7")]


def test_a_replay_that_starts_later_is_parked_until_then_without_a_message() -> None:
    job = make_job(status=Status.FAILED)

    transition = done(decide(job, ReplayRequested(later(hours=72), starts_at=later(90)), later(60)))

    after = transition.applied_to(job)
    assert transition.delivery_message is None
    assert (after.status, after.next_attempt_at, after.queued_at, after.due_at) == (
        Status.QUEUED,
        later(90),
        None,
        later(90),
    )
    assert decide(after, ClaimRequested(make_claim()), later(80)) is None
    published = done(decide(after, DueReached(), later(90)))
    assert published.delivery_message == job.delivery_message()
