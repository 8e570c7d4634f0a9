"""A sweep with everything around it, over the memory store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from tests.factories import NOW, make_job
from tests.fakes import CountingStats, FakeClock, RecordingPublisher, make_writer
from tests.memory_storage import MemoryJobRepository
from wavecom.broker.topology import queue_name
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import Job
from wavecom.core.lanes import TEST_LANES_QUEUE, LaneQueue, QueueLayout
from wavecom.core.ports import WaitingMessages
from wavecom.core.progress import StallDetector, StallReport
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


class FakeProgressBoard:
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
    def __init__(self, batch: int = 500, jobs: Store | None = None, layout: QueueLayout = QueueLayout()) -> None:  # noqa: B008
        self.clock = FakeClock(NOW)
        self.jobs = jobs or Store()
        self.publisher = RecordingPublisher()
        self.backlog = FixedBacklog()
        self.stats = CountingStats()
        self.board = FakeProgressBoard()
        self.said: list[Collection[str]] = []
        self.is_store_older = False
        self.sweep = Sweep(
            jobs=self.jobs,
            writer=make_writer(self.jobs, self.clock, publisher=self.publisher, stats=self.stats),
            backlog=self.backlog,
            clock=self.clock,
            policy=Policy(),
            jitter=lambda: 0.5,
            stalls=StallDetector(queue_name, self.said.append),
            board=self.board,
            queues=lambda: layout.lane_queues,
            require_current=self._require_current,
            batch=batch,
        )

    def _require_current(self) -> None:
        if self.is_store_older:
            raise StoreError("an older copy")

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
