"""The fallback: one notification over several channels, a step each, of which the next begins when one did not reach.

A step is a job as any other. What is kept of the whole is kept apart from the jobs (ADR 57); ``fallback_rules`` says
what happens next, ``fallback_following`` does it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from wavecom.core.job import FallbackStep, JobId, RecordedEvent, TemplateUse, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.new_notification import DEFAULT_TIME_TO_LIVE, NewNotification
from wavecom.core.states import Status

STEPS_MINIMUM: Final = 2
STEPS_MAXIMUM: Final = 5
#: How long a step may be waited for: below that the next one would mostly begin for nothing.
WAIT_MINIMUM: Final = timedelta(seconds=5)
WAIT_MAXIMUM: Final = timedelta(days=3)

#: So long after its acceptance a fallback is looked at first, and again ever more seldom: for what a crash has left.
FIRST_LOOK: Final = timedelta(seconds=30)


#: What the key begins with under which a step is accepted, where its client gave none; no client can give it, because
#: it is not of ASCII characters.
_STEP_KEY: Final = "fallback\N{RIGHTWARDS ARROW}"


def is_step_key(idempotency_key: str) -> bool:
    """Whether this is our own key for a step, which no client knows."""
    return idempotency_key.startswith(_STEP_KEY)


class FallbackStatus(StrEnum):
    """Where a fallback stands. All but the first are ends, and are called as those of a job."""

    #: A step is under way, or the next one is about to begin.
    WAITING = "waiting"
    #: A step was confirmed as delivered.
    DELIVERED = "delivered"
    #: Every step has failed for good.
    FAILED = "failed"
    #: Its time was over before a step was handed over that could still arrive.
    EXPIRED = "expired"
    #: Somebody wanted no further step. What had been handed over by then may arrive (``may_have_been_sent``).
    CANCELLED = "cancelled"
    #: A step was handed over, nobody knows whether it arrived, and no further step begins. A late receipt may still
    #: make it ``delivered``.
    UNCONFIRMED = "unconfirmed"


class FallbackEvent(StrEnum):
    """What an entry of a fallback's log tells of."""

    ACCEPTED = "accepted"
    STEP_BEGUN = "step_begun"
    CANCEL_REQUESTED = "cancel_requested"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class FallbackEntry:
    """One line of a fallback's log. ``step`` is the number of the step that it is about, ``message`` for people."""

    at: datetime
    event: FallbackEvent
    step: int | None = None
    message: str | None = None
    by: str | None = None


def held_entry(now: datetime) -> FallbackEntry:
    """What is noted when a fallback is held because the store was restored."""
    text = "the store was restored from an older copy, so a further step may have begun meanwhile; none begins now"
    return FallbackEntry(now, FallbackEvent.UNCONFIRMED, message=text)


def held_event(now: datetime) -> RecordedEvent:
    """What the client is told of that."""
    return RecordedEvent(status=Status.UNCONFIRMED, at=now, attempts=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One channel of a fallback. ``to`` and ``payload`` are a notification's; they never change."""

    type: Channel
    to: Mapping[str, Any]
    payload: Mapping[str, Any]
    template: TemplateUse | None = None
    #: How long it is waited for, from its beginning; None for the last step alone, after which nothing begins.
    wait: timedelta | None = None
    #: None: it has not begun.
    begun_at: datetime | None = None
    #: None: its job has not been seen yet. Noted so that a job that is deleted is never made again.
    job_id: JobId | None = None
    #: The code of the error for which its job could not be accepted when it began.
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """All that is known of one fallback but its jobs. Times are aware UTC with millisecond precision."""

    fallback_id: str
    client: str
    status: FallbackStatus
    steps: tuple[Step, ...]
    created_at: datetime
    updated_at: datetime
    #: Until when a step may be sent; nobody waits for one any longer than that.
    expires_at: datetime
    priority: Priority = Priority.NORMAL
    region: str | None = None
    max_attempts: int | None = None
    on_unknown_outcome: UnknownOutcomePolicy = UnknownOutcomePolicy.RETRY
    metadata: Mapping[str, Any] = field(default_factory=dict)
    send_at: datetime | None = None
    #: The client's own; the first step's job holds it, so that it is one key whatever it was sent with.
    idempotency_key: str | None = None
    fingerprint: str | None = None
    created_by: str | None = None
    #: Steps that have begun; the last of them is the current one.
    begun: int = 1
    #: The step that was delivered.
    delivered_step: int | None = None
    #: At its end some step had been handed over that was not known to have failed.
    may_have_been_sent: bool = False
    #: Who wants no further step (``Actor.name``); None: nobody.
    cancelled_by: str | None = None
    #: When somebody must look, if nothing has brought it up before; None: never again.
    due_at: datetime | None = None
    finished_at: datetime | None = None
    purge_at: datetime | None = None
    logs: tuple[FallbackEntry, ...] = ()
    #: One more with each write; the store writes only over the version that was read.
    version: int = 1
    #: Whether its end is recorded as an event (ADR 45), and that event until it is written.
    records_events: bool = False
    event: RecordedEvent | None = None

    @property
    def current(self) -> Step:
        """The step that began last."""
        return self.steps[self.begun - 1]

    @property
    def has_next(self) -> bool:
        """Whether a step is left that could begin."""
        return self.begun < len(self.steps)

    @property
    def wait_ends_at(self) -> datetime | None:
        """Until when the current step is waited for; None: until it ends."""
        step = self.current
        return None if step.wait is None or step.begun_at is None else step.begun_at + step.wait

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, and no step will begin."""
        return self.status is not FallbackStatus.WAITING

    def idempotency_key_of(self, number: int) -> str:
        """Under which the job of the step with this number (from 1) is accepted: so there is never a second one."""
        if number == 1 and self.idempotency_key is not None:
            return self.idempotency_key
        return f"{_STEP_KEY}{self.fallback_id} {number}"

    def notification_of(self, number: int) -> NewNotification:
        """What is accepted as the step with this number (from 1)."""
        step = self.steps[number - 1]
        return NewNotification(
            client=self.client,
            type=step.type,
            to=step.to,
            payload=step.payload,
            metadata=self.metadata,
            priority=self.priority,
            region=self.region,
            max_attempts=self.max_attempts,
            on_unknown_outcome=self.on_unknown_outcome,
            send_at=self.send_at if number == 1 else None,
            expires_at=self.expires_at,
            idempotency_key=self.idempotency_key_of(number),
            fingerprint=self.fingerprint if number == 1 else None,
            created_by=self.created_by,
            template=step.template,
            parent=FallbackStep(self.fallback_id, number),
        )

    def changed(self, now: datetime, **changes: Any) -> Fallback:
        """This fallback after a change at ``now``, to be written over the version that this one is."""
        return replace(self, updated_at=now, version=self.version + 1, **changes)

    def with_step(self, number: int, **changes: Any) -> tuple[Step, ...]:
        """Its steps, the one with this number (from 1) changed."""
        steps = list(self.steps)
        steps[number - 1] = replace(steps[number - 1], **changes)
        return tuple(steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFallback:
    """A validated request. ``steps`` have not begun; ``expires_at`` None: the usual time after its start."""

    client: str
    steps: tuple[Step, ...]
    priority: Priority = Priority.NORMAL
    region: str | None = None
    max_attempts: int | None = None
    on_unknown_outcome: UnknownOutcomePolicy = UnknownOutcomePolicy.RETRY
    metadata: Mapping[str, Any] = field(default_factory=dict)
    send_at: datetime | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    created_by: str | None = None
    traceparent: str | None = None

    def accepted(self, fallback_id: str, now: datetime, *, records_events: bool = False) -> Fallback:
        """The fallback that it becomes, its first step begun."""
        starts_at = max(self.send_at or now, now)
        expires_at = self.expires_at or starts_at + DEFAULT_TIME_TO_LIVE
        first = replace(self.steps[0], begun_at=starts_at)
        due_at = min(starts_at + min(first.wait or FIRST_LOOK, FIRST_LOOK), expires_at)
        return Fallback(
            fallback_id=fallback_id,
            client=self.client,
            status=FallbackStatus.WAITING,
            steps=(first, *self.steps[1:]),
            created_at=now,
            updated_at=now,
            expires_at=expires_at,
            priority=self.priority,
            region=self.region,
            max_attempts=self.max_attempts,
            on_unknown_outcome=self.on_unknown_outcome,
            metadata=self.metadata,
            send_at=self.send_at,
            idempotency_key=self.idempotency_key,
            fingerprint=self.fingerprint,
            created_by=self.created_by,
            due_at=due_at,
            logs=(FallbackEntry(now, FallbackEvent.ACCEPTED),),
            records_events=records_events,
        )


#: The end of a fallback → the status that its event tells of; it has the same name.
EVENT_STATUS: Final[Mapping[FallbackStatus, Status]] = {
    status: Status(status.value) for status in FallbackStatus if status is not FallbackStatus.WAITING
}


class FallbackStore(Protocol):
    """The truth about every fallback. Raises ``StoreError`` when the store can't be reached.

    Every write leaves the version one higher, and is made over the version that was read, or not at all.
    """

    def add(self, fallback: Fallback) -> None:
        """Keep a new one, durably. May be repeated. Raises ``InvalidRequestError`` for what can't be stored."""
        ...

    def remove(self, fallback_id: str) -> None:
        """Forget one whose first step was not accepted. May be repeated."""
        ...

    def get(self, fallback_id: str, client: str | None = None) -> Fallback | None:
        """The fallback, or None; None too when it belongs to another client than ``client``."""
        ...

    def write(self, fallback: Fallback) -> bool:
        """Write this version over the one before it, durably; False where that is not the one in the store."""
        ...

    def wake(self, fallback_ids: Sequence[str], now: datetime) -> None:
        """Have those looked at ``now`` that would be looked at later, and shut out who has read any before.

        Those that are never looked at again stay so.
        """
        ...

    def due(self, now: datetime, limit: int) -> Sequence[Fallback]:
        """Those whose ``due_at`` has passed, longest due first."""
        ...

    def lease(self, fallback_ids: Sequence[str], now: datetime, until: datetime) -> None:
        """Have those of them that are still due not found before ``until``, unless they are woken."""
        ...

    def known(self, fallback_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that are of a fallback."""
        ...

    def hold_restored(self, before: datetime, now: datetime, purge_at: datetime, versions_left_out: int) -> int:
        """End those as ``unconfirmed`` that wait and were accepted before this time; how many. May be repeated.

        For a store that was restored from an older copy: which steps have begun since, it does not say. What was to
        begin later than ``now`` goes on. Their event has a version that leaves out so many.
        """
        ...
