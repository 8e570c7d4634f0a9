"""The dead-letter queue made to say what the store says: a letter for each dead letter there, and for nothing else.

They part whenever somebody dies between the write to the store and the queue, when a job is replayed or discarded or
its retention ends, and when somebody purges the queue by hand: the letters come back then, because the store is the
truth and ``wavecom dead-letters discard`` the way to be rid of them.
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
    patiently,
)
from wavecom.core.job import JobId
from wavecom.core.ports import Clock, Publisher, Sleep
from wavecom.errors import BrokerError, StoreError

log = structlog.get_logger()

_BATCH = 500
#: ``dead_lettered_at`` is set after the letter was published, to a time taken before: by the publisher's time limit,
#: two writes and some air later the letter of a healthy job is in the queue.
_SETTLED_AFTER = timedelta(seconds=15)
#: The letters of somebody who was killed in the middle of a walk come back to the queue some seconds later, so letters
#: are missing only if they are missed twice, this far apart.
_MISSED_AGAIN_AFTER_SECONDS = 5.0
#: Walking may take up to this share of the time, however deep the queue is.
_LOAD = 0.1


@dataclass(slots=True)
class ReconciliationReport:
    """What one walk did. ``strangers`` are the messages in the queue that belong to no job of ours."""

    removed: int = 0
    buried_again: int = 0
    strangers: int = 0
    is_complete: bool = False


class Reconciliation:
    """The use case behind the periodic task ``wavecom.reconcile_dead_letters``, and the end of an operator's run.

    Any number may run at once: one walks through the queue, the others find it taken and leave. Memory: about a
    hundred bytes for each letter in the queue while it walks.
    """

    def __init__(
        self,
        *,
        buried: DeadLetterRepository,
        queue: DeadLetterQueue,
        depth: Callable[[], int | None],
        publisher: Publisher,
        clock: Clock,
        sleep: Sleep,
        budget_seconds: float = 120.0,
        full_check_seconds: float = 300.0,
    ) -> None:
        self._buried = buried
        self._queue = queue
        self._depth = depth
        self._publisher = publisher
        self._clock = clock
        self._sleep = sleep
        self._budget_seconds = budget_seconds
        self._full_check_seconds = full_check_seconds
        self._strangers = 0
        self._not_before = float("-inf")
        self._full_check_at = float("-inf")
        self._missed_at: float | None = None

    def run_if_needed(self) -> ReconciliationReport | None:
        """Compare two numbers, and walk through the queue when they differ; None when nothing was to be done.

        Now and then it walks without a difference, because one letter too many and one too few look like none. Never
        raises for servers that are away: there is nothing to compare then.
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
        """Walk through the queue now, to its end. Raises ``StoreError`` and ``BrokerError``.

        What is missing is published only when an earlier walk of this object has missed it, too.
        """
        return self._run(None, is_patient=True)

    def _is_due(self, depth: int) -> bool:
        if depth != self._buried.count() + self._strangers:
            return True
        return depth > 0 and self._clock.monotonic() >= self._full_check_at

    def _run(self, budget_seconds: float | None, *, is_patient: bool) -> ReconciliationReport:
        began = self._clock.monotonic()
        settled = self._clock.now() - _SETTLED_AFTER
        report = ReconciliationReport()
        seen: set[JobId] = set()

        def judge(letters: Sequence[QueuedDeadLetter]) -> list[bool]:
            return self._judge(letters, seen, report)

        def walk() -> Scan:
            # A walk that found the queue taken has seen nothing; one that is repeated counts from the beginning.
            return self._queue.walk(judge, budget_seconds)

        walked = patiently(walk, self._clock, self._sleep) if is_patient else walk()
        report.removed = walked.removed
        report.is_complete = walked.is_complete
        if walked.is_complete:
            self._strangers = report.strangers
            self._full_check_at = self._clock.monotonic() + self._full_check_seconds
            report.buried_again = self._bury_missing(seen, settled)
        took_seconds = self._clock.monotonic() - began
        self._not_before = self._clock.monotonic() + took_seconds * (1 / _LOAD - 1)
        if report.removed:
            log.info("dead_letters_removed", count=report.removed)
        return report

    def _judge(self, letters: Sequence[QueuedDeadLetter], seen: set[JobId], report: ReconciliationReport) -> list[bool]:
        wanted = self._buried.wanted([letter.job_id for letter in letters if letter.job_id is not None])
        verdicts = []
        for letter in letters:
            if letter.job_id is None:
                report.strangers += 1
                verdicts.append(False)
            elif letter.job_id in seen or letter.job_id not in wanted:
                verdicts.append(True)
            else:
                # A job that was replayed and failed again has the letter of its former life there, too.
                is_of_this_life = letter.failed_at is None or wanted[letter.job_id] in {None, letter.failed_at}
                if is_of_this_life:
                    seen.add(letter.job_id)
                verdicts.append(not is_of_this_life)
        return verdicts

    def _bury_missing(self, seen: set[JobId], settled: datetime) -> int:
        if self._buried.count() <= len(seen):
            self._missed_at = None
            return 0
        mark = self._clock.monotonic()
        self._missed_at = mark if self._missed_at is None else self._missed_at
        if mark - self._missed_at < _MISSED_AGAIN_AFTER_SECONDS:
            return 0
        now = self._clock.now()
        buried = missing = 0
        place: PagePosition | None = None
        while True:
            jobs, place = self._buried.page(DeadLetterFilter(), _BATCH, until=settled, after=place)
            lost = [dead_letter_of(job, now) for job in jobs if job.job_id not in seen]
            missing += len(lost)
            confirmed = self._publisher.publish_dead_letters(lost)
            buried += confirmed.count(True)
            if place is None or not all(confirmed):
                break
        if missing:
            log.warning("dead_letters_missing", count=missing, buried_again=buried)
        return buried
