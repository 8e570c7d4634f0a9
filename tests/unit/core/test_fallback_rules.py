"""What ends in doubt, and what each end of a job means for the next step; the rest is held by whole lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, later, make_job
from tests.unit.core.stateful.fallback_environment import make_fallback
from wavecom.core.fallback import Fallback, FallbackStatus
from wavecom.core.fallback_rules import CancelJob, MakeJob, StepState, Write, decide, state_of
from wavecom.core.job import Job, JobError, LogEntry, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

RETENTION = timedelta(days=30)
RETRY, STOP = UnknownOutcomePolicy.RETRY, UnknownOutcomePolicy.STOP


def push(status: Status, **more: Any) -> Job:
    return make_job(type=Channel.PUSH, status=status, **more)


def begun(policy: UnknownOutcomePolicy, **more: Any) -> Fallback:
    return make_fallback([30], policy, timedelta(hours=100), **more)


NO_RECEIPT = (LogEntry(NOW, "delivered", code="receipt_missing"),)


@pytest.mark.parametrize(
    ("job", "state"),
    [
        (push(Status.QUEUED), StepState.OPEN),
        (push(Status.RETRYING), StepState.OPEN),
        (push(Status.RETRYING, may_have_been_sent=True), StepState.HANDED_OVER),
        (push(Status.PROCESSING), StepState.CLAIMED),
        (push(Status.SENT), StepState.HANDED_OVER),
        (push(Status.UNCONFIRMED), StepState.HANDED_OVER),
        (push(Status.DELIVERED), StepState.DELIVERED),
        (push(Status.DELIVERED, logs=NO_RECEIPT), StepState.IN_DOUBT),
        (push(Status.EXPIRED), StepState.NOT_DELIVERED),
        (push(Status.CANCELLED), StepState.NOT_DELIVERED),
        (push(Status.FAILED, error=JobError("rejected", "no")), StepState.NOT_DELIVERED),
        (push(Status.FAILED, error=JobError("outcome_unknown", "?")), StepState.IN_DOUBT),
        (push(Status.FAILED, error=JobError("rejected", "no"), may_have_been_sent=True), StepState.IN_DOUBT),
        (push(Status.FAILED, error=JobError("undelivered", "no"), may_have_been_sent=True), StepState.NOT_DELIVERED),
        (
            push(
                Status.FAILED,
                error=JobError("recipient_gone", "no"),
                may_have_been_sent=True,
                on_unknown_outcome=STOP,
            ),
            StepState.NOT_DELIVERED,
        ),
    ],
)
def test_every_end_of_a_job_is_told_apart(job: Job, state: StepState) -> None:
    assert state_of(begun(RETRY), 1, job) is state


def test_a_job_that_was_deleted_is_never_made_again() -> None:
    fallback = begun(STOP)
    noted = fallback.changed(NOW, steps=fallback.with_step(1, job_id=make_job().job_id))

    assert isinstance(decide(fallback, {}, later(1), RETENTION), MakeJob)
    decision = decide(noted, {}, later(1), RETENTION)
    assert isinstance(decision, Write)
    assert decision.fallback.status is FallbackStatus.UNCONFIRMED


@pytest.mark.parametrize(("policy", "steps"), [(STOP, 1), (RETRY, 2)])
def test_what_ended_in_doubt_lets_the_next_step_begin_under_retry_alone(
    policy: UnknownOutcomePolicy, steps: int
) -> None:
    job = push(Status.FAILED, error=JobError("outcome_unknown", "?"), on_unknown_outcome=policy)

    decision = decide(begun(policy), {1: job}, later(40), RETENTION)

    assert isinstance(decision, Write)
    assert decision.fallback.begun == steps
    assert (decision.fallback.status is FallbackStatus.UNCONFIRMED) is (policy is STOP)


def test_the_end_is_an_event_where_the_account_has_them() -> None:
    delivered = push(Status.DELIVERED, attempts=1, provider="gateway")

    [with_event, without] = [
        decide(begun(RETRY, records_events=records), {1: delivered}, later(5), RETENTION) for records in (True, False)
    ]

    assert isinstance(with_event, Write)
    assert isinstance(without, Write)
    assert without.fallback.event is None
    event = with_event.fallback.event
    assert event is not None
    assert (event.status, event.attempts, event.provider, event.error) == (Status.DELIVERED, 1, "gateway", None)


def test_a_late_receipt_of_an_earlier_step_ends_it_and_cancels_the_next() -> None:
    fallback = begun(RETRY)
    second = fallback.changed(later(30), begun=2, steps=fallback.with_step(2, begun_at=later(30)))
    jobs = {1: push(Status.DELIVERED), 2: make_job(status=Status.QUEUED)}

    ended = decide(second, jobs, later(35), RETENTION)
    assert isinstance(ended, Write)
    assert (ended.fallback.status, ended.fallback.delivered_step) == (FallbackStatus.DELIVERED, 1)

    assert isinstance(decide(ended.fallback, jobs, later(35), RETENTION), CancelJob)
