"""A store that was restored from an older copy: what it holds as waiting may have been sent since."""

from __future__ import annotations

import pytest

from tests.factories import NOW, later, make_job, make_receipt_event, make_try
from wavecom.core.engine import (
    AttemptFinished,
    CancelRequested,
    ClaimRequested,
    DueReached,
    ReplayRequested,
    StoreRestored,
    decide,
)
from wavecom.core.job import Claim, Job, UnknownOutcomePolicy
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import Status
from wavecom.errors import DuplicatePossibleError, MayHaveBeenSentError

AN_HOUR_LATER = later(hours=1)
RESTORED = StoreRestored(before=AN_HOUR_LATER, by="operator")


def held(job: Job) -> Job:
    transition = decide(job, RESTORED, AN_HOUR_LATER)
    assert transition is not None
    return transition.applied_to(job)


@pytest.mark.parametrize("policy", UnknownOutcomePolicy)
@pytest.mark.parametrize("status", [Status.QUEUED, Status.PROCESSING, Status.RETRYING])
def test_what_the_copy_holds_as_open_is_in_doubt_whatever_its_policy(
    status: Status, policy: UnknownOutcomePolicy
) -> None:
    job = held(make_job(status=status, on_unknown_outcome=policy))

    assert job.status is Status.UNCONFIRMED
    assert job.may_have_been_sent
    assert job.error is not None
    assert job.error.code == "outcome_unknown"
    assert [entry.event for entry in job.logs[-2:]] == ["outcome_unknown", "unconfirmed"]
    assert job.logs[-2].by == "operator"


def test_no_message_of_it_is_out_and_no_worker_can_take_it() -> None:
    job = held(make_job(status=Status.RETRYING))

    claim = decide(job, ClaimRequested(Claim("token", "worker-1", later(hours=2))), AN_HOUR_LATER)

    assert claim is None
    assert job.queued_at is None
    assert job.next_attempt_at is None


def test_a_scheduled_one_whose_time_has_come_since_is_in_doubt() -> None:
    job = make_job(status=Status.SCHEDULED, send_at=later(minutes=30), due_at=later(minutes=30))

    assert held(job).status is Status.UNCONFIRMED


@pytest.mark.parametrize(
    "job",
    [
        make_job(status=Status.SCHEDULED, send_at=later(hours=2), due_at=later(hours=2)),
        make_job(status=Status.RETRYING, next_attempt_at=later(hours=2), due_at=later(hours=2)),
        make_job(status=Status.QUEUED, next_attempt_at=later(hours=2), queued_at=None, due_at=later(hours=2)),
    ],
    ids=["scheduled", "retrying", "parked"],
)
def test_what_is_to_be_sent_later_has_not_been_sent_since_and_stays(job: Job) -> None:
    assert decide(job, RESTORED, AN_HOUR_LATER) is None


def test_what_a_clock_that_is_fast_may_have_claimed_is_in_doubt() -> None:
    job = make_job(status=Status.RETRYING, next_attempt_at=later(hours=1, seconds=1))

    assert held(job).status is Status.UNCONFIRMED


def test_what_was_accepted_after_the_restore_is_not_touched() -> None:
    job = make_job(created_at=AN_HOUR_LATER)

    assert decide(job, RESTORED, later(hours=2)) is None


def test_it_is_held_once() -> None:
    assert decide(held(make_job()), RESTORED, AN_HOUR_LATER) is None


@pytest.mark.parametrize("status", [Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.CANCELLED])
def test_what_a_provider_has_or_what_has_ended_stays(status: Status) -> None:
    assert decide(make_job(status=status), RESTORED, AN_HOUR_LATER) is None


def test_past_its_deadline_it_does_not_promise_that_nothing_was_sent() -> None:
    job = held(make_job(expires_at=later(minutes=10)))

    assert job.status is Status.UNCONFIRMED


@pytest.mark.parametrize(
    ("kind", "end"), [(ReceiptKind.DELIVERED, Status.DELIVERED), (ReceiptKind.FAILED, Status.FAILED)]
)
def test_a_receipt_of_whatever_provider_settles_it(kind: ReceiptKind, end: Status) -> None:
    job = held(make_job(status=Status.QUEUED))

    transition = decide(job, make_receipt_event(kind, provider="sandbox"), AN_HOUR_LATER)

    assert transition is not None
    assert transition.status is end


def test_the_result_of_a_worker_that_held_it_all_the_time_settles_it() -> None:
    processing = make_job(status=Status.PROCESSING)
    assert processing.claim is not None

    transition = decide(processing, AttemptFinished(processing.claim.token, (make_try(),)), AN_HOUR_LATER)

    assert transition is not None
    assert transition.guard.holds(held(processing))


def test_only_who_accepts_a_duplicate_sends_it_again() -> None:
    job = held(make_job())

    with pytest.raises(DuplicatePossibleError):
        decide(job, ReplayRequested(later(hours=9)), AN_HOUR_LATER)
    with pytest.raises(MayHaveBeenSentError):
        decide(job, CancelRequested(), AN_HOUR_LATER)
    transition = decide(job, ReplayRequested(later(hours=9), accepts_duplicate=True), AN_HOUR_LATER)
    assert transition is not None
    assert transition.status is Status.QUEUED


def test_without_anything_heard_it_ends_as_failed_for_an_unknown_outcome() -> None:
    job = held(make_job(created_at=NOW))
    assert job.due_at is not None

    transition = decide(job, DueReached(), job.due_at)

    assert transition is not None
    assert transition.status is Status.FAILED
    assert transition.applied_to(job).error is not None
    assert transition.applied_to(job).error.code == "outcome_unknown"  # type: ignore[union-attr]
