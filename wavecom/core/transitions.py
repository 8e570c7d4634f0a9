"""A guarded change of one job, and the pieces that the rules of the state machine make it of. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wavecom.core.job import DeliveryMessage, Job, JobChanges, JobError, JobId, LogEntry, RecordedEvent
from wavecom.core.states import ORIGINS, Status
from wavecom.errors import TransitionError

#: ``Guard.token`` for "whoever holds it"; ``None`` there means "neither claimed nor replayed nor discarded yet".
ANY_TOKEN: Final = "*"  # noqa: S105 - not a password

#: A delivery message may come a little before its time (clocks differ); a job so close to its next attempt is claimed
#: all the same.
EARLY_CLAIM: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers that the rules below use. All durations are timedeltas unless the name says otherwise."""

    lease: timedelta = timedelta(seconds=30)
    #: How long a published delivery message may stay unseen before the sweep looks whether it was lost.
    message_grace: timedelta = timedelta(seconds=30)
    receipt_deadline: timedelta = timedelta(hours=72)
    retention: timedelta = timedelta(days=30)
    retry_base_seconds: float = 4
    retry_cap_seconds: float = 43_200
    #: Attempts of a job whose sender does not say how many.
    max_attempts: int = 5


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still hold in the store for a transition to be written; if it does not, nothing is."""

    statuses: frozenset[Status]
    #: The claim token the job must carry: a token, None (never claimed, replayed or discarded) or ``ANY_TOKEN``.
    token: str | None = ANY_TOKEN
    due_at: datetime | None = None
    #: How many entries the log must have had; None: any number.
    log_count: int | None = None

    def holds(self, job: Job) -> bool:
        """The same test that the store makes in its filter."""
        token = job.claim.token if job.claim else None
        return (
            job.status in self.statuses
            and (self.token == ANY_TOKEN or self.token == token)
            and (self.due_at is None or self.due_at == job.due_at)
            and (self.log_count is None or self.log_count == job.log_count)
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """A guarded change of one job.

    ``changes`` are the fields that get new values. ``delivery_message`` is to be published after
    the write. ``needs_dead_letter`` says that the job's dead letter is due.
    """

    job_id: JobId
    guard: Guard
    changes: JobChanges
    entries: tuple[LogEntry, ...] = ()
    delivery_message: DeliveryMessage | None = None
    needs_dead_letter: bool = False
    #: For counters and logs; the status is also in ``changes`` when it changes.
    old_status: Status = Status.QUEUED
    job: Job | None = field(default=None, repr=False, compare=False)
    #: Written with the changes, where the job records events.
    event: RecordedEvent | None = None

    @property
    def status(self) -> Status:
        """The status after this transition."""
        return self.changes.get("status", self.old_status)

    @property
    def before(self) -> Job:
        """The job that the transition was decided for, as it was read. ``engine.decide`` always sets it."""
        if self.job is None:
            raise AssertionError(f"the transition of job {self.job_id} was made without the job")
        return self.job

    def applied_to(self, job: Job) -> Job:
        """The job as it is once this transition is written."""
        return job.with_changes(self.changes, self.entries)


# --- Pieces --------------------------------------------------------------------------------------------------------


def settle_due(due_at: datetime, job: Job) -> datetime:
    """A job that is still to be sent is looked at no later than its deadline.

    One that a provider has, or may have, is not: ``expires_at`` ends the sending, a receipt may come long after it.
    """
    return min(due_at, job.expires_at)


def publish(
    job: Job,
    changes: JobChanges,
    now: datetime,
    policy: Policy,
    guard: Guard,
    entries: tuple[LogEntry, ...] = (),
) -> Transition:
    """A delivery message goes out for the job, and is looked for when ``policy.message_grace`` has passed."""
    changes = changes | {
        "queued_at": now,
        "due_at": settle_due(now + policy.message_grace, job),
        "updated_at": now,
    }
    if job.status is Status.QUEUED:
        changes["next_attempt_at"] = None
    return transition(job, changes, entries, guard=guard, delivery_message=job.delivery_message())


def parked_changes(job: Job, until: datetime) -> JobChanges:
    """No delivery message is out for the job, so none can be lost: the sweep publishes one at ``until``."""
    return {"next_attempt_at": until, "queued_at": None, "due_at": settle_due(until, job)}


def expire(
    job: Job,
    now: datetime,
    policy: Policy,
    guard: Guard,
    changes: JobChanges,
    entries: tuple[LogEntry, ...] = (),
) -> Transition:
    """The end of a job whose time is over."""
    if job.may_have_been_sent:
        # "expired" promises that nothing was sent; that can't be promised here.
        error = JobError("outcome_unknown", "the deadline passed after an attempt without a clear answer", job.provider)
        return fail(job, error, now, policy, changes, entries, guard)
    error = JobError("expired", "the deadline passed before the notification could be sent", job.provider)
    changes = changes | {"error": error} | final_changes(Status.EXPIRED, now, policy)
    return transition(job, changes, (*entries, LogEntry(now, "expired")), guard=guard)


def fail(
    job: Job,
    error: JobError,
    now: datetime,
    policy: Policy,
    changes: JobChanges,
    entries: tuple[LogEntry, ...],
    guard: Guard,
    *,
    needs_dead_letter: bool = True,
) -> Transition:
    """The job ends ``failed`` with ``error``; its dead letter is due, where it needs one."""
    changes = changes | final_changes(Status.FAILED, now, policy) | {"error": error, "dead_lettered_at": None}
    if needs_dead_letter:
        # Settled for the client, but its dead letter is still owed: the sweep looks again.
        changes["due_at"] = now + policy.message_grace
    entry = LogEntry(now, "failed", provider=error.provider, code=error.code, message=error.message)
    return transition(job, changes, (*entries, entry), guard=guard, needs_dead_letter=needs_dead_letter)


def final_changes(status: Status, now: datetime, policy: Policy) -> JobChanges:
    """What every end of a job sets: the final ``status``, its time, and when the job is deleted."""
    return {
        "status": status,
        "finished_at": now,
        "next_attempt_at": None,
        "due_at": None,
        "purge_at": now + policy.retention,
    }


def sent_changes(job: Job, at: datetime | None) -> JobChanges:
    """What notes when a provider took the job, or may have: of a registered recipient's category alone (caps count it).

    Not ``updated_at``, which whatever comes later sets anew, such as a receipt.
    """
    return {} if job.recipient_id is None or job.category is None else {"sent_at": at}


def token_in(job: Job) -> str | None:
    """The token of the job's claim; None where it has none."""
    return job.claim.token if job.claim else None


def exact(job: Job) -> Guard:
    """The job must be just as it was read: same status, same holder, not looked at by another sweep."""
    return Guard(frozenset({job.status}), token_in(job), job.due_at)


def transition(
    job: Job,
    changes: JobChanges,
    entries: tuple[LogEntry, ...] = (),
    *,
    guard: Guard,
    delivery_message: DeliveryMessage | None = None,
    needs_dead_letter: bool = False,
) -> Transition:
    """``changes`` as a guarded change of ``job``. Raises ``TransitionError`` where no declared arrow allows them."""
    new = changes.get("status", job.status)
    # The guard lets the change be written only along declared arrows, wherever the job is found by then.
    statuses = guard.statuses & ORIGINS[new]
    if not statuses:
        raise TransitionError(f"There is no arrow from {job.status} to {new}.")
    if statuses != guard.statuses:
        guard = Guard(statuses, guard.token, guard.due_at, guard.log_count)  # replace() takes ten times as long
    event = recorded_event(job, changes) if job.records_events else None
    return Transition(job.job_id, guard, changes, entries, delivery_message, needs_dead_letter, job.status, job, event)


def recorded_event(job: Job, changes: JobChanges) -> RecordedEvent | None:
    """What the client is told of ``changes`` to ``job``; None where nothing has happened that he sees.

    Nothing of a claim (``processing``): it is a worker's hold, and says nothing of the message. Nothing of a job that
    waits again without an attempt: it may do so every second while a provider may not be called.
    """
    status = changes.get("status", job.status)
    attempts = changes.get("attempts", job.attempts)
    is_new_attempt = status is not Status.RETRYING or attempts != job.attempts
    if status is job.status or status is Status.PROCESSING or not is_new_attempt:
        return None
    return RecordedEvent(
        status=status,
        at=changes["updated_at"],
        attempts=attempts,
        provider=changes.get("provider", job.provider),
        error=changes.get("error", job.error) if status is not Status.QUEUED else None,
        next_attempt_at=changes.get("next_attempt_at") if status is Status.RETRYING else None,
    )
