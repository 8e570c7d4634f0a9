"""Foreign messages: what RabbitMQ itself put into the dead-letter queue, because nobody could understand it."""

from __future__ import annotations

from collections.abc import Sequence

from wavecom.core.audit import AuditAction, FailureReason
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.core.bulk_runner import BulkRunner, Progress, no_progress
from wavecom.core.dead_letters import DeadLetterQueue, Predicate, QueuedDeadLetter, wait_while_busy
from wavecom.core.ports import Clock, Sleep


class ForeignMessages:
    """What ``wavecom dead-letters --raw`` does. Every method raises ``StoreError`` and ``BrokerError``."""

    def __init__(self, *, queue: DeadLetterQueue, runner: BulkRunner, clock: Clock, sleep: Sleep) -> None:
        self._queue = queue
        self._runner = runner
        self._clock = clock
        self._sleep = sleep

    def first(self, limit: int) -> tuple[list[QueuedDeadLetter], int]:
        """The first ``limit`` of them, and how many there are. All messages stay in the queue."""
        found: list[QueuedDeadLetter] = []
        count = 0

        def look_at(messages: Sequence[QueuedDeadLetter]) -> list[bool]:
            nonlocal count
            foreign = [message for message in messages if message.job_id is None]
            found.extend(foreign[: limit - len(found)])
            count += len(foreign)
            return [False] * len(messages)

        self._scan(look_at)
        return found, count

    def discard(self, options: BulkOptions, on_progress: Progress = no_progress) -> BulkOperation:
        """Drop them, for good; counted in the audit entry before they go. May be repeated."""
        operation = self._runner.new(AuditAction.DISCARD_RAW, {}, options)

        def must_be_removed(messages: Sequence[QueuedDeadLetter]) -> list[bool]:
            removals = []
            for message in messages:
                is_meant = message.job_id is None and (options.limit is None or operation.done < options.limit)
                if is_meant:
                    operation.reasons[FailureReason(message.reason, message.queue)] += 1
                removals.append(is_meant and not options.is_dry_run)
            if any(removals):
                self._runner.record(operation)
            on_progress(operation)
            return removals

        with self._runner.audited(operation):
            self._scan(must_be_removed)
        return operation

    def _scan(self, predicate: Predicate) -> None:
        wait_while_busy(lambda: self._queue.scan(predicate), self._clock, self._sleep)
