"""Suppression lists, in memory."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from wavecom.core.suppressions import (
    NOTED_EVENTS_LIMIT,
    ActiveSuppression,
    AddResult,
    NewSuppression,
    Suppression,
    SuppressionAction,
    SuppressionCursor,
    SuppressionEvent,
    SuppressionFilter,
    SuppressionPage,
    SuppressionSource,
    SuppressionState,
    added,
    recipient_digest,
)
from wavecom.errors import StoreError


class MemorySuppressionStore:
    """``wavecom.core.suppressions.SuppressionStore`` without a server. ``is_away``: it can't be reached."""

    def __init__(self) -> None:
        self.is_away = False
        #: How often ``active`` was asked.
        self.reads = 0
        self._lock = threading.Lock()
        self._entries: dict[tuple[bytes, SuppressionSource], Suppression] = {}
        self._changed_at: dict[str, datetime] = {}
        self._numbers = itertools.count(1)

    def add(self, additions: Sequence[NewSuppression], now: datetime) -> list[AddResult]:
        self._check()
        with self._lock:
            return [self._add(new, now) for new in additions]

    def lift(
        self, suppression_id: str, account: str | None, *, by: str, reason: str, now: datetime
    ) -> Suppression | None:
        self._check()
        event = SuppressionEvent(at=now, action=SuppressionAction.LIFTED, by=by, reason=reason)
        with self._lock:
            for entry in list(self._entries.values()):
                if entry.suppression_id == suppression_id and account in {None, entry.account}:
                    self._lift(entry, event)
        return self.get(suppression_id, account)

    def lift_of(
        self,
        digests: Sequence[bytes],
        source: SuppressionSource,
        *,
        by: str,
        reason: str,
        event_id: str,
        now: datetime,
        happened_at: datetime | None = None,
    ) -> int:
        self._check()
        event = SuppressionEvent(at=now, action=SuppressionAction.LIFTED, by=by, reason=reason, event_id=event_id)
        with self._lock:
            found = [self._entries[digest, source] for digest in digests if (digest, source) in self._entries]
            return sum(self._lift_by(entry, event, happened_at) for entry in found if not entry.knows(event_id))

    def _lift_by(self, entry: Suppression, event: SuppressionEvent, happened_at: datetime | None) -> int:
        at = event.at if happened_at is None else min(happened_at, event.at)
        is_older = happened_at is None or entry.happened_at is None or entry.happened_at <= at
        lifted = self._lift(replace(entry, happened_at=at), event) if is_older else 0
        if not lifted:
            self._note(replace(entry, happened_at=max(entry.happened_at or at, at)), [event.event_id])
        return lifted

    def _note(self, entry: Suppression, event_ids: Sequence[str]) -> None:
        noted = (*entry.noted_event_ids, *event_ids)[-NOTED_EVENTS_LIMIT:]
        self._entries[recipient_digest(entry.account, entry.channel, entry.recipient), entry.source] = replace(
            entry, noted_event_ids=noted
        )

    def get(self, suppression_id: str, account: str | None) -> Suppression | None:
        self._check()
        return next(
            (
                entry
                for entry in list(self._entries.values())
                if entry.suppression_id == suppression_id and account in {None, entry.account}
            ),
            None,
        )

    def search(
        self, where: SuppressionFilter, limit: int, after: SuppressionCursor | None, now: datetime
    ) -> SuppressionPage:
        self._check()
        found = sorted(
            (entry for entry in list(self._entries.values()) if _is_in(where, entry, now)),
            key=lambda entry: (entry.created_at, entry.suppression_id),
            reverse=True,
        )
        if after is not None:
            place = after.created_at, after.suppression_id
            found = [entry for entry in found if (entry.created_at, entry.suppression_id) < place]
        entries = tuple(replace(entry, history=()) for entry in found[:limit])
        last = entries[-1] if len(found) > limit else None
        return SuppressionPage(entries, SuppressionCursor(last.created_at, last.suppression_id) if last else None)

    def active(self, digests: Sequence[bytes], now: datetime) -> dict[bytes, list[ActiveSuppression]]:
        self._check()
        self.reads += 1
        found: dict[bytes, list[ActiveSuppression]] = {}
        for (digest, source), entry in list(self._entries.items()):
            if digest in digests and entry.state(now) is SuppressionState.ACTIVE:
                found.setdefault(digest, []).append(ActiveSuppression(entry.suppression_id, source, entry.scope))
        return found

    def digests(self, changed_since: datetime | None = None) -> Iterator[tuple[bytes, datetime]]:
        self._check()
        for (digest, _), entry in list(self._entries.items()):
            changed_at = self._changed_at[entry.suppression_id]
            if entry.lifted_at is None and (changed_since is None or changed_at >= changed_since):
                yield digest, changed_at

    def _add(self, new: NewSuppression, now: datetime) -> AddResult:
        entry = self._entries.get((new.digest, new.source))
        if entry is None:
            entry = Suppression(
                suppression_id=f"{next(self._numbers):08}-0000-7000-8000-000000000000",
                account=new.account,
                channel=new.channel,
                recipient=new.recipient,
                source=new.source,
                scope=new.scope,
                reason=new.reason,
                by=new.by,
                created_at=now,
                updated_at=now,
                expires_at=new.expires_at,
                happened_at=new.happened_by(now),
                history=(added(new, now),),
            )
            return self._keep(entry, now, is_new=True)
        new = entry.merged(new, now)
        happened_at = max(entry.happened_at or now, new.happened_by(now))
        if not entry.is_changed_by(new, now):
            is_confirmed = entry.is_confirmed_by(new, now)
            self._note(replace(entry, happened_at=happened_at) if is_confirmed else entry, entry.unknown_ids(new, now))
            return AddResult(entry.suppression_id, is_new=False, is_changed=False)
        changed = replace(
            entry,
            scope=new.scope,
            reason=new.reason,
            by=new.by,
            updated_at=now,
            expires_at=new.expires_at,
            lifted_at=None,
            happened_at=happened_at,
            history=(*entry.history, entry.event_of(new, now)),
            version=entry.version + 1,
        )
        return self._keep(changed, now, is_new=entry.state(now) is not SuppressionState.ACTIVE)

    def _keep(self, entry: Suppression, now: datetime, *, is_new: bool = False) -> AddResult:
        self._entries[recipient_digest(entry.account, entry.channel, entry.recipient), entry.source] = entry
        self._changed_at[entry.suppression_id] = now
        return AddResult(entry.suppression_id, is_new, is_changed=True)

    def _lift(self, entry: Suppression, event: SuppressionEvent) -> int:
        if entry.state(event.at) is not SuppressionState.ACTIVE:
            return 0
        self._keep(
            replace(
                entry,
                lifted_at=event.at,
                updated_at=event.at,
                by=event.by,
                history=(*entry.history, event),
                version=entry.version + 1,
            ),
            event.at,
        )
        return 1

    def _check(self) -> None:
        if self.is_away:
            raise StoreError("away")


def _is_in(where: SuppressionFilter, entry: Suppression, now: datetime) -> bool:
    wanted = {
        "account": where.account,
        "channel": where.channel,
        "recipient": where.recipient,
        "source": where.source,
        "scope": where.scope,
    }
    return (
        all(value is None or getattr(entry, name) == value for name, value in wanted.items())
        and where.state in {None, entry.state(now)}
        and (where.created_since is None or entry.created_at >= where.created_since)
        and (where.created_before is None or entry.created_at < where.created_before)
    )
