"""Keeping the suppression list: what people, providers and recipients put on it and take off it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import structlog

from wavecom.core.job import CallResult, Job
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock
from wavecom.core.recipients import recipient_of
from wavecom.core.suppressions import (
    AddResult,
    NewSuppression,
    Suppression,
    SuppressionCursor,
    SuppressionFilter,
    SuppressionPage,
    SuppressionSource,
    SuppressionStore,
    recipient_digest,
    reported_by_provider,
    source_of,
)
from wavecom.errors import SuppressionNotFoundError

log = structlog.get_logger()

_GONE = SuppressionSource.GONE
#: Entries that are written in one step.
BATCH_SIZE = 500
#: Entries that are read in one step.
PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class AddCounts:
    """What became of many that were to be added."""

    added: int = 0
    unchanged: int = 0

    def plus(self, results: Sequence[AddResult]) -> AddCounts:
        """These counts and those of ``results`` together."""
        changed = sum(result.is_changed for result in results)
        return AddCounts(self.added + changed, self.unchanged + len(results) - changed)


class SuppressionPages:
    """An iterator of pages, the first of which may be empty. No more than one is in memory, and nothing in the store
    is held between two of them.

    May be asked again after ``StoreError``: it goes on where it was.
    """

    def __init__(self, read: Callable[[SuppressionCursor | None], SuppressionPage]) -> None:
        self._read = read
        self._after: SuppressionCursor | None = None
        #: The last page was read.
        self.is_done = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sequence[Suppression]:
        if self.is_done:
            raise StopIteration
        page = self._read(self._after)
        self._after = page.next
        self.is_done = page.next is None
        return page.entries


class SuppressionList:
    """The use cases of the suppression list, for all accounts. All methods raise ``StoreError``. Thread-safe.

    ``on_added`` hears of each entry that was put in force, for metrics.
    """

    def __init__(
        self,
        store: SuppressionStore,
        clock: Clock,
        on_added: Callable[[SuppressionSource], None] = lambda _source: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_added = on_added

    def add(self, additions: Sequence[NewSuppression]) -> list[AddResult]:
        """Have each in force from now on, within a second everywhere. May be repeated."""
        results: list[AddResult] = []
        for start in range(0, len(additions), BATCH_SIZE):
            results += self._store.add(additions[start : start + BATCH_SIZE], self._clock.now())
        for new, result in zip(additions, results, strict=True):
            if result.is_changed:
                # Ids, never the recipient.
                log.info("suppressed", suppression_id=result.suppression_id, source=new.source, by=new.by)
                self._on_added(new.source)
        return results

    def lift(self, suppression_id: str, account: str | None, *, by: str, reason: str) -> Suppression:
        """End an entry, at once everywhere. One that has ended stays as it is.

        Raises ``SuppressionNotFoundError`` where the account (None: any) has none.
        """
        lifted = self._store.lift(suppression_id, account, by=by, reason=reason, now=self._clock.now())
        if lifted is None:
            raise SuppressionNotFoundError
        log.info("suppression_lifted", suppression_id=suppression_id, by=by)
        return lifted

    def lift_stops(
        self,
        accounts: Sequence[str],
        channel: Channel,
        recipient: str,
        *,
        by: str,
        event_id: str,
        happened_at: datetime | None,
    ) -> int:
        """End what STOP has set for this recipient, and nothing else; how many entries.

        Not what was said after ``happened_at``, when START was; None: not told.
        """
        digests = [recipient_digest(account, channel, recipient) for account in accounts]
        now = self._clock.now()
        return self._store.lift_of(
            digests,
            SuppressionSource.STOP,
            by=by,
            reason="the recipient wrote START",
            event_id=event_id,
            now=now,
            happened_at=happened_at,
        )

    def lift_gone(self, account: str, tokens: Mapping[str, datetime]) -> int:
        """End what says of these push tokens that they are gone, as far as they were seen since; how many entries.

        By token when it was seen. One read where none is gone.
        """
        now = self._clock.now()
        by_digest = {recipient_digest(account, Channel.PUSH, token): seen for token, seen in tokens.items()}
        found = self._store.active(list(by_digest), now)
        gone = [digest for digest, entries in found.items() if any(each.source is _GONE for each in entries)]
        return sum(
            self._store.lift_of(
                [digest],
                _GONE,
                by="recipient",
                reason="the device was registered again",
                event_id=f"seen {by_digest[digest].isoformat()}",
                now=now,
                happened_at=by_digest[digest],
            )
            for digest in gone
        )

    def get(self, suppression_id: str, account: str | None) -> Suppression:
        """An entry with its history. Raises ``SuppressionNotFoundError``."""
        found = self._store.get(suppression_id, account)
        if found is None:
            raise SuppressionNotFoundError
        return found

    def search(self, where: SuppressionFilter, limit: int, after: SuppressionCursor | None = None) -> SuppressionPage:
        """A page of at most ``limit`` entries that ``where`` lets through, newest first."""
        return self._store.search(where, limit, after, self._clock.now())

    def pages(self, where: SuppressionFilter) -> SuppressionPages:
        """All entries that ``where`` lets through, newest first, read as they are asked for."""
        return SuppressionPages(lambda after: self.search(where, PAGE_SIZE, after))

    def add_rejected(self, rejections: Sequence[tuple[Job, CallResult]]) -> None:
        """Add those of whom a provider has said in its answer that they can't be reached, or want nothing.

        To be called before the answer is recorded: a process that dies between the two leaves an entry too early and
        none too few. A test account's list has only what its keys put there, so that a sandbox's magic recipients go
        on bringing what their names say.
        """
        additions = [_rejected(job, call) for job, call in rejections if not job.lane.is_test]
        if found := [new for new in additions if new is not None]:
            self.add(found)


def _rejected(job: Job, call: CallResult) -> NewSuppression | None:
    answer = call.answer
    recipient = recipient_of(job.type, job.to)
    source = None if answer.reason is None else source_of(answer.reason, job.type)
    if source is None or recipient is None:
        return None
    return reported_by_provider(
        call.provider,
        source,
        account=job.client,
        channel=job.type,
        recipient=recipient,
        code=answer.code,
        job_id=job.job_id,
        # Of this life of the job: who was lifted and is replayed may be refused again.
        event_id=f"job {job.delivery_key} {job.attempts}",
        # A token may be registered again, before or after this answer: the later one counts.
        happened_at=call.at if source is _GONE else None,
    )
