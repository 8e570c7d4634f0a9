"""Dead letters: jobs that failed for good, as the store knows them and as the dead-letter queue has them.

The truth is in the store: a failed job with ``dead_lettered_at`` is one. The queue ``notifications.dead`` holds a
message for each, and besides them foreign messages, which RabbitMQ itself put there because nobody could understand
them. ``core.reconciliation`` makes the queue agree with the store; what an operator does about both is in
``core.dead_letter_operations`` and ``core.foreign_messages``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from wavecom.core.audit import FailureReason
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock, Sleep
from wavecom.errors import BrokerError

#: Another process scans the queue for seconds at most.
_QUEUE_PATIENCE_SECONDS = 15.0
_QUEUE_PAUSE_SECONDS = 0.5


# --- What is in the store -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters; None means "any". Times bound when the job failed: since ≤ t < before."""

    error_code: str | None = None
    provider: str | None = None
    type: Channel | None = None
    client: str | None = None
    failed_since: datetime | None = None
    failed_before: datetime | None = None


#: Dead letters by what they have in common, or jobs by name: those may also be discarded ones.
Selection = DeadLetterFilter | tuple[JobId, ...]


@dataclass(frozen=True, slots=True)
class PagePosition:
    """How far a list ordered by ``dead_lettered_at`` has been read: all before ``at``, and of that time ``job_ids``."""

    at: datetime
    job_ids: frozenset[JobId]


class DeadLetterRepository(Protocol):
    """The failed jobs that have a dead letter, as the store knows them. Raises ``StoreError``."""

    def page(
        self,
        where: DeadLetterFilter,
        limit: int,
        *,
        until: datetime | None = None,
        after: PagePosition | None = None,
        newest_first: bool = False,
    ) -> tuple[list[Job], PagePosition | None]:
        """Up to ``limit`` jobs by ``dead_lettered_at``, without payloads and logs, and where to go on (None: the end).

        ``until`` leaves out jobs that were dead-lettered after it: those that fail again while they are replayed.
        """
        ...

    def tally(self, where: DeadLetterFilter) -> Mapping[FailureReason, int]:
        """How many there are for each reason."""
        ...

    def count(self) -> int:
        """How many there are. Cheap."""
        ...

    def unpublished(self) -> int:
        """How many failed jobs still wait for their dead letter, because the broker has not confirmed it."""
        ...

    def wanted(self, job_ids: Sequence[JobId]) -> Mapping[JobId, datetime | None]:
        """Those of the jobs that should have a dead letter in the queue, or soon will, and when they failed."""
        ...

    def find(self, job_ids: Sequence[JobId], client: str | None = None) -> list[Job]:
        """Those of the jobs that exist (of this client), whatever became of them, without payloads and logs."""
        ...


# --- What is in the queue -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueuedDeadLetter:
    """One message of the dead-letter queue. ``job_id`` is None for a foreign message, which RabbitMQ put there."""

    job_id: JobId | None
    failed_at: datetime | None
    #: Why it is here: ``failed_job``, or RabbitMQ's word (``rejected``, ``delivery_limit``, …).
    reason: str
    #: Where RabbitMQ took it from; empty for a dead letter.
    queue: str
    size_bytes: int
    #: The first bytes of the body.
    head: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan of the queue came to; ``is_complete``: each dead letter that was there at its start was seen."""

    seen: int
    removed: int
    is_complete: bool


#: Answers for each dead letter of a batch whether it must leave the queue.
Predicate = Callable[[Sequence[QueuedDeadLetter]], Sequence[bool]]


class QueueBusyError(BrokerError):
    """Somebody else is scanning the dead-letter queue."""

    code = "dead_letter_queue_busy"


class DeadLetterQueue(Protocol):
    """The dead-letter queue."""

    def scan(self, predicate: Predicate, budget_seconds: float | None = None) -> Scan:
        """Ask ``predicate`` about every message, batch by batch; remove what it says, give the rest back in its order.

        Ends early, incomplete, when the budget is used up. Raises ``BrokerError`` (``QueueBusyError``), and whatever
        ``predicate`` raises: then all messages that it has not had removed are back in the queue.
        """
        ...


def wait_while_busy(scan: Callable[[], Scan], clock: Clock, sleep: Sleep) -> Scan:
    """Repeat a scan while another process scans the queue. Raises ``QueueBusyError`` after 15 seconds."""
    deadline = clock.monotonic() + _QUEUE_PATIENCE_SECONDS
    while True:
        try:
            return scan()
        except QueueBusyError:
            if clock.monotonic() >= deadline:
                raise
            sleep(_QUEUE_PAUSE_SECONDS)
