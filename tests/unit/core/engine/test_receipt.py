from __future__ import annotations

import pytest

from tests.factories import later, make_claim, make_job, make_receipt_event
from wavecom.core.engine import ClaimRequested, Transition, decide
from wavecom.core.events import ReceiptArrived
from wavecom.core.job import Job
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import Status


def arrive(job: Job, receipt: ReceiptArrived) -> Transition:
    transition = decide(job, receipt, later(60))
    assert transition is not None
    return transition


def test_a_receipt_proves_the_delivery() -> None:
    job = make_job(status=Status.SENT)

    transition = arrive(job, make_receipt_event(ReceiptKind.DELIVERED, code="delivered"))

    delivered = transition.applied_to(job)
    assert (delivered.status, delivered.finished_at, delivered.due_at) == (Status.DELIVERED, later(60), None)
    assert [(entry.event, entry.outcome) for entry in transition.entries] == [("receipt", "delivered")]


def test_a_receipt_of_failure_fails_the_job_and_owes_a_dead_letter() -> None:
    job = make_job(status=Status.SENT)

    transition = arrive(job, make_receipt_event(ReceiptKind.FAILED, code="bounced", text="mailbox full"))

    failed = transition.applied_to(job)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == ("undelivered", "bounced: mailbox full")
    assert transition.needs_dead_letter


@pytest.mark.parametrize("status", [Status.RETRYING, Status.UNCONFIRMED])
def test_a_receipt_settles_a_doubt_and_spares_the_recipient_a_second_message(status: Status) -> None:
    job = make_job(status=status, may_have_been_sent=True)

    delivered = arrive(job, make_receipt_event(ReceiptKind.DELIVERED)).applied_to(job)

    assert (delivered.status, delivered.error, delivered.next_attempt_at) == (Status.DELIVERED, None, None)


def test_a_receipt_spares_the_recipient_the_second_message_of_a_replay() -> None:
    job = make_job(status=Status.QUEUED, replays=1, may_have_been_sent=True)

    transition = arrive(job, make_receipt_event(ReceiptKind.DELIVERED))

    assert transition.status is Status.DELIVERED


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_a_receipt_for_a_job_that_was_never_sent_is_not_believed(status: Status) -> None:
    job = make_job(status=status, attempts=0)

    transition = decide(job, make_receipt_event(ReceiptKind.DELIVERED), later(60))

    assert transition is None


@pytest.mark.parametrize("kind", ReceiptKind)
def test_a_receipt_that_overtakes_the_record_has_to_come_again(kind: ReceiptKind) -> None:
    job = make_job(status=Status.PROCESSING)

    transition = decide(job, make_receipt_event(kind), later(1))

    assert transition is None


def test_a_failure_of_an_earlier_message_says_nothing_about_the_one_on_its_way() -> None:
    job = make_job(status=Status.SENT, provider_message_id="second")

    assert decide(job, make_receipt_event(ReceiptKind.FAILED, message_id="first"), later(60)) is None
    assert arrive(job, make_receipt_event(ReceiptKind.FAILED, message_id="second")).status is Status.FAILED


def test_an_earlier_message_that_arrived_after_all_counts() -> None:
    job = make_job(status=Status.SENT, provider_message_id="second")

    transition = arrive(job, make_receipt_event(ReceiptKind.DELIVERED, message_id="first"))

    assert transition.status is Status.DELIVERED


def test_a_receipt_names_the_failure_of_a_message_whose_id_never_came_back() -> None:
    job = make_job(status=Status.UNCONFIRMED, provider_message_id=None)

    transition = arrive(job, make_receipt_event(ReceiptKind.FAILED, message_id="m-1"))

    assert transition.status is Status.FAILED


def test_a_receipt_loses_the_race_against_a_new_claim() -> None:
    job = make_job(status=Status.RETRYING, next_attempt_at=later(4))
    receipt = arrive(job, make_receipt_event(ReceiptKind.DELIVERED))
    claim = decide(job, ClaimRequested(make_claim()), later(4))
    assert claim is not None

    claimed = claim.applied_to(job)

    assert not receipt.guard.holds(claimed)


def test_a_receipt_without_a_text_leaves_no_stray_colon() -> None:
    job = make_job(status=Status.SENT)

    failed = arrive(job, make_receipt_event(ReceiptKind.FAILED, code="bounced")).applied_to(job)

    assert failed.error is not None
    assert failed.error.message == "bounced"
