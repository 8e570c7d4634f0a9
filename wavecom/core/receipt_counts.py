"""Counts of receipts, by the minute in which a provider took the messages that they are about. Values and ports.

By that minute and not by the receipt's own: a message that nobody reports is then seen to be missing among those that
were sent with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from wavecom.core.engine import Transition
from wavecom.core.job import RECIPIENT_REASONS, Job, LogEntry
from wavecom.core.phone_countries import country_of
from wavecom.core.receipt_processing import ProcessedReceipt, ReceiptResult
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import Status

#: So many signs of a number, + included, tell its country: enough to part those that share a calling code.
_RANGE: Final = 7


class CountKey(NamedTuple):
    """What is counted apart from what."""

    #: The minute in which the messages were taken, aware UTC.
    minute: datetime
    provider: str
    #: The country of the recipient's number, ISO 3166-1 alpha-2; "" where none can be named, and for other channels.
    country: str


@dataclass(frozen=True, slots=True)
class ReceiptCounts:
    """How many messages were taken, and what was reported of them. Counts add up with ``+``."""

    #: Taken by the provider, which reports later what became of them.
    sent: int = 0
    #: Reported within ``ReceiptThresholds.slow_after``: delivered, or not for a reason that is the recipient's.
    good: int = 0
    #: The same, reported later.
    late: int = 0
    #: Reported as failed for any other reason.
    failed: int = 0
    #: From taking to report, all of ``good`` and ``late`` together.
    delay_seconds: float = 0

    @property
    def reported(self) -> int:
        """Messages of which something final was reported."""
        return self.good + self.late + self.failed

    def __add__(self, other: ReceiptCounts) -> ReceiptCounts:
        return ReceiptCounts(
            self.sent + other.sent,
            self.good + other.good,
            self.late + other.late,
            self.failed + other.failed,
            self.delay_seconds + other.delay_seconds,
        )


Counted = Iterable[tuple[CountKey, ReceiptCounts]]


class ReceiptCounter(Protocol):
    """Keeps counts for an hour, for all processes together."""

    def add(self, counted: Counted) -> None:
        """Add to what is there. Quick; never raises: counts that can't be kept are lost."""
        ...

    def between(self, since: datetime, until: datetime) -> Mapping[CountKey, ReceiptCounts]:
        """What was counted of messages taken in these minutes, both included. Raises ``UnavailableError``."""
        ...


class SentObserver:
    """Counts messages that a provider has taken and will report of, as ``WriteObserver`` of what workers record."""

    def __init__(self, counter: ReceiptCounter) -> None:
        self._counter = counter

    def on_inserted(self, jobs: Sequence[Job], now: datetime) -> None:
        """Nobody has taken a new job."""

    def on_moved(self, transitions: Sequence[Transition], now: datetime) -> None:
        """Jobs have entered another status."""
        counted = Counter(
            _key(each.before, entry)
            for each in transitions
            if each.status is Status.SENT and (entry := _taken(each.entries)) is not None
        )
        if counted:
            self._counter.add((key, ReceiptCounts(sent=count)) for key, count in counted.items())


def counts_of(
    processed: Sequence[ProcessedReceipt], now: datetime, slow_after: timedelta
) -> list[tuple[CountKey, ReceiptCounts]]:
    """What receipts, of which some were applied at ``now``, add to the counts: the first final one of each message.

    ``slow_after`` is that of ``ReceiptThresholds``.
    """
    found = []
    for each in processed:
        taken = None if each.job is None else awaited_since(each.job)
        if each.job is None or taken is None or each.result is not ReceiptResult.APPLIED:
            continue
        counts = _counts(each, max(timedelta(0), (each.receipt.at or now) - taken.at), slow_after)
        if counts is not None:
            found.append((_key(each.job, taken), counts))
    return found


def awaited_since(job: Job) -> LogEntry | None:
    """The entry of when a provider took the message that still waits for its final receipt; None: none does, or nobody
    can tell.
    """
    return None if job.finished_at is not None else _taken(job.logs)


def _taken(entries: Sequence[LogEntry]) -> LogEntry | None:
    return next((entry for entry in reversed(entries) if entry.event == Status.SENT.value and entry.provider), None)


def _counts(processed: ProcessedReceipt, delay: timedelta, slow_after: timedelta) -> ReceiptCounts | None:
    receipt = processed.receipt
    if receipt.kind is ReceiptKind.PROGRESS:
        return None
    if receipt.kind is ReceiptKind.FAILED and receipt.reason not in RECIPIENT_REASONS:
        return ReceiptCounts(failed=1)
    if delay < slow_after:
        return ReceiptCounts(good=1, delay_seconds=delay.total_seconds())
    return ReceiptCounts(late=1, delay_seconds=delay.total_seconds())


def _key(job: Job, taken: LogEntry) -> CountKey:
    number = job.to.get("phone")
    country = _country_of_range(number[:_RANGE], len(number)) if isinstance(number, str) else ""
    return CountKey(taken.at.replace(second=0, microsecond=0), taken.provider or "", country)


@lru_cache(maxsize=4096)
def _country_of_range(beginning: str, length: int) -> str:
    """The country of numbers of this length that begin so: near enough to count by, and remembered.

    To tell it of one number takes 50 µs where countries share a calling code (+1, +44), for each message and receipt.
    """
    return country_of(beginning.ljust(length, "0")) or ""
