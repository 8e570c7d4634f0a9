"""Following fallbacks over memory: what a process leaves that dies at any point is put right by the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import NOW, PAYLOADS, RECIPIENTS, later, make_job, make_random_bytes
from tests.fakes import FakeClock, OneByOne, make_writer
from tests.fallback_environment import following_over
from tests.memory_storage import MemoryBlobStore, MemoryFallbackStore, MemoryJobRepository
from wavecom.core.client_events import UnpublishedEvents
from wavecom.core.engine import AttemptFinished, CancelRequested, ClaimRequested, Event, Policy, ReplayRequested, decide
from wavecom.core.event_representation import represented
from wavecom.core.fallback import Fallback, FallbackStatus, NewFallback, Step
from wavecom.core.fallback_following import FallbackFollowing, FallbackObserver
from wavecom.core.job import CallResult, Claim, FallbackStep, Job, JobError, Outcome, ProviderResult, RecordedEvent
from wavecom.core.lanes import Channel, Priority
from wavecom.core.new_notification import JobMaker
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.core.submission import Submission
from wavecom.errors import DuplicatePossibleError

ID = "019ceba1-0000-7000-8000-{:012d}"


class Environment:
    """Jobs and fallbacks in memory, and one who follows them."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.jobs = MemoryJobRepository(self.clock.now)
        self.fallbacks = MemoryFallbackStore()
        self.writer = make_writer(self.jobs, self.clock, move_observers=[FallbackObserver(self.fallbacks)])
        self.submission = Submission(
            jobs=self.jobs,
            writer=self.writer,
            blobs=MemoryBlobStore(),
            clock=self.clock,
            batcher=OneByOne,
            job_maker=JobMaker(Policy(), make_random_bytes),
            policy=Policy(),
        )
        self.following: FallbackFollowing = following_over(
            self.fallbacks, self.jobs, self.writer, self.submission, self.clock
        )

    def add(self, number: int = 1, **more: object) -> Fallback:
        """Stored, and the process has died before its first job was."""
        push = Step(
            type=Channel.PUSH, to=RECIPIENTS[Channel.PUSH], payload=PAYLOADS[Channel.PUSH], wait=timedelta(seconds=30)
        )
        sms = Step(type=Channel.SMS, to=RECIPIENTS[Channel.SMS], payload=PAYLOADS[Channel.SMS])
        fields: dict[str, object] = {"client": "acme", "steps": (push, sms)}
        fallback = NewFallback(**(fields | more)).accepted(ID.format(number), NOW)  # type: ignore[arg-type]
        self.fallbacks.add(fallback)
        return fallback

    def stored(self, fallback: Fallback) -> Fallback:
        found = self.fallbacks.get(fallback.fallback_id)
        assert found is not None
        return found

    def move(self, job: Job, event: Event) -> None:
        transition = decide(job, event, self.clock.now())
        assert transition is not None
        assert self.writer.write([transition]).is_written == [True]

    def all_jobs(self) -> list[Job]:
        return sorted(self.jobs.search(JobFilter(), 100).jobs, key=lambda job: job.parent.number if job.parent else 0)


def test_a_first_step_whose_process_died_is_made_once() -> None:
    environment = Environment()
    fallback = environment.add()
    environment.clock.advance(10)

    environment.following.follow(fallback)
    environment.following.follow(fallback)

    [job] = environment.all_jobs()
    assert job.parent == FallbackStep(fallback.fallback_id, 1)
    assert environment.stored(fallback).steps[0].job_id == job.job_id


def test_a_request_that_was_made_twice_leaves_one_fallback() -> None:
    environment = Environment()
    first = environment.add(1, idempotency_key="order 42", fingerprint="f")
    second = environment.add(2, idempotency_key="order 42", fingerprint="f")
    environment.following.follow(first)

    assert environment.following.follow(second) is None

    assert environment.fallbacks.get(second.fallback_id) is None
    assert [job.parent for job in environment.all_jobs()] == [FallbackStep(first.fallback_id, 1)]


def test_a_fallback_that_was_refused_for_its_key_never_sends_its_second_step() -> None:
    environment = Environment()
    first = environment.add(1, idempotency_key="order 42", fingerprint="f")
    # The process died between the refusal and forgetting it.
    second = environment.add(2, idempotency_key="order 42", fingerprint="other")
    environment.following.follow(first)

    assert environment.following.follow(second) is None

    assert environment.fallbacks.get(second.fallback_id) is None
    assert [job.parent for job in environment.all_jobs()] == [FallbackStep(first.fallback_id, 1)]


def test_jobs_that_were_read_long_ago_decide_no_end() -> None:
    environment = Environment()
    fallback = environment.add()
    environment.following.follow(fallback)
    [push] = environment.all_jobs()
    stale = replace(push, status=Status.CANCELLED)
    stored = environment.stored(fallback)

    environment.following.follow(stored, {1: stale})

    assert environment.stored(fallback).status is FallbackStatus.WAITING


def test_a_job_that_is_made_only_to_be_cancelled_is_never_to_be_had() -> None:
    environment = Environment()
    fallback = environment.add(1, idempotency_key="order 42", fingerprint="f")
    asked = fallback.changed(later(1), cancelled_by="key 1", due_at=later(1))
    environment.fallbacks.write(asked)

    environment.following.follow(asked)

    [job] = environment.all_jobs()
    # Nobody could have claimed it in between.
    assert (job.send_at, job.queued_at, job.status) == (fallback.expires_at, None, Status.CANCELLED)
    assert environment.stored(fallback).status is FallbackStatus.CANCELLED


def test_a_step_that_can_not_be_accepted_any_more_is_passed_over() -> None:
    environment = Environment()
    fallback = environment.add()
    # Somebody has used the name of its first step for a notification of his own.
    environment.submission.accept(replace(fallback.notification_of(1), parent=None, fingerprint="other"))

    environment.following.follow(fallback)

    found = environment.stored(fallback)
    assert (found.begun, found.steps[0].refused) == (2, "idempotency_mismatch")
    assert "could not be accepted" in str(found.logs[-1].message)


def test_the_end_of_a_job_brings_its_fallback_up() -> None:
    environment = Environment()
    fallback = environment.add()
    environment.following.follow(fallback)
    environment.clock.advance(5)
    assert environment.following.run() == 0
    [push] = environment.all_jobs()

    environment.move(push, ClaimRequested(Claim("token", "worker-1", later(35))))
    [push] = environment.all_jobs()
    call = CallResult("sandbox", ProviderResult(Outcome.REJECTED, "no"), later(5), 5.0)
    environment.move(push, AttemptFinished("token", (call,)))

    assert environment.following.run() == 1
    assert [job.parent.number for job in environment.all_jobs() if job.parent] == [1, 2]
    assert environment.stored(fallback).logs[-1].message == "step 1: it failed: rejected"
    version = environment.stored(fallback).version

    environment.move(environment.all_jobs()[0], ReplayRequested(later(3600), accepts_duplicate=True))

    assert environment.stored(fallback).version == version + 1


def test_a_step_that_a_person_cancels_takes_the_whole_with_it() -> None:
    environment = Environment()
    fallback = environment.add()
    environment.following.follow(fallback)
    environment.clock.advance(5)

    environment.move(environment.all_jobs()[0], CancelRequested("key 1"))
    environment.following.run()

    assert environment.stored(fallback).status is FallbackStatus.CANCELLED
    assert [job.status for job in environment.all_jobs()] == [Status.CANCELLED]


def test_who_begins_a_step_that_is_not_wanted_any_more_cancels_it_himself() -> None:
    environment = Environment()
    fallback = environment.add()
    environment.following.follow(fallback)
    stored = environment.stored(fallback)
    over = stored.changed(
        later(1), status=FallbackStatus.CANCELLED, cancelled_by="key 1", finished_at=later(1), due_at=None
    )
    environment.fallbacks.write(over)

    # He has read it before.
    environment.clock.advance(40)
    environment.following.follow(stored)

    assert [job.status for job in environment.all_jobs()] == [Status.CANCELLED]


def test_one_that_nobody_can_follow_costs_only_itself() -> None:
    environment = Environment()
    broken = replace(environment.add(1), begun=7)
    environment.fallbacks.remove(broken.fallback_id)
    environment.fallbacks.add(broken)
    good = environment.add(2)
    environment.clock.advance(31)

    environment.following.run()

    assert environment.stored(good).begun == 2


def test_one_that_nobody_can_follow_is_not_tried_again_at_once() -> None:
    environment = Environment()
    broken = replace(environment.add(1), begun=7)
    environment.fallbacks.remove(broken.fallback_id)
    environment.fallbacks.add(broken)
    environment.clock.advance(31)
    environment.following.run()

    environment.clock.advance(1)

    assert environment.following.run() == 0


def test_what_is_urgent_is_looked_at_first_and_what_is_left_stays_due() -> None:
    environment = Environment()
    normal = environment.add(1)
    urgent = environment.add(2, priority=Priority.HIGH)
    environment.clock.advance(31)
    hasty = following_over(
        environment.fallbacks,
        environment.jobs,
        environment.writer,
        environment.submission,
        environment.clock,
        budget_seconds=0,
    )

    assert hasty.run() == 1

    assert (environment.stored(urgent).begun, environment.stored(normal).begun) == (2, 1)
    assert [each.fallback_id for each in environment.fallbacks.due(later(31), 10)] == [normal.fallback_id]


@pytest.mark.parametrize(("parent", "key"), [(FallbackStep(ID.format(1), 1), None), (None, "order 42")])
def test_a_key_is_told_of_with_the_whole_and_not_with_its_steps(parent: FallbackStep | None, key: str | None) -> None:
    event = UnpublishedEvents(
        job_id=make_job().job_id,
        account="acme",
        channel=Channel.PUSH,
        idempotency_key="order 42",
        metadata={},
        events=(RecordedEvent(Status.QUEUED, NOW, 0),),
        last_version=1,
        parent=parent,
    )

    [published] = event.as_client_events(NOW)

    assert represented(published)["data"]["idempotencyKey"] == key


def test_a_failed_step_is_started_again_only_by_who_accepts_a_second_message() -> None:
    parent = FallbackStep(ID.format(1), 1)
    job = make_job(status=Status.FAILED, error=JobError("rejected", "no"), parent=parent)

    with pytest.raises(DuplicatePossibleError, match="another channel"):
        decide(job, ReplayRequested(later(3600)), later(60))

    assert decide(job, ReplayRequested(later(3600), accepts_duplicate=True), later(60)) is not None
