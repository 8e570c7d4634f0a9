"""Receipts come in any order, twice, and from whoever was called: what each of them changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from tests.factories import NOW, later, make_job, make_receipt, make_receipt_event
from wavecom.core.engine import Policy, decide, decide_receipt
from wavecom.core.events import ReceiptArrived
from wavecom.core.job import Job, LogEntry, Reason
from wavecom.core.receipt_rules import PROGRESS_LIMIT, ReceiptDecision, log_id
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import Status


def after(job: Job, *events: ReceiptArrived) -> Job:
    """The job once it has had the receipts, those that it can't take left out."""
    for event in events:
        transition = decide(job, event, later(60))
        if transition is not None:
            assert transition.guard.holds(job)
            job = transition.applied_to(job)
    return job


def decision(job: Job, event: ReceiptArrived) -> ReceiptDecision:
    """What becomes of the receipt: with a transition where it applies, and only there."""
    found, transition = decide_receipt(job, event, later(60))

    assert (transition is not None) is (found is ReceiptDecision.APPLIES)
    return found


def receipts_of(job: Job) -> list[str | None]:
    return [entry.outcome for entry in job.logs if entry.event == "receipt"]


@pytest.mark.parametrize("status", [Status.SENT, Status.DELIVERED, Status.FAILED])
@pytest.mark.parametrize("kind", [ReceiptKind.DELIVERED, ReceiptKind.COMPLAINT, ReceiptKind.UNSUBSCRIBED])
def test_a_receipt_that_comes_again_changes_nothing(status: Status, kind: ReceiptKind) -> None:
    event = make_receipt_event(kind, event_id="twice")
    job = after(make_job(status=status), event)

    assert decision(job, event) is ReceiptDecision.REPEATED
    assert decide(job, event, later(61)) is None


def test_the_same_event_id_of_another_provider_is_another_event() -> None:
    job = make_job(status=Status.DELIVERED, logs=(LogEntry(NOW, "sent", provider="other"),))
    job = after(job, make_receipt_event(ReceiptKind.COMPLAINT, event_id="1"))

    complaint = make_receipt_event(ReceiptKind.COMPLAINT, provider="other", event_id="1")
    assert decision(job, complaint) is ReceiptDecision.APPLIES


def test_a_long_event_id_is_known_again_too() -> None:
    event = make_receipt_event(ReceiptKind.COMPLAINT, event_id="e" * 5000)
    job = after(make_job(status=Status.DELIVERED), event)

    assert decision(job, event) is ReceiptDecision.REPEATED
    assert len(str(job.logs[-1].receipt_id)) == 64
    assert log_id("e" * 5000) != log_id("e" * 5001)


@pytest.mark.parametrize(
    ("status", "late"),
    [
        (Status.DELIVERED, ReceiptKind.FAILED),
        (Status.FAILED, ReceiptKind.DELIVERED),
        (Status.FAILED, ReceiptKind.COMPLAINT),
    ],
)
def test_what_has_ended_is_not_moved_and_the_receipt_is_noted(status: Status, late: ReceiptKind) -> None:
    job = make_job(status=status)

    noted = after(job, make_receipt_event(late))

    assert (noted.status, noted.error, noted.finished_at, noted.due_at) == (
        job.status,
        job.error,
        job.finished_at,
        job.due_at,
    )
    assert receipts_of(noted) == [late]


def test_two_processes_that_note_the_same_receipt_note_it_once() -> None:
    job = make_job(status=Status.DELIVERED)
    event = make_receipt_event(ReceiptKind.COMPLAINT)
    first, second = decide(job, event, later(60)), decide(job, event, later(60))
    assert first is not None
    assert second is not None

    assert not second.guard.holds(first.applied_to(job))


def test_progress_after_the_end_is_left_out() -> None:
    job = after(make_job(status=Status.SENT), make_receipt_event())

    assert decision(job, make_receipt_event(ReceiptKind.PROGRESS)) is ReceiptDecision.OUTDATED


@pytest.mark.parametrize("message_id", ["m-2", None])
def test_a_routine_step_of_a_message_that_is_known_to_be_sent_is_not_noted(message_id: str | None) -> None:
    job = make_job(status=Status.SENT, provider_message_id="m-2")
    routine = make_receipt_event(ReceiptKind.PROGRESS, message_id=message_id, is_routine=True)

    assert decision(job, routine) is ReceiptDecision.KNOWN
    assert decide(job, routine, later(60)) is None


@pytest.mark.parametrize("status", [Status.RETRYING, Status.UNCONFIRMED])
def test_a_routine_step_ends_the_doubt_whether_a_message_was_taken(status: Status) -> None:
    tried = LogEntry(NOW, "outcome_unknown", 1, "sandbox", "unknown", "timeout")
    job = make_job(status=status, may_have_been_sent=True, logs=(tried,))

    job = after(job, make_receipt_event(ReceiptKind.PROGRESS, is_routine=True))

    assert (job.status, receipts_of(job)) == (Status.SENT, ["progress"])


def test_a_routine_step_at_another_provider_than_the_one_that_has_the_message_is_noted() -> None:
    tried = LogEntry(NOW, "outcome_unknown", 1, "first", "unknown", "timeout")
    taken = LogEntry(NOW, "sent", 2, "second", "accepted", "http_202")
    job = make_job(status=Status.SENT, provider="second", logs=(tried, taken))

    job = after(job, make_receipt_event(ReceiptKind.PROGRESS, provider="first", is_routine=True))

    assert receipts_of(job) == ["progress"]


@pytest.mark.parametrize("message_id", ["m-2", None])
def test_a_routine_step_of_another_message_of_the_same_provider_is_noted(message_id: str | None) -> None:
    tried = LogEntry(NOW, "outcome_unknown", 1, "sandbox", "unknown", "timeout")
    taken = LogEntry(NOW, "sent", 2, "sandbox", "accepted", "http_202")
    job = make_job(status=Status.SENT, provider_message_id=message_id, logs=(tried, taken))

    job = after(job, make_receipt_event(ReceiptKind.PROGRESS, message_id="m-1", is_routine=True))

    assert receipts_of(job) == ["progress"]


def test_progress_does_not_flood_the_log() -> None:
    events = [make_receipt_event(ReceiptKind.PROGRESS, code="buffered") for _ in range(50)]

    job = after(make_job(status=Status.SENT), *events)

    assert (job.status, receipts_of(job)) == (Status.SENT, ["progress"] * PROGRESS_LIMIT)


def test_a_failure_at_one_provider_says_nothing_about_the_message_that_another_has_taken_since() -> None:
    tried = LogEntry(NOW, "outcome_unknown", 1, "first", "unknown", "timeout")
    taken = LogEntry(NOW, "sent", 2, "second", "accepted", "http_202")
    job = make_job(status=Status.SENT, provider="second", provider_message_id=None, logs=(tried, taken))

    assert decision(job, make_receipt_event(ReceiptKind.FAILED, provider="first")) is ReceiptDecision.OUTDATED
    assert decision(job, make_receipt_event(ReceiptKind.FAILED, provider="second")) is ReceiptDecision.APPLIES


def test_whoever_the_vanished_worker_called_may_tell_of_the_failure() -> None:
    tried = LogEntry(NOW, "unavailable", 1, "first", "unavailable", "http_503")
    vanished = LogEntry(NOW, "outcome_unknown", 2, None, "unknown", "lease_expired")
    job = make_job(status=Status.UNCONFIRMED, provider="first", provider_message_id=None, logs=(tried, vanished))

    assert decision(job, make_receipt_event(ReceiptKind.FAILED, provider="second")) is ReceiptDecision.APPLIES


@pytest.mark.parametrize("status", [Status.SENT, Status.UNCONFIRMED])
def test_a_late_failure_of_a_former_life_does_not_end_the_job(status: Status) -> None:
    job = make_job(status=status, replays=1, provider_message_id=None)
    late = make_receipt_event(ReceiptKind.FAILED, job_id=job.job_id, message_id="m-1")

    assert decision(job, late) is ReceiptDecision.OUTDATED
    ours = make_receipt_event(ReceiptKind.FAILED, job_id=job.job_id, message_id="m-2", replays=1)
    assert decision(job, ours) is ReceiptDecision.APPLIES


@pytest.mark.parametrize("kind", [ReceiptKind.DELIVERED, ReceiptKind.PROGRESS])
@pytest.mark.parametrize("status", [Status.RETRYING, Status.UNCONFIRMED])
def test_a_part_that_arrives_ends_no_doubt_about_the_whole_text(status: Status, kind: ReceiptKind) -> None:
    partial = LogEntry(NOW, "outcome_unknown", 1, "sandbox", "unknown", "vonage_partial")
    job = make_job(status=status, may_have_been_sent=True, logs=(partial,))
    event = make_receipt_event(kind, message_id="part-1")

    noted = after(job, event)

    assert (noted.status, noted.error, noted.next_attempt_at) == (status, job.error, job.next_attempt_at)
    assert receipts_of(noted) == [kind]
    assert decision(noted, event) is ReceiptDecision.REPEATED


def test_a_text_that_was_taken_whole_after_a_part_of_it_is_delivered_by_its_receipt() -> None:
    partial = LogEntry(NOW, "outcome_unknown", 1, "sandbox", "unknown", "vonage_partial")
    whole = LogEntry(NOW, "sent", 2, "sandbox", "accepted", "0")
    job = make_job(status=Status.SENT, may_have_been_sent=True, logs=(partial, whole))

    assert after(job, make_receipt_event(ReceiptKind.DELIVERED)).status is Status.DELIVERED


def test_the_failure_at_one_provider_hides_no_progress_at_another() -> None:
    first = LogEntry(NOW, "outcome_unknown", 1, "first", "unknown", "timeout")
    second = LogEntry(NOW, "outcome_unknown", 2, "second", "unknown", "timeout")
    job = make_job(status=Status.RETRYING, provider="second", may_have_been_sent=True, logs=(first, second))

    failed = after(job, make_receipt_event(ReceiptKind.FAILED, provider="first"))

    assert after(failed, make_receipt_event(ReceiptKind.PROGRESS, provider="first")).status is Status.RETRYING
    assert after(failed, make_receipt_event(ReceiptKind.PROGRESS, provider="second")).status is Status.SENT


def test_another_providers_word_ends_the_doubt_about_a_part() -> None:
    tried = LogEntry(NOW, "outcome_unknown", 1, "first", "unknown", "timeout")
    partial = LogEntry(NOW, "outcome_unknown", 2, "second", "unknown", "vonage_partial")
    job = make_job(status=Status.RETRYING, provider="second", may_have_been_sent=True, logs=(tried, partial))

    assert after(job, make_receipt_event(ReceiptKind.DELIVERED, provider="first")).status is Status.DELIVERED


def test_progress_of_a_former_life_ends_no_doubt_of_this_one() -> None:
    job = make_job(status=Status.RETRYING, replays=1, may_have_been_sent=True)

    assert after(job, make_receipt_event(ReceiptKind.PROGRESS, job_id=job.job_id)).status is Status.RETRYING
    assert after(job, make_receipt_event(ReceiptKind.PROGRESS, job_id=job.job_id, replays=1)).status is Status.SENT


@pytest.mark.parametrize("kind", [ReceiptKind.COMPLAINT, ReceiptKind.UNSUBSCRIBED])
def test_who_complains_has_got_it(kind: ReceiptKind) -> None:
    job = after(make_job(status=Status.SENT), make_receipt_event(kind))

    assert (job.status, receipts_of(job)) == (Status.DELIVERED, [kind])


@pytest.mark.parametrize("status", [Status.RETRYING, Status.UNCONFIRMED])
def test_progress_ends_the_doubt_whether_the_provider_has_it(status: Status) -> None:
    job = make_job(status=status, may_have_been_sent=True)

    sent = after(job, make_receipt_event(ReceiptKind.PROGRESS, message_id="m-7"))

    assert (sent.status, sent.error, sent.next_attempt_at, sent.provider_message_id) == (Status.SENT, None, None, "m-7")
    assert sent.due_at == later(60) + Policy().receipt_deadline


@pytest.mark.parametrize(
    ("at", "status"), [(later(20), Status.RETRYING), (None, Status.RETRYING), (later(90), Status.SENT)]
)
def test_progress_that_comes_after_the_failure_it_preceded_ends_no_doubt(at: datetime | None, status: Status) -> None:
    job = make_job(status=Status.RETRYING, may_have_been_sent=True)

    job = after(job, make_receipt_event(ReceiptKind.FAILED, message_id="m-7", at=later(30)))
    assert (job.status, receipts_of(job)) == (Status.RETRYING, ["failed"])

    assert after(job, make_receipt_event(ReceiptKind.PROGRESS, message_id="m-7", at=at)).status is status


def test_progress_is_compared_with_when_the_failure_happened_and_not_with_when_it_was_told() -> None:
    job = make_job(status=Status.RETRYING, may_have_been_sent=True)

    # Noted a minute after NOW: another call was made meanwhile, and it is that message's progress that is told.
    failed = after(job, make_receipt_event(ReceiptKind.FAILED, at=later(10)))

    assert after(failed, make_receipt_event(ReceiptKind.PROGRESS, at=later(9))).status is Status.RETRYING
    assert after(failed, make_receipt_event(ReceiptKind.PROGRESS, at=later(11))).status is Status.SENT


@pytest.mark.parametrize("at", [None, later(80)])
@pytest.mark.parametrize("failed_at", [None, later(30)])
def test_progress_of_a_message_that_was_sent_after_the_failure_ends_the_doubt(
    failed_at: datetime | None, at: datetime | None
) -> None:
    failed = after(
        make_job(status=Status.RETRYING, may_have_been_sent=True), make_receipt_event(ReceiptKind.FAILED, at=failed_at)
    )
    again = LogEntry(later(70), "outcome_unknown", 2, "sandbox", "unknown", "timeout")
    refused = LogEntry(later(70), "unavailable", 2, "sandbox", "unavailable", "http_503")
    elsewhere = LogEntry(later(70), "outcome_unknown", 2, "other", "unknown", "timeout")

    progress = make_receipt_event(ReceiptKind.PROGRESS, at=at)

    assert after(failed.with_changes({}, (again,)), progress).status is Status.SENT
    if at is None:
        assert after(failed.with_changes({}, (refused,)), progress).status is Status.RETRYING
        assert after(failed.with_changes({}, (elsewhere,)), progress).status is Status.RETRYING


def test_progress_from_before_a_failure_stays_so_after_another_call() -> None:
    failed = after(
        make_job(status=Status.RETRYING, may_have_been_sent=True), make_receipt_event(ReceiptKind.FAILED, at=later(30))
    )
    again = LogEntry(later(70), "outcome_unknown", 2, "sandbox", "unknown", "timeout")

    late = make_receipt_event(ReceiptKind.PROGRESS, at=later(20))

    assert after(failed.with_changes({}, (again,)), late).status is Status.RETRYING


def test_progress_of_a_message_that_was_refused_starts_nothing() -> None:
    job = make_job(status=Status.RETRYING, may_have_been_sent=False)

    assert after(job, make_receipt_event(ReceiptKind.PROGRESS)).status is Status.RETRYING


@pytest.mark.parametrize("kind", ReceiptKind)
@pytest.mark.parametrize("status", Status)
def test_a_provider_that_was_never_called_has_no_say(status: Status, kind: ReceiptKind) -> None:
    job = make_job(status=status)
    if job.provider is None and job.attempts:
        job = replace(job, provider="sandbox")

    assert decision(job, make_receipt_event(kind, provider="stranger")) is ReceiptDecision.EARLY


def test_a_provider_that_was_called_before_another_has_its_say() -> None:
    tried = LogEntry(NOW, "outcome_unknown", 1, "first", "unknown", "timeout")
    job = make_job(status=Status.SENT, provider="second", logs=(tried,))

    assert after(job, make_receipt_event(provider="first")).status is Status.DELIVERED


def test_after_a_worker_vanished_any_provider_may_have_been_called() -> None:
    vanished = LogEntry(NOW, "outcome_unknown", 2, None, "unknown", "lease_expired")
    job = make_job(status=Status.RETRYING, provider="first", may_have_been_sent=True, logs=(vanished,))

    assert after(job, make_receipt_event(provider="second")).status is Status.DELIVERED


def test_a_recipient_that_is_gone_is_named_as_the_error() -> None:
    event = make_receipt_event(ReceiptKind.FAILED, code="30005", reason=Reason.RECIPIENT_GONE)

    job = after(make_job(status=Status.SENT), event)

    assert job.error is not None
    assert (job.error.code, job.error.message) == ("recipient_gone", "30005")


def test_trouble_of_our_account_is_not_the_recipients() -> None:
    event = make_receipt_event(ReceiptKind.FAILED, code="30002", reason=Reason.BALANCE)

    job = after(make_job(status=Status.SENT), event)

    assert job.error is not None
    assert job.error.code == "undelivered"


def test_a_receipt_shows_no_recipient() -> None:
    receipt = make_receipt(recipient="amina@example.com")

    assert "amina" not in repr(receipt)
