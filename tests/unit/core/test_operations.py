from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, later, make_claim, make_job
from tests.fakes import FakeClock, RecordingPublisher, make_writer
from tests.memory_storage import MemoryJobRepository
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import Job, JobId
from wavecom.core.operations import Operations
from wavecom.core.states import Status
from wavecom.errors import JobNotFoundError, LostRaceError, TransitionError


class OperationsEnvironment:
    def __init__(self, jobs: MemoryJobRepository | None = None) -> None:
        self.jobs = jobs or MemoryJobRepository()
        self.publisher = RecordingPublisher()
        self.operations = Operations(
            jobs=self.jobs,
            writer=make_writer(self.jobs, FakeClock(NOW), publisher=self.publisher),
            clock=FakeClock(NOW),
            policy=Policy(),
        )

    def job(self, **overrides: Any) -> Job:
        job = make_job(**overrides)
        assert self.jobs.insert([job]) == [None]
        return job


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_a_waiting_job_can_be_cancelled_and_is_final_then(status: Status) -> None:
    environment = OperationsEnvironment()
    job = environment.job(status=status)

    after = environment.operations.cancel(job.job_id)

    assert after.status is Status.CANCELLED
    assert environment.jobs.get(job.job_id) == after
    assert environment.jobs.claim([job.job_id], make_claim(), later(3600)) == {}


def test_cancelling_twice_is_once() -> None:
    environment = OperationsEnvironment()
    job = environment.job()
    first = environment.operations.cancel(job.job_id)

    assert environment.operations.cancel(job.job_id) == first


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED])
def test_a_job_on_its_way_or_done_cannot_be_cancelled(status: Status) -> None:
    environment = OperationsEnvironment()
    job = environment.job(status=status)

    with pytest.raises(TransitionError) as refusal:
        environment.operations.cancel(job.job_id)

    assert refusal.value.code == "too_late_to_cancel"


def test_a_job_that_may_have_been_sent_cannot_be_cancelled() -> None:
    environment = OperationsEnvironment()
    job = environment.job(status=Status.RETRYING, may_have_been_sent=True)

    with pytest.raises(TransitionError) as refusal:
        environment.operations.cancel(job.job_id)

    assert refusal.value.code == "may_have_been_sent"


def test_a_failed_job_starts_a_new_life() -> None:
    environment = OperationsEnvironment()
    job = environment.job(status=Status.FAILED, attempts=5)

    after = environment.operations.replay(job.job_id, time_to_live=timedelta(hours=1))

    assert (after.status, after.attempts, after.replays, after.error) == (Status.QUEUED, 0, 1, None)
    assert after.expires_at == NOW + timedelta(hours=1)
    assert after.delivery_key != job.delivery_key
    assert environment.publisher.delivery_messages == [job.delivery_message()]


def test_only_a_failed_job_is_replayed_so_a_second_replay_does_no_harm() -> None:
    environment = OperationsEnvironment()
    job = environment.job(status=Status.FAILED)
    environment.operations.replay(job.job_id)

    with pytest.raises(TransitionError) as refusal:
        environment.operations.replay(job.job_id)

    assert refusal.value.code == "not_failed"
    assert len(environment.publisher.delivery_messages) == 1


def test_nobody_touches_another_clients_job() -> None:
    environment = OperationsEnvironment()
    job = environment.job(client="bank")

    with pytest.raises(JobNotFoundError):
        environment.operations.cancel(job.job_id, client="shop")
    with pytest.raises(JobNotFoundError):
        environment.operations.replay(JobId("no-such-job"))


class Busy(MemoryJobRepository):
    """A store in which a worker takes the job between the read and the write, so many times."""

    def __init__(self, interventions: int) -> None:
        super().__init__()
        self.interventions = interventions

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        if self.interventions > 0:
            self.interventions -= 1
            for transition in transitions:
                self.claim([transition.job_id], make_claim(), later(1))
            return [False for _ in transitions]
        return super().apply(transitions)


def test_a_cancel_that_loses_to_a_worker_says_so() -> None:
    environment = OperationsEnvironment(Busy(1))
    job = environment.job()

    with pytest.raises(TransitionError) as refusal:
        environment.operations.cancel(job.job_id)

    assert refusal.value.code == "too_late_to_cancel"


def test_a_job_that_never_holds_still_is_given_up() -> None:
    environment = OperationsEnvironment(Busy(1000))
    job = environment.job(status=Status.FAILED)

    with pytest.raises(LostRaceError):
        environment.operations.replay(job.job_id)
