"""Callbacks: a client's endpoints that are sent events, what each of them wants, and what became of each delivery.

When a delivery is tried again, and when an endpoint is slowed down or disabled, ``callback_schedule.py`` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from wavecom.core.client_events import ClientEvent
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

#: Deliveries and their tries are kept as long as events, and a day more.
TRIES_KEPT: Final = 30
#: Callbacks that an account may have.
MOST_CALLBACKS: Final = 50
#: Of an answer's body, so many characters are kept.
EXCERPT_LENGTH: Final = 500
#: The event that an endpoint is sent when its client asks for a test; of no notification.
TEST_TYPE: Final = "callback.test"


class CallbackState(StrEnum):
    """Whether an endpoint is called. The words are part of the published API."""

    ACTIVE = "active"
    #: By its client: what happens meanwhile is kept, and sent when he has it go on.
    PAUSED = "paused"
    #: By WaveCom, for it answered 410 or failed for days: nothing is kept for it meanwhile.
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Why WaveCom has disabled a callback."""

    GONE = "gone"
    FAILING = "failing"


class NoticeKind(StrEnum):
    """What a client's contact is told about a callback."""

    #: It has failed for a day, and is disabled when it goes on.
    FAILING = "failing"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """How a delivery of one event to one endpoint stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    #: The last try of the schedule has failed.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CallbackSecret:
    """A secret that deliveries are signed with; ``value`` as Standard Webhooks writes it (``whsec_…``).

    None where the key is missing that it was kept with: then nothing can be signed with it.
    """

    value: str | None = field(repr=False)
    created_at: datetime
    #: From then on nothing is signed with it; None: it is the newest.
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One endpoint of an account. Times are aware UTC."""

    callback_id: str
    account: str
    #: May hold a secret of the client's in its path or query: never logged.
    url: str = field(repr=False)
    name: str = ""
    #: Of which statuses it wants events; none named: of all. The same for channels.
    statuses: frozenset[Status] = frozenset()
    channels: frozenset[Channel] = frozenset()
    state: CallbackState = CallbackState.ACTIVE
    disabled_reason: DisabledReason | None = None
    disabled_at: datetime | None = None
    secrets: tuple[CallbackSecret, ...] = ()
    created_at: datetime
    updated_at: datetime
    #: Tries that have failed since the last one that did not, and since when.
    failures: int = 0
    failing_since: datetime | None = None
    #: While it fails, nothing is sent before this.
    not_before: datetime | None = None
    #: When a notice about this span of failures was made due, and the notice that is still to be sent.
    warned_at: datetime | None = None
    owed_notice: NoticeKind | None = None

    def wants(self, event: ClientEvent) -> bool:
        """Whether this event is for it."""
        return (not self.statuses or event.status in self.statuses) and (
            not self.channels or event.channel in self.channels
        )

    def signing_secrets(self, now: datetime) -> Sequence[str]:
        """The values of the secrets that a delivery is signed with at ``now``, the newest first."""
        valid = [secret for secret in self.secrets if secret.expires_at is None or secret.expires_at > now]
        newest_first = sorted(valid, key=lambda secret: secret.created_at, reverse=True)
        return [secret.value for secret in newest_first if secret.value is not None]

    @property
    def newest_secret(self) -> str | None:
        """The value of the secret that was made last."""
        return max(self.secrets, key=lambda secret: secret.created_at).value


@dataclass(frozen=True, slots=True)
class CallbackTry:
    """One call of an endpoint, and what came of it: a status, or the fault that no answer came for."""

    at: datetime
    duration_ms: int
    status: int | None = None
    #: Why it counts as failed, in a word; None: it went well.
    fault: str | None = None
    #: The beginning of the answer's body.
    excerpt: str = ""

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint has said that it has the event."""
        return self.fault is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackDelivery:
    """One event for one endpoint. ``tries`` are the last ``TRIES_KEPT`` ones, the oldest first."""

    callback_id: str
    account: str
    #: ``ClientEvent.event_id``, or that of a test event: what a receiver knows a repetition by.
    event_id: str
    type: str
    created_at: datetime
    state: DeliveryState = DeliveryState.PENDING
    #: When the next try is due; None: none is.
    due_at: datetime | None = None
    #: Tries since it was added, or sent again on request: what the schedule counts.
    tried: int = 0
    #: When it was first tried, or, as long as it was not, added or sent again on request: what the schedule's 24 hours
    #: are counted from.
    begun_at: datetime
    tries: tuple[CallbackTry, ...] = ()

    @property
    def delivery_id(self) -> str:
        """One for each pair of event and callback."""
        return delivery_id(self.callback_id, self.event_id)


def delivery_id(callback_id: str, event_id: str) -> str:
    """See ``CallbackDelivery.delivery_id``."""
    return f"{callback_id}:{event_id}"


@dataclass(frozen=True, slots=True)
class CallbackLease:
    """A worker's hold on a callback: nobody else calls its endpoint before ``until``."""

    callback: Callback
    token: str
    #: How many times events had come for the callback when the hold was taken or renewed.
    arrivals: int


class CallbackStore(Protocol):
    """All callbacks. Raises ``StoreError``. May be called from several threads at once."""

    def add(self, callback: Callback) -> None:
        """Keep a new one. May be repeated."""
        ...

    def get(self, callback_id: str, account: str | None = None) -> Callback | None:
        """The callback, of this account if it is given."""
        ...

    def of_accounts(self, accounts: Collection[str] | None) -> Sequence[Callback]:
        """The callbacks of these accounts (None: of all), the oldest first."""
        ...

    def change(
        self, callback_id: str, changes: Mapping[str, Any], *, updated_at: datetime | None = None
    ) -> Callback | None:
        """Set these fields of ``Callback`` and answer it as it is then; None where there is none, or none that was last
        updated at ``updated_at``, if that is given. May be repeated.
        """
        ...

    def remove(self, callback_id: str) -> None:
        """Delete it; its deliveries are never tried again. May be repeated."""
        ...

    def wake(self, callback_ids: Collection[str], now: datetime) -> None:
        """Something is due for these: each is looked at as soon as nobody holds it and its pause is over."""
        ...

    def take_due(self, now: datetime, next_look: datetime, limit: int) -> Sequence[str]:
        """The active callbacks that somebody must look at; nobody else is given them before ``next_look``."""
        ...

    def hold(self, callback_id: str, token: str, now: datetime, until: datetime) -> CallbackLease | None:
        """Take or renew the hold on an active callback; None where another has it, or it is not active."""
        ...

    def release(self, lease: CallbackLease, due_at: datetime | None) -> bool:
        """End the hold, and have the callback looked at at ``due_at``; False, with nothing done, where events have come
        for it since ``lease`` was taken or renewed."""
        ...

    def owing_notice(self, limit: int) -> Sequence[Callback]:
        """Up to ``limit`` callbacks whose client is to be told something."""
        ...

    def settle_notice(self, callback: Callback) -> None:
        """The notice that ``callback`` owes is sent; one of another kind, come since, stays. May be repeated."""
        ...


class CallbackDeliveryStore(Protocol):
    """What is to be sent, and what became of it. Raises ``StoreError``. May be called from several threads at once."""

    def add(self, deliveries: Sequence[CallbackDelivery]) -> None:
        """Keep those that are not there yet. May be repeated."""
        ...

    def due(self, callback_id: str, now: datetime, limit: int) -> Sequence[CallbackDelivery]:
        """Up to ``limit`` pending ones that are due, those that have been longest first."""
        ...

    def next_due_at(self, callback_id: str) -> datetime | None:
        """When the next one is due; None: there is none."""
        ...

    def record(self, deliveries: Sequence[tuple[CallbackDelivery, CallbackTry]]) -> None:
        """Keep the state, the due time and the count of each as given here, and its try.

        Where the count is not one more than what is kept, the delivery was begun anew meanwhile, or somebody else has
        recorded this try: then all stays as it is.
        """
        ...

    def begin_anew(self, callback_id: str, now: datetime) -> None:
        """Give all that is pending for this callback its whole schedule again, due now. May be repeated."""
        ...

    def search(
        self,
        callback_id: str,
        limit: int,
        *,
        state: DeliveryState | None = None,
        before: datetime | None = None,
        before_event: str | None = None,
    ) -> Sequence[CallbackDelivery]:
        """Up to ``limit`` deliveries added before ``before``, newest first, with their tries.

        Many are added at one time: with ``before_event``, the event of a delivery of that time, those that stand behind
        it come as well.
        """
        ...

    def get(self, callback_id: str, event_id: str) -> CallbackDelivery | None:
        """One of them."""
        ...

    def send_again(self, callback_id: str, event_ids: Collection[str], now: datetime, *, only_undelivered: bool) -> int:
        """Begin these anew: due now, with the whole schedule before them. How many there were."""
        ...
