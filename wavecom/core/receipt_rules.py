"""What a receipt means for its job, in whatever order receipts come and however often. Pure.

A part of ``wavecom.core.engine``, through which everybody goes. A status never goes backwards: once a job has ended, a
receipt is only noted. A job's log is the record of which receipts it has had (docs/adr/0026-receipts-applied-once.md).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final

from wavecom.core.events import ReceiptArrived
from wavecom.core.job import PARTIAL, RECIPIENT_REASONS, Job, JobChanges, JobError, LogEntry, Outcome
from wavecom.core.receipts import Receipt, ReceiptKind
from wavecom.core.states import CLAIMABLE, FINAL, HANDED_OVER, Status
from wavecom.core.transitions import Guard, Policy, Transition, fail, final_changes, transition

#: A job's log takes so many receipts that say only that the message is on its way.
PROGRESS_LIMIT: Final = 5

_EVENT_ID_LIMIT = 64
_MAY_BE_TAKEN = frozenset({Outcome.ACCEPTED, Outcome.UNKNOWN})


class ReceiptDecision(StrEnum):
    """What becomes of a receipt."""

    #: It moves the job, or goes into its log.
    APPLIES = "applies"
    #: The job has had it.
    REPEATED = "repeated"
    #: The record of the call that it is about is not written yet, so far as can be told: to be asked again later.
    EARLY = "early"
    #: It says nothing about the message that is on its way, or nothing new about one that has ended.
    OUTDATED = "outdated"
    #: It says what the job's status says already, as every message's receipts do: there is nothing to keep.
    KNOWN = "known"


def log_id(event_id: str) -> str:
    """An ``event_id`` as a job's log and a suppression's history keep it: bounded, whatever its sender made of it."""
    return event_id if len(event_id) <= _EVENT_ID_LIMIT else hashlib.sha256(event_id.encode()).hexdigest()


def _classify(job: Job, event: ReceiptArrived) -> ReceiptDecision:
    """What becomes of the receipt. ``job`` with its log."""
    receipt = event.receipt
    if any(entry.receipt_id == log_id(receipt.event_id) for entry in job.logs if entry.provider == event.provider):
        return ReceiptDecision.REPEATED
    if job.status not in FINAL | HANDED_OVER | CLAIMABLE or not _may_have_called(job, event.provider):
        return ReceiptDecision.EARLY
    if job.status in FINAL:
        return ReceiptDecision.OUTDATED if receipt.kind is ReceiptKind.PROGRESS else ReceiptDecision.APPLIES
    match receipt.kind:
        case ReceiptKind.FAILED:
            # The failure of another message than the one that is on its way says nothing about that.
            is_last_word = job.status in HANDED_OVER and _is_of_last_message(job, event)
            return ReceiptDecision.APPLIES if is_last_word or _ends_doubt(job, receipt) else ReceiptDecision.OUTDATED
        case ReceiptKind.PROGRESS if not _is_since_last_replay(job, receipt) or _may_have_failed(job, event):
            return ReceiptDecision.OUTDATED
        case ReceiptKind.PROGRESS if _says_nothing_new(job, event):
            return ReceiptDecision.KNOWN
        case ReceiptKind.PROGRESS:
            noted = sum(entry.outcome == ReceiptKind.PROGRESS for entry in job.logs)
            return ReceiptDecision.APPLIES if noted < PROGRESS_LIMIT else ReceiptDecision.OUTDATED
        case _:
            return ReceiptDecision.APPLIES


def decide(job: Job, event: ReceiptArrived, now: datetime, policy: Policy) -> tuple[ReceiptDecision, Transition | None]:
    """See ``wavecom.core.engine.decide_receipt``."""
    decision = _classify(job, event)
    return decision, _applied(job, event, now, policy) if decision is ReceiptDecision.APPLIES else None


def _applied(job: Job, event: ReceiptArrived, now: datetime, policy: Policy) -> Transition:
    receipt = event.receipt
    entry = LogEntry(
        now,
        "receipt",
        provider=event.provider,
        outcome=receipt.kind.value,
        code=receipt.code or None,
        message=receipt.text or None,
        receipt_id=log_id(receipt.event_id),
        happened_at=receipt.at,
    )
    guard = _same_log(job)
    if job.status in FINAL:
        return _noted(job, entry, now)
    match receipt.kind:
        case ReceiptKind.FAILED if job.status not in HANDED_OVER:
            return _noted(job, entry, now)
        case ReceiptKind.FAILED:
            error = JobError(_error_code(receipt), f"{receipt.code}: {receipt.text}".strip(": "), event.provider)
            return fail(job, error, now, policy, {"updated_at": now}, (entry,), guard)
        case ReceiptKind.DELIVERED | ReceiptKind.PROGRESS if _is_of_a_part(job, event.provider):
            # Whether the whole text is to be sent again is left to ``on_unknown_outcome`` (ADR 30).
            return _noted(job, entry, now)
        case ReceiptKind.PROGRESS if job.status in {Status.RETRYING, Status.UNCONFIRMED} and job.may_have_been_sent:
            # It was in doubt whether the provider has the message. It has: no second one must follow.
            changes: JobChanges = {
                "status": Status.SENT,
                "updated_at": now,
                "provider": event.provider,
                "provider_message_id": receipt.message_id or job.provider_message_id,
                "error": None,
                "next_attempt_at": None,
                "due_at": now + policy.receipt_deadline,
            }
            return transition(job, changes, (entry,), guard=guard)
        case ReceiptKind.PROGRESS:
            return _noted(job, entry, now)
        case _:
            # Who complains, or wants no more, has got it.
            changes = {"updated_at": now, "error": None} | final_changes(Status.DELIVERED, now, policy)
            return transition(job, changes, (entry,), guard=guard)


def _noted(job: Job, entry: LogEntry, now: datetime) -> Transition:
    """The entry alone."""
    return transition(job, {"updated_at": now}, (entry,), guard=_same_log(job))


def _same_log(job: Job) -> Guard:
    """The job must have the status and the log that it was read with: two processes that have the same receipt write it
    once, and whatever happened to the job since, but for a sweep that looked at it, is in its log.

    Not ``exact``: that asks for the job's own ``due_at`` and claim, so that the store could write no two receipts of a
    batch by one operation.
    """
    return Guard(frozenset({job.status}), log_count=job.log_count)


def _may_have_called(job: Job, provider: str) -> bool:
    """Whether an attempt that is recorded may have been made with this provider, so that its word counts.

    A call whose worker vanished is in the log without a provider: it may have been any.
    """
    if job.attempts == 0 and not job.may_have_been_sent:
        return False
    if job.provider in {None, provider}:
        return True
    return any(
        entry.provider == provider or (entry.provider is None and entry.event == "outcome_unknown")
        for entry in job.logs
    )


def _is_of_a_part(job: Job, provider: str) -> bool:
    """Whether what this provider took last was only a part of the message: what becomes of that is no delivery."""
    codes = [entry.code for entry in job.logs if entry.attempt is not None and entry.provider in {provider, None}]
    return bool(codes) and str(codes[-1]).endswith(PARTIAL)


def _is_of_last_message(job: Job, event: ReceiptArrived) -> bool:
    """Whether the receipt can be of the message that was handed over last, and not of one before it."""
    calls = [entry for entry in job.logs if entry.attempt is not None]
    is_provider_known = not calls or calls[-1].provider is not None
    if is_provider_known and job.provider not in {None, event.provider}:
        return False
    receipt = event.receipt
    if receipt.message_id is not None and job.provider_message_id is not None:
        return receipt.message_id == job.provider_message_id
    return _is_since_last_replay(job, receipt)


def _says_nothing_new(job: Job, event: ReceiptArrived) -> bool:
    """Whether it is a routine step of the very message that the job is known to be sent as.

    Of any other message, of the same provider too, it is evidence that more than one was taken.
    """
    receipt = event.receipt
    is_of_provider = receipt.is_routine and job.status is Status.SENT and job.provider == event.provider
    return is_of_provider and receipt.message_id in {None, job.provider_message_id}


def _is_since_last_replay(job: Job, receipt: Receipt) -> bool:
    """Whether the message was sent since the job was last replayed, so far as its receipt tells."""
    return receipt.job_id is None or receipt.replays == job.replays


def _ends_doubt(job: Job, receipt: Receipt) -> bool:
    """Whether a failure is noted because a message was in doubt: word of its progress may still come, and is older."""
    return job.status is Status.RETRYING and job.may_have_been_sent and _is_since_last_replay(job, receipt)


def _may_have_failed(job: Job, event: ReceiptArrived) -> bool:
    """Whether progress that is reported may be that of a message of this life whose failure this provider has told.

    Both times are the provider's. Where one of them is not told, it is of a message that was sent after the failure.
    """
    failure: LogEntry | None = None
    is_sent_again = False
    for entry in job.logs:
        if entry.event == "replayed":
            failure = None
        elif entry.event == "receipt" and entry.outcome == ReceiptKind.FAILED and entry.provider == event.provider:
            failure, is_sent_again = entry, False
        elif entry.attempt is not None and entry.outcome in _MAY_BE_TAKEN and entry.provider in {event.provider, None}:
            is_sent_again = True
    if failure is None:
        return False
    at, failed_at = event.receipt.at, failure.happened_at
    return not is_sent_again if at is None or failed_at is None else at <= failed_at


def _error_code(receipt: Receipt) -> str:
    return receipt.reason.value if receipt.reason in RECIPIENT_REASONS else "undelivered"
