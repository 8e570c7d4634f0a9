"""What ends in doubt, and what each end of a job means for the next step; the rest is held by whole lives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, later, make_job
from tests.unit.core.stateful.fallback_environment import make_fallback
from wavecom.core.fallback import Fallback, FallbackStatus
from wavecom.core.fallback_rules import CANCELLED_BY, CancelJob, MakeJob, StepState, Write, decide, state_of
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
        (push(Status.RETRYING, may_have_been_sent=True), StepState.REPEATED),
        (push(Status.QUEUED, may_have_been_sent=True, replays=1), StepState.REPEATED),
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
        # Of another message than the one that may still arrive.
        (
            push(
                Status.FAILED,
                error=JobError("rejected", "no"),
                may_have_been_sent=True,
                on_unknown_outcome=STOP,
                replays=1,
            ),
            StepState.IN_DOUBT,
        ),
        (
            push(Status.FAILED, error=JobError("undelivered", "no"), may_have_been_sent=True, replays=1),
            StepState.IN_DOUBT,
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


def second_begun(policy: UnknownOutcomePolicy, **more: Any) -> Fallback:
    fallback = begun(policy)
    return fallback.changed(later(30), begun=2, steps=fallback.with_step(2, begun_at=later(30)), **more)


def test_what_a_person_cancels_ends_the_whole() -> None:
    cancelled = push(Status.CANCELLED, logs=(LogEntry(NOW, "cancelled", by="key 1"),))

    decision = decide(begun(RETRY), {1: cancelled}, later(5), RETENTION)

    assert isinstance(decision, Write)
    ended = decision.fallback
    assert (ended.status, ended.begun, ended.may_have_been_sent) == (FallbackStatus.CANCELLED, 1, False)
    assert ended.logs[-1].message == "step 1 was cancelled"


def test_what_was_cancelled_for_the_next_step_lets_it_begin() -> None:
    cancelled = push(Status.CANCELLED, logs=(LogEntry(NOW, "cancelled", by=CANCELLED_BY),))

    decision = decide(begun(STOP), {1: cancelled}, later(31), RETENTION)

    assert isinstance(decision, Write)
    assert decision.fallback.begun == 2


@pytest.mark.parametrize("seconds", [31, 5])
def test_what_may_have_been_sent_is_not_sent_again_once_it_is_given_up(seconds: int) -> None:
    repeated = push(Status.RETRYING, may_have_been_sent=True)
    fallback = replace(begun(RETRY), cancelled_by="key 1" if seconds == 5 else None)
    over = second_begun(
        RETRY, status=FallbackStatus.DELIVERED, delivered_step=2, finished_at=later(31), due_at=later(31)
    )
    jobs = {1: repeated, 2: make_job(status=Status.DELIVERED)}

    assert isinstance(decide(fallback, {1: repeated}, later(seconds), RETENTION), CancelJob)
    assert isinstance(decide(over, jobs, later(40), RETENTION), CancelJob)


def test_a_later_step_is_not_joined_by_an_earlier_one() -> None:
    # A worker that everybody had given up has recorded that it could not send.
    jobs = {1: push(Status.RETRYING), 2: make_job(status=Status.SENT)}

    decision = decide(second_begun(RETRY), jobs, later(40), RETENTION)

    assert isinstance(decision, CancelJob)
    assert decision.number == 1


def test_under_stop_nothing_begins_beside_what_a_person_has_started_again() -> None:
    fallback = make_fallback([30, 30], STOP, timedelta(hours=100))
    fallback = fallback.changed(later(30), begun=2, steps=fallback.with_step(2, begun_at=later(30)))
    failed = make_job(status=Status.FAILED, error=JobError("rejected", "no"))
    again = push(Status.SENT, replays=1)

    decision = decide(fallback, {1: again, 2: failed}, later(40), RETENTION)

    assert isinstance(decision, Write)
    assert (decision.is_waiting, decision.fallback.begun) == (True, 2)


@pytest.mark.parametrize(
    ("status", "replayed_at", "is_cancelled"),
    [
        (FallbackStatus.DELIVERED, 10, False),
        (FallbackStatus.CANCELLED, 10, True),
        (FallbackStatus.CANCELLED, 50, False),
    ],
)
def test_what_a_person_has_started_again_goes_on_unless_the_whole_was_cancelled_since(
    status: FallbackStatus, replayed_at: int, is_cancelled: bool
) -> None:
    over = second_begun(STOP, status=status, finished_at=later(40), due_at=later(60))
    again = push(Status.QUEUED, replays=1, expires_at=later(9000), logs=(LogEntry(later(replayed_at), "replayed"),))
    jobs = {1: again, 2: make_job(status=Status.DELIVERED)}

    assert isinstance(decide(over, jobs, later(60), RETENTION), CancelJob) is is_cancelled


@pytest.mark.parametrize("is_over", [True, False])
def test_a_missing_job_of_what_is_not_wanted_any_more_is_made_so_that_nobody_sends_it(is_over: bool) -> None:
    wanted = second_begun(RETRY)
    cancelled = replace(wanted, cancelled_by="key 1")
    over = replace(wanted, status=FallbackStatus.DELIVERED, delivered_step=1, finished_at=later(31))
    jobs = {1: push(Status.DELIVERED if is_over else Status.SENT)}

    assert decide(wanted, {1: push(Status.SENT)}, later(32), RETENTION) == MakeJob(2)
    assert decide(over if is_over else cancelled, jobs, later(32), RETENTION) == MakeJob(2, is_wanted=False)


@pytest.mark.parametrize(("status", "kept_days"), [(Status.DELIVERED, 0), (Status.SENT, 3)])
def test_it_is_kept_no_shorter_than_its_jobs(status: Status, kept_days: int) -> None:
    """A job that waits for its receipt holds the idempotency key: who repeats the request is answered from here."""
    fallback = replace(begun(RETRY), cancelled_by=None if status is Status.DELIVERED else "key 1")

    ended = decide(fallback, {1: push(status)}, later(5), RETENTION, timedelta(days=3))

    assert isinstance(ended, Write)
    start = fallback.expires_at if kept_days else later(5)
    assert ended.fallback.purge_at == start + timedelta(days=kept_days) + RETENTION
