"""What tests of the recovery of a restored store work with: an installation over memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tests.dead_letter_environment import bulk_runner_over
from tests.factories import NOW, later
from tests.fakes import FakeClock, make_writer
from tests.memory_storage import (
    MemoryAuditLog,
    MemoryEventLog,
    MemoryFallbackStore,
    MemoryHeartbeats,
    MemoryJobRepository,
    MemorySessionStore,
    MemoryStoreHeartbeat,
)
from wavecom.core.engine import Policy
from wavecom.core.job import Job, JobId
from wavecom.core.states import Status
from wavecom.core.store_guard import Heartbeat, RememberedBeat, StoreGuard
from wavecom.core.store_recovery import StoreRecovery


class _Queues:
    """The lanes' queues, with the ids of the jobs that their messages tell of."""

    def __init__(self) -> None:
        self.waiting: list[JobId] = []
        self.consumers = 0

    def consumer_count(self) -> int:
        return self.consumers

    def scan(self, must_be_removed: Callable[[Sequence[JobId]], Sequence[bool]]) -> None:
        removed = must_be_removed(self.waiting)
        self.waiting = [job_id for job_id, is_removed in zip(self.waiting, removed, strict=True) if not is_removed]


class _Answers:
    """Answers to idempotency keys: name → job."""

    def __init__(self) -> None:
        self.kept: dict[str, JobId] = {}

    def batches(self) -> Iterator[Sequence[tuple[str, JobId]]]:
        yield list(self.kept.items())

    def forget(self, names: Sequence[str]) -> None:
        for name in names:
            self.kept.pop(name, None)


class _Versions:
    def __init__(self) -> None:
        self.left_out = 0

    def leave_out_versions(self, count: int) -> None:
        self.left_out += count


class RestoredInstallation:
    """A copy of ``NOW`` that was restored two hours later, when the store that it replaces was an hour older."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(hours=2))
        self.jobs = MemoryJobRepository(self.clock.now)
        self.audit = MemoryAuditLog()
        self.heartbeats = MemoryStoreHeartbeat()
        self.heartbeats.heartbeat = Heartbeat("store", 10, NOW)
        self.memory = MemoryHeartbeats()
        self.memory.latest_by_store["store"] = RememberedBeat(730, later(hours=1))
        self.queues = _Queues()
        self.answers = _Answers()
        self.versions = _Versions()
        self.events = MemoryEventLog()
        self.sessions = MemorySessionStore()
        self.fallbacks = MemoryFallbackStore()
        self.recovery = StoreRecovery(
            heartbeats=self.heartbeats,
            memory=self.memory,
            jobs=self.jobs,
            writer=make_writer(self.jobs, self.clock),
            runner=bulk_runner_over(self.audit, self.clock),
            messages=self.queues,
            answers=self.answers,
            event_versions=self.versions,
            event_log=self.events,
            sessions=self.sessions,
            fallbacks=self.fallbacks,
            clock=self.clock,
            policy=Policy(),
        )

    def put(self, *jobs: Job) -> None:
        self.jobs.insert(jobs)

    def status_of(self, job: Job) -> Status:
        found = self.jobs.get(job.job_id)
        assert found is not None
        return found.status

    def guard(self) -> StoreGuard:
        """Of a process that starts now."""
        guard = StoreGuard(self.heartbeats, self.memory, self.clock)
        guard.check()
        return guard
