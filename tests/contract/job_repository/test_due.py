from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.factories import NOW, later, make_claim, make_job
from wavecom.core.engine import AttemptPrevented, DueReached, Parked, decide
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import LANES, TEST_LANES_QUEUE, Channel, Lane, Priority
from wavecom.core.ports import JobRepository
from wavecom.core.states import Status


def _ids(found: Iterable[Job]) -> list[JobId]:
    return [job.job_id for job in found]


def test_the_longest_due_come_first_up_to_the_limit(jobs: JobRepository) -> None:
    stored = [make_job(due_at=later(-number)) for number in range(1, 31)]
    jobs.insert(random.Random(3).sample(stored, 30))

    found = jobs.due(Status.QUEUED, NOW, 10)

    assert _ids(found) == _ids(stored[:-11:-1])


@pytest.mark.parametrize("status", [status for status in Status if status not in {Status.EXPIRED, Status.CANCELLED}])
def test_only_jobs_of_the_status_that_are_due_are_found(jobs: JobRepository, status: Status) -> None:
    due = [make_job(status=each, due_at=NOW) for each in Status]
    jobs.insert([*due, make_job(status=status, due_at=later(0.001)), make_job(status=status, due_at=None)])

    found = jobs.due(status, NOW, 100)

    assert _ids(found) == [job.job_id for job in due if job.status is status]


def test_due_jobs_come_without_payload_and_log(jobs: JobRepository) -> None:
    job = make_job(due_at=NOW)
    jobs.insert([job])

    assert jobs.due(Status.QUEUED, NOW, 10) == [replace(job, payload={}, logs=())]


@pytest.mark.parametrize("queued_before", [None, later(3600)])
def test_one_lane_at_a_time(jobs: JobRepository, queued_before: datetime | None) -> None:
    lanes = [lane for lane in LANES if not lane.is_test]
    stored = {lane: make_job(type=lane.channel, priority=lane.priority, due_at=NOW) for lane in lanes}
    jobs.insert(list(stored.values()))

    for lane, job in stored.items():
        found = jobs.due(Status.QUEUED, NOW, 10, queues=[lane.queue], queued_before=queued_before)
        assert _ids(found) == [job.job_id]
    sms = [lane.queue for lane in lanes if lane.channel is Channel.SMS]
    bulk = [lane.queue for lane in lanes if lane.priority is Priority.BULK]
    assert len(jobs.due(Status.QUEUED, NOW, 10, queues=sms)) == 3
    assert len(jobs.due(Status.QUEUED, NOW, 10, queues=bulk)) == 3


@pytest.mark.parametrize("queued_before", [None, later(3600)])
def test_jobs_of_test_accounts_are_in_no_lane_but_together(jobs: JobRepository, queued_before: datetime | None) -> None:
    live = make_job(type=Channel.SMS, due_at=NOW)
    tests = [make_job(client="acme:test", type=channel, due_at=NOW) for channel in Channel]
    jobs.insert([live, *tests])

    sms = [Lane(Channel.SMS, priority).queue for priority in Priority]
    in_the_lane = jobs.due(Status.QUEUED, NOW, 10, queues=sms, queued_before=queued_before)
    of_tests = jobs.due(Status.QUEUED, NOW, 10, queues=[TEST_LANES_QUEUE], queued_before=queued_before)
    of_all = jobs.due(Status.QUEUED, NOW, 10, queued_before=queued_before)

    assert _ids(in_the_lane) == [live.job_id]
    assert set(_ids(of_tests)) == set(_ids(tests))
    assert len(of_all) == 4


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING])
def test_a_message_is_only_lost_before_its_time(jobs: JobRepository, status: Status) -> None:
    def queued(at: datetime | None, due_at: datetime) -> Job:
        return make_job(status=status, queued_at=at, due_at=due_at)

    lost = queued(later(-60), later(-30))
    waiting = queued(later(-59), later(-29))
    parked = queued(None, later(-1))
    parked_long_ago = queued(None, later(-40))
    parked_for_later = queued(None, later(1))
    jobs.insert([lost, waiting, parked, parked_long_ago, parked_for_later])

    found = jobs.due(status, NOW, 10, queued_before=later(-59))

    assert _ids(found) == [lost.job_id]
    assert _ids(jobs.due(status, NOW, 10)) == _ids([parked_long_ago, lost, waiting, parked])
    assert _ids(jobs.parked(lost.priority, NOW, 10)) == _ids([parked_long_ago, parked])


def test_a_job_parked_by_a_worker_is_due_until_its_message_is_out(jobs: JobRepository) -> None:
    waiting, tried = make_job(), make_job()
    jobs.insert([waiting, tried])
    claim = make_claim()
    taken = jobs.claim([tried.job_id], claim, NOW)[tried.job_id]
    parked = [
        decide(waiting, Parked(later(5)), NOW),
        decide(taken, AttemptPrevented(claim.token, 6), NOW),
    ]
    jobs.apply([transition for transition in parked if transition is not None])

    found = jobs.parked(waiting.priority, later(6), 10)
    published = [decide(job, DueReached(), later(6)) for job in found]
    jobs.apply([transition for transition in published if transition is not None])

    assert set(_ids(found)) == {waiting.job_id, tried.job_id}
    assert jobs.parked(waiting.priority, later(6000), 10) == []


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING])
def test_parked_jobs_of_all_queues_are_found_by_their_priority(jobs: JobRepository, status: Status) -> None:
    def stored(due_at: datetime, queued_at: datetime | None = None, **what: Any) -> Job:
        job = make_job(status=status, queued_at=queued_at, due_at=due_at, **what)
        jobs.insert([job])
        return job

    parked = [
        stored(later(-number), type=channel, client=client, priority=Priority.HIGH)
        for number, (channel, client) in enumerate(itertools.product(Channel, ["acme", "acme:test"]))
    ]
    stored(later(-9), priority=Priority.BULK)
    stored(later(-9), priority=Priority.HIGH, queued_at=later(-40))
    stored(later(1), priority=Priority.HIGH)

    assert _ids(jobs.parked(Priority.HIGH, NOW, 10)) == _ids(reversed(parked))
    assert _ids(jobs.parked(Priority.HIGH, NOW, 2)) == _ids([parked[-1], parked[-2]])
    assert all(not job.payload and not job.logs for job in jobs.parked(Priority.HIGH, NOW, 10))


def test_a_job_that_was_taken_is_not_parked_any_more(jobs: JobRepository) -> None:
    job = make_job(queued_at=None, next_attempt_at=NOW, due_at=NOW)
    jobs.insert([job])

    jobs.claim([job.job_id], make_claim(), NOW)

    assert jobs.parked(job.priority, later(60), 10) == []
    assert jobs.due(Status.QUEUED, later(60), 10) == []
    assert _ids(jobs.due(Status.PROCESSING, later(60), 10)) == [job.job_id]


@pytest.mark.parametrize("queued_before", [None, later(3600)])
def test_expired_jobs_can_be_asked_for_alone(jobs: JobRepository, queued_before: datetime | None) -> None:
    expired, expiring, alive = (make_job(due_at=later(-5), expires_at=later(end)) for end in (-5, 0, 0.001))
    jobs.insert([alive, expiring, expired])

    found = jobs.due(Status.QUEUED, NOW, 10, queued_before=queued_before, expired_only=True)

    assert set(_ids(found)) == {expired.job_id, expiring.job_id}


def test_a_settled_job_is_not_due_any_more(jobs: JobRepository) -> None:
    job = make_job(status=Status.SENT, due_at=NOW)
    jobs.insert([job])
    transition = decide(job, DueReached(), NOW)
    assert transition is not None

    jobs.apply([transition])

    assert jobs.due(Status.SENT, later(hours=900), 10) == []
    assert jobs.due(Status.DELIVERED, later(hours=900), 10) == []


def test_a_job_keeps_its_region_and_is_found_in_its_regions_queue(jobs: JobRepository) -> None:
    of_eu, of_none = make_job(region="eu", due_at=NOW), make_job(due_at=NOW)
    jobs.insert([of_eu, of_none])

    [found] = jobs.due(Status.QUEUED, NOW, 10, queues=[of_eu.lane.queue])

    assert (found.job_id, found.region) == (of_eu.job_id, "eu")
    assert _ids(jobs.due(Status.QUEUED, NOW, 10)) == [of_none.job_id], "those of no region, where nobody asks for more"
    assert jobs.get(of_eu.job_id) == of_eu
