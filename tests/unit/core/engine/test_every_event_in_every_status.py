"""The whole state machine on one page: what each event makes of a job in each status."""

from __future__ import annotations

from typing import Final

import pytest

from tests.factories import later, make_claim, make_job, make_receipt_event, make_try
from wavecom.core.engine import (
    AttemptFinished,
    AttemptPrevented,
    CancelRequested,
    ClaimRequested,
    DeadLettered,
    Discarded,
    DueReached,
    Event,
    Parked,
    ReplayRequested,
    SettleRequested,
    StoreRestored,
    decide,
)
from wavecom.core.job import Job, Outcome, UnknownOutcomePolicy
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import NOT_FINAL, Status
from wavecom.errors import TransitionError

#: Nothing is to be written.
IGNORED: Final = "ignored"
TOO_LATE: Final = "too_late_to_cancel"
UNCERTAIN: Final = "may_have_been_sent"
NOT_FAILED: Final = "not_failed"
NOT_UNCONFIRMED: Final = "not_unconfirmed"
TWICE: Final = "duplicate_possible"

#: Past every ``due_at`` of the factory's jobs, before their expiry but for those that a provider has.
WHEN_DUE = later(hours=71)
WHEN_OVERDUE = later(hours=73)

EXPECTED: dict[str, tuple[Event, dict[Status, str]]] = {
    "claim": (
        ClaimRequested(make_claim(lease_until=later(hours=71, seconds=30))),
        {
            Status.SCHEDULED: IGNORED,
            Status.QUEUED: Status.PROCESSING,
            Status.PROCESSING: IGNORED,
            Status.RETRYING: Status.PROCESSING,
            Status.SENT: IGNORED,
            Status.UNCONFIRMED: IGNORED,
            Status.DELIVERED: IGNORED,
            Status.FAILED: IGNORED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "park": (
        Parked(later(hours=71, minutes=1)),
        {
            Status.SCHEDULED: IGNORED,
            Status.QUEUED: Status.QUEUED,
            Status.PROCESSING: IGNORED,
            Status.RETRYING: Status.RETRYING,
            Status.SENT: IGNORED,
            Status.UNCONFIRMED: IGNORED,
            Status.DELIVERED: IGNORED,
            Status.FAILED: IGNORED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "due": (
        DueReached(),
        {
            Status.SCHEDULED: Status.QUEUED,
            Status.QUEUED: Status.QUEUED,
            Status.PROCESSING: Status.RETRYING,
            Status.RETRYING: Status.RETRYING,
            Status.SENT: IGNORED,
            Status.UNCONFIRMED: IGNORED,
            Status.DELIVERED: IGNORED,
            Status.FAILED: Status.FAILED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "delivered receipt": (
        make_receipt_event(ReceiptKind.DELIVERED),
        {
            Status.SCHEDULED: IGNORED,
            Status.QUEUED: IGNORED,
            Status.PROCESSING: IGNORED,
            Status.RETRYING: Status.DELIVERED,
            Status.SENT: Status.DELIVERED,
            Status.UNCONFIRMED: Status.DELIVERED,
            Status.DELIVERED: Status.DELIVERED,
            Status.FAILED: Status.FAILED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "failed receipt": (
        make_receipt_event(ReceiptKind.FAILED, code="bounced"),
        {
            Status.SCHEDULED: IGNORED,
            Status.QUEUED: IGNORED,
            Status.PROCESSING: IGNORED,
            Status.RETRYING: IGNORED,
            Status.SENT: Status.FAILED,
            Status.UNCONFIRMED: Status.FAILED,
            Status.DELIVERED: Status.DELIVERED,
            Status.FAILED: Status.FAILED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "progress receipt": (
        make_receipt_event(ReceiptKind.PROGRESS, code="sent"),
        {
            Status.SCHEDULED: IGNORED,
            Status.QUEUED: IGNORED,
            Status.PROCESSING: IGNORED,
            Status.RETRYING: Status.RETRYING,
            Status.SENT: Status.SENT,
            Status.UNCONFIRMED: Status.SENT,
            Status.DELIVERED: IGNORED,
            Status.FAILED: IGNORED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "complaint": (
        make_receipt_event(ReceiptKind.COMPLAINT),
        {
            Status.SCHEDULED: IGNORED,
            Status.QUEUED: IGNORED,
            Status.PROCESSING: IGNORED,
            Status.RETRYING: Status.DELIVERED,
            Status.SENT: Status.DELIVERED,
            Status.UNCONFIRMED: Status.DELIVERED,
            Status.DELIVERED: Status.DELIVERED,
            Status.FAILED: Status.FAILED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "cancel": (
        CancelRequested(),
        {
            Status.SCHEDULED: Status.CANCELLED,
            Status.QUEUED: Status.CANCELLED,
            Status.PROCESSING: TOO_LATE,
            Status.RETRYING: Status.CANCELLED,
            Status.SENT: TOO_LATE,
            Status.UNCONFIRMED: UNCERTAIN,
            Status.DELIVERED: TOO_LATE,
            Status.FAILED: TOO_LATE,
            Status.EXPIRED: TOO_LATE,
            Status.CANCELLED: TOO_LATE,
        },
    ),
    "replay": (
        ReplayRequested(expires_at=later(hours=144)),
        {
            Status.SCHEDULED: NOT_FAILED,
            Status.QUEUED: NOT_FAILED,
            Status.PROCESSING: NOT_FAILED,
            Status.RETRYING: NOT_FAILED,
            Status.SENT: NOT_FAILED,
            Status.UNCONFIRMED: TWICE,
            Status.DELIVERED: NOT_FAILED,
            Status.FAILED: Status.QUEUED,
            Status.EXPIRED: NOT_FAILED,
            Status.CANCELLED: NOT_FAILED,
        },
    ),
    "replay that accepts a duplicate": (
        ReplayRequested(expires_at=later(hours=144), accepts_duplicate=True),
        {
            Status.SCHEDULED: NOT_FAILED,
            Status.QUEUED: NOT_FAILED,
            Status.PROCESSING: NOT_FAILED,
            Status.RETRYING: NOT_FAILED,
            Status.SENT: NOT_FAILED,
            Status.UNCONFIRMED: Status.QUEUED,
            Status.DELIVERED: NOT_FAILED,
            Status.FAILED: Status.QUEUED,
            Status.EXPIRED: NOT_FAILED,
            Status.CANCELLED: NOT_FAILED,
        },
    ),
    "settle as delivered": (
        SettleRequested(is_delivered=True, reason="the gateway's console says so"),
        {
            Status.SCHEDULED: NOT_UNCONFIRMED,
            Status.QUEUED: NOT_UNCONFIRMED,
            Status.PROCESSING: NOT_UNCONFIRMED,
            Status.RETRYING: NOT_UNCONFIRMED,
            Status.SENT: NOT_UNCONFIRMED,
            Status.UNCONFIRMED: Status.DELIVERED,
            Status.DELIVERED: NOT_UNCONFIRMED,
            Status.FAILED: NOT_UNCONFIRMED,
            Status.EXPIRED: NOT_UNCONFIRMED,
            Status.CANCELLED: NOT_UNCONFIRMED,
        },
    ),
    "settle as failed": (
        SettleRequested(is_delivered=False, reason="the gateway's console says so"),
        {
            Status.SCHEDULED: NOT_UNCONFIRMED,
            Status.QUEUED: NOT_UNCONFIRMED,
            Status.PROCESSING: NOT_UNCONFIRMED,
            Status.RETRYING: NOT_UNCONFIRMED,
            Status.SENT: NOT_UNCONFIRMED,
            Status.UNCONFIRMED: Status.FAILED,
            Status.DELIVERED: NOT_UNCONFIRMED,
            Status.FAILED: NOT_UNCONFIRMED,
            Status.EXPIRED: NOT_UNCONFIRMED,
            Status.CANCELLED: NOT_UNCONFIRMED,
        },
    ),
    "discard": (
        Discarded(),
        {
            Status.SCHEDULED: NOT_FAILED,
            Status.QUEUED: NOT_FAILED,
            Status.PROCESSING: NOT_FAILED,
            Status.RETRYING: NOT_FAILED,
            Status.SENT: NOT_FAILED,
            Status.UNCONFIRMED: NOT_FAILED,
            Status.DELIVERED: NOT_FAILED,
            Status.FAILED: Status.FAILED,
            Status.EXPIRED: NOT_FAILED,
            Status.CANCELLED: NOT_FAILED,
        },
    ),
    "store restored": (
        StoreRestored(before=WHEN_DUE),
        {
            Status.SCHEDULED: Status.UNCONFIRMED,
            Status.QUEUED: Status.UNCONFIRMED,
            Status.PROCESSING: Status.UNCONFIRMED,
            Status.RETRYING: Status.UNCONFIRMED,
            Status.SENT: IGNORED,
            Status.UNCONFIRMED: IGNORED,
            Status.DELIVERED: IGNORED,
            Status.FAILED: IGNORED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
    "dead-lettered": (
        DeadLettered(),
        {
            Status.SCHEDULED: IGNORED,
            Status.QUEUED: IGNORED,
            Status.PROCESSING: IGNORED,
            Status.RETRYING: IGNORED,
            Status.SENT: IGNORED,
            Status.UNCONFIRMED: IGNORED,
            Status.DELIVERED: IGNORED,
            Status.FAILED: Status.FAILED,
            Status.EXPIRED: IGNORED,
            Status.CANCELLED: IGNORED,
        },
    ),
}

CELLS = [
    pytest.param(event, status, result, id=f"{name}-{status}")
    for name, (event, row) in EXPECTED.items()
    for status, result in row.items()
]

#: What a worker that holds the claim's token reports, and the status it asks for.
REPORTS = {
    Status.DELIVERED: (Outcome.ACCEPTED, UnknownOutcomePolicy.RETRY, False),
    Status.SENT: (Outcome.ACCEPTED, UnknownOutcomePolicy.RETRY, True),
    Status.FAILED: (Outcome.REJECTED, UnknownOutcomePolicy.RETRY, False),
    Status.RETRYING: (Outcome.UNAVAILABLE, UnknownOutcomePolicy.RETRY, False),
    Status.UNCONFIRMED: (Outcome.UNKNOWN, UnknownOutcomePolicy.STOP, False),
}

#: Where such a report may find the job: still in the worker's hands, or given up by the sweep, or already written once.
FOUND_IN: dict[Status, frozenset[Status]] = {
    Status.DELIVERED: frozenset({Status.PROCESSING, Status.RETRYING, Status.UNCONFIRMED, Status.SENT}),
    Status.SENT: frozenset({Status.PROCESSING, Status.RETRYING, Status.UNCONFIRMED, Status.SENT}),
    Status.FAILED: frozenset({Status.PROCESSING, Status.RETRYING, Status.UNCONFIRMED, Status.SENT}),
    Status.RETRYING: frozenset({Status.PROCESSING, Status.RETRYING, Status.UNCONFIRMED}),
    Status.UNCONFIRMED: frozenset({Status.PROCESSING, Status.UNCONFIRMED}),
}


def result_of(job: Job, event: Event) -> str:
    try:
        transition = decide(job, event, WHEN_DUE)
    except TransitionError as error:
        return error.code
    return IGNORED if transition is None else transition.status


@pytest.mark.parametrize(("event", "status", "expected"), CELLS)
def test_an_event_does_what_the_page_says(event: Event, status: Status, expected: str) -> None:
    job = make_job(status=status)

    result = result_of(job, event)

    assert result == expected


def test_the_page_leaves_no_status_out() -> None:
    assert [set(row) for _, row in EXPECTED.values()] == [set(Status)] * len(EXPECTED)


@pytest.mark.parametrize("status", Status)
def test_a_doubtful_job_is_never_cancelled(status: Status) -> None:
    job = make_job(status=status, may_have_been_sent=True)

    result = result_of(job, CancelRequested())

    assert result in {TOO_LATE, UNCERTAIN}


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_past_the_deadline_a_waiting_job_expires(status: Status) -> None:
    job = make_job(status=status)

    transition = decide(job, DueReached(), WHEN_OVERDUE)

    assert transition is not None
    assert transition.status is Status.EXPIRED


@pytest.mark.parametrize(("status", "expected"), [(Status.SENT, Status.DELIVERED), (Status.UNCONFIRMED, Status.FAILED)])
def test_without_a_receipt_the_evidence_at_hand_decides(status: Status, expected: Status) -> None:
    job = make_job(status=status)

    transition = decide(job, DueReached(), WHEN_OVERDUE)

    assert transition is not None
    assert transition.status is expected


# Queued is left out: no worker holds the token of a job there, be it new or replayed.
@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("found", sorted(set(Status) - {Status.QUEUED}))
def test_a_result_is_written_wherever_its_token_may_find_the_job_and_nowhere_else(
    report: Status, found: Status
) -> None:
    outcome, policy, expects_receipt = REPORTS[report]
    claim = make_claim("mine")
    claimed = make_job(status=Status.PROCESSING, claim=claim, on_unknown_outcome=policy)
    stored = make_job(status=found, job_id=claimed.job_id, claim=claim)
    event = AttemptFinished("mine", (make_try(outcome),), expects_receipt=expects_receipt)

    transition = decide(claimed, event, WHEN_DUE)

    assert transition is not None
    assert transition.status is report
    assert transition.guard.holds(stored) is (found in FOUND_IN[report])


@pytest.mark.parametrize("found", Status)
def test_a_job_given_back_uncalled_waits_again_wherever_its_token_finds_it(found: Status) -> None:
    claim = make_claim("mine")
    claimed = make_job(status=Status.PROCESSING, claim=claim)
    stored = make_job(status=found, job_id=claimed.job_id, claim=claim)

    transition = decide(claimed, AttemptPrevented("mine", 5), later(1))

    assert transition is not None
    assert transition.status is Status.RETRYING
    assert transition.guard.holds(stored) is (found in {Status.PROCESSING, Status.RETRYING, Status.UNCONFIRMED})


@pytest.mark.parametrize("found", Status)
@pytest.mark.parametrize("report", REPORTS)
def test_a_result_without_the_token_is_written_nowhere(report: Status, found: Status) -> None:
    outcome, policy, expects_receipt = REPORTS[report]
    claimed = make_job(status=Status.PROCESSING, claim=make_claim("mine"), on_unknown_outcome=policy)
    taken_over = make_job(status=found, job_id=claimed.job_id, claim=make_claim("theirs"))
    replayed = make_job(status=found, job_id=claimed.job_id, claim=None)
    event = AttemptFinished("mine", (make_try(outcome),), expects_receipt=expects_receipt)

    transition = decide(claimed, event, later(31))

    assert transition is not None
    assert not transition.guard.holds(taken_over)
    assert not transition.guard.holds(replayed)


def test_no_final_status_takes_a_result() -> None:
    claim = make_claim("mine")
    claimed = make_job(status=Status.PROCESSING, claim=claim)

    transition = decide(claimed, AttemptFinished("mine", (make_try(),)), later(31))

    assert transition is not None
    assert transition.guard.statuses <= NOT_FINAL
