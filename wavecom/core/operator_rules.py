"""What people ask for after a job was accepted, as rules: cancel it, start it again, put its dead letter aside, or hold
it after a restore. Pure.

A part of ``wavecom.core.engine``, through which everybody goes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from wavecom.core.events import (
    CancelRequested,
    DeadLettered,
    Discarded,
    ReplayRequested,
    SettleRequested,
    StoreRestored,
)
from wavecom.core.job import Claim, Job, JobChanges, JobError, LogEntry, UnknownOutcomePolicy
from wavecom.core.states import WAITING, Status
from wavecom.core.transitions import (
    EARLY_CLAIM,
    Guard,
    Policy,
    Transition,
    exact,
    fail,
    final_changes,
    sent_changes,
    token_in,
    transition,
)
from wavecom.errors import (
    DuplicatePossibleError,
    MayHaveBeenSentError,
    NotFailedError,
    NotUnconfirmedError,
    TooLateToCancelError,
)


def decide(
    job: Job,
    event: CancelRequested | ReplayRequested | SettleRequested | DeadLettered | Discarded | StoreRestored,
    now: datetime,
    policy: Policy,
) -> Transition | None:
    """See ``wavecom.core.engine.decide``."""
    match event:
        case CancelRequested():
            return cancel(job, event, now, policy)
        case ReplayRequested():
            return replay(job, event, now, policy)
        case SettleRequested():
            return settle(job, event, now, policy)
        case DeadLettered():
            return dead_lettered(job, now)
        case Discarded(note):
            return discard(job, note, now)
        case StoreRestored():
            return hold_restored(job, event, now, policy)


def is_in_doubt(job: Job) -> bool:
    """Whether another send might be the second, of a job that was to be sent at most once.

    That is so while it is unconfirmed, and stays so when its time for a receipt ends without one. It is so of a step of
    a fallback, too: another channel may have delivered what it says.
    """
    if job.parent is not None and job.status is Status.FAILED:
        return True
    is_closed_in_doubt = (
        job.status is Status.FAILED
        and job.on_unknown_outcome is UnknownOutcomePolicy.STOP
        and job.error is not None
        and job.error.code == "outcome_unknown"
    )
    return job.status is Status.UNCONFIRMED or is_closed_in_doubt


def cancel(job: Job, event: CancelRequested, now: datetime, policy: Policy) -> Transition:
    """The job ends ``cancelled``. Raises ``TooLateToCancelError``, ``MayHaveBeenSentError`` where it may be out."""
    if event.ends_attempts and job.may_have_been_sent and job.status in WAITING:
        return _end_attempts(job, event, now, policy)
    if job.may_have_been_sent and job.status in WAITING | {Status.UNCONFIRMED}:
        way_out = (
            " Find out at the provider and settle it, or retry it with acceptDuplicate."
            if job.status is Status.UNCONFIRMED
            else ""
        )
        raise MayHaveBeenSentError(
            f"An earlier attempt ended without a clear answer, so the recipient may already have the message.{way_out}"
        )
    if job.status not in WAITING:
        raise TooLateToCancelError(f"A notification that is {job.status} can't be cancelled any more.")
    changes = {"updated_at": now} | final_changes(Status.CANCELLED, now, policy)
    return transition(job, changes, (LogEntry(now, "cancelled", by=event.by),), guard=exact(job))


def _end_attempts(job: Job, event: CancelRequested, now: datetime, policy: Policy) -> Transition:
    """Nothing is sent any more, whatever its policy; what has been may still be reported of."""
    reason = "it may have been sent, and is not sent again: its fallback goes on without it"
    changes, entry = _left_in_doubt(job, reason, now, policy, unless="a receipt comes first")
    return transition(job, changes, (replace(entry, by=event.by),), guard=exact(job))


def _left_in_doubt(job: Job, reason: str, now: datetime, policy: Policy, *, unless: str) -> tuple[JobChanges, LogEntry]:
    """What is written of a job that is not sent any more, and perhaps was: a receipt may tell until its deadline."""
    closes_at = now + policy.receipt_deadline
    changes: JobChanges = {
        "status": Status.UNCONFIRMED,
        "error": JobError("outcome_unknown", reason, job.provider),
        "next_attempt_at": None,
        "queued_at": None,
        "due_at": closes_at,
        "updated_at": now,
    }
    told = f"{reason}; ends as failed at {closes_at:%Y-%m-%dT%H:%M:%SZ} unless {unless}"
    return changes, LogEntry(now, "unconfirmed", message=told)


def replay(job: Job, event: ReplayRequested, now: datetime, policy: Policy) -> Transition:
    """A failed or doubtful job starts again. Raises ``NotFailedError``, ``DuplicatePossibleError``."""
    is_doubtful = is_in_doubt(job)
    if job.status is not Status.FAILED and not is_doubtful:
        raise NotFailedError(
            f"Only a failed notification, or an unconfirmed one, can be started again; this one is {job.status}."
        )
    if is_doubtful and not event.accepts_duplicate:
        if job.parent is not None and job.status is Status.FAILED:
            raise DuplicatePossibleError(
                "This notification is a step of a fallback, which may have delivered it over another channel. Repeat "
                "this with acceptDuplicate: true to send it again all the same."
            )
        raise DuplicatePossibleError(
            f"This notification is {job.status} and the recipient may already have it; onUnknownOutcome is stop, so it "
            "is not sent a second time unasked. Repeat this with acceptDuplicate: true to send it again all the same, "
            "or settle an unconfirmed one when you know what became of it."
        )
    replays = job.replays + 1
    changes: JobChanges = {
        "status": Status.QUEUED,
        "attempts": 0,
        "replays": replays,
        "error": None,
        # The message that failed: a second receipt for it must not be taken for one of the new life's message.
        "provider_message_id": None,
        # A hold that nobody has: its token shuts out late results of the former life, and whatever was decided about
        # one life can't be written into the next, even if nobody ever claims the job in between.
        "claim": Claim(f"replay-{replays}", "replay", now),
        "next_attempt_at": None,
        "finished_at": None,
        "dead_lettered_at": None,
        "purge_at": None,
        "expires_at": event.expires_at,
        "queued_at": now,
        "due_at": min(now + policy.message_grace, event.expires_at),
        "updated_at": now,
    }
    if job.refused_by:
        changes["refused_by"] = ()
    is_parked = event.starts_at is not None and event.starts_at > now
    if is_parked:
        changes |= {"next_attempt_at": event.starts_at, "queued_at": None}
        changes["due_at"] = min(event.starts_at or now, event.expires_at)
    accepted = "although the recipient may already have it (acceptDuplicate)" if is_doubtful else ""
    message = "; ".join(filter(None, (accepted, event.note))) or None
    entry = LogEntry(now, "replayed", message=message, by=event.by)
    return transition(
        job, changes, (entry,), guard=exact(job), delivery_message=None if is_parked else job.delivery_message()
    )


def settle(job: Job, event: SettleRequested, now: datetime, policy: Policy) -> Transition:
    """A person says how an unconfirmed job ended. Raises ``NotUnconfirmedError``."""
    status = Status.DELIVERED if event.is_delivered else Status.FAILED
    if job.status is not Status.UNCONFIRMED:
        raise NotUnconfirmedError(f"Only an unconfirmed notification can be settled by hand; this one is {job.status}.")
    note = f"{event.reason} ({event.note})" if event.note else event.reason
    entry = LogEntry(now, "settled", provider=job.provider, outcome=status.value, message=note, by=event.by)
    if event.is_delivered:
        changes = {"updated_at": now, "error": None} | final_changes(status, now, policy)
        return transition(job, changes, (entry,), guard=exact(job))
    error = JobError("settled", event.reason, job.provider)
    return fail(job, error, now, policy, {"updated_at": now}, (entry,), exact(job))


def dead_lettered(job: Job, now: datetime) -> Transition | None:
    """The job's dead letter is confirmed; None where none is owed."""
    if job.status is not Status.FAILED or job.dead_lettered_at is not None or job.due_at is None:
        return None
    return transition(
        job, {"dead_lettered_at": now, "due_at": None}, guard=Guard(frozenset({Status.FAILED}), token_in(job))
    )


def discard(job: Job, note: str, now: datetime) -> Transition | None:
    """A failed job's dead letter is wanted no more; None where that was said before. Raises ``NotFailedError``."""
    if job.status is not Status.FAILED:
        raise NotFailedError(f"Only a failed notification can be discarded; this one is {job.status}.")
    if job.dead_lettered_at is None and job.due_at is None:
        return None
    changes: JobChanges = {
        "dead_lettered_at": None,
        "due_at": None,
        # A hold that nobody has, as after a replay: the confirmation of a dead letter on its way can't be written now.
        "claim": Claim(f"discard-{job.replays}", "discard", now),
        "updated_at": now,
    }
    return transition(job, changes, (LogEntry(now, "discarded", message=note or None),), guard=exact(job))


def hold_restored(job: Job, event: StoreRestored, now: datetime, policy: Policy) -> Transition | None:
    """A job of an older copy that may have been sent since ends its waiting ``unconfirmed``, whatever its policy.

    A receipt settles it, or the result of a worker that has held it all the time: its claim stays. None where nothing
    was to be sent before now, and where the job has ended or waits for a receipt.
    """
    is_waiting = job.status in WAITING or job.status is Status.PROCESSING
    starts_at = job.due_at if job.status is Status.SCHEDULED else job.next_attempt_at
    is_to_come = job.status in WAITING and starts_at is not None and starts_at > now + EARLY_CLAIM
    if not is_waiting or is_to_come or job.created_at >= event.before:
        return None
    reason = "the store was restored from an older copy, so it may have been sent meanwhile"
    changes, entry = _left_in_doubt(job, reason, now, policy, unless="somebody finds out or retries it")
    changes |= {"may_have_been_sent": True} | sent_changes(job, now)
    # Without a provider: it may have been any (``receipt_rules``).
    unknown = LogEntry(now, "outcome_unknown", code="store_restored", message=reason, by=event.by)
    return transition(job, changes, (unknown, entry), guard=exact(job))
