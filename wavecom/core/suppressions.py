"""The suppression list: whom an account sends nothing more, why, and the rule for which of its messages that stops.

An entry belongs to one account (``core.account``), channel, recipient and source. So a recipient may have several, each
lifted by itself: START takes back what STOP has set, and no hard bounce. Nothing is ever deleted: an entry that is
lifted or has run out keeps its history, and is in force again when it is added again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from wavecom.core.job import JobId, Reason
from wavecom.core.lanes import Channel, Priority


class SuppressionSource(StrEnum):
    """How it became known that a recipient is to get nothing more. The words are part of the published API."""

    #: An address that can't be reached: no such mailbox, no such number, a landline.
    BOUNCE = "bounce"
    #: A push token, or a subscription of web push, that has ended.
    GONE = "gone"
    #: The recipient called a message unwanted.
    COMPLAINT = "complaint"
    #: The recipient wrote STOP, to us or to the provider.
    STOP = "stop"
    #: The recipient used a link or a button: ours, or the provider's.
    UNSUBSCRIBE = "unsubscribe"
    #: Somebody entered it.
    MANUAL = "manual"


class SuppressionScope(StrEnum):
    """Which messages an entry stops (``stops``). The words are part of the published API."""

    ALL = "all"
    MARKETING = "marketing"


#: So many names of events that changed nothing an entry keeps, the latest.
NOTED_EVENTS_LIMIT: Final = 20


class SuppressionState(StrEnum):
    """How an entry stands. The words are part of the published API."""

    ACTIVE = "active"
    LIFTED = "lifted"
    EXPIRED = "expired"


class SuppressionAction(StrEnum):
    """What was done to an entry; a word of its history."""

    ADDED = "added"
    CHANGED = "changed"
    LIFTED = "lifted"


#: Where nobody says which messages are meant. Who can't be reached gets nothing; who wants nothing more gets what he
#: asks for himself, such as a one-time password.
USUAL_SCOPES: Mapping[SuppressionSource, SuppressionScope] = {
    SuppressionSource.BOUNCE: SuppressionScope.ALL,
    SuppressionSource.GONE: SuppressionScope.ALL,
    SuppressionSource.COMPLAINT: SuppressionScope.MARKETING,
    SuppressionSource.STOP: SuppressionScope.MARKETING,
    SuppressionSource.UNSUBSCRIBE: SuppressionScope.MARKETING,
    SuppressionSource.MANUAL: SuppressionScope.ALL,
}


def stops(scope: SuppressionScope, priority: Priority) -> bool:
    """Whether an entry of this scope stops a message of this priority: the one rule (ADR 27).

    ``marketing`` lets the high lane pass, where one-time passwords and alarms travel; all else may be marketing.
    """
    return scope is SuppressionScope.ALL or priority is not Priority.HIGH


def source_of(reason: Reason, channel: Channel) -> SuppressionSource | None:
    """What a provider's plain word about a recipient makes of him; None: nothing to suppress."""
    match reason:
        case Reason.RECIPIENT_GONE:
            return SuppressionSource.GONE if channel is Channel.PUSH else SuppressionSource.BOUNCE
        case Reason.RECIPIENT_INVALID:
            return SuppressionSource.BOUNCE
        case Reason.RECIPIENT_OPTED_OUT:
            return SuppressionSource.STOP if channel is Channel.SMS else SuppressionSource.UNSUBSCRIBE
        case _:
            return None


def recipient_digest(account: str, channel: Channel, recipient: str) -> bytes:
    """16 bytes by which an account's recipient is looked up; ``recipient`` is normalised (``core.recipients``)."""
    return hashlib.blake2b(f"{account}\0{channel.value}\0{recipient}".encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSuppression:
    """What is to be in force for a recipient from now on.

    ``recipient`` is normalised (``core.recipients``), and never logged. ``expires_at`` (aware UTC) None: for good.
    """

    account: str
    channel: Channel
    recipient: str = field(repr=False)
    source: SuppressionSource
    scope: SuppressionScope
    #: Who caused it: ``key <keyId>``, ``operator``, ``provider <name>``, ``recipient``.
    by: str
    #: In a few words why; never with personal data.
    reason: str = ""
    expires_at: datetime | None = None
    #: Names the event that caused it, so that the same event that comes again changes nothing; "": there is none.
    event_id: str = ""
    #: It is a row of a list that is read in: what is in force is made wider by it and no weaker (``after``).
    only_widens: bool = False
    #: Fields that its list does not tell (``scope``, ``expires_at``): they stay as they are, where they are anything.
    unspecified: frozenset[str] = frozenset()
    #: When the event happened, aware UTC, where that is told: events come late, and in any order. None: now.
    happened_at: datetime | None = None
    #: ``event_id`` of others that said the same before it, and are added with it.
    earlier_event_ids: tuple[str, ...] = ()

    @property
    def digest(self) -> bytes:
        """See ``recipient_digest``."""
        return recipient_digest(self.account, self.channel, self.recipient)

    def happened_by(self, now: datetime) -> datetime:
        """When the event happened, and not in the future, whatever its clock says."""
        return now if self.happened_at is None else min(self.happened_at, now)

    def after(self, earlier: NewSuppression | Suppression) -> NewSuppression:
        """What this comes to where ``earlier`` is in force, or to be, for the same recipient and source."""
        if isinstance(earlier, NewSuppression) and earlier.event_id:
            times = (earlier.happened_at, self.happened_at)
            return replace(
                self,
                happened_at=None if None in times else max(each for each in times if each is not None),
                earlier_event_ids=(*earlier.earlier_event_ids, earlier.event_id),
            )
        if not self.only_widens:
            return self
        earlier_unspecified = earlier.unspecified if isinstance(earlier, NewSuppression) else frozenset()
        scopes = [each.scope for each in self._specifying("scope", earlier, earlier_unspecified)]
        ends = [each.expires_at for each in self._specifying("expires_at", earlier, earlier_unspecified)]
        return replace(
            self,
            scope=SuppressionScope.ALL if SuppressionScope.ALL in scopes else SuppressionScope.MARKETING,
            reason=self.reason or earlier.reason,
            expires_at=None if None in ends else max(each for each in ends if each is not None),
            unspecified=self.unspecified & earlier_unspecified,
        )

    def _specifying(
        self, name: str, earlier: NewSuppression | Suppression, earlier_unspecified: frozenset[str]
    ) -> list[NewSuppression | Suppression]:
        """Which of the two specify the field; where none does, both have the same usual value."""
        told = [
            each
            for each, unspecified in ((earlier, earlier_unspecified), (self, self.unspecified))
            if name not in unspecified
        ]
        return told or [self]


def by_provider(name: str) -> str:
    """How an entry names the provider that caused it: ``NewSuppression.by``."""
    return f"provider {name}"


def reported_by_provider(
    provider: str,
    source: SuppressionSource,
    *,
    account: str,
    channel: Channel,
    recipient: str,
    code: str,
    job_id: JobId | None,
    event_id: str,
    happened_at: datetime | None = None,
) -> NewSuppression:
    """What a provider's word about a recipient puts in force, in an answer or a receipt.

    ``code`` is the provider's; ``job_id`` None: no notification is known.
    """
    return NewSuppression(
        account=account,
        channel=channel,
        recipient=recipient,
        source=source,
        scope=USUAL_SCOPES[source],
        by=by_provider(provider),
        reason=code if job_id is None else f"{code}, notification {job_id}",
        event_id=event_id,
        happened_at=happened_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionEvent:
    """One line of an entry's history."""

    at: datetime
    action: SuppressionAction
    by: str
    reason: str = ""
    #: As of then; None for what was lifted.
    scope: SuppressionScope | None = None
    expires_at: datetime | None = None
    event_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An entry of the list."""

    suppression_id: str
    account: str
    channel: Channel
    recipient: str = field(repr=False)
    source: SuppressionSource
    scope: SuppressionScope
    reason: str
    #: Who added or changed it last.
    by: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    lifted_at: datetime | None = None
    #: When the newest event that it rests on happened, STOP or START for one; None: not kept yet in its day.
    happened_at: datetime | None = None
    #: Oldest first; empty where a list was asked for.
    history: tuple[SuppressionEvent, ...] = ()
    #: How often it was written: what a change is compared with.
    version: int = 1
    #: Names of the last events that changed nothing, so that none of them does so when it comes again after a lift.
    noted_event_ids: tuple[str, ...] = ()

    def state(self, now: datetime) -> SuppressionState:
        """How it stands at ``now``."""
        if self.lifted_at is not None:
            return SuppressionState.LIFTED
        if self.expires_at is not None and self.expires_at <= now:
            return SuppressionState.EXPIRED
        return SuppressionState.ACTIVE

    def merged(self, new: NewSuppression, now: datetime) -> NewSuppression:
        """What adding ``new`` to this entry says: itself, and of a list that is read in what is in force already."""
        return new.after(self) if self.state(now) is SuppressionState.ACTIVE else new

    def is_changed_by(self, new: NewSuppression, now: datetime) -> bool:
        """Whether adding ``new``, which is ``merged``, to this entry changes anything."""
        if new.event_id and all(self.knows(each) for each in (*new.earlier_event_ids, new.event_id)):
            return False
        if self.state(now) is not SuppressionState.ACTIVE:
            # Not by a STOP that was said before the START that ended this, and has come after it.
            return self.happened_at is None or new.happened_at is None or new.happened_at >= self.happened_at
        # Only people say anew how long and why. What providers and recipients repeat would only make it grow.
        return new.source is SuppressionSource.MANUAL and (self.scope, self.reason, self.expires_at) != (
            new.scope,
            new.reason,
            new.expires_at,
        )

    def knows(self, event_id: str) -> bool:
        """Whether it has had the event before, whatever that did."""
        return event_id in self.noted_event_ids or any(event.event_id == event_id for event in self.history)

    def is_confirmed_by(self, new: NewSuppression, now: datetime) -> bool:
        """Whether ``new``, which changes nothing, is a newer event that says the same, such as STOP said again."""
        return (
            self.state(now) is SuppressionState.ACTIVE
            and not self.knows(new.event_id)
            and new.happened_at is not None
            and (self.happened_at is None or new.happened_by(now) > self.happened_at)
        )

    def unknown_ids(self, new: NewSuppression, now: datetime) -> list[str]:
        """Names of the events of ``new`` that are to be noted, because no line of the history will tell them."""
        told = {new.event_id} if self.is_changed_by(new, now) else set()
        ids = dict.fromkeys((*new.earlier_event_ids, new.event_id))
        return [each for each in ids if each and each not in told and not self.knows(each)]

    def event_of(self, new: NewSuppression, now: datetime) -> SuppressionEvent:
        """The line that adding ``new`` at ``now`` writes."""
        is_active = self.state(now) is SuppressionState.ACTIVE
        return added(new, now, SuppressionAction.CHANGED if is_active else SuppressionAction.ADDED)


def added(new: NewSuppression, now: datetime, action: SuppressionAction = SuppressionAction.ADDED) -> SuppressionEvent:
    """The line of history that says what ``new`` says."""
    return SuppressionEvent(
        at=now,
        action=action,
        by=new.by,
        reason=new.reason,
        scope=new.scope,
        expires_at=new.expires_at,
        event_id=new.event_id,
    )


@dataclass(frozen=True, slots=True)
class AddResult:
    """What became of one that was to be added. ``is_new``: there was none in force; ``is_changed``: written at all."""

    suppression_id: str
    is_new: bool
    is_changed: bool


@dataclass(frozen=True, slots=True)
class ActiveSuppression:
    """What has to be known of an entry before a call."""

    suppression_id: str
    source: SuppressionSource
    scope: SuppressionScope


@dataclass(frozen=True, slots=True)
class SuppressionFilter:
    """What a list may be narrowed by; None means "any". Times bound ``created_at``: since ≤ t < before."""

    #: None: of all accounts.
    account: str | None = None
    channel: Channel | None = None
    #: Normalised.
    recipient: str | None = field(default=None, repr=False)
    source: SuppressionSource | None = None
    scope: SuppressionScope | None = None
    state: SuppressionState | None = None
    created_since: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class SuppressionCursor:
    """A place in a list ordered by (created_at, suppression_id), both descending: the last entry already seen."""

    created_at: datetime
    suppression_id: str


@dataclass(frozen=True, slots=True)
class SuppressionPage:
    """Entries without their history, newest first; ``next`` is None on the last page."""

    entries: tuple[Suppression, ...]
    next: SuppressionCursor | None


class SuppressionStore(Protocol):
    """All entries. Raises ``StoreError``, for writes ``UncertainWriteError`` too. May be called from several threads.

    What a write has answered is durable, and found by every later ``active`` and ``digests``.
    """

    def add(self, additions: Sequence[NewSuppression], now: datetime) -> list[AddResult]:
        """Have each in force, with a line of history where that changes anything. May be repeated.

        Of several for one entry the last counts, or what they come to (``NewSuppression.after``).
        """
        ...

    def lift(
        self, suppression_id: str, account: str | None, *, by: str, reason: str, now: datetime
    ) -> Suppression | None:
        """End an entry, and answer it with its history as it is then; None where the account (None: any) has none.

        One that is lifted already, or has run out, stays as it is.
        """
        ...

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
        """End the entries of these recipients that this source has set; how many.

        Not where the event came before, whatever it did then, and not those that rest on an event newer than
        ``happened_at``; None: now. One that is not in force keeps the time, so that nothing older puts it in force.
        """
        ...

    def get(self, suppression_id: str, account: str | None) -> Suppression | None:
        """The entry with its history; None where the account (None: any) has none of this id."""
        ...

    def search(
        self, where: SuppressionFilter, limit: int, after: SuppressionCursor | None, now: datetime
    ) -> SuppressionPage:
        """A page of at most ``limit`` entries."""
        ...

    def active(self, digests: Sequence[bytes], now: datetime) -> dict[bytes, list[ActiveSuppression]]:
        """The entries in force of these recipients; who has none is missing. One read."""
        ...

    def digests(self, changed_since: datetime | None = None) -> Iterator[tuple[bytes, datetime]]:
        """The recipient of each entry that is not lifted, and when it was written last, to within three seconds.

        All, or those written since; in no order. Memory stays bounded.
        """
        ...
