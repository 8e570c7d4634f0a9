from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import pytest

from tests.factories import NOW, later, make_claim, make_job, make_job_id, make_try
from wavecom.core.engine import AttemptFinished, ClaimRequested, DueReached, decide
from wavecom.core.job import Job, JobId, Outcome
from wavecom.core.ports import JobRepository
from wavecom.core.states import Status


def test_a_claim_takes_the_job_and_hands_it_over_without_its_log(jobs: JobRepository) -> None:
    job, claim = make_job(), make_claim()
    jobs.insert([job])

    granted = jobs.claim([job.job_id], claim, later(1))

    assert list(granted) == [job.job_id]
    taken = granted[job.job_id]
    assert (taken.status, taken.claim, taken.updated_at, taken.due_at) == (
        Status.PROCESSING,
        claim,
        later(1),
        claim.lease_until,
    )
    assert (taken.payload, taken.logs, taken.log_count) == (job.payload, (), 1)
    assert jobs.get(job.job_id) == replace(taken, logs=job.logs)


def test_claims_agree_with_the_engine_whatever_the_job(jobs: JobRepository) -> None:
    starts: list[datetime | None] = [None, later(-60), later(1.9), later(2), later(2.001), later(60)]
    ends = [later(-1), NOW, later(0.001), later(20), later(hours=72)]
    table = [
        make_job(status=status, next_attempt_at=start, expires_at=end)
        for status, start, end in itertools.product(Status, starts, ends)
    ]
    jobs.insert(table)
    claim = make_claim()

    granted = jobs.claim([job.job_id for job in table], claim, NOW)

    expected = {}
    for job in table:
        transition = decide(job, ClaimRequested(claim), NOW)
        if transition is not None:
            expected[job.job_id] = replace(transition.applied_to(job), logs=())
    assert granted == expected
    assert len(expected) == 2 * 4 * 3
    untouched = [job for job in table if job.job_id not in expected]
    assert [jobs.get(job.job_id) for job in untouched] == untouched


@pytest.mark.parametrize(
    "job",
    [
        make_job(expires_at=later(-0.001)),
        make_job(expires_at=NOW),
        make_job(status=Status.RETRYING, next_attempt_at=later(2.001)),
        make_job(status=Status.SCHEDULED),
        make_job(status=Status.DELIVERED),
        make_job(status=Status.PROCESSING),
    ],
    ids=["expired", "expiring", "parked", "scheduled", "delivered", "processing"],
)
def test_a_job_that_may_not_be_delivered_now_is_not_granted(jobs: JobRepository, job: Job) -> None:
    jobs.insert([job])

    granted = jobs.claim([job.job_id], make_claim(), NOW)

    assert granted == {}
    assert jobs.get(job.job_id) == job


def test_a_message_that_comes_a_little_early_is_good(jobs: JobRepository) -> None:
    job = make_job(status=Status.RETRYING, next_attempt_at=later(1.9))
    jobs.insert([job])

    granted = jobs.claim([job.job_id], make_claim(), NOW)

    assert list(granted) == [job.job_id]


def test_nobody_looks_later_than_the_deadline_of_the_job(jobs: JobRepository) -> None:
    job = make_job(expires_at=later(5))
    jobs.insert([job])

    granted = jobs.claim([job.job_id], make_claim(lease_until=later(30)), NOW)

    assert granted[job.job_id].due_at == later(5)


def test_a_job_that_was_taken_is_not_granted_to_another(jobs: JobRepository) -> None:
    job, first = make_job(), make_claim()
    jobs.insert([job])
    jobs.claim([job.job_id], first, NOW)

    granted = jobs.claim([job.job_id], make_claim(), NOW)

    stored = jobs.get(job.job_id)
    assert granted == {}
    assert stored is not None
    assert stored.claim == first


def test_a_claim_repeated_after_an_error_gets_the_same_jobs(jobs: JobRepository) -> None:
    first, second, claim = make_job(), make_job(), make_claim()
    jobs.insert([first, second])
    granted = jobs.claim([first.job_id], claim, NOW)

    again = jobs.claim([first.job_id, second.job_id], claim, NOW)

    assert again[first.job_id] == granted[first.job_id]
    assert set(again) == {first.job_id, second.job_id}


def test_a_repeated_claim_does_not_get_what_is_already_recorded(jobs: JobRepository) -> None:
    job, claim = make_job(), make_claim()
    jobs.insert([job])
    taken = jobs.claim([job.job_id], claim, NOW)[job.job_id]
    record = decide(taken, AttemptFinished(claim.token, (make_try(),)), NOW)
    assert record is not None
    jobs.apply([record])

    again = jobs.claim([job.job_id], claim, NOW)

    assert again == {}


def test_a_job_given_back_by_the_sweep_can_be_taken_again(jobs: JobRepository) -> None:
    job = make_job()
    jobs.insert([job])
    taken = jobs.claim([job.job_id], make_claim(), NOW)[job.job_id]
    lost = decide(taken, DueReached(), later(31))
    assert lost is not None
    jobs.apply([lost])

    granted = jobs.claim([job.job_id], make_claim(), later(60))

    assert list(granted) == [job.job_id]
    assert granted[job.job_id].attempts == 1
    assert granted[job.job_id].error is not None
    assert granted[job.job_id].error.code == f"outcome_{Outcome.UNKNOWN}"


def test_ids_that_nobody_knows_are_left_out(jobs: JobRepository) -> None:
    job = make_job()
    jobs.insert([job])

    granted = jobs.claim([make_job_id(), job.job_id, make_job_id()], make_claim(), NOW)

    assert list(granted) == [job.job_id]
    assert jobs.claim([make_job_id()], make_claim(), NOW) == {}
    assert jobs.claim([], make_claim(), NOW) == {}


def test_names_that_look_like_expressions_are_names(jobs: JobRepository) -> None:
    job = make_job()
    jobs.insert([job])

    granted = jobs.claim([job.job_id], make_claim("$$ROOT", worker="$jobId"), NOW)

    claim = granted[job.job_id].claim
    assert claim is not None
    assert (claim.token, claim.worker) == ("$$ROOT", "$jobId")


def test_of_several_claimers_at_once_exactly_one_gets_each_job(rivals: tuple[JobRepository, JobRepository]) -> None:
    stored = [make_job() for _ in range(60)]
    rivals[0].insert(stored)
    ids = [job.job_id for job in stored]
    claims = [make_claim() for _ in range(6)]

    def take(turn: int) -> list[JobId]:
        mixed = random.Random(turn).sample(ids, len(ids))
        parts = [mixed[start : start + 20] for start in range(0, len(mixed), 20)]
        return [job_id for part in parts for job_id in rivals[turn % 2].claim(part, claims[turn], NOW)]

    with ThreadPoolExecutor(6) as threads:
        granted = list(threads.map(take, range(6)))

    assert sorted(itertools.chain.from_iterable(granted)) == sorted(ids)
    for claim, taken in zip(claims, granted, strict=True):
        for job_id in taken:
            job = rivals[0].get(job_id)
            assert job is not None
            assert job.claim == claim
