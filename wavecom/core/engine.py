"""The whole state machine: ``decide(job, event, now)`` says what is to be written and published. Pure.

Every use case, task and sweep goes through it, so a rule about a job's life stands here and nowhere else. The
answer is a ``Transition``: a guarded change for the store (compare-and-set) and, where one is due, a hint for the
broker. The store is written first and the hint published after, always: a lost hint is found again by ``due_at``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from wavecom.core import backoff
from wavecom.core.job import Answer, Claim, Hint, Job, JobError, JobId, LogEntry, Outcome, Try, UnknownOutcomePolicy
from wavecom.core.states import CLAIMABLE, HANDED_OVER, NOT_FINAL, ORIGINS, WAITING, Status
from wavecom.errors import MayHaveBeenSentError, NotFailedError, TooLateToCancelError, TransitionError

#: A hint may come a little before its time (clocks differ); a job so close to its next attempt is claimed all the same.
EARLY_CLAIM = timedelta(seconds=2)

#: ``Guard.token`` for "whoever holds it"; ``None`` there means "neither claimed nor replayed nor discarded yet".
ANY_TOKEN: Final = "*"  # noqa: S105 - not a password


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers that the rules below use. All durations are timedeltas unless the name says otherwise."""

    lease: timedelta = timedelta(seconds=30)
    #: How long a published hint may stay unseen before the sweep looks whether it was lost.
    hint_grace: timedelta = timedelta(seconds=30)
    receipt_deadline: timedelta = timedelta(hours=72)
    retention: timedelta = timedelta(days=30)
    retry_base_seconds: float = 4
    retry_cap_seconds: float = 600


# --- Events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClaimRequested:
    """A worker wants to deliver the job now."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """A worker tried one provider after another and has the last one's answer.

    ``tries`` is in order and not empty; every one but the last was unavailable. ``token`` is the claim's.
    """

    token: str
    tries: tuple[Try, ...]
    jitter: float = 0.5
    expects_receipt: bool = False
    floor_seconds: float = 0


@dataclass(frozen=True, slots=True)
class AttemptPrevented:
    """A worker holds the job but no provider may be called now: this is not an attempt.

    Only for a worker that has made no call since its claim.
    """

    token: str
    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """The worker is about to call another provider and needs the full lease for it.

    Answered with None past the deadline: no further provider may be called then.
    """

    token: str


@dataclass(frozen=True, slots=True)
class Parked:
    """Not claimed, because no provider may be called before ``until``; the sweep publishes it then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class DueReached:
    """``due_at`` has passed and nothing else has moved the job.

    ``is_hint_lost`` is the broker's evidence for queued and retrying jobs: False while the hint may still wait in a
    deep queue, so that a backlog is neither published again nor rewritten.
    """

    is_hint_lost: bool = True
    jitter: float = 0.5


@dataclass(frozen=True, slots=True)
class ReceiptArrived:
    """The provider reports, after the fact, whether the message reached its recipient.

    ``message_id`` is the provider's own name for the message, where the receipt tells it. Answered with None when
    the job can't take it: while a worker holds the job that may change, so ask again later.
    """

    is_delivered: bool
    code: str = ""
    message: str = ""
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The client does not want the notification to be sent any more."""


@dataclass(frozen=True, slots=True)
class ReplayRequested:
    """An operator or the client wants a failed job to be tried again from the start. ``note`` goes into its log.

    Not before ``starts_at``, where that is to come: then the sweep publishes it, so that many can be replayed at once
    without all of them going at once.
    """

    expires_at: datetime
    note: str = ""
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The dead letter of a failed job is confirmed by the broker."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """An operator wants no more of a failed job: it stays failed and has no dead letter. ``note`` goes into its log.

    Answered with None when that was done before. A replay is still possible.
    """

    note: str = ""


Event = (
    ClaimRequested
    | AttemptFinished
    | AttemptPrevented
    | LeaseRenewed
    | Parked
    | DueReached
    | ReceiptArrived
    | CancelRequested
    | ReplayRequested
    | DeadLettered
    | Discarded
)


# --- The answer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still hold in the store for a transition to be written; if it does not, nothing is."""

    statuses: frozenset[Status]
    #: The claim token the job must carry: a token, None (never claimed, replayed or discarded) or ``ANY_TOKEN``.
    token: str | None = ANY_TOKEN
    due_at: datetime | None = None

    def holds(self, job: Job) -> bool:
        """The same test that the store makes in its filter."""
        token = job.claim.token if job.claim else None
        return (
            job.status in self.statuses
            and (self.token == ANY_TOKEN or self.token == token)
            and (self.due_at is None or self.due_at == job.due_at)
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """A guarded change of one job.

    ``changes`` maps fields of ``Job`` to new values; None clears a field. ``hint`` is to be published after the
    write. ``needs_dead_letter`` says that the job's dead letter is due.
    """

    job_id: JobId
    guard: Guard
    changes: Mapping[str, Any]
    entries: tuple[LogEntry, ...] = ()
    hint: Hint | None = None
    needs_dead_letter: bool = False
    #: For counters and logs; the status is also in ``changes`` when it changes.
    old_status: Status = Status.QUEUED
    job: Job | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> Status:
        """The status after this transition."""
        return Status(self.changes.get("status", self.old_status))

    def applied_to(self, job: Job) -> Job:
        """The job as it is once this transition is written."""
        return job.with_changes(self.changes, self.entries)


def decide(job: Job, event: Event, now: datetime, policy: Policy = Policy()) -> Transition | None:
    """What ``event`` means for ``job`` at ``now``; None when nothing is to be done.

    ``job`` is the job as it was last read: for ``AttemptFinished`` as it was claimed. Raises ``TransitionError``
    when the event makes no sense in the job's status.
    """
    match event:
        case ClaimRequested(claim):
            return _claim(job, claim, now)
        case AttemptFinished():
            return _finish(job, event, now, policy)
        case AttemptPrevented(token, retry_after_seconds):
            return _prevent(job, token, retry_after_seconds, now, policy)
        case LeaseRenewed(token):
            return _renew(job, token, now, policy)
        case Parked(until):
            return _park(job, until, now)
        case DueReached():
            return _due(job, event, now, policy)
        case ReceiptArrived():
            return _receipt(job, event, now, policy)
        case CancelRequested():
            return _cancel(job, now, policy)
        case ReplayRequested():
            return _replay(job, event, now, policy)
        case DeadLettered():
            return _dead_lettered(job, now)
        case Discarded(note):
            return _discard(job, note, now)


def claimed_changes(claim: Claim, now: datetime) -> dict[str, Any]:
    """The fields that a claim sets, the same for every job of a batch (``due_at`` is bounded per job)."""
    return {"status": Status.PROCESSING, "claim": claim, "updated_at": now}


def settle_due(due_at: datetime, job: Job) -> datetime:
    """A job that is still to be sent is looked at no later than its deadline.

    One that a provider has, or may have, is not: ``expires_at`` ends the sending, a receipt may come long after it.
    """
    return min(due_at, job.expires_at)


# --- The rules, one function an event ---------------------------------------------------------------------------------


def _claim(job: Job, claim: Claim, now: datetime) -> Transition | None:
    is_its_time = job.next_attempt_at is None or job.next_attempt_at <= now + EARLY_CLAIM
    if job.status not in CLAIMABLE or not is_its_time or job.expires_at <= now:
        return None
    changes = claimed_changes(claim, now) | {"due_at": settle_due(claim.lease_until, job)}
    return _transition(job, changes, guard=_exact(job))


def _finish(job: Job, event: AttemptFinished, now: datetime, policy: Policy) -> Transition:
    attempt = job.attempts + 1
    last = event.tries[-1]
    answer = last.answer
    changes: dict[str, Any] = {
        "attempts": attempt,
        "updated_at": now,
        "provider": last.provider or job.provider,
        # Explicit, because the sweep may have set it while this worker was still waiting for its answer.
        "may_have_been_sent": job.may_have_been_sent or answer.outcome is Outcome.UNKNOWN,
    }
    failed_tries = tuple(_tried(attempt, try_) for try_ in event.tries[:-1])
    guard = Guard(NOT_FINAL, event.token)

    match answer.outcome:
        case Outcome.ACCEPTED:
            status = Status.SENT if event.expects_receipt else Status.DELIVERED
            changes |= {"provider_message_id": answer.message_id, "error": None, "next_attempt_at": None}
            if status is Status.SENT:
                changes |= {"status": status, "due_at": now + policy.receipt_deadline}
            else:
                changes |= _final(status, now, policy)
            entries = (*failed_tries, _tried(attempt, last, event=status.value))
            return _transition(job, changes, entries, guard=guard)
        case Outcome.REJECTED:
            error = _error("rejected", last)
            entries = (*failed_tries, _tried(attempt, last))
            return _fail(job, error, now, policy, changes, entries, guard)
        case Outcome.UNKNOWN if job.on_unknown_outcome is UnknownOutcomePolicy.STOP:
            error = _error("outcome_unknown", last)
            changes |= {"status": Status.UNCONFIRMED, "error": error, "next_attempt_at": None}
            changes |= {"due_at": now + policy.receipt_deadline}
            entries = (*failed_tries, _tried(attempt, last))
            return _transition(job, changes, entries, guard=guard)
        case _:
            return _retry_or_fail(job, event, now, policy, changes, failed_tries, guard)


def _retry_or_fail(
    job: Job,
    event: AttemptFinished,
    now: datetime,
    policy: Policy,
    changes: dict[str, Any],
    failed_tries: tuple[LogEntry, ...],
    guard: Guard,
) -> Transition:
    attempt = changes["attempts"]
    last = event.tries[-1]
    is_unknown = last.answer.outcome is Outcome.UNKNOWN
    if attempt >= job.max_attempts:
        code = "outcome_unknown" if is_unknown else "attempts_exhausted"
        return _fail(job, _error(code, last), now, policy, changes, (*failed_tries, _tried(attempt, last)), guard)
    # Of several providers the one that wants us back first decides; the others' taps are closed by the gate.
    waits = [try_.answer.retry_after_seconds or 0 for try_ in event.tries]
    delay = backoff.delay_seconds(
        attempt,
        event.jitter,
        base_seconds=policy.retry_base_seconds,
        cap_seconds=policy.retry_cap_seconds,
        retry_after_seconds=min(waits),
        floor_seconds=event.floor_seconds,
    )
    next_attempt_at = now + timedelta(seconds=delay)
    code = "outcome_unknown" if is_unknown else "provider_unavailable"
    changes |= {
        "status": Status.RETRYING,
        "error": _error(code, last),
        "next_attempt_at": next_attempt_at,
        # When its hint comes out of the delay queues: before that it can't be missed in its lane's queue.
        "queued_at": next_attempt_at,
        "due_at": settle_due(next_attempt_at + policy.hint_grace, job),
    }
    entries = (*failed_tries, _tried(attempt, last, next_attempt_at=next_attempt_at))
    return _transition(job, changes, entries, guard=guard, hint=job.hint(delay))


def _prevent(job: Job, token: str, retry_after_seconds: float, now: datetime, policy: Policy) -> Transition:
    # The sweep may have given the worker up meanwhile. Who holds the token knows better: no call was made, so what
    # the sweep had to assume is taken back.
    guard = Guard(frozenset({Status.PROCESSING, Status.RETRYING, Status.UNCONFIRMED}), token)
    changes: dict[str, Any] = {
        "updated_at": now,
        "attempts": job.attempts,
        "may_have_been_sent": job.may_have_been_sent,
        "error": job.error,
    }
    if job.expires_at <= now:
        return _expire(job, now, policy, guard, changes)
    # The hint comes from the sweep, not from here: nothing is published for what is not an attempt.
    seconds = min(max(1.0, retry_after_seconds), backoff.LONGEST_SECONDS)
    until = now + timedelta(milliseconds=math.ceil(seconds * 1000))
    changes |= {"status": Status.RETRYING} | _parked_changes(job, until)
    return _transition(job, changes, guard=guard)


def _renew(job: Job, token: str, now: datetime, policy: Policy) -> Transition | None:
    if job.claim is None:
        raise TransitionError(f"Job {job.job_id} is not claimed, so there is no lease to renew.")
    if job.expires_at <= now:
        return None
    lease_until = now + policy.lease
    claim = Claim(token, job.claim.worker, lease_until)
    guard = Guard(frozenset({Status.PROCESSING}), token)
    return _transition(job, {"claim": claim, "due_at": settle_due(lease_until, job), "updated_at": now}, guard=guard)


def _park(job: Job, until: datetime, now: datetime) -> Transition | None:
    if job.status not in CLAIMABLE:
        return None
    # A hint that came early or twice must not shorten the wait that an attempt or a provider has asked for.
    until = max(until, job.next_attempt_at or until)
    return _transition(job, {"updated_at": now} | _parked_changes(job, until), guard=_exact(job))


def _due(job: Job, event: DueReached, now: datetime, policy: Policy) -> Transition | None:
    if job.due_at is None or job.due_at > now:
        return None
    guard = _exact(job)
    if job.status in WAITING and job.expires_at <= now:
        return _expire(job, now, policy, guard, {"updated_at": now})
    match job.status:
        case Status.SCHEDULED:
            entry = LogEntry(now, "queued")
            return _publish(job, {"status": Status.QUEUED}, now, policy, guard, (entry,))
        case Status.QUEUED | Status.RETRYING:
            is_parked = job.queued_at is None
            if not event.is_hint_lost and not is_parked:
                return None
            return _publish(job, {}, now, policy, guard)
        case Status.PROCESSING:
            return _lease_ended(job, event, now, policy, guard)
        case Status.UNCONFIRMED:
            error = job.error or JobError("outcome_unknown", "no receipt came in time", job.provider)
            return _fail(job, error, now, policy, {"updated_at": now}, (), guard)
        case Status.SENT:
            # The provider's acceptance is all the evidence there will be, as with a provider without receipts.
            entry = LogEntry(now, "delivered", provider=job.provider, code="receipt_missing")
            return _transition(job, {"updated_at": now} | _final(Status.DELIVERED, now, policy), (entry,), guard=guard)
        case Status.FAILED:
            changes = {"due_at": now + policy.hint_grace}
            return _transition(job, changes, guard=guard, needs_dead_letter=True)
        case _:
            return None


def _lease_ended(job: Job, event: DueReached, now: datetime, policy: Policy, guard: Guard) -> Transition | None:
    if job.claim is not None and job.claim.lease_until > now:
        return None
    # The worker is gone. It may have been about to call, calling, or about to record, and whom: nobody can tell.
    answer = Answer(Outcome.UNKNOWN, "lease_expired", "the worker that held the job vanished")
    lost = AttemptFinished(
        token=job.claim.token if job.claim else ANY_TOKEN, tries=(Try("", answer, now, 0),), jitter=event.jitter
    )
    return replace(_finish(job, lost, now, policy), guard=guard)


def _receipt(job: Job, event: ReceiptArrived, now: datetime, policy: Policy) -> Transition | None:
    entry = LogEntry(
        now,
        "receipt",
        provider=job.provider,
        outcome="delivered" if event.is_delivered else "failed",
        code=event.code or None,
        message=event.message or None,
    )
    guard = _exact(job)
    if event.is_delivered and (job.status in HANDED_OVER or (job.status in CLAIMABLE and _was_tried(job))):
        changes = {"updated_at": now, "error": None} | _final(Status.DELIVERED, now, policy)
        return _transition(job, changes, (entry,), guard=guard)
    # The failure of another message than the one that is on its way, of an earlier attempt, says nothing about it.
    is_of_this_message = event.message_id is None or job.provider_message_id in (None, event.message_id)
    if not event.is_delivered and job.status in HANDED_OVER and is_of_this_message:
        error = JobError("undelivered", f"{event.code}: {event.message}".strip(": "), job.provider)
        return _fail(job, error, now, policy, {"updated_at": now}, (entry,), guard)
    return None


def _cancel(job: Job, now: datetime, policy: Policy) -> Transition:
    if job.may_have_been_sent and job.status in WAITING | {Status.UNCONFIRMED}:
        raise MayHaveBeenSentError(
            "An earlier attempt ended without a clear answer, so the recipient may already have the message."
        )
    if job.status not in WAITING:
        raise TooLateToCancelError(f"A notification that is {job.status} can't be cancelled any more.")
    changes = {"updated_at": now} | _final(Status.CANCELLED, now, policy)
    return _transition(job, changes, (LogEntry(now, "cancelled"),), guard=_exact(job))


def _replay(job: Job, event: ReplayRequested, now: datetime, policy: Policy) -> Transition:
    if job.status is not Status.FAILED:
        raise NotFailedError(f"Only a failed notification can be started again; this one is {job.status}.")
    replays = job.replays + 1
    changes: dict[str, Any] = {
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
        "due_at": min(now + policy.hint_grace, event.expires_at),
        "updated_at": now,
    }
    is_parked = event.starts_at is not None and event.starts_at > now
    if is_parked:
        changes |= {"next_attempt_at": event.starts_at, "queued_at": None}
        changes["due_at"] = min(event.starts_at or now, event.expires_at)
    entry = LogEntry(now, "replayed", message=event.note or None)
    return _transition(job, changes, (entry,), guard=_exact(job), hint=None if is_parked else job.hint())


def _dead_lettered(job: Job, now: datetime) -> Transition | None:
    if job.status is not Status.FAILED or job.dead_lettered_at is not None or job.due_at is None:
        return None
    return _transition(
        job, {"dead_lettered_at": now, "due_at": None}, guard=Guard(frozenset({Status.FAILED}), _token(job))
    )


def _discard(job: Job, note: str, now: datetime) -> Transition | None:
    if job.status is not Status.FAILED:
        raise NotFailedError(f"Only a failed notification can be discarded; this one is {job.status}.")
    if job.dead_lettered_at is None and job.due_at is None:
        return None
    changes = {
        "dead_lettered_at": None,
        "due_at": None,
        # A hold that nobody has, as after a replay: the confirmation of a dead letter on its way can't be written now.
        "claim": Claim(f"discard-{job.replays}", "discard", now),
        "updated_at": now,
    }
    return _transition(job, changes, (LogEntry(now, "discarded", message=note or None),), guard=_exact(job))


# --- Pieces -------------------------------------------------------------------------------------------------------


def _publish(
    job: Job,
    changes: Mapping[str, Any],
    now: datetime,
    policy: Policy,
    guard: Guard,
    entries: tuple[LogEntry, ...] = (),
) -> Transition:
    changes = dict(changes) | {
        "queued_at": now,
        "due_at": settle_due(now + policy.hint_grace, job),
        "updated_at": now,
    }
    if job.status is Status.QUEUED:
        changes["next_attempt_at"] = None
    return _transition(job, changes, entries, guard=guard, hint=job.hint())


def _parked_changes(job: Job, until: datetime) -> dict[str, Any]:
    """No hint is out for the job, so none can be lost: the sweep publishes one at ``until``."""
    return {"next_attempt_at": until, "queued_at": None, "due_at": settle_due(until, job)}


def _expire(job: Job, now: datetime, policy: Policy, guard: Guard, changes: Mapping[str, Any]) -> Transition:
    if job.may_have_been_sent:
        # "expired" promises that nothing was sent; that can't be promised here.
        error = JobError("outcome_unknown", "the deadline passed after an attempt without a clear answer", job.provider)
        return _fail(job, error, now, policy, changes, (), guard)
    error = JobError("expired", "the deadline passed before the notification could be sent", job.provider)
    changes = dict(changes) | {"error": error} | _final(Status.EXPIRED, now, policy)
    return _transition(job, changes, (LogEntry(now, "expired"),), guard=guard)


def _fail(
    job: Job,
    error: JobError,
    now: datetime,
    policy: Policy,
    changes: Mapping[str, Any],
    entries: tuple[LogEntry, ...],
    guard: Guard,
) -> Transition:
    changes = dict(changes) | _final(Status.FAILED, now, policy)
    # Settled for the client, but its dead letter is still owed: the sweep looks again.
    changes |= {"error": error, "due_at": now + policy.hint_grace, "dead_lettered_at": None}
    entry = LogEntry(now, "failed", provider=error.provider, code=error.code, message=error.message)
    return _transition(job, changes, (*entries, entry), guard=guard, needs_dead_letter=True)


def _final(status: Status, now: datetime, policy: Policy) -> dict[str, Any]:
    return {
        "status": status,
        "finished_at": now,
        "next_attempt_at": None,
        "due_at": None,
        "purge_at": now + policy.retention,
    }


def _tried(attempt: int, try_: Try, *, event: str | None = None, next_attempt_at: datetime | None = None) -> LogEntry:
    outcome = try_.answer.outcome
    words = {Outcome.UNKNOWN: "outcome_unknown"}
    return LogEntry(
        at=try_.at,
        event=event or words.get(outcome, outcome.value),
        attempt=attempt,
        provider=try_.provider or None,
        outcome=outcome.value,
        code=try_.answer.code,
        message=try_.answer.message or None,
        latency_ms=round(try_.latency_ms, 1),
        next_attempt_at=next_attempt_at,
    )


def _error(code: str, last: Try) -> JobError:
    answer = last.answer
    return JobError(code, f"{answer.code}: {answer.message}" if answer.message else answer.code, last.provider or None)


def _was_tried(job: Job) -> bool:
    """Whether a provider may have the message from an earlier attempt, of this life or a former one."""
    return job.attempts > 0 or job.may_have_been_sent


def _token(job: Job) -> str | None:
    return job.claim.token if job.claim else None


def _exact(job: Job) -> Guard:
    """The job must be just as it was read: same status, same holder, not looked at by another sweep."""
    return Guard(frozenset({job.status}), _token(job), job.due_at)


def _transition(
    job: Job,
    changes: Mapping[str, Any],
    entries: tuple[LogEntry, ...] = (),
    *,
    guard: Guard,
    hint: Hint | None = None,
    needs_dead_letter: bool = False,
) -> Transition:
    new = Status(changes.get("status", job.status))
    # The guard lets the change be written only along declared arrows, wherever the job is found by then.
    statuses = guard.statuses & ORIGINS[new]
    if not statuses:
        raise TransitionError(f"There is no arrow from {job.status} to {new}.")
    if statuses != guard.statuses:
        guard = Guard(statuses, guard.token, guard.due_at)
    return Transition(job.job_id, guard, changes, entries, hint, needs_dead_letter, job.status, job)
