"""Does what ``fallback_rules`` says: looks at fallbacks that are due, and has those brought up whose step has ended.

Any number of workers may look at one fallback at once, and each may die at any point: a job is accepted under a key of
its own, cancelled by compare-and-set, and the fallback is written over the version that was read alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from wavecom.core.fallback import Fallback, FallbackStore
from wavecom.core.fallback_rules import BRINGS_UP, CANCELLED_BY, CancelJob, MakeJob, Write, decide
from wavecom.core.job import FallbackStep, Job, JobId
from wavecom.core.lanes import Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.operations import Operations
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.states import Status
from wavecom.core.submission import Accepted
from wavecom.core.transitions import Transition
from wavecom.errors import (
    IdempotencyMismatchError,
    JobNotFoundError,
    LostRaceError,
    RefusedError,
    StoreError,
    TransitionError,
)

log = structlog.get_logger()

#: A fallback has at most five steps, each with a job to make, one to cancel and a write or two.
_ACTIONS_MAXIMUM: Final = 30
#: So long nobody else looks at those that one worker has found: longer than a run takes.
_LEASE: Final = timedelta(seconds=15)


class FallbackFollowing:
    """The use case behind the periodic task ``wavecom.follow_fallbacks``.

    ``accept`` is ``Submission.accept``: a fallback counts against its key's limits once, when it is accepted itself.
    """

    def __init__(
        self,
        *,
        fallbacks: FallbackStore,
        jobs: JobRepository,
        operations: Operations,
        accept: Callable[[NewNotification], Accepted],
        clock: Clock,
        retention: timedelta,
        receipt_deadline: timedelta = timedelta(0),
        prepare: Callable[[], None] = lambda: None,
        batch: int = 200,
        budget_seconds: float = 5.0,
    ) -> None:
        self._fallbacks = fallbacks
        self._jobs = jobs
        self._operations = operations
        self._accept = accept
        self._clock = clock
        self._retention = retention
        self._receipt_deadline = receipt_deadline
        #: Called before any of those that are due is followed.
        self._prepare = prepare
        self._batch = batch
        self._budget_seconds = budget_seconds

    def run(self) -> int:
        """Look at those that are due, until none is or the time is used up; how many looks. Raises ``StoreError``."""
        ends_at = self._clock.monotonic() + self._budget_seconds
        count = 0
        while True:
            now = self._clock.now()
            found = self._fallbacks.due(now, self._batch)
            if found:
                self._prepare()
                # Others look at others meanwhile; what fails, or is left by who dies, is found again when that is over.
                self._fallbacks.lease([each.fallback_id for each in found], now, now + _LEASE)
            known = self._jobs_of(found)
            by_urgency = sorted(found, key=lambda each: each.priority is not Priority.HIGH)
            for place, fallback in enumerate(by_urgency, 1):
                self._follow_by_itself(fallback, known[fallback.fallback_id])
                count += 1
                if self._clock.monotonic() >= ends_at:
                    self._fallbacks.wake([each.fallback_id for each in by_urgency[place:]], self._clock.now())
                    return count
            if len(found) < self._batch:
                return count

    def _follow_by_itself(self, fallback: Fallback, jobs: Mapping[int, Job]) -> None:
        try:
            self.follow(fallback, jobs)
        except StoreError:
            raise
        except Exception:
            # One that was edited into nonsense costs only itself.
            log.exception("fallback_failed", fallback_id=fallback.fallback_id)

    def follow(self, fallback: Fallback, jobs: Mapping[int, Job] | None = None) -> Fallback | None:
        """Do what is to be done now with it; answers it as it is then. None: it was none (``_remove``).

        ``jobs`` of its steps, where they have been read before: they show only that it waits. Raises ``StoreError``.
        """
        is_read_before = jobs is not None
        for _ in range(_ACTIONS_MAXIMUM):
            if jobs is None:
                jobs = self.jobs_of(fallback)
            decision = decide(fallback, jobs, self._clock.now(), self._retention, self._receipt_deadline)
            if is_read_before and not (decision is None or (isinstance(decision, Write) and decision.is_waiting)):
                # They were read together with those of many others, for whom much may have been done since.
                jobs = self.jobs_of(fallback)
                decision = decide(fallback, jobs, self._clock.now(), self._retention, self._receipt_deadline)
            jobs, is_read_before = None, False
            if decision is None:
                return fallback
            if isinstance(decision, Write) and self._fallbacks.write(decision.fallback):
                fallback = decision.fallback
                if decision.is_waiting:
                    return fallback
                continue
            if isinstance(decision, MakeJob) and not self._make(fallback, decision):
                return None
            if isinstance(decision, CancelJob):
                self._cancel(decision.job, fallback.client)
            # Somebody may have moved it meanwhile; who has just made a job learns here whether it is wanted still.
            found = self._fallbacks.get(fallback.fallback_id)
            if found is None:
                return None
            fallback = found
        log.warning("fallback_kept_moving", fallback_id=fallback.fallback_id)
        return fallback

    def jobs_of(self, fallback: Fallback) -> dict[int, Job]:
        """By the numbers of its steps, the jobs that there are. Raises ``StoreError``."""
        return self._jobs_of([fallback])[fallback.fallback_id]

    def _make(self, fallback: Fallback, decision: MakeJob) -> bool:
        """Have the step's job, whoever makes it; False where the fallback was none."""
        number = decision.number
        new = fallback.notification_of(number)
        if not decision.is_wanted:
            # Nobody sends what is scheduled for the time at which it expires.
            new = replace(new, send_at=fallback.expires_at)
        try:
            accepted = self._accept(new)
        except IdempotencyMismatchError as error:
            return self._is_held_by_another(fallback, number, error.code)
        except RefusedError as error:
            self._refuse(fallback, number, error.code)
            return True
        if accepted.job.parent == FallbackStep(fallback.fallback_id, number):
            return True
        return self._is_held_by_another(fallback, number, IdempotencyMismatchError.code)

    def _is_held_by_another(self, fallback: Fallback, number: int, code: str) -> bool:
        if number == 1 and fallback.idempotency_key is not None:
            # Another request with this key came first: this one was never answered, or was refused.
            self._fallbacks.remove(fallback.fallback_id)
            return False
        self._refuse(fallback, number, code)
        return True

    def _refuse(self, fallback: Fallback, number: int, code: str) -> None:
        now = self._clock.now()
        steps = fallback.with_step(number, refused=code)
        self._fallbacks.write(fallback.changed(now, steps=steps, due_at=now))

    def _cancel(self, job: Job, client: str) -> None:
        # Whatever is in the way, the next look shows.
        with suppress(TransitionError, JobNotFoundError, LostRaceError):
            self._operations.end_attempts(job.job_id, client, by=CANCELLED_BY)

    def _jobs_of(self, fallbacks: Sequence[Fallback]) -> dict[str, dict[int, Job]]:
        """By the fallbacks' ids and the numbers of their steps, the jobs that there are."""
        places: dict[JobId, FallbackStep] = {}
        unknown: dict[str, list[str]] = {}
        for fallback in fallbacks:
            for number, step in enumerate(fallback.steps[: fallback.begun], 1):
                if step.job_id is not None:
                    places[step.job_id] = FallbackStep(fallback.fallback_id, number)
                else:
                    unknown.setdefault(fallback.client, []).append(fallback.idempotency_key_of(number))
        for client, keys in unknown.items():
            # A key of the client's may be held by a notification of its own.
            held = self._jobs.by_idempotency_key(client, keys).values()
            places |= {job.job_id: job.parent for job in held if job.parent is not None}
        found: dict[str, dict[int, Job]] = {fallback.fallback_id: {} for fallback in fallbacks}
        for job in (self._jobs.by_ids(list(places)) if places else {}).values():
            place = places[job.job_id]
            if place.fallback_id in found:
                found[place.fallback_id][place.number] = job
        return found


class FallbackObserver:
    """Has a fallback looked at when a job of it has come to its end, or was started again: a ``MoveObserver``.

    Where the process dies before it could, the fallback's own due time brings it up.
    """

    def __init__(self, fallbacks: FallbackStore) -> None:
        self._fallbacks = fallbacks

    def on_moved(self, transitions: Sequence[Transition], now: datetime) -> None:
        """See the port."""
        ended = {
            transition.before.parent.fallback_id
            for transition in transitions
            if transition.before.parent is not None and _changes_step(transition)
        }
        if ended:
            self._fallbacks.wake(sorted(ended), now)


def _changes_step(transition: Transition) -> bool:
    """Whether what was known of the step is so no longer."""
    is_replay = transition.status is Status.QUEUED and transition.old_status in {Status.FAILED, Status.UNCONFIRMED}
    return is_replay or transition.status in BRINGS_UP
