"""Compares the dead-letter queue with the store, and removes or publishes dead letters until both agree.

They differ when a process dies between its write to the store and the queue, when a job is replayed or discarded or its
retention ends, and when somebody purges the queue by hand: its dead letters are published again then, because the store
is the truth and ``wavecom dead-letters discard`` the way to be rid of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from wavecom.core.dead_letter_publishing import dead_letter_of
from wavecom.core.dead_letters import (
    DeadLetterFilter,
    DeadLetterQueue,
    DeadLetterRepository,
    PagePosition,
    QueuedDeadLetter,
    Scan,
    wait_while_busy,
)
from wavecom.core.job import JobId
from wavecom.core.ports import Clock, Publisher, Sleep
from wavecom.errors import BrokerError, StoreError

log = structlog.get_logger()

_BATCH = 500
#: A dead letter that is older is in the queue, unless it was lost. ``dead_lettered_at`` is set after the publishing, to
#: a time taken before it: add the publisher's time limit, two writes, and a reserve.
_SETTLED_AFTER = timedelta(seconds=15)
#: Dead letters count as missing when two scans this far apart did not see them: those that a killed scan had taken come
#: back to the queue some seconds later.
_MISSED_AGAIN_AFTER_SECONDS = 5.0
#: The share of the time that scans may take, however deep the queue is.
_LOAD = 0.1


@dataclass(slots=True)
class ReconciliationReport:
    """What one scan did. ``foreign_messages`` counts the messages in the queue that belong to no job of ours."""

    removed: int = 0
    published_again: int = 0
    foreign_messages: int = 0
    is_complete: bool = False


class Reconciliation:
    """The use case behind the periodic task ``wavecom.reconcile_dead_letters``, and the end of an operator's command.

    Any number may run at once: one scans the queue, the others find it taken and leave. Memory: about a hundred bytes
    for each dead letter in the queue during a scan.
    """

    def __init__(
        self,
        *,
        repository: DeadLetterRepository,
        queue: DeadLetterQueue,
        depth: Callable[[], int | None],
        publisher: Publisher,
        clock: Clock,
        sleep: Sleep,
        budget_seconds: float = 120.0,
        full_check_seconds: float = 300.0,
    ) -> None:
        self._repository = repository
        self._queue = queue
        self._depth = depth
        self._publisher = publisher
        self._clock = clock
        self._sleep = sleep
        self._budget_seconds = budget_seconds
        self._full_check_seconds = full_check_seconds
        self._foreign_messages = 0
        self._not_before = float("-inf")
        self._full_check_at = float("-inf")
        self._missed_at: float | None = None

    def run_if_needed(self) -> ReconciliationReport | None:
        """Compare two counts, and scan the queue when they differ; None when there was nothing to do.

        Now and then it scans without a difference, because one dead letter too many and one too few look like none.
        Never raises for servers that are away: there is nothing to compare then.
        """
        if self._clock.monotonic() < self._not_before:
            return None
        try:
            depth = self._depth()
            if depth is None or not self._is_due(depth):
                return None
            return self._run(self._budget_seconds, is_patient=False)
        except (StoreError, BrokerError) as error:
            log.info("dead_letters_not_reconciled", error=error.code)
            return None

    def run(self) -> ReconciliationReport:
        """Scan the queue now, to its end. Raises ``StoreError`` and ``BrokerError``.

        What is missing is published only when an earlier scan of this object has missed it, too.
        """
        return self._run(None, is_patient=True)

    def _is_due(self, depth: int) -> bool:
        if depth != self._repository.count() + self._foreign_messages:
            return True
        return depth > 0 and self._clock.monotonic() >= self._full_check_at

    def _run(self, budget_seconds: float | None, *, is_patient: bool) -> ReconciliationReport:
        began = self._clock.monotonic()
        settled = self._clock.now() - _SETTLED_AFTER
        report = ReconciliationReport()
        seen: set[JobId] = set()

        def must_be_removed(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
            return self._must_be_removed(dead_letters, seen, report)

        def scan() -> Scan:
            # A scan that found the queue taken has seen nothing; one that is repeated counts from the beginning.
            return self._queue.scan(must_be_removed, budget_seconds)

        result = wait_while_busy(scan, self._clock, self._sleep) if is_patient else scan()
        report.removed = result.removed
        report.is_complete = result.is_complete
        if result.is_complete:
            self._foreign_messages = report.foreign_messages
            self._full_check_at = self._clock.monotonic() + self._full_check_seconds
            report.published_again = self._publish_missing(seen, settled)
        took_seconds = self._clock.monotonic() - began
        self._not_before = self._clock.monotonic() + took_seconds * (1 / _LOAD - 1)
        if report.removed:
            log.info("dead_letters_removed", count=report.removed)
        return report

    def _must_be_removed(
        self, dead_letters: Sequence[QueuedDeadLetter], seen: set[JobId], report: ReconciliationReport
    ) -> list[bool]:
        wanted = self._repository.wanted(
            [dead_letter.job_id for dead_letter in dead_letters if dead_letter.job_id is not None]
        )
        removals = []
        for dead_letter in dead_letters:
            if dead_letter.job_id is None:
                report.foreign_messages += 1
                removals.append(False)
            elif dead_letter.job_id in seen or dead_letter.job_id not in wanted:
                removals.append(True)
            else:
                # A job that was replayed and failed again still has the dead letter of its first failure there, too.
                failed_at = wanted[dead_letter.job_id]
                is_outdated = None not in {failed_at, dead_letter.failed_at} and failed_at != dead_letter.failed_at
                if not is_outdated:
                    seen.add(dead_letter.job_id)
                removals.append(is_outdated)
        return removals

    def _publish_missing(self, seen: set[JobId], settled: datetime) -> int:
        if self._repository.count() <= len(seen):
            self._missed_at = None
            return 0
        mark = self._clock.monotonic()
        self._missed_at = mark if self._missed_at is None else self._missed_at
        if mark - self._missed_at < _MISSED_AGAIN_AFTER_SECONDS:
            return 0
        now = self._clock.now()
        published = missing = 0
        position: PagePosition | None = None
        while True:
            jobs, position = self._repository.page(DeadLetterFilter(), _BATCH, until=settled, after=position)
            lost = [dead_letter_of(job, now) for job in jobs if job.job_id not in seen]
            missing += len(lost)
            confirmed = self._publisher.publish_dead_letters(lost)
            published += confirmed.count(True)
            if position is None or not all(confirmed):
                break
        if missing:
            log.warning("dead_letters_missing", count=missing, published_again=published)
        return published
