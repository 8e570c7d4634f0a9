"""Taking in what providers report: finding the jobs, deciding, writing; and keeping what can't be applied yet.

All of it is at least once, and each step may be repeated: who reports is answered only when everything is written, and
reports again otherwise. The job's log makes it once (``receipt_rules``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

import structlog

from wavecom.core.engine import Policy, Transition, decide_receipt
from wavecom.core.events import ReceiptArrived
from wavecom.core.job import RECIPIENT_REASONS, Job, JobId, parse_receipt_reference
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.receipt_rules import ReceiptDecision, log_id
from wavecom.core.receipts import FeedbackHandler, MatchedReceipt, Receipt, ReceiptBatch, ReceiptKind
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import StoreError, WaveComError

log = structlog.get_logger()

#: Receipts that are read, decided and written at once.
CHUNK: Final = 1000
#: A receipt that overtakes the record of its call is early by milliseconds; what matches nothing waits ever longer.
FIRST_WAIT: Final = timedelta(seconds=2)
LONGEST_WAIT: Final = timedelta(minutes=15)
#: One that names no job of ours and has matched none in so many tries, in a minute, is about none that is kept.
UNMATCHED_AFTER_TRIES: Final = 5
#: Then it has matched nothing.
KEPT_FOR: Final = timedelta(hours=24)

_TRIES = 3
_SWEEP_SECONDS = 10.0
_TEXT_LIMIT = 500
_CODE_LIMIT = 100


class ReceiptResult(StrEnum):
    """What a receipt came to, this time."""

    APPLIED = "applied"
    REPEATED = "repeated"
    OUTDATED = "outdated"
    #: Nothing new: the job is known to be as far as that.
    KNOWN = "known"
    #: Kept, to be tried again.
    PENDING = "pending"
    #: Given up: it has matched no job for ``KEPT_FOR``.
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReceipt:
    """A receipt of ``provider`` that came at ``received_at`` and has been applied ``tries`` times in vain."""

    provider: str
    receipt: Receipt
    received_at: datetime
    next_try_at: datetime
    tries: int = 0

    def tried_again(self, now: datetime) -> PendingReceipt:
        """The same after one more try in vain at ``now``."""
        wait = min(FIRST_WAIT * 2 ** min(self.tries, 20), LONGEST_WAIT)
        return replace(self, next_try_at=now + wait, tries=self.tries + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptReport:
    """What one verified request of ``provider`` reports."""

    provider: str
    batch: ReceiptBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedReceipt:
    """A receipt, what it came to, and its job as it was before; None: none was found."""

    provider: str
    receipt: Receipt
    result: ReceiptResult
    job: Job | None


class PendingReceipts(Protocol):
    """Receipts to be tried again, by (provider, event id); durable. Raises ``StoreError``."""

    def keep(self, pending: Sequence[PendingReceipt]) -> None:
        """Store those that are not there yet, for ``KEPT_FOR``."""
        ...

    def due(self, now: datetime, limit: int) -> list[PendingReceipt]:
        """Those whose ``next_try_at`` has passed, longest due first."""
        ...

    def postpone(self, pending: Sequence[PendingReceipt]) -> None:
        """Note their ``next_try_at`` and ``tries``; one that is gone stays away."""
        ...

    def remove(self, pending: Sequence[PendingReceipt]) -> None:
        """Forget them."""
        ...


class ReceiptProcessor:
    """Applies receipts to their jobs. Thread-safe.

    ``on_processed`` is told what became of every receipt: for metrics; it must not raise.
    """

    def __init__(
        self,
        *,
        jobs: JobRepository,
        writer: TransitionWriter,
        pending: PendingReceipts,
        feedback: FeedbackHandler,
        clock: Clock,
        policy: Policy,
        on_processed: Callable[[Sequence[ProcessedReceipt]], None] = lambda _processed: None,
    ) -> None:
        self._jobs = jobs
        self._writer = writer
        self._pending = pending
        self._feedback = feedback
        self._clock = clock
        self._policy = policy
        self._on_processed = on_processed

    def process(self, reports: Sequence[ReceiptReport]) -> list[None]:
        """Apply what is reported, or keep it to be tried again: all of it is durable when this returns.

        Raises ``StoreError``; then some of it may be, and all of it may be reported again.
        """
        now = self._clock.now()
        received = [
            PendingReceipt(
                provider=report.provider, receipt=normalized(receipt), received_at=now, next_try_at=now + FIRST_WAIT
            )
            for report in reports
            for receipt in report.batch.receipts
        ]
        for chunk in _chunks(received):
            processed = self._apply(chunk)
            # At once: it is written, whatever becomes of the rest, and a repetition of it is not counted.
            self._on_processed(processed)
            early = [each for each, done in zip(chunk, processed, strict=True) if done.result is ReceiptResult.PENDING]
            if early:
                self._pending.keep(early)
            # A job is there before its call. One that is known by the provider's name alone may be told of too early.
            self._report_feedback(
                [each for each in processed if each.job is not None or each.receipt.job_id is not None]
            )
        for report in reports:
            if report.batch.inbound:
                self._feedback.on_inbound(report.provider, report.batch.inbound)
        return [None] * len(reports)

    def retry_until_none_is_due(self) -> None:
        """Try again whatever is due, for ``_SWEEP_SECONDS`` at most. Never raises for a store that is away."""
        ends_at = self._clock.monotonic() + _SWEEP_SECONDS
        try:
            while self.retry_due() == CHUNK and self._clock.monotonic() < ends_at:
                pass
        except StoreError as error:
            log.warning("receipts_wait_for_store", error=type(error).__name__)

    def retry_due(self) -> int:
        """Try those again whose time has come, a chunk at most; how many there were. Raises ``StoreError``."""
        now = self._clock.now()
        due = self._pending.due(now, CHUNK)
        if not due:
            return 0
        processed = self._apply(due)
        postponed: list[PendingReceipt] = []
        ended: list[PendingReceipt] = []
        results: list[ProcessedReceipt] = []
        unmatched: list[ProcessedReceipt] = []
        for pending, done in zip(due, processed, strict=True):
            if done.result is not ReceiptResult.PENDING:
                ended.append(pending)
                results.append(done)
            elif now - pending.received_at >= KEPT_FOR:
                ended.append(pending)
                results.append(replace(done, result=ReceiptResult.UNMATCHED))
            else:
                postponed.append(pending.tried_again(now))
                if done.receipt.job_id is None and pending.tries == UNMATCHED_AFTER_TRIES:
                    unmatched.append(done)
        self._on_processed(results)
        # Before it is noted that they were tried: what can't be told is tried, and told, again.
        self._report_feedback([*results, *unmatched])
        if postponed:
            self._pending.postpone(postponed)
        if ended:
            self._pending.remove(ended)
        return len(due)

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _apply(self, receipts: Sequence[PendingReceipt]) -> list[ProcessedReceipt]:
        """What becomes of each, in order; what changes a job is written."""
        results: dict[int, ProcessedReceipt] = {}
        last: dict[int, ProcessedReceipt] = {}
        remaining = list(range(len(receipts)))
        for _ in range(_TRIES):
            decided = self._decide(receipts, remaining)
            transitions = [(index, done, each) for index, done, each in decided if each is not None]
            written = self._writer.write([each for _, _, each in transitions]).is_written
            lost = {index for (index, _, _), is_written in zip(transitions, written, strict=True) if not is_written}
            last = {index: done for index, done, _ in decided}
            results |= {index: done for index, done, _ in decided if index not in lost}
            # Who lost the race looks again: the winner may have been a worker, or another process with this receipt.
            remaining = sorted(lost)
            if not remaining:
                break
        for index in remaining:
            results[index] = replace(last[index], result=ReceiptResult.PENDING)
        return [results[index] for index in range(len(receipts))]

    def _decide(
        self, receipts: Sequence[PendingReceipt], indexes: Sequence[int]
    ) -> list[tuple[int, ProcessedReceipt, Transition | None]]:
        now = self._clock.now()
        found = self._find([receipts[index] for index in indexes])
        #: What was decided last of a job: a batch often has several receipts of one.
        last: dict[JobId, tuple[Job, Transition]] = {}
        decided: list[tuple[int, ProcessedReceipt, Transition | None]] = []
        for index, job in zip(indexes, found, strict=True):
            if job is None:
                decided.append((index, _processed(receipts[index], ReceiptResult.PENDING, None), None))
                continue
            if job.job_id in last:
                before, written = last[job.job_id]
                job = written.applied_to(before)
            result, transition = self._decide_one(job, receipts[index], now)
            if transition is not None:
                last[job.job_id] = (job, transition)
            decided.append((index, _processed(receipts[index], result, job), transition))
        return decided

    def _decide_one(self, job: Job, pending: PendingReceipt, now: datetime) -> tuple[ReceiptResult, Transition | None]:
        event = ReceiptArrived(pending.provider, pending.receipt)
        try:
            decision, transition = decide_receipt(job, event, now, self._policy)
        except WaveComError:
            # No arrow leads there: then it says nothing about the job as it is.
            log.warning("receipt_not_applied", job_id=job.job_id, provider=pending.provider, status=job.status)
            return ReceiptResult.OUTDATED, None
        except Exception:
            # A bug must not cost the other receipts of the batch, nor this one: it is kept for a day.
            log.exception("receipt_failed", job_id=job.job_id, provider=pending.provider)
            return ReceiptResult.PENDING, None
        return _RESULTS[decision], transition

    def _find(self, receipts: Sequence[PendingReceipt]) -> list[Job | None]:
        ids = {each.receipt.job_id for each in receipts if each.receipt.job_id is not None}
        names: defaultdict[str, set[str]] = defaultdict(set)
        for each in receipts:
            if each.receipt.job_id is None and each.receipt.message_id is not None:
                names[each.provider].add(each.receipt.message_id)
        by_id = self._jobs.by_ids(sorted(ids)) if ids else {}
        by_name = {provider: self._jobs.by_message_ids(provider, sorted(each)) for provider, each in names.items()}
        return [
            by_id.get(each.receipt.job_id)
            if each.receipt.job_id is not None
            else by_name.get(each.provider, {}).get(each.receipt.message_id or "")
            for each in receipts
        ]

    def _report_feedback(self, processed: Sequence[ProcessedReceipt]) -> None:
        """Tell of those that are about the recipient, a repetition too: nobody knows how far the first one got.

        One that was given up, with its job, is told as well: what became of the call is not known, who complains is.
        """
        feedback = [
            MatchedReceipt(provider=each.provider, receipt=each.receipt, job=each.job)
            for each in processed
            if each.job is not None and each.result is not ReceiptResult.PENDING and _is_feedback(each.receipt)
        ]
        if feedback:
            self._feedback.on_receipts(feedback)
        unmatched: defaultdict[str, list[Receipt]] = defaultdict(list)
        for each in processed:
            if each.job is None and _is_feedback(each.receipt) and each.receipt.recipient is not None:
                unmatched[each.provider].append(each.receipt)
        for provider, receipts in unmatched.items():
            self._feedback.on_unmatched(provider, receipts)


_RESULTS = {
    ReceiptDecision.APPLIES: ReceiptResult.APPLIED,
    ReceiptDecision.REPEATED: ReceiptResult.REPEATED,
    ReceiptDecision.EARLY: ReceiptResult.PENDING,
    ReceiptDecision.OUTDATED: ReceiptResult.OUTDATED,
    ReceiptDecision.KNOWN: ReceiptResult.KNOWN,
}


def normalized(receipt: Receipt) -> Receipt:
    """The receipt as it can be stored: its texts bounded and without halves of surrogate pairs, its time to the
    millisecond, so that it compares the same before and after.

    What the provider echoes as the job's id tells the job's life too (``parse_receipt_reference``).
    """
    job_id, replays = receipt.job_id, receipt.replays
    if job_id:
        job_id, echoed_replays = parse_receipt_reference(_storable(job_id, _CODE_LIMIT))
        replays = echoed_replays or replays
    # By name, because ``dataclasses.replace`` takes three times as long, and this runs for every receipt.
    return Receipt(
        event_id=log_id(_storable(receipt.event_id)),
        kind=receipt.kind,
        job_id=job_id or None,
        replays=replays,
        message_id=receipt.message_id and _storable(receipt.message_id, _TEXT_LIMIT),
        at=receipt.at and receipt.at.replace(microsecond=receipt.at.microsecond // 1000 * 1000),
        code=_storable(receipt.code, _CODE_LIMIT),
        text=_storable(receipt.text, _TEXT_LIMIT),
        is_routine=receipt.is_routine,
        reason=receipt.reason,
        recipient=receipt.recipient and _storable(receipt.recipient, _TEXT_LIMIT),
    )


def _storable(text: str, limit: int | None = None) -> str:
    text = text[:limit]
    return text if text.isascii() else text.encode(errors="replace").decode()


def _processed(pending: PendingReceipt, result: ReceiptResult, job: Job | None) -> ProcessedReceipt:
    return ProcessedReceipt(provider=pending.provider, receipt=pending.receipt, result=result, job=job)


def _is_feedback(receipt: Receipt) -> bool:
    return receipt.kind in {ReceiptKind.COMPLAINT, ReceiptKind.UNSUBSCRIBED} or receipt.reason in RECIPIENT_REASONS


def _chunks(receipts: Sequence[PendingReceipt]) -> Iterator[Sequence[PendingReceipt]]:
    for start in range(0, len(receipts), CHUNK):
        yield receipts[start : start + CHUNK]
