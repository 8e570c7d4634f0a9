"""The sweep: what is done for a job whose ``due_at`` has passed."""

from __future__ import annotations

import pytest

from tests.factories import later, make_claim, make_job
from wavecom.core.engine import DueReached, Policy, Transition, decide
from wavecom.core.job import Job, UnknownOutcomePolicy
from wavecom.core.states import Status


def sweep(job: Job, seconds: float, *, is_message_lost: bool = True) -> Transition:
    transition = decide(job, DueReached(is_message_lost=is_message_lost), later(seconds))
    assert transition is not None
    return transition


@pytest.mark.parametrize("status", Status)
def test_nothing_happens_before_its_time(status: Status) -> None:
    job = make_job(status=status, due_at=later(100))

    transition = decide(job, DueReached(), later(99.999))

    assert transition is None


@pytest.mark.parametrize("status", Status)
def test_a_job_that_owes_nothing_is_left_alone_for_ever(status: Status) -> None:
    job = make_job(status=status, due_at=None)

    transition = decide(job, DueReached(), later(days=400))

    assert transition is None


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.EXPIRED, Status.CANCELLED])
def test_a_settled_job_is_left_alone_even_if_it_looks_due(status: Status) -> None:
    job = make_job(status=status, due_at=later(1))

    transition = decide(job, DueReached(), later(100))

    assert transition is None


def test_of_two_sweeps_that_saw_the_same_job_only_one_moves_it() -> None:
    job = make_job(status=Status.QUEUED)
    first = sweep(job, 30)
    second = sweep(job, 30.5)

    stored = first.applied_to(job)

    assert first.guard.holds(job)
    assert not second.guard.holds(stored)


# --- waiting jobs -------------------------------------------------------------------------------------------------


def test_a_scheduled_job_is_queued_and_published_at_its_time() -> None:
    job = make_job(status=Status.SCHEDULED, due_at=later(100))

    transition = sweep(job, 100)

    queued = transition.applied_to(job)
    assert (queued.status, queued.queued_at, queued.due_at) == (Status.QUEUED, later(100), later(130))
    assert transition.delivery_message == job.delivery_message()
    assert [entry.event for entry in transition.entries] == ["queued"]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING])
def test_a_lost_message_is_published_again_without_a_word_in_the_log(status: Status) -> None:
    job = make_job(status=status)

    transition = sweep(job, 40)

    again = transition.applied_to(job)
    assert (again.status, again.queued_at, again.due_at, again.logs) == (status, later(40), later(70), job.logs)
    assert transition.delivery_message == job.delivery_message()


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING])
def test_a_message_in_a_deep_queue_is_neither_published_again_nor_rewritten(status: Status) -> None:
    job = make_job(status=status)

    transition = decide(job, DueReached(is_message_lost=False), later(3600))

    assert transition is None


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
@pytest.mark.parametrize("is_message_lost", [True, False])
def test_the_deadline_ends_a_waiting_job_without_a_send(status: Status, is_message_lost: bool) -> None:
    job = make_job(status=status, expires_at=later(3600), due_at=later(3600))

    transition = sweep(job, 3600, is_message_lost=is_message_lost)

    expired = transition.applied_to(job)
    assert (expired.status, expired.due_at, expired.finished_at) == (Status.EXPIRED, None, later(3600))
    assert expired.error is not None
    assert expired.error.code == "expired"
    assert (transition.delivery_message, transition.needs_dead_letter) == (None, False)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING])
def test_a_doubtful_job_does_not_expire_because_expired_promises_that_nothing_was_sent(status: Status) -> None:
    job = make_job(status=status, expires_at=later(3600), may_have_been_sent=True)

    transition = sweep(job, 3600)

    failed = transition.applied_to(job)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "outcome_unknown"
    assert transition.needs_dead_letter


# --- a worker that vanished ---------------------------------------------------------------------------------------


def test_a_vanished_worker_leaves_an_unknown_outcome_and_a_counted_attempt() -> None:
    job = make_job(status=Status.PROCESSING)

    transition = sweep(job, 30)

    waiting = transition.applied_to(job)
    assert (waiting.status, waiting.attempts, waiting.may_have_been_sent) == (Status.RETRYING, 1, True)
    assert [(entry.event, entry.code) for entry in transition.entries] == [("outcome_unknown", "lease_expired")]
    assert transition.delivery_message is not None


def test_a_vanished_worker_names_no_provider_because_nobody_can_tell_which() -> None:
    job = make_job(status=Status.PROCESSING, provider="a", claim=make_claim(worker="host-7:123"))

    transition = sweep(job, 30)

    waiting = transition.applied_to(job)
    assert waiting.provider == "a"
    assert waiting.error is not None
    assert (waiting.error.provider, transition.entries[0].provider) == (None, None)
    assert "host-7" not in repr((waiting.error, transition.entries))


def test_a_vanished_worker_stops_the_job_under_stop() -> None:
    job = make_job(status=Status.PROCESSING, on_unknown_outcome=UnknownOutcomePolicy.STOP)

    transition = sweep(job, 30)

    assert transition.status is Status.UNCONFIRMED
    assert transition.delivery_message is None


def test_a_job_that_kills_every_worker_is_given_up() -> None:
    job = make_job(status=Status.PROCESSING, attempts=4, max_attempts=5)

    transition = sweep(job, 30)

    failed = transition.applied_to(job)
    assert (failed.status, failed.attempts) == (Status.FAILED, 5)
    assert failed.error is not None
    assert failed.error.code == "outcome_unknown"


def test_the_worker_keeps_its_whole_lease_even_when_the_deadline_passes_first() -> None:
    job = make_job(status=Status.PROCESSING, expires_at=later(10), due_at=later(10))

    assert decide(job, DueReached(), later(29.999)) is None
    assert sweep(job, 30).status is Status.RETRYING


def test_a_worker_lost_beyond_the_deadline_ends_in_a_failure_that_admits_the_doubt() -> None:
    job = make_job(status=Status.PROCESSING, expires_at=later(10), due_at=later(10))
    given_up = sweep(job, 30).applied_to(job)

    failed = sweep(given_up, 31).applied_to(given_up)

    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "outcome_unknown"


def test_a_stopped_job_waits_for_its_receipt_even_when_the_worker_was_lost_beyond_the_deadline() -> None:
    job = make_job(
        status=Status.PROCESSING,
        expires_at=later(10),
        due_at=later(10),
        on_unknown_outcome=UnknownOutcomePolicy.STOP,
    )

    stopped = sweep(job, 30).applied_to(job)

    assert (stopped.status, stopped.due_at) == (Status.UNCONFIRMED, later(30) + Policy().receipt_deadline)


# --- receipts that never came -------------------------------------------------------------------------------------


def test_without_a_receipt_the_provider_s_word_is_all_the_evidence_there_is() -> None:
    job = make_job(status=Status.SENT, due_at=later(hours=72))

    transition = sweep(job, 72 * 3600)

    assert transition.status is Status.DELIVERED
    assert [(entry.event, entry.code) for entry in transition.entries] == [("delivered", "receipt_missing")]


def test_without_a_receipt_an_unconfirmed_job_fails_and_keeps_its_doubt() -> None:
    job = make_job(status=Status.UNCONFIRMED, due_at=later(hours=72))

    transition = sweep(job, 72 * 3600)

    failed = transition.applied_to(job)
    assert (failed.status, failed.may_have_been_sent) == (Status.FAILED, True)
    assert failed.error is not None
    assert failed.error.code == "outcome_unknown"
    assert transition.needs_dead_letter


# --- dead letters that are owed -----------------------------------------------------------------------------------


def test_a_failed_job_asks_for_its_dead_letter_until_that_is_confirmed() -> None:
    job = make_job(status=Status.FAILED, due_at=later(30))

    transition = sweep(job, 30)

    owing = transition.applied_to(job)
    assert transition.needs_dead_letter
    assert (owing.status, owing.finished_at, owing.due_at) == (Status.FAILED, job.finished_at, later(60))
    assert transition.entries == ()
