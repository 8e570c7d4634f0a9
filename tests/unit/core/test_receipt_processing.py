"""Receipts on their way to their jobs: found, applied once, kept where they are early, and given up in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, make_job, make_job_id, make_receipt, make_try
from tests.fakes import FakeClock, RecordingPublisher, make_writer
from tests.memory_storage import MemoryJobRepository, MemoryPendingReceipts
from wavecom.core.engine import AttemptFinished, Policy, Transition, decide
from wavecom.core.job import Job, JobId, Outcome, Reason
from wavecom.core.receipt_processing import (
    CHUNK,
    FIRST_WAIT,
    KEPT_FOR,
    LONGEST_WAIT,
    UNMATCHED_AFTER_TRIES,
    ProcessedReceipt,
    ReceiptProcessor,
    ReceiptReport,
    ReceiptResult,
    normalized,
)
from wavecom.core.receipts import InboundMessage, MatchedReceipt, Receipt, ReceiptBatch, ReceiptKind
from wavecom.core.states import Status
from wavecom.errors import StoreError


class Store(MemoryJobRepository):
    """Counts round trips; ``before_apply`` runs once before the next write: somebody who is faster."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.reads = 0
        self.before_apply: Any = None

    def by_ids(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        self.reads += 1
        return super().by_ids(job_ids)

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        self.writes += 1
        before, self.before_apply = self.before_apply, None
        if before is not None:
            before()
        return super().apply(transitions)


class Feedback:
    def __init__(self) -> None:
        self.receipts: list[MatchedReceipt] = []
        self.unmatched: list[tuple[str, Receipt]] = []
        self.inbound: list[tuple[str, InboundMessage]] = []
        self.is_away = False

    def on_receipts(self, receipts: Sequence[MatchedReceipt]) -> None:
        if self.is_away:
            raise StoreError("away")
        self.receipts += receipts

    def on_unmatched(self, provider: str, receipts: Sequence[Receipt]) -> None:
        if self.is_away:
            raise StoreError("away")
        self.unmatched += [(provider, each) for each in receipts]

    def on_inbound(self, provider: str, messages: Sequence[InboundMessage]) -> None:
        self.inbound += [(provider, each) for each in messages]


class Receiving:
    """A processor and what it works with."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.jobs = Store()
        self.pending = MemoryPendingReceipts()
        self.feedback = Feedback()
        self.publisher = RecordingPublisher()
        self.processed: list[ProcessedReceipt] = []
        self.processor = ReceiptProcessor(
            jobs=self.jobs,
            writer=make_writer(self.jobs, self.clock, publisher=self.publisher),
            pending=self.pending,
            feedback=self.feedback,
            clock=self.clock,
            policy=Policy(),
            on_processed=self.processed.extend,
        )

    def job(self, **overrides: Any) -> Job:
        job = make_job(**({"status": Status.SENT} | overrides))
        self.jobs.insert([job])
        return job

    def receive(self, *receipts: Receipt, provider: str = "sandbox", **batch: Any) -> None:
        self.processor.process([ReceiptReport(provider=provider, batch=ReceiptBatch(receipts=receipts, **batch))])

    def status(self, job: Job) -> Status:
        return self.read(job).status

    def read(self, job: Job) -> Job:
        found = self.jobs.get(job.job_id)
        assert found is not None
        return found

    def results(self) -> list[ReceiptResult]:
        return [each.result for each in self.processed]


@pytest.fixture
def receiving() -> Receiving:
    return Receiving()


def test_a_receipt_finds_its_job_by_our_id_or_by_the_providers(receiving: Receiving) -> None:
    ours, theirs = receiving.job(), receiving.job(provider_message_id="SM1")

    receiving.receive(make_receipt(job_id=ours.job_id), make_receipt(message_id="SM1"))

    assert (receiving.status(ours), receiving.status(theirs)) == (Status.DELIVERED, Status.DELIVERED)
    assert receiving.results() == [ReceiptResult.APPLIED, ReceiptResult.APPLIED]


def test_a_routine_step_costs_no_write_and_is_kept_where_it_overtakes_the_record(receiving: Receiving) -> None:
    sent, called = receiving.job(), receiving.job(status=Status.PROCESSING)

    receiving.receive(
        *(make_receipt(ReceiptKind.PROGRESS, job_id=each.job_id, is_routine=True) for each in (sent, called))
    )

    assert (receiving.results(), receiving.jobs.writes) == ([ReceiptResult.KNOWN, ReceiptResult.PENDING], 0)
    assert [(each.receipt.job_id, each.receipt.is_routine) for each in receiving.pending.all()] == [
        (called.job_id, True)
    ]


def test_the_key_of_a_replayed_delivery_names_its_job(receiving: Receiving) -> None:
    job = receiving.job(replays=1)

    receiving.receive(make_receipt(job_id=JobId(f"{job.job_id.upper()}:1")))

    assert receiving.status(job) is Status.DELIVERED


def test_a_complaint_about_a_notification_that_is_not_kept_is_told_at_once_and_when_it_is_given_up(
    receiving: Receiving,
) -> None:
    complaint = make_receipt(ReceiptKind.COMPLAINT, recipient="amina@example.com", job_id=make_job_id())

    receiving.receive(complaint)
    assert receiving.feedback.unmatched == [("sandbox", complaint)]

    receiving.clock.advance(KEPT_FOR.total_seconds() + 1)
    receiving.processor.retry_due()
    assert receiving.feedback.unmatched == [("sandbox", complaint)] * 2
    assert receiving.results() == [ReceiptResult.PENDING, ReceiptResult.UNMATCHED]


def test_a_complaint_that_names_no_notification_of_ours_is_told_once_it_is_not_just_early(receiving: Receiving) -> None:
    complaint = make_receipt(ReceiptKind.COMPLAINT, recipient="amina@example.com", message_id="m-1")
    receiving.receive(complaint)
    began = receiving.clock.now()

    told_at: list[timedelta] = []
    while receiving.pending.all():
        receiving.clock.advance((receiving.pending.all()[0].next_try_at - receiving.clock.now()).total_seconds())
        receiving.processor.retry_due()
        if len(receiving.feedback.unmatched) > len(told_at):
            told_at.append(receiving.clock.now() - began)

    assert receiving.feedback.unmatched == [("sandbox", complaint)] * 2
    assert timedelta(minutes=1) <= told_at[0] <= timedelta(minutes=2)
    assert told_at[1] >= KEPT_FOR


def test_a_complaint_that_could_not_be_told_in_its_minute_is_told_by_the_next_sweep(receiving: Receiving) -> None:
    receiving.receive(make_receipt(ReceiptKind.COMPLAINT, recipient="amina@example.com", message_id="m-1"))
    while receiving.pending.all()[0].tries < UNMATCHED_AFTER_TRIES:
        receiving.clock.advance(LONGEST_WAIT.total_seconds())
        receiving.processor.retry_due()
    receiving.clock.advance(LONGEST_WAIT.total_seconds())
    assert receiving.feedback.unmatched == []

    receiving.feedback.is_away = True
    with pytest.raises(StoreError):
        receiving.processor.retry_due()
    receiving.feedback.is_away = False
    receiving.processor.retry_due()

    assert len(receiving.feedback.unmatched) == 1


def test_a_complaint_that_overtakes_the_record_of_its_call_is_told_of_its_job_alone(receiving: Receiving) -> None:
    complaint = make_receipt(ReceiptKind.COMPLAINT, recipient="amina@example.com", message_id="m-1")
    receiving.receive(complaint)
    job = receiving.job(provider_message_id="m-1")

    receiving.clock.advance(FIRST_WAIT.total_seconds())
    receiving.processor.retry_due()

    assert receiving.feedback.unmatched == []
    assert [(each.receipt, each.job.job_id) for each in receiving.feedback.receipts] == [(complaint, job.job_id)]


def test_a_complaint_whose_job_never_has_a_record_of_the_call_is_told_when_it_is_given_up(receiving: Receiving) -> None:
    job = receiving.job(provider="other")
    complaint = make_receipt(ReceiptKind.COMPLAINT, job_id=job.job_id)
    receiving.receive(complaint)
    assert receiving.feedback.receipts == []

    receiving.clock.advance(KEPT_FOR.total_seconds())
    receiving.processor.retry_due()

    assert [(each.receipt, each.job.job_id) for each in receiving.feedback.receipts] == [(complaint, job.job_id)]
    assert receiving.results() == [ReceiptResult.PENDING, ReceiptResult.UNMATCHED]
    assert receiving.status(job) is Status.SENT


def test_a_receipt_that_says_nothing_of_its_recipient_is_no_feedback_without_its_notification(
    receiving: Receiving,
) -> None:
    receiving.receive(
        make_receipt(job_id=make_job_id(), recipient="amina@example.com"),
        make_receipt(ReceiptKind.COMPLAINT, job_id=make_job_id()),
    )

    assert receiving.feedback.unmatched == []


def test_a_batch_of_a_thousand_is_one_read_and_one_write(receiving: Receiving) -> None:
    jobs = [receiving.job() for _ in range(1000)]

    receiving.receive(*(make_receipt(job_id=job.job_id) for job in jobs))

    assert {receiving.status(job) for job in jobs} == {Status.DELIVERED}
    assert (receiving.jobs.reads, receiving.jobs.writes) == (1, 1)


def test_more_than_a_chunk_is_written_in_chunks(receiving: Receiving) -> None:
    jobs = [receiving.job() for _ in range(CHUNK + 1)]

    receiving.receive(*(make_receipt(job_id=job.job_id) for job in jobs))

    assert {receiving.status(job) for job in jobs} == {Status.DELIVERED}
    assert receiving.jobs.writes == 2


def test_several_receipts_of_one_job_in_a_batch_follow_each_other(receiving: Receiving) -> None:
    job = receiving.job()
    twice = make_receipt(ReceiptKind.COMPLAINT, job_id=job.job_id)

    receiving.receive(
        make_receipt(ReceiptKind.PROGRESS, job_id=job.job_id), make_receipt(job_id=job.job_id), twice, twice
    )

    assert receiving.status(job) is Status.DELIVERED
    assert [entry.outcome for entry in receiving.read(job).logs[1:]] == ["progress", "delivered", "complaint"]
    assert receiving.results()[-1] is ReceiptResult.REPEATED


def test_a_receipt_that_overtakes_the_record_is_kept_and_applied_later(receiving: Receiving) -> None:
    job = receiving.job(status=Status.PROCESSING)
    receiving.receive(make_receipt(job_id=job.job_id))
    assert (receiving.status(job), len(receiving.pending.all())) == (Status.PROCESSING, 1)

    assert job.claim is not None
    record = decide(job, AttemptFinished(job.claim.token, (make_try(),), expects_receipt=True), receiving.clock.now())
    assert record is not None
    receiving.jobs.apply([record])
    assert receiving.processor.retry_due() == 0
    receiving.clock.advance(FIRST_WAIT.total_seconds())

    assert receiving.processor.retry_due() == 1
    assert (receiving.status(job), receiving.pending.all()) == (Status.DELIVERED, [])


def test_what_matches_nothing_is_tried_ever_less_often_for_a_day_and_then_counted(receiving: Receiving) -> None:
    receiving.receive(make_receipt(job_id=make_job_id()), make_receipt(message_id="SM404"))
    waits: list[timedelta] = []
    began = receiving.clock.now()

    while receiving.pending.all():
        waits.append(receiving.pending.all()[0].next_try_at - receiving.clock.now())
        receiving.clock.advance(waits[-1].total_seconds())
        receiving.processor.retry_due()

    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FIRST_WAIT, LONGEST_WAIT)
    assert KEPT_FOR <= receiving.clock.now() - began <= KEPT_FOR + LONGEST_WAIT
    assert receiving.results() == [ReceiptResult.PENDING] * 2 + [ReceiptResult.UNMATCHED] * 2


def test_who_loses_the_race_looks_again(receiving: Receiving) -> None:
    job = receiving.job()
    complaint = make_receipt(ReceiptKind.COMPLAINT, job_id=job.job_id)
    receiving.jobs.before_apply = lambda: receiving.receive(make_receipt(job_id=job.job_id), complaint)

    receiving.receive(complaint)

    assert [entry.outcome for entry in receiving.read(job).logs[1:]] == ["delivered", "complaint"]
    assert receiving.results() == [ReceiptResult.APPLIED, ReceiptResult.APPLIED, ReceiptResult.REPEATED]


def test_a_failure_gets_its_dead_letter(receiving: Receiving) -> None:
    job = receiving.job()

    receiving.receive(make_receipt(ReceiptKind.FAILED, job_id=job.job_id, code="30003"))

    assert [letter.job_id for letter in receiving.publisher.dead_letters] == [job.job_id]
    assert receiving.read(job).dead_lettered_at is not None


def test_a_failure_stays_owed_while_the_broker_is_away(receiving: Receiving) -> None:
    job = receiving.job()
    receiving.publisher.is_up = False

    receiving.receive(make_receipt(ReceiptKind.FAILED, job_id=job.job_id))

    assert receiving.status(job) is Status.FAILED
    assert receiving.read(job).due_at is not None


def test_complaints_and_recipients_gone_are_handed_on_with_their_jobs(receiving: Receiving) -> None:
    jobs = [receiving.job() for _ in range(4)]
    told = [
        make_receipt(ReceiptKind.COMPLAINT, job_id=jobs[0].job_id),
        make_receipt(ReceiptKind.UNSUBSCRIBED, job_id=jobs[1].job_id),
        make_receipt(ReceiptKind.FAILED, job_id=jobs[2].job_id, reason=Reason.RECIPIENT_GONE),
    ]

    receiving.receive(*told, make_receipt(ReceiptKind.FAILED, job_id=jobs[3].job_id, reason=Reason.BALANCE))

    assert [(each.receipt, each.job.job_id) for each in receiving.feedback.receipts] == [
        (receipt, receipt.job_id) for receipt in told
    ]


def test_a_complaint_that_could_not_be_kept_is_handed_on_when_it_comes_again(receiving: Receiving) -> None:
    job = receiving.job()
    complaint = make_receipt(ReceiptKind.COMPLAINT, job_id=job.job_id)
    receiving.feedback.is_away = True
    with pytest.raises(StoreError):
        receiving.receive(complaint)
    # What was written is counted: the provider's repetition is none of it.
    assert receiving.results() == [ReceiptResult.APPLIED]

    receiving.feedback.is_away = False
    receiving.receive(complaint)

    assert [each.receipt for each in receiving.feedback.receipts] == [complaint]
    assert [entry.outcome for entry in receiving.read(job).logs[1:]] == ["complaint"]


def test_a_complaint_that_is_early_is_handed_on_when_it_is_applied(receiving: Receiving) -> None:
    job = receiving.job(status=Status.PROCESSING)
    receiving.receive(make_receipt(ReceiptKind.COMPLAINT, job_id=job.job_id))
    assert receiving.feedback.receipts == []

    assert job.claim is not None
    record = decide(job, AttemptFinished(job.claim.token, (make_try(Outcome.ACCEPTED),)), receiving.clock.now())
    assert record is not None
    receiving.jobs.apply([record])
    receiving.clock.advance(60)
    receiving.processor.retry_due()

    assert len(receiving.feedback.receipts) == 1


def test_what_people_write_is_handed_on_with_the_provider(receiving: Receiving) -> None:
    message = InboundMessage(event_id="i-1", sender="+12025550143", to="BANK", text="STOP")

    receiving.receive(inbound=(message,), provider="twilio")

    assert receiving.feedback.inbound == [("twilio", message)]


def test_nothing_is_confirmed_while_the_store_is_away(receiving: Receiving) -> None:
    receiving.pending.is_away = True

    with pytest.raises(StoreError):
        receiving.receive(make_receipt(message_id="SM404"))


def test_whatever_a_receipt_says_is_still_there_when_it_was_made_storable() -> None:
    full = make_receipt(
        ReceiptKind.FAILED,
        job_id=make_job_id(),
        replays=2,
        message_id="m-1",
        at=NOW,
        code="31",
        text="unknown",
        reason=Reason.RECIPIENT_GONE,
        recipient="+12025550143",
    )

    assert normalized(full) == full
    assert None not in [getattr(full, each.name) for each in fields(full)]


@pytest.mark.parametrize(
    ("echoed", "replays"), [("", 0), (":1", 1), ("_12", 12), (":", 0), ("_x", 0), ("_" + "9" * 60, 0)]
)
def test_what_a_provider_echoes_tells_the_job_and_its_life(echoed: str, replays: int) -> None:
    job_id = make_job_id()

    receipt = normalized(make_receipt(job_id=JobId(job_id.upper() + echoed)))

    assert (receipt.job_id, receipt.replays) == (job_id, replays)


def test_a_time_is_kept_as_exactly_as_the_store_keeps_it() -> None:
    assert normalized(make_receipt(at=NOW.replace(microsecond=589_999))).at == NOW.replace(microsecond=589_000)


def test_texts_that_no_store_takes_are_stored_as_far_as_they_can_be(receiving: Receiving) -> None:
    job = receiving.job()

    receiving.receive(
        make_receipt(
            ReceiptKind.FAILED, job_id=job.job_id, code="c" * 5000, text="half a pair: \ud83d", event_id="\udc00" * 500
        ),
        make_receipt(message_id="\ud83d" * 5000),
    )

    error = receiving.read(job).error
    assert error is not None
    assert error.message == f"{'c' * 100}: half a pair: ?"
    [pending] = receiving.pending.all()
    assert len(pending.receipt.message_id or "") == 500


def test_a_sweep_goes_on_until_nothing_is_due_and_outlasts_a_store_that_is_away(receiving: Receiving) -> None:
    receiving.receive(*(make_receipt(message_id=f"SM{number}") for number in range(CHUNK + 5)))
    receiving.clock.advance(FIRST_WAIT.total_seconds())

    receiving.pending.is_away = True
    receiving.processor.retry_until_none_is_due()
    receiving.pending.is_away = False
    receiving.processor.retry_until_none_is_due()

    assert {each.tries for each in receiving.pending.all()} == {1}
