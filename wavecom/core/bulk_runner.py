"""Runs bulk operations: one change to many items, at a rate, audited batch by batch, and resumable.

``BulkRunner`` knows neither the items nor the change. A ``BulkSource`` reads the items batch by batch, a ``BulkChange``
changes a batch; the runner keeps the rate and the limit, only counts in a dry run, and writes the audit entry: before
the first change, after each batch, and at the end. An operation may be killed anywhere; ``resumed`` makes another one
that goes on at the position in its entry, and only with what was there when the first began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar

from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import (
    AuditLog,
    BulkOperation,
    BulkOperationState,
    BulkOptions,
    NotResumableError,
    OperationStoppedError,
)
from wavecom.core.ports import Clock, Sleep
from wavecom.errors import StoreError

#: Items that one batch has at most.
_BATCH = 500
#: Batches a second: fewer make the rate jerky, more cost round trips.
_BATCHES_PER_SECOND = 5

ItemT = TypeVar("ItemT")
ReadT = TypeVar("ReadT", covariant=True)
ChangedT = TypeVar("ChangedT", contravariant=True)


class BulkSource(Protocol[ReadT]):
    """The items of one operation, in an order of their own; read once, from the beginning or from a position."""

    @property
    def position(self) -> str | None:
        """How far it has been read; a source that is made with this position reads what comes after it."""
        ...

    def read(self, count: int) -> Sequence[ReadT] | None:
        """The next ``count`` items at most; none of them may be left of a batch. None: there are no more."""
        ...


class BulkChange(Protocol[ChangedT]):
    """What is done to each item. Both methods add to the counts of the operation."""

    def count(self, items: Sequence[ChangedT], operation: BulkOperation) -> None:
        """Count what ``apply`` would change; change nothing."""
        ...

    def apply(self, items: Sequence[ChangedT], operation: BulkOperation) -> None:
        """Change the items. One that is changed already must be left alone: after a crash a batch comes twice."""
        ...


Progress = Callable[[BulkOperation], None]


def no_progress(_operation: BulkOperation) -> None:
    """``on_progress`` for callers that do not show any."""


class BulkRunner:
    """Runs bulk operations. Raises ``StoreError``, and whatever source and change raise."""

    def __init__(self, *, audit: AuditLog, clock: Clock, sleep: Sleep, new_id: Callable[[], str]) -> None:
        self._audit = audit
        self._clock = clock
        self._sleep = sleep
        self._new_id = new_id

    def new(self, action: AuditAction, filters: Mapping[str, str], options: BulkOptions) -> BulkOperation:
        """An operation that has not begun."""
        return BulkOperation(
            options.operation_id or self._new_id(),
            action,
            options.operator,
            self._clock.now(),
            filters,
            is_dry_run=options.is_dry_run,
        )

    def resumed(self, first: BulkOperation, options: BulkOptions) -> BulkOperation:
        """An operation that has not begun and goes on where ``first`` ended, with an entry and counts of its own.

        Its source is to be made with its ``position``, and to leave out what is newer than ``items_until``: then
        nothing is done twice, not even to what ``first`` has changed and has failed again since. Raises
        ``NotResumableError`` for a dry run, which has done nothing.
        """
        if first.is_dry_run:
            raise NotResumableError(f"{first.operation_id} was a dry run, which changed nothing.")
        operation = self.new(first.action, first.filters, options)
        operation.position = first.position
        operation.resumes = first.operation_id
        operation.as_of = first.items_until
        return operation

    def run(
        self,
        operation: BulkOperation,
        source: BulkSource[ItemT],
        change: BulkChange[ItemT],
        options: BulkOptions,
        on_progress: Progress = no_progress,
    ) -> BulkOperation:
        """Change what the source reads, to its end or the limit; answers the operation with all its counts."""
        limiter = _RateLimiter(options.rate_per_second, self._sleep, self._clock.monotonic)
        is_paced = not options.is_dry_run and options.starts_at is None
        with self.audited(operation):
            for items in _batches(operation, source, options.limit, limiter.batch_size if is_paced else _BATCH):
                if is_paced:
                    limiter.wait_for(len(items))
                if options.is_dry_run:
                    change.count(items, operation)
                else:
                    change.apply(items, operation)
                    operation.position = source.position
                    self._audit.record(operation)
                on_progress(operation)
        return operation

    def record(self, operation: BulkOperation) -> None:
        """Bring the audit entry up to date."""
        self._audit.record(operation)

    @contextmanager
    def audited(self, operation: BulkOperation) -> Iterator[None]:
        """Write the audit entry before the body, which is not run when that fails, and after it how it ended."""
        self._audit.record(operation)
        try:
            yield
        except BaseException as error:
            is_interrupt = isinstance(error, KeyboardInterrupt | OperationStoppedError)
            # What ended the operation matters more than that its entry still says "running".
            with suppress(StoreError):
                self._end(operation, BulkOperationState.INTERRUPTED if is_interrupt else BulkOperationState.FAILED)
            raise
        self._end(operation, BulkOperationState.FINISHED)

    def _end(self, operation: BulkOperation, state: BulkOperationState) -> None:
        operation.state = state
        operation.finished_at = self._clock.now()
        self._audit.record(operation)


def _batches(
    operation: BulkOperation, source: BulkSource[ItemT], limit: int | None, size: int
) -> Iterator[Sequence[ItemT]]:
    while True:
        # Those in doubt are found again by every operation: they must not use up the limit of all of them.
        remaining = size if limit is None else limit - (operation.looked_at - operation.in_doubt)
        items = source.read(min(size, remaining)) if remaining > 0 else None
        if items is None:
            return
        yield items


class _RateLimiter:
    """At most so many items a second, over batches."""

    def __init__(self, rate_per_second: float, sleep: Sleep, monotonic: Callable[[], float]) -> None:
        self._rate_per_second = rate_per_second
        self._sleep = sleep
        self._monotonic = monotonic
        self._free_at = monotonic()
        self.batch_size = max(1, min(_BATCH, int(rate_per_second / _BATCHES_PER_SECOND)))

    def wait_for(self, count: int) -> None:
        """Sleep until ``count`` more may go."""
        wait_seconds = self._free_at - self._monotonic()
        if wait_seconds > 0:
            self._sleep(wait_seconds)
        self._free_at = max(self._free_at, self._monotonic()) + count / self._rate_per_second
