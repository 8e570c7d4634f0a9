"""Cancelling all notifications that wait and match a filter: a campaign that must not go out, a client's mistake.

One of the operations of ``core.bulk_runner``: audited, paced, stopped and resumed as all of them are. Those that are on
their way, or may have been sent, are left and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime

from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import AuditLog, BulkOperation, BulkOptions, NotResumableError
from wavecom.core.bulk_runner import BulkRunner, Progress, no_progress
from wavecom.core.bulk_transitions import BulkTransitions
from wavecom.core.engine import CancelRequested, Policy
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import Clock, Cursor, JobFilter, JobRepository
from wavecom.core.states import WAITING, Status
from wavecom.core.transition_writer import TransitionWriter

#: A count goes no further, however many jobs are stored; a dry run counts all.
COUNT_LIMIT = 1000
#: Filters that name one notification or one person: no campaign, and nothing for an audit entry that is kept for good.
SINGLE = frozenset({"recipient", "job_id", "idempotency_key"})


class BulkCancellation:
    """The use case behind cancelling by a filter. Raises ``StoreError``."""

    def __init__(
        self,
        *,
        jobs: JobRepository,
        writer: TransitionWriter,
        runner: BulkRunner,
        audit: AuditLog,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self._jobs = jobs
        self._writer = writer
        self._runner = runner
        self._audit = audit
        self._clock = clock
        self._policy = policy

    def expected(self, where: JobFilter) -> int | None:
        """How many wait and match now, ``COUNT_LIMIT`` if more do; None when counting would take too long."""
        return self._jobs.count(waiting(where), COUNT_LIMIT)

    def cancel(
        self,
        where: JobFilter,
        options: BulkOptions,
        on_progress: Progress = no_progress,
        *,
        after: Cursor | None = None,
    ) -> BulkOperation:
        """Make sure that they are never sent, the newest first; what is accepted after it has begun is left.

        ``after``: where another one ended (``position_cursor``), which this one goes on from.

        May be repeated. Raises ``ValueError`` for a filter that names a recipient or a single notification, or none
        that could wait.
        """
        where = waiting(where if options.client is None else replace(where, client=options.client))
        reason = {"reason": options.reason} if options.reason else {}
        operation = self._runner.new(AuditAction.CANCEL, filter_to_text(where) | reason, options)
        operation.position = None if after is None else _position(after)
        return self._run(operation, where, options, on_progress)

    def resumable(self, operation_id: str) -> BulkOperation:
        """The cancellation with this audit entry, as far as it came. Raises ``NotResumableError``."""
        operation = self._audit.find(operation_id)
        if operation is None or operation.action is not AuditAction.CANCEL or "statuses" not in operation.filters:
            raise NotResumableError(f"{operation_id} is no audit entry of a cancellation by a filter.")
        return operation

    def resume(self, first: BulkOperation, options: BulkOptions, on_progress: Progress = no_progress) -> BulkOperation:
        """Go on with one that was killed or stopped, with an audit entry of its own; limit and pace are the new ones.

        What was accepted after the first one began is left. Raises ``NotResumableError``.
        """
        operation = self._runner.resumed(first, options)
        return self._run(operation, filter_from_text(first.filters), options, on_progress)

    def _run(
        self, operation: BulkOperation, where: JobFilter, options: BulkOptions, on_progress: Progress
    ) -> BulkOperation:
        event = CancelRequested(options.by)
        change = BulkTransitions(lambda _number: event, writer=self._writer, clock=self._clock, policy=self._policy)
        source = FilteredJobs(where, self._jobs, operation)
        return self._runner.run(operation, source, change, options, on_progress)


class FilteredJobs:
    """A source: the jobs that a filter matches, newest first. Its position is the last one's place in that order."""

    def __init__(self, where: JobFilter, jobs: JobRepository, operation: BulkOperation) -> None:
        before = operation.items_until
        if where.created_before is not None:
            before = min(before, where.created_before)
        self._where = replace(where, created_before=before)
        self._jobs = jobs
        self._after = _cursor(operation.position)
        self._is_at_end = False

    @property
    def position(self) -> str | None:
        """See ``BulkSource``."""
        return None if self._after is None else _position(self._after)

    def read(self, count: int) -> Sequence[Job] | None:
        """See ``BulkSource``."""
        while not self._is_at_end:
            page = self._jobs.search(self._where, count, self._after)
            self._is_at_end = page.next is None
            self._after = page.next or self._after
            if page.jobs:
                return page.jobs
        return None


def waiting(where: JobFilter) -> JobFilter:
    """``where``, less what does not wait. Raises ``ValueError`` for a filter that can't be meant."""
    if any(getattr(where, name) is not None for name in SINGLE):
        raise ValueError("a filter for many names no recipient and no single notification")
    statuses = where.statuses & WAITING if where.statuses else WAITING
    if not statuses:
        # No status at all would mean any.
        raise ValueError("nothing of this status waits, so nothing of it can be cancelled")
    return replace(where, statuses=frozenset(statuses))


def filter_to_text(where: JobFilter) -> dict[str, str]:
    """The filter as an audit entry keeps it."""
    found = {}
    for each in fields(where):
        value = getattr(where, each.name)
        if isinstance(value, frozenset):
            value = " ".join(sorted(value)) or None
        elif isinstance(value, datetime):
            value = value.isoformat()
        if value is not None:
            found[each.name] = str(value)
    return found


def filter_from_text(text: Mapping[str, str]) -> JobFilter:
    """The filter that an audit entry was written for."""

    def time(name: str) -> datetime | None:
        return datetime.fromisoformat(text[name]) if name in text else None

    return JobFilter(
        client=text.get("client"),
        accounts=frozenset(text.get("accounts", "").split()),
        is_test=text["is_test"] == "True" if "is_test" in text else None,
        statuses=frozenset(map(Status, text["statuses"].split())),
        type=Channel(text["type"]) if "type" in text else None,
        priority=Priority(text["priority"]) if "priority" in text else None,
        provider=text.get("provider"),
        error_code=text.get("error_code"),
        campaign=text.get("campaign"),
        metadata_key=text.get("metadata_key"),
        metadata_value=text.get("metadata_value"),
        created_since=time("created_since"),
        created_before=time("created_before"),
    )


def position_cursor(operation: BulkOperation) -> Cursor | None:
    """How far a cancellation has come, for another one to go on; None: it has not begun."""
    return _cursor(operation.position)


def _position(cursor: Cursor) -> str:
    return f"{cursor.created_at.isoformat()} {cursor.job_id}"


def _cursor(position: str | None) -> Cursor | None:
    if position is None:
        return None
    created_at, _, job_id = position.partition(" ")
    return Cursor(datetime.fromisoformat(created_at), JobId(job_id))
