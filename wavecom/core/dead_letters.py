"""Dead letters: jobs that failed for good, and what an operator does about them.

The truth is in the store: a failed job with ``dead_lettered_at`` is one. The queue ``notifications.dead`` holds a
dead letter for each, and besides them foreign messages, which RabbitMQ itself put there because nobody could understand
them. Moving a job is compare-and-set in the store, so every operation here may be killed anywhere and started again,
and two may run at once; ``wavecom.core.reconciliation`` puts right what is wrong in the queue after that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from wavecom.core.actor import OPERATOR
from wavecom.core.audit import Action, AuditedEnd, AuditLog, BulkOperation, Reason, reason_of
from wavecom.core.dead_letter_publishing import publish_dead_letters
from wavecom.core.engine import (
    Discarded,
    Event,
    Policy,
    ReplayRequested,
    SettleRequested,
    Transition,
    decide,
    is_in_doubt,
)
from wavecom.core.job import Channel, Job, JobId
from wavecom.core.ports import Clock, JobRepository, Publisher, Sleep, Stats
from wavecom.core.states import Status
from wavecom.core.submission import DEFAULT_TIME_TO_LIVE
from wavecom.errors import BrokerError, DuplicatePossibleError, JobNotFoundError, LostRaceError, TransitionError

_BATCH = 500
#: Batches a second: fewer make the pace jerky, more cost round trips.
_BATCHES_PER_SECOND = 5
#: A job moves a handful of times in its life; who loses so often in a row has met something else.
_TRIES = 10
#: Somebody else's scan of the queue takes seconds.
_QUEUE_PATIENCE_SECONDS = 15.0


# --- What is in the store -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters; None means "any". Times bound when the job failed: since ≤ t < before."""

    error_code: str | None = None
    provider: str | None = None
    type: Channel | None = None
    client: str | None = None
    failed_since: datetime | None = None
    failed_before: datetime | None = None


#: Dead letters by what they have in common, or jobs by name: those may also be discarded ones.
Selection = DeadLetterFilter | tuple[JobId, ...]


@dataclass(frozen=True, slots=True)
class PagePosition:
    """How far a list ordered by ``dead_lettered_at`` has been read: all before ``at``, and of that time ``job_ids``."""

    at: datetime
    job_ids: frozenset[JobId]


class DeadLetterRepository(Protocol):
    """The failed jobs that have a dead letter, as the store knows them. Raises ``StoreError``."""

    def page(
        self,
        where: DeadLetterFilter,
        limit: int,
        *,
        until: datetime | None = None,
        after: PagePosition | None = None,
        newest_first: bool = False,
    ) -> tuple[list[Job], PagePosition | None]:
        """Up to ``limit`` jobs by ``dead_lettered_at``, without payloads and logs, and where to go on (None: the end).

        ``until`` leaves out jobs that were dead-lettered after it: those that fail again while they are replayed.
        """
        ...

    def tally(self, where: DeadLetterFilter) -> Mapping[Reason, int]:
        """How many there are for each reason."""
        ...

    def count(self) -> int:
        """How many there are. Cheap."""
        ...

    def owed(self) -> int:
        """How many failed jobs still wait for their dead letter, because the broker has not confirmed it."""
        ...

    def wanted(self, job_ids: Sequence[JobId]) -> Mapping[JobId, datetime | None]:
        """Those of the jobs that should have a dead letter in the queue, or soon will, and when they failed."""
        ...

    def find(self, job_ids: Sequence[JobId], client: str | None = None) -> list[Job]:
        """Those of the jobs that exist (of this client), whatever became of them, without payloads and logs."""
        ...


# --- What is in the queue -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueuedDeadLetter:
    """One message of the dead-letter queue. ``job_id`` is None for a foreign message, which RabbitMQ put there."""

    job_id: JobId | None
    failed_at: datetime | None
    #: Why it is here: ``failed_job``, or RabbitMQ's word (``rejected``, ``delivery_limit``, …).
    reason: str
    #: Where RabbitMQ took it from; empty for a dead letter.
    queue: str
    size_bytes: int
    #: The first bytes of the body.
    head: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan of the queue came to; ``is_complete``: each dead letter that was there at its start was seen."""

    seen: int
    removed: int
    is_complete: bool


#: Answers for each dead letter of a batch whether it must leave the queue.
Predicate = Callable[[Sequence[QueuedDeadLetter]], Sequence[bool]]


class QueueBusyError(BrokerError):
    """Somebody else is scanning the dead-letter queue."""

    code = "dead_letter_queue_busy"


class DeadLetterQueue(Protocol):
    """The dead-letter queue."""

    def scan(self, predicate: Predicate, budget_seconds: float | None = None) -> Scan:
        """Ask ``predicate`` about every message, batch by batch; remove what it says, give the rest back in its order.

        Ends early, incomplete, when the budget is used up. Raises ``BrokerError`` (``QueueBusyError``), and whatever
        ``predicate`` raises: then all messages that it has not had removed are back in the queue.
        """
        ...


# --- The use cases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions:
    """How a run is to go: on whose behalf, how many jobs a second, at most how many, or only to count them.

    With ``starts_at`` a replay does not wait between batches: each job gets a second of its own to start in, from that
    time on, and the sweep publishes it then.
    """

    operator: str
    rate_per_second: float = 50
    limit: int | None = None
    is_dry_run: bool = False
    #: The client that asks; none but its own jobs are looked at. None: an operator, for everybody's.
    client: str | None = None
    starts_at: datetime | None = None
    #: Those too that a replay may send a second time: see ``engine.is_in_doubt``.
    accepts_duplicate: bool = False

    @property
    def by(self) -> str:
        """For the log, which clients read: the key that asked, or only that an operator did."""
        return OPERATOR if self.client is None else self.operator

    def start_of(self, position: int) -> datetime | None:
        """When the job that is replayed after ``position`` others starts; None: at once."""
        if self.starts_at is None:
            return None
        return self.starts_at + timedelta(seconds=int(position / self.rate_per_second))


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """What a replay would start again, without doing it."""

    reasons: Mapping[Reason, int]
    #: A few of them, the newest first, without payloads and logs.
    sample: Sequence[Job]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.reasons.values())


Progress = Callable[[BulkOperation], None]
#: What is to happen to the job that comes after so many others of a run.
_EventOf = Callable[[BulkOperation, int], Event]


class DeadLetters:
    """What ``wavecom dead-letters`` does. Every method raises ``StoreError`` and ``BrokerError``."""

    def __init__(
        self,
        *,
        jobs: JobRepository,
        repository: DeadLetterRepository,
        queue: DeadLetterQueue,
        publisher: Publisher,
        audit: AuditLog,
        stats: Stats,
        clock: Clock,
        policy: Policy,
        sleep: Sleep,
        new_id: Callable[[], str],
    ) -> None:
        self.repository = repository
        self._jobs = jobs
        self._queue = queue
        self._publisher = publisher
        self._audit = audit
        self._stats = stats
        self._clock = clock
        self._policy = policy
        self._sleep = sleep
        self._new_id = new_id

    def replay(
        self, selection: Selection, options: BulkOptions, on_progress: Progress = lambda _operation: None
    ) -> BulkOperation:
        """Start failed jobs again, oldest dead letter first, each with all its attempts and a new deadline.

        Jobs that fail again meanwhile are not taken a second time. May be repeated, or run twice at once. Jobs in doubt
        are left alone and counted, unless the order accepts duplicates; with ids those that are unconfirmed may be
        named, too.
        """

        def event(operation: BulkOperation, position: int) -> Event:
            starts_at = options.start_of(position)
            now = self._clock.now()
            expires_at = max(now, starts_at or now) + DEFAULT_TIME_TO_LIVE
            return ReplayRequested(
                expires_at, _note(operation, options), starts_at, options.accepts_duplicate, options.by
            )

        return self._operate(Action.REPLAY, selection, options, event, on_progress)

    def discard(
        self, selection: Selection, options: BulkOptions, on_progress: Progress = lambda _operation: None
    ) -> BulkOperation:
        """Put failed jobs aside: they stay failed, without a dead letter. May be repeated, or run twice at once."""
        return self._operate(
            Action.DISCARD, selection, options, lambda operation, _: Discarded(_note(operation, options)), on_progress
        )

    def settle(
        self,
        job_ids: Sequence[JobId],
        options: BulkOptions,
        *,
        is_delivered: bool,
        reason: str,
        on_progress: Progress = lambda _operation: None,
    ) -> BulkOperation:
        """Close unconfirmed jobs as delivered or failed, because somebody has found out. May be repeated."""

        def event(operation: BulkOperation, _position: int) -> Event:
            return SettleRequested(is_delivered, reason, _note(operation, options), options.by)

        outcome = {"outcome": "delivered" if is_delivered else "failed", "reason": reason}
        return self._operate(Action.SETTLE, tuple(job_ids), options, event, on_progress, outcome)

    def replay_one(self, job_id: JobId, options: BulkOptions, charge: Callable[[], object] = lambda: None) -> Job:
        """``replay`` of one job, answered with the job as it is then; ``charge`` is called first, and may raise.

        Raises ``JobNotFoundError``, and ``NotFailedError`` or ``DuplicatePossibleError`` with nothing changed.
        """
        wanted = ReplayRequested(self._clock.now(), accepts_duplicate=options.accepts_duplicate)
        charges = iter((charge,))

        def run() -> BulkOperation:
            next(charges, lambda: None)()
            return self.replay((job_id,), options)

        return self._one_job(job_id, options, wanted, run)

    def settle_one(self, job_id: JobId, options: BulkOptions, *, is_delivered: bool, reason: str) -> Job:
        """``settle`` of one job, answered with the job as it is then; again with the same outcome, nothing is done.

        Raises ``JobNotFoundError``, and ``NotUnconfirmedError`` with nothing changed.
        """
        status = Status.DELIVERED if is_delivered else Status.FAILED

        def run() -> BulkOperation:
            return self.settle((job_id,), options, is_delivered=is_delivered, reason=reason)

        def is_done(job: Job) -> bool:
            settled = [entry.outcome for entry in job.logs if entry.event == "settled"]
            return job.status is status and settled[-1:] == [status.value]

        return self._one_job(job_id, options, SettleRequested(is_delivered, reason), run, is_done)

    def _one_job(
        self,
        job_id: JobId,
        options: BulkOptions,
        event: Event,
        run: Callable[[], BulkOperation],
        is_done: Callable[[Job], bool] = lambda _job: False,
    ) -> Job:
        for _ in range(_TRIES):
            job = self._jobs.get(job_id, options.client)
            if job is None:
                raise JobNotFoundError(f"There is no notification {job_id}.")
            if is_done(job):
                return job
            # What must be refused is refused before it leaves an audit entry.
            decide(job, event, self._clock.now(), self._policy)
            if run().done:
                return self._jobs.get(job_id, options.client) or job
        raise LostRaceError(f"Job {job_id} kept moving; ask again.")

    def expected(self, selection: Selection, limit: int | None = None) -> int:
        """How many jobs a run would look at."""
        count = len(selection) if isinstance(selection, tuple) else sum(self.repository.tally(selection).values())
        return count if limit is None else min(count, limit)

    def preview(self, selection: Selection, options: BulkOptions, sample_size: int) -> BulkPreview:
        """What a replay would find; ``options.limit`` does not count. Changes nothing and leaves no audit entry."""
        if isinstance(selection, tuple):
            found = self.repository.find(selection, options.client)
            failed = [job for job in found if job.status is Status.FAILED or is_in_doubt(job)]
            failed = [job for job in failed if options.accepts_duplicate or not is_in_doubt(job)]
            failed.sort(key=lambda job: job.job_id, reverse=True)
            return BulkPreview(Counter(map(reason_of, failed)), failed[:sample_size])
        selection = _of_client(selection, options)
        sample, _ = self.repository.page(selection, sample_size, newest_first=True) if sample_size else ([], None)
        return BulkPreview(self.repository.tally(selection), sample)

    def foreign_messages(self, limit: int) -> tuple[list[QueuedDeadLetter], int]:
        """The first ``limit`` messages that RabbitMQ itself dead-lettered, and how many there are."""
        found: list[QueuedDeadLetter] = []
        count = 0

        def predicate(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
            nonlocal count
            foreign_messages = [dead_letter for dead_letter in dead_letters if dead_letter.job_id is None]
            found.extend(foreign_messages[: limit - len(found)])
            count += len(foreign_messages)
            return [False] * len(dead_letters)

        self._scan(predicate)
        return found, count

    def discard_foreign_messages(
        self, options: BulkOptions, on_progress: Progress = lambda _operation: None
    ) -> BulkOperation:
        """Drop the messages that RabbitMQ itself dead-lettered; counted in the audit entry before they go."""
        operation = self._begin(Action.DISCARD_RAW, {}, options)

        def predicate(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
            removals = []
            for dead_letter in dead_letters:
                must_leave = dead_letter.job_id is None and (options.limit is None or operation.done < options.limit)
                if must_leave:
                    operation.reasons[Reason(dead_letter.reason, dead_letter.queue)] += 1
                removals.append(must_leave and not options.is_dry_run)
            if any(removals):
                self._audit.record(operation)
            on_progress(operation)
            return removals

        with AuditedEnd(operation, self._audit, self._clock):
            self._scan(predicate)
        return operation

    def reveal(self, job_id: JobId, operator: str) -> None:
        """Leave an audit entry for somebody who looks at a job's recipient and payload."""
        operation = self._begin(Action.REVEAL, {"jobs": job_id}, BulkOptions(operator=operator))
        with AuditedEnd(operation, self._audit, self._clock):
            operation.first_id = operation.last_id = job_id

    # --- a run --------------------------------------------------------------------------------------------------------

    def _operate(
        self,
        action: Action,
        selection: Selection,
        options: BulkOptions,
        event: _EventOf,
        on_progress: Progress,
        details: Mapping[str, str] = MappingProxyType({}),
    ) -> BulkOperation:
        if isinstance(selection, DeadLetterFilter):
            selection = _of_client(selection, options)
        operation = self._begin(action, _as_text(selection, options) | dict(details), options)
        pace = _Pace(options.rate_per_second, self._sleep, self._clock.monotonic)
        is_waiting = not options.is_dry_run and options.starts_at is None
        with AuditedEnd(operation, self._audit, self._clock):
            for jobs in self._batches(selection, operation, pace.batch_size if is_waiting else _BATCH, options):
                if is_waiting:
                    pace.wait_for(len(jobs))
                if options.is_dry_run:
                    self._only_count(jobs, event, operation)
                else:
                    self._move(jobs, event, operation)
                    self._audit.record(operation)
                on_progress(operation)
        return operation

    def _begin(self, action: Action, filters: Mapping[str, str], options: BulkOptions) -> BulkOperation:
        """Nothing is changed before its audit entry is written."""
        operation = BulkOperation(
            self._new_id(), action, options.operator, self._clock.now(), filters, options.is_dry_run
        )
        self._audit.record(operation)
        return operation

    def _batches(
        self, selection: Selection, operation: BulkOperation, size: int, options: BulkOptions
    ) -> Iterator[list[Job]]:
        remaining = options.limit
        if isinstance(selection, tuple):
            job_ids = list(dict.fromkeys(selection))[: options.limit]
            for start in range(0, len(job_ids), size):
                part = job_ids[start : start + size]
                jobs = self.repository.find(part, options.client)
                operation.unknown += len(part) - len(jobs)
                yield jobs
            return
        position: PagePosition | None = None
        while remaining is None or remaining > 0:
            wanted = size if remaining is None else min(size, remaining)
            jobs, position = self.repository.page(selection, wanted, until=operation.started_at, after=position)
            if jobs:
                yield jobs
            if remaining is not None:
                # Those left alone are found again by every run: they must not use up the limit of all of them.
                remaining -= sum(options.accepts_duplicate or not is_in_doubt(job) for job in jobs)
            if position is None:
                return

    def _move(self, jobs: Sequence[Job], event: _EventOf, operation: BulkOperation) -> None:
        planned = self._planned(jobs, event, operation)
        written = self._jobs.apply([transition for _, transition in planned])
        mine = [pair for pair, is_written in zip(planned, written, strict=True) if is_written]
        # Who lost the race was moved by somebody else: there is nothing left to do.
        operation.already_done += len(planned) - len(mine)
        for job, transition in mine:
            if transition.status is not job.status:
                self._stats.add(job.client, job.type, transition.status)
        failed = [transition.applied_to(job) for job, transition in mine if transition.needs_dead_letter]
        if failed:
            publish_dead_letters(self._jobs, self._publisher, failed, self._clock.now(), self._policy)
        delivery_messages = [
            transition.delivery_message for _, transition in mine if transition.delivery_message is not None
        ]
        operation.unpublished += self._publisher.publish(delivery_messages).count(False)
        self._count([job for job, _ in mine], operation)

    def _only_count(self, jobs: Sequence[Job], event: _EventOf, operation: BulkOperation) -> None:
        self._count([job for job, _ in self._planned(jobs, event, operation)], operation)

    def _planned(self, jobs: Sequence[Job], event: _EventOf, operation: BulkOperation) -> list[tuple[Job, Transition]]:
        now = self._clock.now()
        planned: list[tuple[Job, Transition]] = []
        for job in jobs:
            try:
                transition = decide(job, event(operation, operation.done + len(planned)), now, self._policy)
            except DuplicatePossibleError:
                operation.in_doubt += 1
                continue
            except TransitionError:
                transition = None
            if transition is None:
                operation.already_done += 1
            else:
                planned.append((job, transition))
        return planned

    def _count(self, jobs: Sequence[Job], operation: BulkOperation) -> None:
        for job in jobs:
            operation.reasons[reason_of(job)] += 1
            operation.first_id = operation.first_id or job.job_id
            operation.last_id = job.job_id

    def _scan(self, predicate: Predicate) -> Scan:
        return wait_while_busy(lambda: self._queue.scan(predicate), self._clock, self._sleep)


def wait_while_busy(scan: Callable[[], Scan], clock: Clock, sleep: Sleep) -> Scan:
    """Repeat a scan while another process scans the queue. Raises ``QueueBusyError`` after 15 seconds."""
    deadline = clock.monotonic() + _QUEUE_PATIENCE_SECONDS
    while True:
        try:
            return scan()
        except QueueBusyError:
            if clock.monotonic() >= deadline:
                raise
            sleep(0.5)


class _Pace:
    """At most so many a second, over batches."""

    def __init__(self, rate_per_second: float, sleep: Sleep, monotonic: Callable[[], float]) -> None:
        self._rate_per_second = rate_per_second
        self._sleep = sleep
        self._monotonic = monotonic
        self._free_at = monotonic()
        self.batch_size = max(1, min(_BATCH, int(rate_per_second / _BATCHES_PER_SECOND)))

    def wait_for(self, count: int) -> None:
        """Sleep until ``count`` more may go."""
        wait_seconds = self._free_at - self._monotonic()
        if wait_seconds > 0:
            self._sleep(wait_seconds)
        self._free_at = max(self._free_at, self._monotonic()) + count / self._rate_per_second


def _of_client(where: DeadLetterFilter, options: BulkOptions) -> DeadLetterFilter:
    return where if options.client is None else replace(where, client=options.client)


def _note(operation: BulkOperation, options: BulkOptions) -> str:
    # Not the operator's name: clients read this log. The audit entry of this id has it.
    who = "an operator" if options.client is None else "the client"
    return f"by {who}, audit entry {operation.operation_id}"


#: Ids kept in an audit entry; the count of the rest is.
_IDS_KEPT = 100


def _as_text(selection: Selection, options: BulkOptions) -> dict[str, str]:
    if isinstance(selection, tuple):
        rest = f" and {len(selection) - _IDS_KEPT} more" if len(selection) > _IDS_KEPT else ""
        whose = {} if options.client is None else {"client": options.client}
        return {"jobs": " ".join(selection[:_IDS_KEPT]) + rest} | whose
    values = {each.name: getattr(selection, each.name) for each in fields(selection)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in values.items()
        if value is not None
    }
