from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import NOW, later, make_claim, make_job
from tests.fakes import CountingStats, FakeClock, RecordingPublisher, make_writer
from tests.memory_storage import MemoryJobRepository
from wavecom.broker.topology import queue_name
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import Job, JobId, UnknownOutcomePolicy
from wavecom.core.lanes import TEST_LANES_QUEUE, Channel, Lane, LaneQueue, Priority
from wavecom.core.ports import WaitingMessages
from wavecom.core.progress import StallDetector, StallReport
from wavecom.core.states import FINAL, NOT_FINAL, Status
from wavecom.core.sweep import Sweep
from wavecom.errors import StoreError, UnavailableError


class FixedBacklog:
    """Says of every queue what it is told to: empty (None means everything older than now is lost) or deep."""

    def __init__(self) -> None:
        self.is_deep = False
        self.are_tests_deep = False
        self.lost: datetime | None = None

        self.is_unknown = False

    def of(self, queue: LaneQueue, now: datetime) -> WaitingMessages:
        if self.is_unknown:
            return WaitingMessages(None, None)
        is_deep = self.are_tests_deep if queue == TEST_LANES_QUEUE else self.is_deep
        return WaitingMessages(5, self.lost) if is_deep else WaitingMessages(0, now)


class Board:
    """What workers have said, and what the sweep says."""

    def __init__(self) -> None:
        self.moved: dict[LaneQueue, datetime] = {}
        self.is_away = False
        self.report: StallReport | None = None

    def moved_at(self) -> dict[LaneQueue, datetime]:
        if self.is_away:
            raise UnavailableError("away")
        return self.moved

    def publish(self, report: StallReport) -> None:
        self.report = report


class Store(MemoryJobRepository):
    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.writes = 0

    def due(self, *args: Any, **kwargs: Any) -> list[Job]:
        if self.is_away:
            raise StoreError("away")
        return super().due(*args, **kwargs)

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        self.writes += len(transitions)
        return super().apply(transitions)


class SweepEnvironment:
    def __init__(self, batch: int = 500, jobs: Store | None = None) -> None:
        self.clock = FakeClock(NOW)
        self.jobs = jobs or Store()
        self.publisher = RecordingPublisher()
        self.backlog = FixedBacklog()
        self.stats = CountingStats()
        self.board = Board()
        self.said: list[Collection[str]] = []
        self.sweep = Sweep(
            jobs=self.jobs,
            writer=make_writer(self.jobs, self.clock, publisher=self.publisher, stats=self.stats),
            backlog=self.backlog,
            clock=self.clock,
            policy=Policy(),
            jitter=lambda: 0.5,
            stalls=StallDetector(queue_name, self.said.append),
            board=self.board,
            batch=batch,
        )

    def job(self, **overrides: Any) -> Job:
        job = make_job(**overrides)
        assert self.jobs.insert([job]) == [None]
        return job

    def read(self, job: Job) -> Job:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored

    def published(self) -> list[str]:
        return [delivery_message.job_id for delivery_message in self.publisher.delivery_messages]


def test_nothing_due_does_nothing() -> None:
    environment = SweepEnvironment()
    environment.job(due_at=later(1))

    report = environment.sweep.run()

    assert (report.moved, environment.publisher.delivery_messages, environment.jobs.writes) == (0, [], 0)


def test_a_lost_hint_is_published_again_once() -> None:
    environment = SweepEnvironment()
    job = environment.job(due_at=later(-1), queued_at=later(-31))

    environment.sweep.run()
    environment.clock.advance(5)
    environment.sweep.run()

    assert environment.published() == [job.job_id]
    assert environment.read(job).due_at == later(30)


def test_a_job_that_nobody_can_make_sense_of_costs_only_itself() -> None:
    environment = SweepEnvironment()
    nonsense: Any = "soon"
    odd = environment.job(status=Status.PROCESSING, due_at=later(-2), claim=replace(make_claim(), lease_until=nonsense))
    job = environment.job(due_at=later(-1), queued_at=later(-31))
    lost = environment.job(
        status=Status.PROCESSING, due_at=later(-1), claim=replace(make_claim(), lease_until=later(-1))
    )

    with capture_logs() as logs:
        environment.sweep.run()

    assert set(environment.published()) == {job.job_id, lost.job_id}
    assert [entry["job_id"] for entry in logs if entry["event"] == "sweep_job_failed"] == [odd.job_id]


def test_a_deep_backlog_is_neither_published_nor_written_again() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    for _ in range(20):
        environment.job(due_at=later(-600), queued_at=later(-630))

    environment.sweep.run()

    assert (environment.publisher.delivery_messages, environment.jobs.writes) == ([], 0)


def test_in_a_deep_queue_a_hint_much_older_than_those_already_taken_is_lost() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    environment.backlog.lost = later(-100)
    lost = environment.job(due_at=later(-600), queued_at=later(-630))
    environment.job(due_at=later(-5), queued_at=later(-35))

    environment.sweep.run()

    assert environment.published() == [lost.job_id]


def test_a_parked_job_is_published_when_its_time_has_come_however_deep_its_queue_is() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    job = environment.job(due_at=later(0), queued_at=None, next_attempt_at=later(0))

    environment.sweep.run()

    assert environment.published() == [job.job_id]


def test_a_scheduled_job_is_queued_when_its_time_has_come() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))

    environment.sweep.run()

    assert environment.read(job).status is Status.QUEUED
    assert environment.published() == [job.job_id]


def test_a_campaign_larger_than_a_batch_leaves_in_one_run() -> None:
    environment = SweepEnvironment(batch=50)
    jobs = [environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0)) for _ in range(420)]

    report = environment.sweep.run()

    assert report.published == 420
    assert sorted(environment.published()) == sorted(job.job_id for job in jobs)


def test_a_job_whose_worker_vanished_is_tried_again_and_says_that_the_outcome_is_unknown() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))

    environment.sweep.run()

    after = environment.read(job)
    assert after.status is Status.RETRYING
    assert after.may_have_been_sent
    assert after.attempts == job.attempts + 1
    assert after.logs[-1].event == "outcome_unknown"


def test_under_stop_a_vanished_worker_leaves_the_job_unconfirmed() -> None:
    environment = SweepEnvironment()
    job = environment.job(
        status=Status.PROCESSING,
        claim=make_claim(lease_until=later(-1)),
        due_at=later(-1),
        on_unknown_outcome=UnknownOutcomePolicy.STOP,
    )

    environment.sweep.run()

    assert environment.read(job).status is Status.UNCONFIRMED
    assert environment.publisher.delivery_messages == []


def test_a_failed_job_gets_the_dead_letter_it_is_owed() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.FAILED, due_at=later(-1))

    environment.sweep.run()
    environment.clock.advance(60)
    environment.sweep.run()

    assert [dead_letter.job_id for dead_letter in environment.publisher.dead_letters] == [job.job_id]
    assert environment.read(job).dead_lettered_at == NOW


def test_a_dead_letter_that_the_broker_does_not_take_is_tried_again() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.FAILED, due_at=later(-1))
    environment.publisher.is_up = False
    environment.sweep.run()
    environment.publisher.is_up = True
    environment.clock.advance(31)

    environment.sweep.run()

    assert [dead_letter.job_id for dead_letter in environment.publisher.dead_letters] == [job.job_id]


@pytest.mark.parametrize("is_deep", [False, True])
def test_a_waiting_job_past_its_deadline_expires_unsent(is_deep: bool) -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = is_deep
    job = environment.job(due_at=later(-1), expires_at=later(-1), queued_at=later(-31), created_at=later(-3600))

    environment.sweep.run()

    assert environment.read(job).status is Status.EXPIRED
    assert environment.publisher.delivery_messages == []


def test_after_the_store_was_away_leases_are_left_alone_for_one_lease() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))
    environment.jobs.is_away = True
    environment.sweep.run()
    environment.jobs.is_away = False

    environment.clock.advance(29)
    environment.sweep.run()
    before = environment.read(job).status
    environment.clock.advance(2)
    environment.sweep.run()

    assert before is Status.PROCESSING
    assert environment.read(job).status is Status.RETRYING


def test_several_sweeps_at_once_move_a_job_once() -> None:
    environment = SweepEnvironment()
    job = environment.job(due_at=later(-1), queued_at=later(-31))
    stale = environment.jobs.due(Status.QUEUED, NOW, 10)
    environment.sweep.run()

    moved = environment.sweep._recover(stale, type(environment.sweep.run())())

    assert moved == 0
    assert environment.published() == [job.job_id]


def test_counts_follow_the_statuses_that_are_entered() -> None:
    environment = SweepEnvironment()
    environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))

    environment.sweep.run()

    assert environment.stats.counts == {Status.QUEUED: 1}


def test_the_budget_ends_a_run_that_would_last_too_long() -> None:
    environment = SweepEnvironment(batch=10)
    for _ in range(100):
        environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))
    original = environment.publisher.publish

    def slowly(delivery_messages: Sequence[Any]) -> list[bool]:
        environment.clock.advance(8)
        return original(delivery_messages)

    environment.publisher.publish = slowly  # type: ignore[method-assign]

    report = environment.sweep.run()

    assert report.moved == 30
    assert timedelta(seconds=20) <= environment.clock.now() - NOW < timedelta(seconds=32)


def test_a_deep_live_queue_says_nothing_about_the_lost_hint_of_a_test() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    environment.job(due_at=later(-1), queued_at=later(-31))
    test = environment.job(client="acme:test", due_at=later(-1), queued_at=later(-31))

    environment.sweep.run()

    assert environment.published() == [test.job_id]
    assert environment.publisher.delivery_messages[0].lane.is_test


def test_a_deep_queue_of_tests_is_left_alone_too() -> None:
    environment = SweepEnvironment()
    environment.backlog.are_tests_deep = True
    live = environment.job(due_at=later(-1), queued_at=later(-31))
    environment.job(client="acme:test", due_at=later(-1), queued_at=later(-31))

    environment.sweep.run()

    assert environment.published() == [live.job_id]


def test_appointments_are_kept_by_every_run() -> None:
    environment = SweepEnvironment()
    environment.sweep.run()
    scheduled = environment.job(status=Status.SCHEDULED, send_at=later(0), due_at=later(0))
    parked = environment.job(status=Status.RETRYING, queued_at=None, due_at=later(0))

    environment.sweep.run()

    assert set(environment.published()) == {scheduled.job_id, parked.job_id}


def test_what_only_a_crash_leaves_behind_is_not_looked_for_by_every_run_but_within_seconds() -> None:
    environment = SweepEnvironment()
    environment.sweep.run()
    crashed = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))
    lost = environment.job(due_at=later(-1), queued_at=later(-31))
    sent = environment.job(status=Status.SENT, due_at=later(-1))
    found: dict[str, int] = {}

    for second in range(6):
        environment.sweep.run()
        for job in (crashed, lost, sent):
            if environment.read(job).due_at != job.due_at:
                found.setdefault(job.job_id, second)
        environment.clock.advance(1)

    assert found == {crashed.job_id: 2, lost.job_id: 5, sent.job_id: 5}


def test_a_search_that_was_not_finished_goes_on_with_the_next_run() -> None:
    environment = SweepEnvironment(batch=10)
    jobs = [environment.job(due_at=later(-1), queued_at=later(-31)) for _ in range(100)]
    original = environment.publisher.publish

    def slowly(delivery_messages: Sequence[Any]) -> list[bool]:
        environment.clock.advance(8)
        return original(delivery_messages)

    environment.publisher.publish = slowly  # type: ignore[method-assign]

    for _ in range(4):
        environment.sweep.run()

    assert set(environment.published()) == {job.job_id for job in jobs}


def test_after_a_storm_passwords_are_published_before_campaigns_also_while_those_are_published() -> None:
    environment = SweepEnvironment(batch=10)
    campaign = [environment.job(priority=Priority.BULK, queued_at=None, due_at=later(-5)) for _ in range(30)]
    passwords = [environment.job(priority=Priority.HIGH, queued_at=None, due_at=later(due)) for due in (-1, 1)]
    original = environment.publisher.publish

    def slowly(delivery_messages: Sequence[Any]) -> list[bool]:
        environment.clock.advance(2)
        return original(delivery_messages)

    environment.publisher.publish = slowly  # type: ignore[method-assign]

    environment.sweep.run()

    published = environment.published()
    assert published[0] == passwords[0].job_id
    assert published[10] == passwords[1].job_id, "it became due while the first batch was published"
    assert len(published) == len(campaign) + 2


def test_a_search_that_met_an_error_does_not_rest() -> None:
    environment = SweepEnvironment()
    job = environment.job(status=Status.PROCESSING, claim=make_claim(lease_until=later(-1)), due_at=later(-1))
    original = environment.jobs.apply

    def trip(_transitions: Sequence[Transition]) -> list[bool]:
        raise ValueError("a bug")

    environment.jobs.apply = trip  # type: ignore[method-assign]
    environment.sweep.run()
    environment.jobs.apply = original  # type: ignore[method-assign]

    environment.sweep.run()

    assert environment.read(job).status is Status.RETRYING


def test_a_quiet_run_asks_the_store_only_for_appointments() -> None:
    environment = SweepEnvironment()
    asked: list[Status] = []
    original = environment.jobs.due
    environment.jobs.due = lambda status, *args, **kwargs: (asked.append(status), original(status, *args, **kwargs))[1]  # type: ignore[method-assign]
    environment.sweep.run()
    asked.clear()

    environment.clock.advance(1)
    environment.sweep.run()

    assert asked == [Status.SCHEDULED]


# --- nothing moves ----------------------------------------------------------------------------------------------------

SMS_NORMAL = Lane(Channel.SMS, Priority.NORMAL).queue
QUEUE = "notifications.sms.normal"


def swept_for(
    environment: SweepEnvironment, seconds: int, meanwhile: Callable[[], object] = lambda: None
) -> tuple[str, ...]:
    """The stalled queues after so many seconds of runs."""
    for _ in range(seconds // 5):
        environment.sweep.run()
        meanwhile()
        environment.clock.advance(5)
    environment.sweep.run()
    return tuple(environment.board.report.stalled) if environment.board.report else ()


def test_work_that_waits_while_nobody_takes_anything_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    before = swept_for(environment, 55)
    after = swept_for(environment, 10)

    assert (before, after) == ((), (QUEUE,))


def test_it_is_said_once_when_it_begins_and_once_when_it_ends() -> None:
    environment = SweepEnvironment()
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    with capture_logs() as logs:
        swept_for(environment, 90)
        environment.board.moved[SMS_NORMAL] = environment.clock.now()
        swept_for(environment, 10)

    said = [(entry["event"], tuple(entry["queues"])) for entry in logs if "deliveries" in entry["event"]]
    assert said == [("deliveries_stalled", (QUEUE,)), ("deliveries_move_again", (QUEUE,))]
    assert environment.said[-1] == ()
    assert (QUEUE,) in environment.said


def test_a_deep_queue_from_which_nobody_takes_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.backlog.are_tests_deep = True

    assert swept_for(environment, 65) == ("notifications.test",)


def test_overdue_work_behind_a_broker_that_cannot_be_asked_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_unknown = True
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    assert swept_for(environment, 65) == (QUEUE,)


def test_a_backlog_that_is_being_worked_through_or_held_is_not_stalled() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True

    def move() -> None:
        for channel in Channel:
            environment.board.moved |= {Lane(channel, priority).queue: environment.clock.now() for priority in Priority}

    assert swept_for(environment, 600, move) == ()


def test_a_lane_that_was_idle_for_hours_is_not_stalled_when_its_first_job_comes() -> None:
    environment = SweepEnvironment()
    environment.board.moved[SMS_NORMAL] = later(-9000)
    swept_for(environment, 300)
    environment.job(
        type=Channel.SMS, due_at=environment.clock.now(), queued_at=environment.clock.now() - timedelta(seconds=30)
    )

    assert swept_for(environment, 30) == ()


def test_where_nothing_is_due_nothing_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.job(type=Channel.SMS, status=Status.SCHEDULED, due_at=later(9000), send_at=later(9000))

    assert swept_for(environment, 600) == ()
    assert environment.board.report is not None


def test_while_nobody_can_say_what_moves_nothing_is_said() -> None:
    environment = SweepEnvironment()
    environment.board.is_away = True
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    assert swept_for(environment, 90) == ()
    assert environment.board.report is None


# --- Every status -----------------------------------------------------------------------------------------------------


class WatchedStore(Store):
    """Notes which jobs its searches have found."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[JobId] = set()

    def due(self, *args: Any, **kwargs: Any) -> list[Job]:
        jobs = super().due(*args, **kwargs)
        self.found |= {job.job_id for job in jobs}
        return jobs

    def parked(self, *args: Any, **kwargs: Any) -> list[Job]:
        jobs = super().parked(*args, **kwargs)
        self.found |= {job.job_id for job in jobs}
        return jobs


#: Follows the table of statuses: a new one that is not final has to be looked at. A failed job is final, but its dead
#: letter may be owed.
LOOKED_AT = sorted(NOT_FINAL | {Status.FAILED})


@pytest.mark.parametrize("status", LOOKED_AT)
def test_a_job_that_may_need_somebody_is_looked_at_in_every_status(status: Status) -> None:
    store = WatchedStore()
    environment = SweepEnvironment(jobs=store)
    in_every_lane = [
        environment.job(status=status, type=channel, priority=priority, client=client, due_at=later(30))
        for channel in Channel
        for priority in Priority
        for client in ("acme", "acme:test")
    ]
    environment.clock.advance(120)

    environment.sweep.run()

    assert {job.job_id for job in in_every_lane} <= store.found


@pytest.mark.parametrize("status", sorted(FINAL - {Status.FAILED}))
def test_what_is_settled_is_never_due(status: Status) -> None:
    environment = SweepEnvironment()
    settled = environment.job(status=status)

    environment.clock.advance(3600)
    environment.sweep.run()

    assert settled.due_at is None
    assert environment.read(settled) == settled
