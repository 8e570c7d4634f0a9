"""Events as clients read them: what became of a notification, in an order of its account's own (ADR 45).

An event is written with the status that it is about, in the job's document; from there it is published into the log
of its account, where it has a position. Positions have no gaps, and an event becomes readable only after all before it.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from wavecom.core.job import FallbackStep, JobError, JobId, RecordedEvent, Trace
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

#: So long the log keeps an event, by the time at which it was published.
KEPT: Final = timedelta(days=8)
#: So long clients are promised to find it there.
PROMISED: Final = timedelta(days=7)
#: From so long after an account has first used events, all that it sends has them: web processes must hear of it.
RECORDING_DELAY: Final = timedelta(seconds=5)

#: How often a web process looks which accounts use events; several times within the delay.
FOLLOW_SECONDS: Final = 1.0

_PREFIX = "notification."

#: The statuses of which there are events; ``processing`` is a worker's hold, and says nothing of the message.
EVENT_STATUSES: Final = tuple(status for status in Status if status is not Status.PROCESSING)


def type_of(status: Status) -> str:
    """What an event of this status is called: ``notification.delivered``."""
    return f"{_PREFIX}{status.value}"


#: The name of each event, with its status.
EVENT_TYPES: Final[Mapping[str, Status]] = {type_of(status): status for status in EVENT_STATUSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEvent:
    """One event. Times are aware UTC. ``metadata`` is the client's own, as it came with the notification."""

    job_id: JobId
    #: 1 for the first event of its job, one more for each that follows: who gets two in the wrong order can tell.
    version: int
    account: str
    channel: Channel
    status: Status
    at: datetime
    attempts: int
    provider: str | None = None
    error: JobError | None = None
    next_attempt_at: datetime | None = None
    idempotency_key: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: Of its job, where that is traced.
    trace: Trace | None = None
    #: Of which fallback its job is a step; None for what is told of a fallback as a whole, too.
    parent: FallbackStep | None = None
    #: When it came into the log.
    published_at: datetime
    #: Its place in the log of its account, from 1; 0 as long as it has none.
    position: int = 0

    @property
    def event_id(self) -> str:
        """The same however often it is published or sent."""
        return f"{self.job_id}.{self.version}"

    @property
    def type(self) -> str:
        """See ``type_of``."""
        return type_of(self.status)


@dataclass(frozen=True, slots=True)
class UnpublishedEvents:
    """The events that stand in a job's document, the oldest first; ``last_version`` is that of the last one."""

    job_id: JobId
    account: str
    channel: Channel
    idempotency_key: str | None
    metadata: Mapping[str, Any]
    events: tuple[RecordedEvent, ...]
    last_version: int
    trace: Trace | None = None
    parent: FallbackStep | None = None

    def as_client_events(self, now: datetime) -> list[ClientEvent]:
        """What is published of them at ``now``."""
        first = self.last_version - len(self.events) + 1
        return [
            ClientEvent(
                job_id=self.job_id,
                version=version,
                account=self.account,
                channel=self.channel,
                status=event.status,
                at=event.at,
                attempts=event.attempts,
                provider=event.provider,
                error=event.error,
                next_attempt_at=event.next_attempt_at,
                idempotency_key=self.idempotency_key,
                metadata=self.metadata,
                trace=self.trace,
                parent=self.parent,
                published_at=now,
            )
            for version, event in enumerate(self.events, first)
        ]


class RecordedEvents(Protocol):
    """The events that stand in jobs' documents. Raises ``StoreError``."""

    def due(self, now: datetime, limit: int) -> Sequence[UnpublishedEvents]:
        """Up to ``limit`` jobs that have events, those that have had them longest first."""
        ...

    def settle(self, published: Sequence[UnpublishedEvents]) -> None:
        """Take the events out of the jobs, where none has come to them since. May be repeated."""
        ...


class EventLog(Protocol):
    """The events of each account, in their order, for ``KEPT``. Raises ``StoreError``."""

    def append(self, account: str, events: Sequence[ClientEvent]) -> None:
        """Add them at the end, in order, those alone that are not there yet. May be repeated, and by many at once."""
        ...

    def after(
        self, account: str, position: int, limit: int, job_id: JobId | None = None, *, since: datetime | None = None
    ) -> Sequence[ClientEvent]:
        """Up to ``limit`` events behind this position (0: from the first), of one job if it is given.

        ``since``: none that was published before.
        """
        ...

    def by_ids(self, event_ids: Collection[str]) -> Mapping[str, ClientEvent]:
        """Those of them that are kept still."""
        ...

    def last_positions(self, accounts: Collection[str]) -> Mapping[str, int]:
        """Of each of these accounts that has ever had an event, about where its log ends, in one question.

        A position that stands here may be readable a moment later only, and one that is readable stand here later.
        """
        ...

    def bounds(self, account: str) -> tuple[int, int]:
        """The positions of the first and the last event that are kept; (n + 1, n) when none is, n ever being."""
        ...

    def leave_out_positions(self, count: int) -> None:
        """Let every log go on ``count`` positions later; who stands between reads on from there, without an error.

        For a store that was restored: readers have positions that it gave before, and must not take other events for
        those. May be repeated.
        """
        ...


class EventAccountStore(Protocol):
    """Which accounts use events. Raises ``StoreError``."""

    def all(self) -> frozenset[str]:
        """Their names."""
        ...

    def recorded_since(self, account: str, now: datetime) -> datetime:
        """From when on what the account sends has events; begins with it, where it has not."""
        ...


class _EveryAccount:
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


class EventAccounts:
    """Which accounts use events, as this process knows it; asked about each notification that is accepted.

    As long as nobody has been able to look, every account: an event too many costs little, one too few is lost.
    """

    def __init__(self, store: EventAccountStore) -> None:
        self._store = store
        #: The names, replaced as a whole. To be asked itself: a method of ours would cost as much as the rest of it.
        self.names: Container[str] = _EveryAccount()

    def refresh(self) -> None:
        """Look again. Raises ``StoreError``, and knows what it knew then."""
        self.names = self._store.all()
