"""What is done about a store that was restored from an older copy, beside a broker and a Redis that live on (ADR 54).

The copy knows nothing of what happened after it: who was sent something since, which jobs were accepted since, which
answers, events and sessions there were. What may have been sent is held as unconfirmed, for a person to decide; nothing
is sent a second time in silence. Everything may be repeated, and ``core.store_guard`` lets nobody go on before the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from wavecom.core.audit import AuditAction
from wavecom.core.bulk_cancellation import FilteredJobs
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.core.bulk_runner import BulkRunner, Progress, no_progress
from wavecom.core.bulk_transitions import BulkTransitions
from wavecom.core.client_events import EventLog
from wavecom.core.engine import Policy, StoreRestored
from wavecom.core.fallback import FallbackStore
from wavecom.core.ids import time_of_uuid7
from wavecom.core.job import JobId
from wavecom.core.ports import Clock, JobFilter, JobRepository
from wavecom.core.sessions import SessionStore
from wavecom.core.states import WAITING, Status
from wavecom.core.store_guard import Heartbeat, HeartbeatMemory, HeartbeatStore, RememberedBeat, is_older
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import ConflictError

#: So many positions of an account's log are left out, and versions of a job's events: more than it can have had since
#: the copy, so that none is given to two events.
POSITIONS_LEFT_OUT: Final = 10**12
VERSIONS_LEFT_OUT: Final = 10**6

_OPEN: Final = WAITING | {Status.PROCESSING}


class NotOlderError(ConflictError):
    """Nothing says that the store was restored."""

    code = "store_not_older"


class WorkersRunError(ConflictError):
    """Workers hold messages, which can't be looked at then."""

    code = "workers_run"


@dataclass(frozen=True, slots=True)
class StoreComparison:
    """What is known of a store's time. ``remembered`` is what is known of it elsewhere."""

    heartbeat: Heartbeat | None
    remembered: RememberedBeat | None

    @property
    def is_older(self) -> bool:
        """Whether it is older than it was."""
        return self.heartbeat is not None and self.remembered is not None and is_older(self.heartbeat, self.remembered)


@dataclass(frozen=True, slots=True)
class LostJob:
    """A notification that was accepted after the copy was made, and that the store knows nothing of."""

    job_id: JobId
    accepted_at: datetime
    #: Its delivery message waited in a queue: nobody had taken it, so it was not sent.
    is_unsent: bool


@dataclass(slots=True)
class Recovery:
    """What one recovery found and did. Times are aware UTC."""

    #: When the copy was made, to some seconds; from then on everything is lost.
    copied_at: datetime
    #: When the store that was replaced was last heard of; None: nothing elsewhere remembers.
    lost_until: datetime | None
    #: Jobs accepted earlier are of the copy.
    accepted_before: datetime
    is_dry_run: bool
    held: BulkOperation | None = None
    lost: list[LostJob] = field(default_factory=list)
    #: Kept answers to idempotency keys of lost jobs: forgotten, so that a repeated request is accepted; and left,
    #: because what they promised may have been sent.
    answers_forgotten: int = 0
    answers_left: int = 0
    sessions_ended: int = 0


class KeptAnswers(Protocol):
    """Answers to requests with an idempotency key, for who repeats one. Raises ``UnavailableError``."""

    def batches(self) -> Iterator[Sequence[tuple[str, JobId]]]:
        """All of them: the name of each, and the job that it tells of."""
        ...

    def forget(self, names: Sequence[str]) -> None:
        """Give these no more. May be repeated."""
        ...


class DeliveryMessageQueues(Protocol):
    """The queues of all lanes. Raises ``BrokerError``."""

    def consumer_count(self) -> int:
        """How many consume them now."""
        ...

    def scan(self, must_be_removed: Callable[[Sequence[JobId]], Sequence[bool]]) -> None:
        """Show all delivery messages that wait, batch by batch, and remove those meant; the others stay in place."""
        ...


class EventVersions(Protocol):
    """The numbers of the events that jobs record. Raises ``StoreError``."""

    def leave_out_versions(self, count: int) -> None:
        """Let jobs that have not ended, or may be started again, go on ``count`` versions later. May be repeated."""
        ...


class StoreRecovery:
    """The use case behind ``wavecom restore``. Raises ``StoreError``, ``BrokerError``, ``UnavailableError``."""

    def __init__(
        self,
        *,
        heartbeats: HeartbeatStore,
        memory: HeartbeatMemory,
        jobs: JobRepository,
        writer: TransitionWriter,
        runner: BulkRunner,
        messages: DeliveryMessageQueues,
        answers: KeptAnswers,
        event_versions: EventVersions,
        event_log: EventLog,
        sessions: SessionStore,
        fallbacks: FallbackStore,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self._heartbeats = heartbeats
        self._memory = memory
        self._jobs = jobs
        self._writer = writer
        self._runner = runner
        self._messages = messages
        self._answers = answers
        self._event_versions = event_versions
        self._event_log = event_log
        self._sessions = sessions
        self._fallbacks = fallbacks
        self._clock = clock
        self._policy = policy

    def age(self) -> StoreComparison:
        """Compare the store with what is remembered of it."""
        heartbeat = self._heartbeats.read()
        return StoreComparison(heartbeat, None if heartbeat is None else self._memory.latest(heartbeat.store_id))

    def recover(
        self,
        options: BulkOptions,
        *,
        copied_at: datetime | None = None,
        forgets_all_answers: bool = False,
        on_progress: Progress = no_progress,
    ) -> Recovery:
        """Hold what may have been sent since the copy, and take away what tells of what the copy does not know.

        ``copied_at``: for a store of which nothing elsewhere says that it is older, as when Redis was lost with it.
        ``forgets_all_answers``: those to lost jobs that may have been sent, too; who repeats such a request may send
        twice. ``options`` bound the pace; with ``is_dry_run`` nothing is changed. Raises ``NotOlderError`` and
        ``WorkersRunError``. May be repeated after an error; what was accepted in between is not touched.
        """
        age = self.age()
        if not age.is_older and copied_at is None:
            raise NotOlderError("MongoDB is as recent as what Redis remembers of it: there is nothing to do.")
        if self._messages.consumer_count():
            raise WorkersRunError("Workers run and hold messages: stop worker and worker-high first.")
        recovery = self._begin(age, copied_at, is_dry_run=options.is_dry_run)
        unsent = self._remove_messages_of_lost_jobs(recovery)
        recovery.held = self._hold(recovery, options, on_progress)
        self._forget_answers(recovery, unsent, forgets_all=forgets_all_answers)
        if not recovery.is_dry_run:
            self._event_versions.leave_out_versions(VERSIONS_LEFT_OUT)
            self._event_log.leave_out_positions(POSITIONS_LEFT_OUT)
            now = self._clock.now()
            self._fallbacks.hold_restored(
                recovery.accepted_before, now, now + self._policy.retention, VERSIONS_LEFT_OUT
            )
            recovery.sessions_ended = self._sessions.end_all()
            self._end(age)
        return recovery

    def _begin(self, age: StoreComparison, copied_at: datetime | None, *, is_dry_run: bool) -> Recovery:
        now = self._clock.now()
        accepted_before = now
        if age.is_older and age.remembered is not None and not is_dry_run:
            # Where a process has noticed the restore before us, what was accepted since is new, and was not sent.
            accepted_before = self._heartbeats.note_older(age.remembered, now)
        known = age.heartbeat.at if age.heartbeat is not None else now
        lost_until = age.remembered.at if age.remembered is not None else None
        return Recovery(copied_at or known, lost_until, accepted_before, is_dry_run)

    def _remove_messages_of_lost_jobs(self, recovery: Recovery) -> set[JobId]:
        unsent: set[JobId] = set()

        def must_be_removed(job_ids: Sequence[JobId]) -> Sequence[bool]:
            lost = self._lost_among(job_ids)
            recovery.lost += [
                LostJob(job_id, accepted_at, is_unsent=True)
                for job_id, accepted_at in lost.items()
                if job_id not in unsent
            ]
            unsent.update(lost)
            return [not recovery.is_dry_run and job_id in lost for job_id in job_ids]

        self._messages.scan(must_be_removed)
        return unsent

    def _lost_among(self, job_ids: Iterable[JobId]) -> dict[JobId, datetime]:
        """Those of the ids that are of jobs which the store does not have, and when these were accepted."""
        made_at = {job_id: time_of_uuid7(job_id) for job_id in dict.fromkeys(job_ids)}
        known = {*self._jobs.by_ids(list(made_at)), *self._fallbacks.known(made_at)}
        # What is no id of ours is somebody else's message, with which workers know what to do.
        return {job_id: at for job_id, at in made_at.items() if at is not None and job_id not in known}

    def _hold(self, recovery: Recovery, options: BulkOptions, on_progress: Progress) -> BulkOperation:
        filters = {"copiedAt": recovery.copied_at.isoformat()}
        if recovery.lost_until is not None:
            filters["lostUntil"] = recovery.lost_until.isoformat()
        operation = self._runner.new(AuditAction.RESTORE, filters, options)
        event = StoreRestored(before=recovery.accepted_before, by=options.by)
        source = FilteredJobs(JobFilter(statuses=_OPEN), self._jobs, operation)
        change = BulkTransitions(lambda _number: event, writer=self._writer, clock=self._clock, policy=self._policy)
        return self._runner.run(operation, source, change, options, on_progress)

    def _forget_answers(self, recovery: Recovery, unsent: set[JobId], *, forgets_all: bool) -> None:
        for batch in self._answers.batches():
            lost = self._lost_among(job_id for _, job_id in batch)
            recovery.lost += [
                LostJob(job_id, accepted_at, is_unsent=False)
                for job_id, accepted_at in lost.items()
                if job_id not in unsent
            ]
            names = [(name, forgets_all or job_id in unsent) for name, job_id in batch if job_id in lost]
            forgotten = [name for name, is_forgotten in names if is_forgotten]
            recovery.answers_forgotten += len(forgotten)
            recovery.answers_left += len(names) - len(forgotten)
            if forgotten and not recovery.is_dry_run:
                self._answers.forget(forgotten)

    def _end(self, age: StoreComparison) -> None:
        """Let everybody go on, with a number that nobody has seen before."""
        if age.heartbeat is None:
            return
        seen = age.heartbeat.number if age.remembered is None else max(age.heartbeat.number, age.remembered.number)
        self._heartbeats.recover(seen + 1, self._clock.now())
