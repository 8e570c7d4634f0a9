"""What an operator or a client does about jobs that failed for good: replay, discard, settle.

Moving a job is compare-and-set in the store, so every operation here may be killed anywhere and started again, and two
may run at once; ``core.reconciliation`` puts right what is wrong in the dead-letter queue after that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import AuditLog, BulkOperation, BulkOptions, NotResumableError
from wavecom.core.bulk_runner import BulkRunner, Progress, no_progress
from wavecom.core.bulk_transitions import BulkTransitions, EventOf
from wavecom.core.dead_letter_selection import selection_from_text, selection_to_text, source_of
from wavecom.core.dead_letters import DeadLetterRepository, Selection
from wavecom.core.engine import CancelRequested, Discarded, Event, Policy, ReplayRequested, SettleRequested, decide
from wavecom.core.job import Job, JobId
from wavecom.core.new_notification import DEFAULT_TIME_TO_LIVE
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.replay_preview import ReplayPreview, preview_replay
from wavecom.core.states import Status
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import JobNotFoundError, LostRaceError

#: A job moves a handful of times in its life; who loses so often in a row has met something else.
_MAX_ATTEMPTS = 10


class DeadLetters:
    """The use cases behind ``wavecom dead-letters``, ``wavecom unconfirmed``, and the API's retry, settle and replay.

    Every method raises ``StoreError``.
    """

    def __init__(
        self,
        *,
        jobs: JobRepository,
        repository: DeadLetterRepository,
        writer: TransitionWriter,
        runner: BulkRunner,
        audit: AuditLog,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self.repository = repository
        self._jobs = jobs
        self._writer = writer
        self._runner = runner
        self._audit = audit
        self._clock = clock
        self._policy = policy

    # --- many jobs ----------------------------------------------------------------------------------------------------

    def replay(
        self,
        selection: Selection,
        options: BulkOptions,
        on_progress: Progress = no_progress,
        *,
        accepts_duplicate: bool = False,
    ) -> BulkOperation:
        """Start failed jobs again, oldest dead letter first, each with all its attempts and a new deadline.

        Jobs that fail again meanwhile are not taken a second time. May be repeated, or run twice at once. Jobs in doubt
        (``engine.is_in_doubt``) are left alone and counted, unless duplicates are accepted; with ids those that are
        unconfirmed may be named, too.
        """
        operation = self._new(AuditAction.REPLAY, selection, options)
        event_of = self._replay_event(operation, options, accepts_duplicate)
        return self._run(operation, selection, event_of, options, on_progress)

    def discard(self, selection: Selection, options: BulkOptions, on_progress: Progress = no_progress) -> BulkOperation:
        """Put failed jobs aside: they stay failed, without a dead letter. May be repeated, or run twice at once."""
        operation = self._new(AuditAction.DISCARD, selection, options)
        return self._run(operation, selection, _discard_event(operation, options), options, on_progress)

    def settle(
        self,
        job_ids: Sequence[JobId],
        options: BulkOptions,
        *,
        is_delivered: bool,
        reason: str,
        on_progress: Progress = no_progress,
    ) -> BulkOperation:
        """Close unconfirmed jobs as delivered or failed, because somebody has found out. May be repeated."""
        selection = tuple(job_ids)
        details = {"outcome": "delivered" if is_delivered else "failed", "reason": reason}
        operation = self._new(AuditAction.SETTLE, selection, options, details)
        event = SettleRequested(is_delivered, reason, _note(operation, options), options.by)
        return self._run(operation, selection, lambda _number: event, options, on_progress)

    def cancel(
        self, job_ids: Sequence[JobId], options: BulkOptions, on_progress: Progress = no_progress
    ) -> BulkOperation:
        """Make sure that waiting jobs are never sent; those that are on their way or done are left. May be repeated."""
        selection = tuple(job_ids)
        operation = self._new(AuditAction.CANCEL, selection, options)
        event = CancelRequested(options.by)
        return self._run(operation, selection, lambda _number: event, options, on_progress)

    def resumable(self, operation_id: str) -> BulkOperation:
        """The replay or discard with this audit entry, as far as it came. Raises ``NotResumableError``.

        May be given to ``resume`` once whoever ran it has ended.
        """
        operation = self._audit.find(operation_id)
        if operation is None or operation.action not in {AuditAction.REPLAY, AuditAction.DISCARD}:
            raise NotResumableError(f"{operation_id} is no audit entry of a replay or discard.")
        return operation

    def resume(
        self,
        first: BulkOperation,
        options: BulkOptions,
        on_progress: Progress = no_progress,
        *,
        accepts_duplicate: bool = False,
    ) -> BulkOperation:
        """Go on with a replay or discard that was killed or interrupted, with an audit entry of its own.

        Begins at the position in the first one's entry, and takes only jobs that had failed when that one began: what
        it has replayed and has failed again is not replayed a second time. Limit and pace are the new options'. Raises
        ``NotResumableError``.
        """
        selection = selection_from_text(first.filters)
        operation = self._runner.resumed(first, options)
        if first.action is AuditAction.REPLAY:
            event_of = self._replay_event(operation, options, accepts_duplicate)
        else:
            event_of = _discard_event(operation, options)
        return self._run(operation, selection, event_of, options, on_progress)

    def operation(self, operation_id: str) -> BulkOperation | None:
        """The operation as its audit entry has it; None when there is none."""
        return self._audit.find(operation_id)

    def expected(self, selection: Selection, limit: int | None = None) -> int:
        """How many jobs an operation would look at."""
        count = len(selection) if isinstance(selection, tuple) else sum(self.repository.tally(selection).values())
        return count if limit is None else min(count, limit)

    def preview(
        self, selection: Selection, options: BulkOptions, sample_size: int, *, accepts_duplicate: bool = False
    ) -> ReplayPreview:
        """What a replay would find, with up to ``sample_size`` jobs of it; ``options.limit`` does not count.

        Changes nothing and leaves no audit entry.
        """
        return preview_replay(self.repository, selection, options, sample_size, accepts_duplicate)

    # --- one job ------------------------------------------------------------------------------------------------------

    def replay_one(
        self,
        job_id: JobId,
        options: BulkOptions,
        charge: Callable[[], object] = lambda: None,
        *,
        accepts_duplicate: bool = False,
    ) -> Job:
        """``replay`` of one job, answered with the job as it is then; ``charge`` is called first, and may raise.

        Raises ``JobNotFoundError``, and ``NotFailedError`` or ``DuplicatePossibleError`` with nothing changed.
        """
        wanted = ReplayRequested(self._clock.now(), accepts_duplicate=accepts_duplicate)
        charges = iter((charge,))

        def run() -> BulkOperation:
            next(charges, lambda: None)()
            return self.replay((job_id,), options, accepts_duplicate=accepts_duplicate)

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

    def cancel_one(self, job_id: JobId, options: BulkOptions) -> Job:
        """Make sure that a job is never sent, with an audit entry; answers it as it is then. Twice is once.

        Raises ``JobNotFoundError``, and ``TooLateToCancelError`` or ``MayHaveBeenSentError`` with nothing changed.
        """
        event = CancelRequested(options.by)

        def run() -> BulkOperation:
            return self.cancel((job_id,), options)

        return self._one_job(job_id, options, event, run, lambda job: job.status is Status.CANCELLED)

    def reveal(self, job_id: JobId, operator: str, reason: str = "") -> None:
        """Leave an audit entry for somebody who looks at a job's recipient and payload, and why."""
        details = {"jobs": job_id} | ({"reason": reason} if reason else {})
        operation = self._runner.new(AuditAction.REVEAL, details, BulkOptions(operator=operator))
        with self._runner.audited(operation):
            operation.first_id = operation.last_id = job_id

    def cancel_fallback(self, fallback_id: str, cancel: Callable[[], object], operator: str) -> None:
        """Call ``cancel``, which cancels this fallback, with an audit entry. Raises what ``cancel`` raises."""
        operation = self._runner.new(AuditAction.CANCEL, {"jobs": fallback_id}, BulkOptions(operator=operator))
        with self._runner.audited(operation):
            cancel()
            operation.first_id = operation.last_id = JobId(fallback_id)

    def send_elsewhere(self, job_id: JobId, send: Callable[[], JobId], operator: str, reason: str) -> JobId:
        """Call ``send``, which sends a job's message to another address; answers the new job's id.

        Leaves an audit entry, which is written before, with both ids in the end and without any address. Raises what
        ``send`` raises.
        """
        details = {"jobs": job_id, "reason": reason}
        operation = self._runner.new(AuditAction.SEND_ELSEWHERE, details, BulkOptions(operator=operator))
        with self._runner.audited(operation):
            sent = send()
            operation.first_id, operation.last_id = job_id, sent
        return sent

    # --- what they share ----------------------------------------------------------------------------------------------

    def _new(
        self,
        action: AuditAction,
        selection: Selection,
        options: BulkOptions,
        details: Mapping[str, str] = MappingProxyType({}),
    ) -> BulkOperation:
        reason = {"reason": options.reason} if options.reason else {}
        filters = selection_to_text(selection, options) | reason | dict(details)
        return self._runner.new(action, filters, options)

    def _run(
        self,
        operation: BulkOperation,
        selection: Selection,
        event_of: EventOf,
        options: BulkOptions,
        on_progress: Progress,
    ) -> BulkOperation:
        source = source_of(selection, self.repository, operation, options)
        change = BulkTransitions(event_of, writer=self._writer, clock=self._clock, policy=self._policy)
        return self._runner.run(operation, source, change, options, on_progress)

    def _replay_event(self, operation: BulkOperation, options: BulkOptions, accepts_duplicate: bool) -> EventOf:
        note = _note(operation, options)

        def event_of(number: int) -> Event:
            starts_at = options.start_of(number)
            now = self._clock.now()
            expires_at = max(now, starts_at or now) + DEFAULT_TIME_TO_LIVE
            return ReplayRequested(expires_at, note, starts_at, accepts_duplicate, options.by)

        return event_of

    def _one_job(
        self,
        job_id: JobId,
        options: BulkOptions,
        event: Event,
        run: Callable[[], BulkOperation],
        is_done: Callable[[Job], bool] = lambda _job: False,
    ) -> Job:
        for _ in range(_MAX_ATTEMPTS):
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


def _discard_event(operation: BulkOperation, options: BulkOptions) -> EventOf:
    event = Discarded(_note(operation, options))
    return lambda _number: event


def _note(operation: BulkOperation, options: BulkOptions) -> str:
    # Not the operator's name: clients read this log. The audit entry of this id has it.
    who = "an operator" if options.client is None else "the client"
    return f"by {who}, audit entry {operation.operation_id}"
