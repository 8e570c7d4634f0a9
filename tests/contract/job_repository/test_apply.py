from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.factories import NOW, later, make_claim, make_job, make_job_id, make_receipt_event, make_try
from wavecom.core.engine import (
    ANY_TOKEN,
    AttemptFinished,
    AttemptPrevented,
    CancelRequested,
    DueReached,
    Event,
    Guard,
    LeaseRenewed,
    Parked,
    ReplayRequested,
    Transition,
    decide,
)
from wavecom.core.job import LOG_LIMIT, Claim, Job, JobError, LogEntry, Outcome
from wavecom.core.ports import JobRepository
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import NOT_FINAL, Status

Rivals = tuple[JobRepository, JobRepository]


def _decided(job: Job, event: Event, now: datetime = NOW) -> Transition:
    transition = decide(job, event, now)
    assert transition is not None
    return transition


def _taken(jobs: JobRepository, count: int = 1, *, in_batches_of: int = 1) -> list[Job]:
    """Jobs under delivery, those of a batch under one token."""
    stored = [make_job() for _ in range(count)]
    jobs.insert(stored)
    taken: list[Job] = []
    for start in range(0, count, in_batches_of):
        ids = [job.job_id for job in stored[start : start + in_batches_of]]
        granted = jobs.claim(ids, make_claim(), NOW)
        taken += [granted[job_id] for job_id in ids]
    return taken


def _record(job: Job, outcome: Outcome = Outcome.ACCEPTED, now: datetime = NOW) -> Transition:
    assert job.claim is not None
    return _decided(job, AttemptFinished(job.claim.token, (make_try(outcome, message_id=f"for {job.job_id}"),)), now)


def _stored(jobs: JobRepository, job: Job) -> Job:
    found = jobs.get(job.job_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("job", "event"),
    [
        (make_job(status=Status.SCHEDULED), DueReached()),
        (make_job(), DueReached()),
        (make_job(), Parked(later(60))),
        (make_job(), CancelRequested()),
        (make_job(status=Status.PROCESSING), DueReached()),
        (make_job(status=Status.PROCESSING, claim=make_claim("t")), AttemptFinished("t", (make_try(),))),
        (make_job(status=Status.PROCESSING, claim=make_claim("t")), AttemptPrevented("t", 9)),
        (
            make_job(status=Status.PROCESSING, claim=make_claim("t")),
            AttemptPrevented("t", 9, (make_try(Outcome.UNAVAILABLE, is_final_here=True),)),
        ),
        (make_job(status=Status.PROCESSING, claim=make_claim("t")), LeaseRenewed("t")),
        (make_job(status=Status.RETRYING), DueReached()),
        (make_job(status=Status.SENT), make_receipt_event(ReceiptKind.FAILED, code="30003", text="unreachable")),
        (make_job(status=Status.UNCONFIRMED), make_receipt_event(ReceiptKind.DELIVERED)),
        (make_job(status=Status.FAILED), ReplayRequested(later(hours=9))),
    ],
    ids=lambda value: value.status if isinstance(value, Job) else type(value).__name__,
)
def test_whatever_the_engine_decides_is_what_is_stored(jobs: JobRepository, job: Job, event: Event) -> None:
    jobs.insert([job])
    transition = _decided(job, event, later(hours=2))

    written = jobs.apply([transition])

    assert written == [True]
    assert _stored(jobs, job) == transition.applied_to(job)


def test_outcomes_of_every_kind_in_one_batch_each_reach_their_own_job(jobs: JobRepository) -> None:
    taken = _taken(jobs, 260, in_batches_of=20)
    outcomes = [Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.UNAVAILABLE, Outcome.REJECTED, Outcome.UNKNOWN]
    records = [_record(job, outcomes[number % 5], later(number)) for number, job in enumerate(taken)]

    written = jobs.apply(records)

    assert written == [True] * 260
    for job, record in zip(taken, records, strict=True):
        full = record.applied_to(job)
        stored = _stored(jobs, job)
        assert stored.logs[-len(record.entries) :] == record.entries
        assert (stored.log_count, len(stored.logs)) == (full.log_count, full.log_count)
        assert (stored.status, stored.provider_message_id, stored.error, stored.due_at, stored.updated_at) == (
            full.status,
            full.provider_message_id,
            full.error,
            full.due_at,
            full.updated_at,
        )
        assert (stored.payload, stored.claim, stored.attempts) == (job.payload, job.claim, 1)


def test_a_late_result_is_refused_once_another_worker_holds_the_job(jobs: JobRepository) -> None:
    [job] = _taken(jobs)
    jobs.apply([_decided(job, DueReached(), later(31))])
    [granted] = jobs.claim([job.job_id], make_claim(), later(60)).values()

    written = jobs.apply([_record(job)])

    assert written == [False]
    assert _stored(jobs, job).claim == granted.claim
    assert _stored(jobs, job).status is Status.PROCESSING


def test_a_late_result_still_settles_a_job_that_only_the_sweep_has_moved(jobs: JobRepository) -> None:
    [job] = _taken(jobs)
    jobs.apply([_decided(job, DueReached(), later(31))])
    assert _stored(jobs, job).status is Status.RETRYING

    written = jobs.apply([_record(job, now=later(32))])

    assert written == [True]
    assert _stored(jobs, job).status is Status.DELIVERED
    assert [entry.event for entry in _stored(jobs, job).logs] == ["accepted", "outcome_unknown", "delivered"]


def test_a_late_result_from_before_a_replay_is_refused(jobs: JobRepository) -> None:
    [job] = _taken(jobs)
    rejected = _record(job, Outcome.REJECTED)
    jobs.apply([rejected])
    jobs.apply([_decided(_stored(jobs, job), ReplayRequested(later(hours=9)))])

    written = jobs.apply([_record(job)])

    assert written == [False]
    assert _stored(jobs, job).status is Status.QUEUED


def test_a_job_never_passes_with_the_token_of_another_in_the_same_batch(jobs: JobRepository) -> None:
    # Both jobs were taken again: the first one now under the token that the second one's record carries.
    first, second = _taken(jobs, 2)
    stale = _record(first)
    jobs.apply([_decided(first, DueReached(), later(31)), _decided(second, DueReached(), later(31))])
    granted = jobs.claim([first.job_id, second.job_id], make_claim(), later(60))

    written = jobs.apply([stale, _record(granted[second.job_id], now=later(60))])

    assert written == [False, True]
    assert _stored(jobs, first).status is Status.PROCESSING
    assert _stored(jobs, second).status is Status.DELIVERED


def _with(job: Job, guard: Guard) -> Transition:
    return Transition(job.job_id, guard, {"updated_at": later(5)}, (LogEntry(NOW, "tried"),), old_status=job.status)


_ANY = frozenset(Status)
_HELD = Claim("token", "worker-1", later(30))


@pytest.mark.parametrize(
    ("claim", "guard", "is_written"),
    [
        (_HELD, Guard(_ANY), True),
        (None, Guard(_ANY), True),
        (_HELD, Guard(frozenset({Status.QUEUED})), True),
        (_HELD, Guard(_ANY - {Status.QUEUED}), False),
        (_HELD, Guard(frozenset()), False),
        (_HELD, Guard(_ANY, "token"), True),
        (_HELD, Guard(_ANY, "other"), False),
        (None, Guard(_ANY, "token"), False),
        (None, Guard(_ANY, None), True),
        (_HELD, Guard(_ANY, None), False),
        (_HELD, Guard(_ANY, ANY_TOKEN, later(30)), True),
        (_HELD, Guard(_ANY, log_count=1), True),
        (_HELD, Guard(_ANY, log_count=2), False),
        (_HELD, Guard(_ANY, ANY_TOKEN, later(30.001)), False),
        (_HELD, Guard(frozenset({Status.QUEUED}), "token", later(30)), True),
        (_HELD, Guard(frozenset({Status.QUEUED}), "other", later(30)), False),
    ],
)
@pytest.mark.parametrize("company", [0, 3])
def test_a_change_is_written_exactly_when_its_guard_holds(
    jobs: JobRepository, claim: Claim | None, guard: Guard, is_written: bool, company: int
) -> None:
    job = make_job(claim=claim, due_at=later(30))
    others = [make_job(due_at=later(30)) for _ in range(company)]
    jobs.insert([job, *others])
    transition = _with(job, guard)

    written = jobs.apply([transition, *(_with(other, Guard(_ANY)) for other in others)])

    assert guard.holds(job) is is_written
    assert written == [is_written] + [True] * company
    assert _stored(jobs, job) == (transition.applied_to(job) if is_written else job)


def test_a_job_that_nobody_knows_is_not_written(jobs: JobRepository) -> None:
    [known] = _taken(jobs)
    unknown = make_job(status=Status.PROCESSING, job_id=make_job_id())

    written = jobs.apply([_record(unknown), _record(known)])

    assert written == [False, True]
    assert jobs.get(unknown.job_id) is None


def test_repeating_the_same_transitions_after_an_error_writes_nothing_twice(jobs: JobRepository) -> None:
    taken = _taken(jobs, 3)
    records = [_record(job, Outcome.UNAVAILABLE) for job in taken]
    jobs.apply(records[:2])

    written = jobs.apply(records)

    assert written == [True] * 3
    assert [_stored(jobs, job).log_count for job in taken] == [2, 2, 2]


def test_what_was_written_counts_as_written_even_when_the_job_has_moved_on(jobs: JobRepository) -> None:
    [job] = _taken(jobs)
    retrying = _record(job, Outcome.UNAVAILABLE)
    jobs.apply([retrying])
    jobs.apply([_decided(_stored(jobs, job), DueReached(), later(60))])
    moved_on = jobs.claim([job.job_id], make_claim(), later(60))[job.job_id]

    written = jobs.apply([retrying])

    assert written == [True]
    assert _stored(jobs, job).claim == moved_on.claim
    assert _stored(jobs, job).log_count == 2


def test_of_two_with_the_same_plan_one_is_told_that_it_won(rivals: Rivals) -> None:
    stored = [make_job(due_at=later(-1)) for _ in range(40)]
    rivals[0].insert(stored)

    def sweep(turn: int) -> list[bool]:
        return rivals[turn % 2].apply([_decided(job, DueReached()) for job in stored])

    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(sweep, range(4)))

    assert [sum(told) for told in zip(*written, strict=True)] == [1] * 40


def test_several_transitions_of_one_job_are_written_in_order(jobs: JobRepository) -> None:
    [job] = _taken(jobs)
    retrying = _record(job, Outcome.UNAVAILABLE)
    after = retrying.applied_to(job)
    cancelled = _decided(after, CancelRequested())
    again = _decided(after, DueReached(), later(60))

    written = jobs.apply([retrying, cancelled, again])

    assert written == [True, True, False]
    assert _stored(jobs, job).status is Status.CANCELLED
    assert [entry.event for entry in _stored(jobs, job).logs] == ["accepted", "unavailable", "cancelled"]


def test_the_log_keeps_its_last_entries_and_counts_all(jobs: JobRepository) -> None:
    job = make_job(logs=tuple(LogEntry(later(number), "accepted") for number in range(LOG_LIMIT - 1)))
    other = make_job()
    jobs.insert([job, other])
    entries = tuple(LogEntry(later(100 + number), "tried", attempt=number) for number in range(4))
    guard = Guard(NOT_FINAL)
    changes = {"updated_at": NOW}

    jobs.apply([Transition(job.job_id, guard, changes, entries[:2])])
    jobs.apply([Transition(each.job_id, guard, changes, entries[2:]) for each in (job, other)])

    stored = _stored(jobs, job)
    assert (len(stored.logs), stored.log_count) == (LOG_LIMIT, LOG_LIMIT + 3)
    assert stored.logs[-4:] == entries
    assert stored.logs[0] == job.logs[3]
    assert (len(_stored(jobs, other).logs), _stored(jobs, other).log_count) == (3, 3)


def test_texts_that_look_like_expressions_are_texts(jobs: JobRepository) -> None:
    stored = [make_job() for _ in range(2)]
    jobs.insert(stored)
    error = JobError("$status", "$$ROOT of all evil", "$jobId")
    entry = LogEntry(NOW, "failed", provider="$jobId", message="$payload.text")
    changes = {"error": error, "provider": "$client", "provider_message_id": "$_id"}

    written = jobs.apply([Transition(job.job_id, Guard(NOT_FINAL), changes, (entry,)) for job in stored])

    assert written == [True, True]
    for job in stored:
        found = _stored(jobs, job)
        assert (found.error, found.provider, found.provider_message_id) == (error, "$client", "$_id")
        assert found.logs[-1] == entry


def test_applying_nothing_is_nothing(jobs: JobRepository) -> None:
    assert jobs.apply([]) == []
