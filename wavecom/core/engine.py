"""The whole state machine: ``decide(job, event, now)`` says what is to be written and published. Pure.

Every use case, task and sweep goes through it, so a rule about a job's life stands here and nowhere else. The
answer is a ``Transition``: a guarded change for the store (compare-and-set) and, where one is due, a delivery message
for the broker. The store is written first and the delivery message published after, always: a lost delivery message is
found again by ``due_at``.

The events are in ``events.py``, what a transition is made of in ``transitions.py``, the rules for what people ask in
``operator_rules.py``, for receipts in ``receipt_rules.py``; all that the rest of the system needs of them can be had
from here.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

from wavecom.core import backoff, operator_rules, receipt_rules
from wavecom.core.events import (
    AttemptFinished,
    AttemptPrevented,
    CancelRequested,
    ClaimRequested,
    DeadLettered,
    Discarded,
    DueReached,
    Event,
    LeaseRenewed,
    Parked,
    ReceiptArrived,
    ReplayRequested,
    SettleRequested,
    StoreRestored,
)
from wavecom.core.job import (
    RECIPIENT_REASONS,
    CallResult,
    Claim,
    Job,
    JobChanges,
    JobError,
    LogEntry,
    Outcome,
    ProviderResult,
    Reason,
    UnknownOutcomePolicy,
)
from wavecom.core.operator_rules import is_in_doubt
from wavecom.core.states import CLAIMABLE, NOT_FINAL, WAITING, Status
from wavecom.core.transitions import (
    ANY_TOKEN,
    EARLY_CLAIM,
    Guard,
    Policy,
    Transition,
    exact,
    expire,
    fail,
    final_changes,
    parked_changes,
    publish,
    sent_changes,
    settle_due,
    transition,
)
from wavecom.errors import TransitionError

__all__ = [
    "ANY_TOKEN",
    "EARLY_CLAIM",
    "AttemptFinished",
    "AttemptPrevented",
    "CancelRequested",
    "ClaimRequested",
    "DeadLettered",
    "Discarded",
    "DueReached",
    "Event",
    "Guard",
    "LeaseRenewed",
    "Parked",
    "Policy",
    "ReceiptArrived",
    "ReplayRequested",
    "SettleRequested",
    "StoreRestored",
    "Transition",
    "claimed_changes",
    "decide",
    "decide_receipt",
    "is_in_doubt",
    "settle_due",
]

_USUAL = Policy()
#: A provider has the message, or may have it.
_TAKEN = frozenset({Outcome.ACCEPTED, Outcome.UNKNOWN})


def decide(job: Job, event: Event, now: datetime, policy: Policy = _USUAL) -> Transition | None:
    """What ``event`` means for ``job`` at ``now``; None when nothing is to be done.

    ``job`` is the job as it was last read: for ``AttemptFinished`` as it was claimed. Raises ``TransitionError``
    when the event makes no sense in the job's status.
    """
    match event:
        case ClaimRequested(claim):
            return _claim(job, claim, now)
        case AttemptFinished():
            return _finish(job, event, now, policy)
        case AttemptPrevented():
            return _prevent(job, event, now, policy)
        case LeaseRenewed():
            return _renew(job, event, now, policy)
        case Parked(until):
            return _park(job, until, now)
        case DueReached():
            return _due(job, event, now, policy)
        case ReceiptArrived():
            return decide_receipt(job, event, now, policy)[1]
        case CancelRequested() | ReplayRequested() | SettleRequested() | DeadLettered() | Discarded() | StoreRestored():
            return operator_rules.decide(job, event, now, policy)


def decide_receipt(
    job: Job, event: ReceiptArrived, now: datetime, policy: Policy = _USUAL
) -> tuple[receipt_rules.ReceiptDecision, Transition | None]:
    """``decide`` for a receipt, and what becomes of it: there is a transition where it applies, and only there.

    ``job`` with its log. Raises ``TransitionError`` as ``decide`` does.
    """
    return receipt_rules.decide(job, event, now, policy)


def claimed_changes(claim: Claim, now: datetime) -> JobChanges:
    """The fields that a claim sets, the same for every job of a batch (``due_at`` is bounded per job)."""
    return {"status": Status.PROCESSING, "claim": claim, "updated_at": now}


# --- The rules, one function an event ------------------------------------------------------------------------------


def _claim(job: Job, claim: Claim, now: datetime) -> Transition | None:
    is_its_time = job.next_attempt_at is None or job.next_attempt_at <= now + EARLY_CLAIM
    if job.status not in CLAIMABLE or not is_its_time or job.expires_at <= now:
        return None
    changes = claimed_changes(claim, now) | {"due_at": settle_due(claim.lease_until, job)}
    return transition(job, changes, guard=exact(job))


def _finish(job: Job, event: AttemptFinished, now: datetime, policy: Policy) -> Transition:
    attempt = job.attempts + 1
    last = event.calls[-1]
    answer = last.answer
    changes: JobChanges = {
        "attempts": attempt,
        "updated_at": now,
        "provider": last.provider or job.provider,
        # Explicit, because the sweep may have set it while this worker was still waiting for its answer.
        "may_have_been_sent": job.may_have_been_sent or answer.outcome is Outcome.UNKNOWN,
    }
    if answer.outcome in _TAKEN:
        changes |= sent_changes(job, now)
    entries_before = tuple(_call_entry(attempt, call) for call in event.calls[:-1])
    guard = Guard(NOT_FINAL, event.token)

    match answer.outcome:
        case Outcome.ACCEPTED:
            status = Status.SENT if event.expects_receipt else Status.DELIVERED
            changes |= {"provider_message_id": answer.message_id, "error": None, "next_attempt_at": None}
            if status is Status.SENT:
                changes |= {"status": status, "due_at": now + policy.receipt_deadline}
            else:
                changes |= final_changes(status, now, policy)
            entries = (*entries_before, _call_entry(attempt, last, event=status.value))
            return transition(job, changes, entries, guard=guard)
        case Outcome.REJECTED:
            error = _error(answer.reason.value if answer.reason in RECIPIENT_REASONS else "rejected", last)
            entries = (*entries_before, _call_entry(attempt, last))
            # What a recipient does not want is no failure that an operator has to look at.
            is_failure = answer.reason is not Reason.UNWANTED
            return fail(job, error, now, policy, changes, entries, guard, needs_dead_letter=is_failure)
        case Outcome.UNAVAILABLE if event.is_undeliverable:
            error = _error("outcome_unknown" if job.may_have_been_sent else "not_supported", last)
            return fail(job, error, now, policy, changes, (*entries_before, _call_entry(attempt, last)), guard)
        case Outcome.UNKNOWN if job.on_unknown_outcome is UnknownOutcomePolicy.STOP:
            error = _error("outcome_unknown", last)
            changes |= {"status": Status.UNCONFIRMED, "error": error, "next_attempt_at": None}
            closes_at = now + policy.receipt_deadline
            changes |= {"due_at": closes_at}
            entries = (*entries_before, _call_entry(attempt, last), _unconfirmed(now, closes_at))
            # Not out of the other statuses that may become unconfirmed: those do after a restore alone.
            held = Guard(frozenset({Status.PROCESSING, Status.UNCONFIRMED}), event.token)
            return transition(job, changes, entries, guard=held)
        case _:
            return _retry_or_fail(job, event, now, policy, changes, entries_before, guard)


def _retry_or_fail(
    job: Job,
    event: AttemptFinished,
    now: datetime,
    policy: Policy,
    changes: JobChanges,
    entries_before: tuple[LogEntry, ...],
    guard: Guard,
) -> Transition:
    attempt = changes["attempts"]
    last = event.calls[-1]
    is_unknown = last.answer.outcome is Outcome.UNKNOWN
    if attempt >= job.max_attempts:
        code = "outcome_unknown" if is_unknown else "attempts_exhausted"
        return fail(job, _error(code, last), now, policy, changes, (*entries_before, _call_entry(attempt, last)), guard)
    if job.expires_at <= now and not is_unknown:
        # Its time ran out during the attempt. In doubt the sweep ends it, so that a late answer may come first.
        return expire(job, now, policy, guard, changes, (*entries_before, _call_entry(attempt, last)))
    # Of several providers that could take it the one that wants us back first decides; the others' taps are closed by
    # the gate.
    waits = [call.answer.retry_after_seconds or 0 for call in event.calls if not call.answer.is_final_here]
    delay = backoff.delay_seconds(
        attempt,
        event.jitter,
        max_attempts=job.max_attempts,
        seconds_left=(job.expires_at - now).total_seconds(),
        base_seconds=event.base_seconds or policy.retry_base_seconds,
        cap_seconds=event.cap_seconds or policy.retry_cap_seconds,
        retry_after_seconds=min(waits, default=0),
        floor_seconds=event.floor_seconds,
    )
    next_attempt_at = now + timedelta(seconds=delay)
    code = "outcome_unknown" if is_unknown else "provider_unavailable"
    changes |= {
        "status": Status.RETRYING,
        "error": _error(code, last),
        "next_attempt_at": next_attempt_at,
        # When its delivery message comes out of the delay queues: before that it can't be missed in its lane's queue.
        "queued_at": next_attempt_at,
        "due_at": settle_due(next_attempt_at + policy.message_grace, job),
    } | _refusals(job, event.calls)
    entries = (*entries_before, _call_entry(attempt, last, next_attempt_at=next_attempt_at))
    return transition(job, changes, entries, guard=guard, delivery_message=job.delivery_message(delay))


def _refusals(job: Job, calls: tuple[CallResult, ...]) -> JobChanges:
    """Who will never take the message is not asked again."""
    refusing = [call.provider for call in calls if call.answer.is_final_here]
    return {"refused_by": tuple(dict.fromkeys((*job.refused_by, *refusing)))} if refusing else {}


def _prevent(job: Job, event: AttemptPrevented, now: datetime, policy: Policy) -> Transition:
    # The sweep may have given the worker up meanwhile. Who holds the token knows better: no call was made, so what
    # the sweep had to assume is taken back.
    guard = Guard(frozenset({Status.PROCESSING, Status.RETRYING, Status.UNCONFIRMED}), event.token)
    changes: JobChanges = {
        "updated_at": now,
        "attempts": job.attempts,
        "may_have_been_sent": job.may_have_been_sent,
        "error": job.error,
    } | sent_changes(job, job.sent_at)
    changes |= _refusals(job, event.calls)
    entries = tuple(_call_entry(job.attempts + 1, call) for call in event.calls if call.answer.is_final_here)
    if job.expires_at <= now:
        return expire(job, now, policy, guard, changes, entries)
    # The delivery message comes from the sweep, not from here: nothing is published for what is not an attempt.
    seconds = min(max(1.0, event.retry_after_seconds), backoff.LONGEST_SECONDS)
    until = now + timedelta(milliseconds=math.ceil(seconds * 1000))
    changes |= {"status": Status.RETRYING} | parked_changes(job, until)
    if event.held_for:
        entries = (*entries, LogEntry(now, "held", code=event.held_for, next_attempt_at=until))
    return transition(job, changes, entries, guard=guard)


def _renew(job: Job, event: LeaseRenewed, now: datetime, policy: Policy) -> Transition | None:
    if job.claim is None:
        raise TransitionError(f"Job {job.job_id} is not claimed, so there is no lease to renew.")
    if job.expires_at <= now and not event.is_under_way:
        return None
    lease_until = now + policy.lease
    claim = Claim(event.token, job.claim.worker, lease_until)
    guard = Guard(frozenset({Status.PROCESSING}), event.token)
    return transition(job, {"claim": claim, "due_at": settle_due(lease_until, job), "updated_at": now}, guard=guard)


def _park(job: Job, until: datetime, now: datetime) -> Transition | None:
    if job.status not in CLAIMABLE:
        return None
    # A delivery message that came early or twice must not shorten the wait that an attempt or a provider has asked for.
    until = max(until, job.next_attempt_at or until)
    return transition(job, {"updated_at": now} | parked_changes(job, until), guard=exact(job))


def _due(job: Job, event: DueReached, now: datetime, policy: Policy) -> Transition | None:
    if job.due_at is None or job.due_at > now:
        return None
    guard = exact(job)
    if job.status in WAITING and job.expires_at <= now:
        return expire(job, now, policy, guard, {"updated_at": now})
    match job.status:
        case Status.SCHEDULED:
            entry = LogEntry(now, "queued")
            return publish(job, {"status": Status.QUEUED}, now, policy, guard, (entry,))
        case Status.QUEUED | Status.RETRYING:
            is_parked = job.queued_at is None
            if not event.is_message_lost and not is_parked:
                return None
            return publish(job, {}, now, policy, guard)
        case Status.PROCESSING:
            return _lease_ended(job, event, now, policy, guard)
        case Status.UNCONFIRMED:
            known = f"{job.error.message}; " if job.error else ""
            error = JobError("outcome_unknown", f"{known}no receipt came in time", job.provider)
            return fail(job, error, now, policy, {"updated_at": now}, (), guard)
        case Status.SENT:
            # The provider's acceptance is all the evidence there will be, as with a provider without receipts.
            entry = LogEntry(now, "delivered", provider=job.provider, code="receipt_missing")
            return transition(
                job, {"updated_at": now} | final_changes(Status.DELIVERED, now, policy), (entry,), guard=guard
            )
        case Status.FAILED:
            changes: JobChanges = {"due_at": now + policy.message_grace}
            return transition(job, changes, guard=guard, needs_dead_letter=True)
        case _:
            return None


def _lease_ended(job: Job, event: DueReached, now: datetime, policy: Policy, guard: Guard) -> Transition | None:
    if job.claim is not None and job.claim.lease_until > now:
        return None
    # The worker is gone. It may have been about to call, calling, or about to record, and whom: nobody can tell.
    answer = ProviderResult(Outcome.UNKNOWN, "lease_expired", "the worker that held the job vanished")
    lost = AttemptFinished(
        token=job.claim.token if job.claim else ANY_TOKEN, calls=(CallResult("", answer, now, 0),), jitter=event.jitter
    )
    return replace(_finish(job, lost, now, policy), guard=guard)


# --- Pieces --------------------------------------------------------------------------------------------------------


def _call_entry(
    attempt: int, call: CallResult, *, event: str | None = None, next_attempt_at: datetime | None = None
) -> LogEntry:
    outcome = call.answer.outcome
    words = {Outcome.UNKNOWN: "outcome_unknown"}
    return LogEntry(
        at=call.at,
        event=event or words.get(outcome, outcome.value),
        attempt=attempt,
        provider=call.provider or None,
        outcome=outcome.value,
        code=call.answer.code,
        message=call.answer.message or None,
        latency_ms=round(call.latency_ms, 1),
        next_attempt_at=next_attempt_at,
    )


def _unconfirmed(now: datetime, closes_at: datetime) -> LogEntry:
    return LogEntry(
        now,
        "unconfirmed",
        message="not sent again, because onUnknownOutcome is stop; ends as failed at "
        f"{closes_at:%Y-%m-%dT%H:%M:%SZ} unless a receipt, a settlement, or a retry with acceptDuplicate comes first",
    )


def _error(code: str, last: CallResult) -> JobError:
    answer = last.answer
    return JobError(code, f"{answer.code}: {answer.message}" if answer.message else answer.code, last.provider or None)
