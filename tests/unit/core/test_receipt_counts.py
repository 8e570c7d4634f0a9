from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.factories import NOW, later, make_job
from wavecom.core.engine import AttemptFinished, Policy, decide
from wavecom.core.job import CallResult, Job, LogEntry, Outcome, ProviderResult, Reason
from wavecom.core.lanes import Channel
from wavecom.core.receipt_counts import Counted, CountKey, ReceiptCounts, SentObserver, counts_of
from wavecom.core.receipt_processing import ProcessedReceipt, ReceiptResult
from wavecom.core.receipts import Receipt, ReceiptKind
from wavecom.core.states import Status

MINUTE = NOW.replace(second=0, microsecond=0)
GERMAN = CountKey(MINUTE, "a", "DE")
SLOW_AFTER = timedelta(seconds=300)


class MemoryCounter:
    def __init__(self) -> None:
        self.counts: dict[CountKey, ReceiptCounts] = {}

    def add(self, counted: Counted) -> None:
        for key, each in counted:
            self.counts[key] = self.counts.get(key, ReceiptCounts()) + each

    def between(self, since: datetime, until: datetime) -> dict[CountKey, ReceiptCounts]:
        return {key: each for key, each in self.counts.items() if since <= key.minute <= until}


def sent(**overrides: Any) -> Job:
    values: dict[str, Any] = {
        "type": Channel.SMS,
        "to": {"phone": "+4915112345678"},
        "status": Status.SENT,
        "provider": "a",
        "logs": (LogEntry(NOW, "sent", provider="a"),),
    }
    return make_job(**(values | overrides))


def processed(job: Job | None, kind: ReceiptKind, **values: Any) -> ProcessedReceipt:
    result = values.pop("result", ReceiptResult.APPLIED)
    return ProcessedReceipt(provider="a", receipt=Receipt(event_id="1", kind=kind, **values), result=result, job=job)


def test_a_message_counts_when_a_provider_takes_it_that_reports_later() -> None:
    counter = MemoryCounter()
    observer = SentObserver(counter)
    job = make_job(type=Channel.SMS, to={"phone": "+4915112345678"}, status=Status.PROCESSING)
    accepted = CallResult("a", ProviderResult(Outcome.ACCEPTED, "ok"), NOW, 20)
    transitions = [
        decide(job, AttemptFinished(None, (accepted,), expects_receipt=is_told, jitter=0), NOW, Policy())
        for is_told in (True, False)
    ]

    observer.on_moved([each for each in transitions if each is not None], later(61))

    assert counter.counts == {GERMAN: ReceiptCounts(sent=1)}


@pytest.mark.parametrize(
    ("kind", "values", "counts"),
    [
        (ReceiptKind.DELIVERED, {"at": later(4)}, ReceiptCounts(good=1, delay_seconds=4)),
        (ReceiptKind.DELIVERED, {}, ReceiptCounts(good=1, delay_seconds=10)),
        (ReceiptKind.DELIVERED, {"at": NOW + SLOW_AFTER}, ReceiptCounts(late=1, delay_seconds=300)),
        # A provider whose clock is slow.
        (ReceiptKind.DELIVERED, {"at": NOW - timedelta(seconds=1)}, ReceiptCounts(good=1)),
        (ReceiptKind.COMPLAINT, {"at": later(4)}, ReceiptCounts(good=1, delay_seconds=4)),
        (ReceiptKind.FAILED, {"at": later(4)}, ReceiptCounts(failed=1)),
        (ReceiptKind.FAILED, {"at": later(4), "reason": Reason.RECIPIENT_GONE}, ReceiptCounts(good=1, delay_seconds=4)),
    ],
)
def test_the_first_final_receipt_of_a_message_counts_for_the_minute_in_which_it_was_taken(
    kind: ReceiptKind, values: dict[str, Any], counts: ReceiptCounts
) -> None:
    assert counts_of([processed(sent(), kind, **values)], later(10), SLOW_AFTER) == [(GERMAN, counts)]


@pytest.mark.parametrize(
    "receipt",
    [
        processed(None, ReceiptKind.DELIVERED),
        processed(sent(), ReceiptKind.PROGRESS),
        processed(sent(), ReceiptKind.DELIVERED, result=ReceiptResult.REPEATED),
        processed(sent(finished_at=NOW), ReceiptKind.FAILED),
        processed(sent(logs=()), ReceiptKind.DELIVERED),
    ],
    ids=["of no job", "progress", "a repetition", "a second one", "of a message that nobody is known to have taken"],
)
def test_no_other_receipt_counts(receipt: ProcessedReceipt) -> None:
    assert counts_of([receipt], later(10), SLOW_AFTER) == []


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+447700900123", "GB"),
        ("+447797700123", "JE"),
        ("+12125550123", "US"),
        ("+14165550123", "CA"),
        ("+77011234567", "KZ"),
        ("+79011234567", "RU"),
        ("+80012345678", ""),
    ],
)
def test_countries_that_share_a_calling_code_are_told_apart(number: str, country: str) -> None:
    [(key, _)] = counts_of([processed(sent(to={"phone": number}), ReceiptKind.DELIVERED)], later(1), SLOW_AFTER)

    assert key.country == country


def test_only_numbers_have_a_country() -> None:
    mail = sent(type=Channel.EMAIL, to={"email": "ada@example.org"})

    [(key, _)] = counts_of([processed(mail, ReceiptKind.DELIVERED)], later(1), SLOW_AFTER)

    assert key == CountKey(MINUTE, "a", "")
