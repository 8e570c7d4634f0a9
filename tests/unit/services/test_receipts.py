"""Reports of many threads are applied together, and large ones leave threads to single receipts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.factories import NOW, make_receipt
from tests.fakes import FakeClock, NoFeedbackHandler, make_writer
from tests.memory_storage import MemoryJobRepository, MemoryPendingReceipts
from tests.waiting import PATIENCE_SECONDS, wait_until
from wavecom.core.engine import Policy
from wavecom.core.job import Job
from wavecom.core.receipt_processing import ReceiptProcessor, ReceiptReport
from wavecom.core.receipts import InboundMessage, ReceiptBatch
from wavecom.errors import UnavailableError
from wavecom.services.receipts import shared_submit
from wavecom.web.rsgi import RECEIPT_THREADS


class SlowForBatches(MemoryJobRepository):
    """Looks for the jobs of the provider ``batches`` only once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_look = threading.Event()

    def by_message_ids(self, provider: str, message_ids: Sequence[str]) -> dict[str, Job]:
        if provider == "batches":
            assert self.may_look.wait(PATIENCE_SECONDS)
        return super().by_message_ids(provider, message_ids)


def report(provider: str, receipts: int) -> ReceiptReport:
    batch = ReceiptBatch(receipts=tuple(make_receipt(message_id=f"m-{number}") for number in range(receipts)))
    return ReceiptReport(provider=provider, batch=batch)


def test_however_many_batches_come_half_of_the_threads_stay_free_for_single_receipts() -> None:
    jobs, pending, clock = SlowForBatches(), MemoryPendingReceipts(), FakeClock(NOW)
    processor = ReceiptProcessor(
        jobs=jobs,
        writer=make_writer(jobs, clock),
        pending=pending,
        feedback=NoFeedbackHandler(),
        clock=clock,
        policy=Policy(),
    )
    submit = shared_submit(processor)
    refused: list[UnavailableError] = []

    def send_batch() -> None:
        try:
            submit(report("batches", 1000))
        except UnavailableError as error:
            refused.append(error)

    with ThreadPoolExecutor(RECEIPT_THREADS) as threads:
        try:
            batches = [threads.submit(send_batch) for _ in range(RECEIPT_THREADS)]
            wait_until(lambda: len(refused) >= RECEIPT_THREADS // 2)
            submit(report("single", 1))
            assert [each.provider for each in pending.all()] == ["single"]
        finally:
            jobs.may_look.set()
        for batch in batches:
            batch.result(PATIENCE_SECONDS)

    submit(report("batches", 1000))  # there is room again
    assert len(refused) < RECEIPT_THREADS


class HeldFeedback(NoFeedbackHandler):
    """Takes messages of people as long as it is held."""

    def __init__(self) -> None:
        self.is_busy = threading.Event()
        self.go_on = threading.Event()

    def on_inbound(self, provider: str, messages: Sequence[InboundMessage]) -> None:
        self.is_busy.set()
        assert self.go_on.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("count", [1, 5000])
def test_what_people_wrote_holds_no_receipt_up(count: int) -> None:
    jobs, pending, clock, feedback = MemoryJobRepository(), MemoryPendingReceipts(), FakeClock(NOW), HeldFeedback()
    processor = ReceiptProcessor(
        jobs=jobs,
        writer=make_writer(jobs, clock),
        pending=pending,
        feedback=feedback,
        clock=clock,
        policy=Policy(),
    )
    submit = shared_submit(processor)
    messages = tuple(InboundMessage(event_id=str(number), sender="+12025550143") for number in range(count))

    with ThreadPoolExecutor(2) as threads:
        try:
            written = threads.submit(submit, ReceiptReport(provider="gateway", batch=ReceiptBatch(inbound=messages)))
            assert feedback.is_busy.wait(PATIENCE_SECONDS)
            threads.submit(submit, report("single", 1)).result(PATIENCE_SECONDS)
            assert [each.provider for each in pending.all()] == ["single"]
        finally:
            feedback.go_on.set()
        written.result(PATIENCE_SECONDS)
