"""Outages by the clock of the tests: what a provider refuses for a while is delivered afterwards, not lost.

Through the use cases themselves: claim, call, record, and the sweep for delivery messages that got lost.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tests.factories import NOW, make_job
from tests.fakes import FakeClock, FixedRoute, NeverStopping, OneByOne, RecordingPublisher, make_writer
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from tests.unit.core.sweep.environment import FakeProgressBoard, FixedBacklog
from wavecom.broker.topology import queue_name
from wavecom.core.delivery import Delivery
from wavecom.core.engine import Policy
from wavecom.core.job import Job, JobId, Outcome, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.operations import Operations
from wavecom.core.ports import Message, Permit
from wavecom.core.progress import StallDetector
from wavecom.core.states import FINAL, Status
from wavecom.core.sweep import Sweep
from wavecom.errors import RetryLater


@dataclass
class FailingUntil:
    """A provider that answers 503 until then. Keeps when it was called for whom."""

    clock: FakeClock
    until: datetime
    name: str = "gateway"
    channels: frozenset[Channel] = frozenset(Channel)
    expects_receipts: bool = False
    is_idempotent: bool = True
    longest_call_seconds: float = 10.0
    calls: dict[JobId, list[datetime]] = field(default_factory=dict)

    def send(self, message: Message) -> ProviderResult:
        now = self.clock.now()
        self.calls.setdefault(message.job_id, []).append(now)
        return (
            ProviderResult(Outcome.UNAVAILABLE, "http_503")
            if now < self.until
            else ProviderResult(Outcome.ACCEPTED, "http_202")
        )

    def close(self) -> None:
        pass


class Environment:
    def __init__(self, outage: timedelta, *, are_messages_lost: bool = False, seed: int = 1) -> None:
        self.clock = FakeClock(NOW)
        self.jobs = MemoryJobRepository(self.clock.now)
        self.publisher = RecordingPublisher()
        self.provider = FailingUntil(self.clock, NOW + outage)
        self.are_messages_lost = are_messages_lost
        draw = random.Random(seed).random
        policy = Policy()
        writer = make_writer(self.jobs, self.clock, publisher=self.publisher)
        self.delivery = Delivery(
            jobs=self.jobs,
            writer=writer,
            blobs=MemoryBlobStore(),
            route=FixedRoute("gateway"),
            providers={"gateway": self.provider},
            sandbox=self.provider,
            clock=self.clock,
            batcher=OneByOne,
            policy=policy,
            worker="worker",
            stopping=NeverStopping(self.clock),
            jitter=draw,
            new_token=lambda: f"{draw()}",
        )
        self.sweep = Sweep(
            jobs=self.jobs,
            writer=writer,
            backlog=FixedBacklog(),
            clock=self.clock,
            policy=policy,
            jitter=draw,
            stalls=StallDetector(queue_name, lambda _stalled: None),
            board=FakeProgressBoard(),
        )

    def play(self, arrivals: list[datetime], life: timedelta, max_attempts: int = 5) -> list[Job]:
        """Each job for itself, from its arrival to its end."""
        ended = []
        for arrival in arrivals:
            self.clock.at = arrival
            job = make_job(
                created_at=arrival,
                updated_at=arrival,
                queued_at=arrival,
                due_at=arrival + timedelta(seconds=30),
                expires_at=arrival + life,
                max_attempts=max_attempts,
            )
            self.jobs.insert([job])
            ended.append(self.follow(job.job_id))
        return ended

    def _wait_until(self, moment: datetime) -> None:
        self.clock.advance(max(0.0, (moment - self.clock.now()).total_seconds()))

    def follow(self, job_id: JobId) -> Job:
        """From here to its end."""
        next_message: datetime | None = self.clock.now()
        while True:
            job = self.jobs.get(job_id)
            assert job is not None
            if job.status in FINAL:
                return job
            if next_message is None:
                assert job.due_at is not None
                self._wait_until(max(self.clock.now() + timedelta(seconds=5), job.due_at))
                self.publisher.delivery_messages.clear()
                self.sweep.run()
                next_message = self.clock.now() if self.publisher.delivery_messages else None
                continue
            self._wait_until(next_message)
            next_message = None
            try:
                self.delivery.deliver(job_id, Permit("gateway"))
            except RetryLater as retry:
                if not self.are_messages_lost:
                    next_message = self.clock.now() + timedelta(seconds=retry.delay_seconds)


def every(seconds: float, until: timedelta) -> list[datetime]:
    return [NOW + timedelta(seconds=each * seconds) for each in range(math.ceil(until.total_seconds() / seconds))]


@pytest.mark.parametrize("minutes", [1, 10, 60, 600])
@pytest.mark.parametrize("are_messages_lost", [False, True])
def test_an_outage_loses_nothing_that_lives_three_days(minutes: int, are_messages_lost: bool) -> None:
    outage = timedelta(minutes=minutes)
    environment = Environment(outage, are_messages_lost=are_messages_lost)

    ended = environment.play(every(minutes * 60 / 40, outage), timedelta(hours=72))

    assert {job.status for job in ended} == {Status.DELIVERED}
    assert max(job.attempts for job in ended) <= 5


def test_low_traffic_through_an_outage_of_150_seconds_loses_nothing_and_is_not_late_by_more_than_it_must() -> None:
    outage = timedelta(seconds=150)
    environment = Environment(outage)

    ended = environment.play(every(20, outage), timedelta(hours=72))

    assert len(ended) == 8
    assert {job.status for job in ended} == {Status.DELIVERED}
    late = [job.finished_at - environment.provider.until for job in ended if job.finished_at]
    assert sum(each < timedelta(minutes=4) for each in late) >= 5


def test_a_password_of_five_minutes_outlives_an_outage_of_two_and_gets_all_its_attempts_in_a_longer_one() -> None:
    short, long = Environment(timedelta(minutes=2)), Environment(timedelta(minutes=60))

    delivered = short.play(every(5, timedelta(minutes=2)), timedelta(minutes=5))
    lost = long.play(every(60, timedelta(minutes=20)), timedelta(minutes=5))

    assert {job.status for job in delivered} == {Status.DELIVERED}
    assert {job.status for job in lost} == {Status.FAILED}
    for job in lost:
        calls = long.provider.calls[job.job_id]
        assert len(calls) == 5
        assert calls[-1] < job.expires_at


@pytest.mark.parametrize("max_attempts", range(1, 21))
@pytest.mark.parametrize("life_seconds", [10, 30, 300, 3600, 72 * 3600])
def test_nobody_is_called_after_the_deadline_nor_more_often_than_allowed(max_attempts: int, life_seconds: int) -> None:
    environment = Environment(timedelta(days=30), seed=max_attempts)

    [job] = environment.play([NOW], timedelta(seconds=life_seconds), max_attempts)

    calls = environment.provider.calls[job.job_id]
    assert len(calls) <= max_attempts
    assert max(calls) < job.expires_at
    if life_seconds > max_attempts:
        assert (len(calls), job.status) == (max_attempts, Status.FAILED)


def test_a_replay_spreads_over_its_own_time() -> None:
    environment = Environment(timedelta(hours=10))
    [failed] = environment.play([NOW], timedelta(minutes=5))
    assert failed.status is Status.FAILED

    operations = Operations(
        jobs=environment.jobs,
        writer=make_writer(environment.jobs, environment.clock, publisher=environment.publisher),
        clock=environment.clock,
        policy=Policy(),
    )

    operations.replay(failed.job_id)
    ended = environment.follow(failed.job_id)

    assert ended.status is Status.DELIVERED
