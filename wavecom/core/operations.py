"""What people do to a job after it was accepted: cancel it, or replay it when it failed.

Each goes through ``decide`` like everything else, and is written compare-and-set against the workers: who loses the
race reads the job again and decides anew, so the answer is always about the job as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from wavecom.core.engine import CancelRequested, Event, Policy, ReplayRequested, decide
from wavecom.core.job import Job, JobId
from wavecom.core.new_notification import DEFAULT_TIME_TO_LIVE
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.states import Status
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import JobNotFoundError, LostRaceError, TransitionError

#: A job moves a handful of times in its life; who loses so often in a row has met something else.
_MAX_RACES = 10


class Operations:
    """The use cases behind cancel and replay, in the API and on the command line."""

    def __init__(self, *, jobs: JobRepository, writer: TransitionWriter, clock: Clock, policy: Policy) -> None:
        self._jobs = jobs
        self._writer = writer
        self._clock = clock
        self._policy = policy

    def cancel(self, job_id: JobId, client: str | None = None, *, by: str | None = None) -> Job:
        """Make sure that the job is never sent; answers it as it is then. Cancelling twice is once.

        Raises ``JobNotFoundError``, ``TooLateToCancelError`` (it is on its way, or done) or ``MayHaveBeenSentError``.
        """
        return self._move(
            job_id, client, lambda _job: CancelRequested(by), is_done=lambda job: job.status == Status.CANCELLED
        )

    def end_attempts(self, job_id: JobId, client: str, *, by: str) -> Job:
        """``cancel``, and where it may have been sent already: see to it that it is not sent once more.

        Raises ``JobNotFoundError``, ``TooLateToCancelError``.
        """
        return self._move(
            job_id,
            client,
            lambda _job: CancelRequested(by, ends_attempts=True),
            is_done=lambda job: job.status == Status.CANCELLED,
        )

    def replay(
        self,
        job_id: JobId,
        client: str | None = None,
        *,
        by: str | None = None,
        charge: Callable[[], object] = lambda: None,
        time_to_live: timedelta | None = None,
    ) -> Job:
        """Start a failed job again, with all its attempts and a new deadline; answers it as it is then.

        Raises ``JobNotFoundError`` or ``NotFailedError``. The provider gets a new idempotency key: it is a new message
        that somebody asked for, and is paid for as one: ``charge`` is called once, when nothing else is in the way,
        and may raise.
        """
        charges = iter((charge,))
        lifetime = time_to_live or DEFAULT_TIME_TO_LIVE
        return self._move(
            job_id,
            client,
            lambda _job: ReplayRequested(self._clock.now() + lifetime, by=by),
            before_write=lambda: next(charges, lambda: None)(),
        )

    def _move(
        self,
        job_id: JobId,
        client: str | None,
        event: Callable[[Job], Event],
        *,
        is_done: Callable[[Job], bool] = lambda _job: False,
        before_write: Callable[[], object] = lambda: None,
    ) -> Job:
        for _ in range(_MAX_RACES):
            job = self._jobs.get(job_id, client)
            if job is None:
                raise JobNotFoundError(f"There is no notification {job_id}.")
            if is_done(job):
                return job
            transition = decide(job, event(job), self._clock.now(), self._policy)
            if transition is None:
                raise TransitionError(f"Nothing is to be done for a job that is {job.status}.")
            before_write()
            [is_written] = self._writer.write([transition]).is_written
            if is_written:
                return transition.applied_to(job)
        raise LostRaceError(f"Job {job_id} kept moving; ask again.")
