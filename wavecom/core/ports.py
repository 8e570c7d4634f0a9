"""What the core needs from the other layers, as Protocols. Implementations live in storage, broker, routing, providers.

All methods may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from wavecom.core.engine import Transition
from wavecom.core.job import Claim, DeliveryMessage, Job, JobId, ProviderResult, receipt_reference
from wavecom.core.lanes import QUEUES, Channel, Lane, LaneQueue, Priority
from wavecom.core.routes import SENDER_FIELDS
from wavecom.core.states import Status


class Clock(Protocol):
    """The time, the same for every process that shares a store."""

    def now(self) -> datetime:
        """Aware UTC, whole milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        ...


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a list may be narrowed by; None means "any". Times bound ``created_at``: since ≤ t < before."""

    client: str | None = None
    #: Belonging to any of these accounts; empty: to any at all.
    accounts: frozenset[str] = frozenset()
    #: Of test accounts, or of live ones.
    is_test: bool | None = None
    statuses: frozenset[Status] = frozenset()
    type: Channel | None = None
    priority: Priority | None = None
    provider: str | None = None
    error_code: str | None = None
    #: The e-mail address (in any case), phone number (E.164) or push token.
    recipient: str | None = None
    job_id: JobId | None = None
    #: Quick with a client or accounts only.
    idempotency_key: str | None = None
    #: The id of the campaign of which it is a row.
    campaign: str | None = None
    #: A name in ``metadata``; with ``metadata_value`` (as ``job.label_text`` writes it), that name with that value.
    metadata_key: str | None = None
    metadata_value: str | None = None
    created_since: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list ordered by (created_at, job_id), both descending: the last job already seen."""

    created_at: datetime
    job_id: JobId


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs without payload and log, newest first; ``next`` is None on the last page.

    A page of a filter that matches little may be short, or empty, and go on all the same: no list reads everything.
    """

    jobs: tuple[Job, ...]
    next: Cursor | None


class JobRepository(Protocol):
    """The truth about every job. Raises ``StoreError`` when the store can't be reached."""

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        """Store new jobs, durably, in one round trip.

        One result per job, in order: None when it was stored, or the job that already holds the same
        (client, idempotency_key), without its log. Raises ``UncertainWriteError`` when it can't be told which were
        stored, after a look-up by job id; ``ValueError`` for an id not made with its idempotency key (``job_ids``).
        """
        ...

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: datetime) -> dict[JobId, Job]:
        """Take those of the jobs that may be delivered now (``decide(job, ClaimRequested(claim))``), in one batch.

        ``job_ids`` are distinct. Answers the jobs granted, as they are after the claim and without their logs; who is
        missing was taken by another, is not due, is done, or can't be read by this release. May be repeated with the
        same claim after an error.
        """
        ...

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        """Write guarded changes in one batch; True for each whose guard held and which is now written.

        Durable when it returns. May be repeated with the same transitions after an error: what was written by
        the first call counts as written.
        """
        ...

    def get(self, job_id: JobId, client: str | None = None) -> Job | None:
        """The whole job with its log, or None; None too when it belongs to another client than ``client``."""
        ...

    def by_idempotency_key(self, client: str, keys: Sequence[str]) -> dict[str, Job]:
        """For each of the client's keys that was used, the job that holds it, without its log."""
        ...

    def by_ids(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Those of the jobs that there are, with their logs and without payloads.

        As they are durably: what is read here is not lost with any one server.
        """
        ...

    def by_message_ids(self, provider: str, message_ids: Sequence[str]) -> dict[str, Job]:
        """For each of the provider's names for messages that is known, its job, as ``by_ids`` reads it."""
        ...

    def accounts_that_sent(self, provider: str, channel: Channel, recipient: str) -> frozenset[str]:
        """Whose jobs, of those kept, the provider had on this channel for this recipient (as ``JobFilter`` has him)."""
        ...

    def search(self, where: JobFilter, limit: int, after: Cursor | None = None) -> Page:
        """A page of at most ``limit`` jobs, newest first, without payloads and logs."""
        ...

    def count(self, where: JobFilter, limit: int) -> int | None:
        """How many jobs there are now, ``limit`` if there are more; None when counting would take too long.

        For filters by status: others read much.
        """
        ...

    def due(
        self,
        status: Status,
        now: datetime,
        limit: int,
        *,
        queues: Sequence[LaneQueue] = QUEUES,
        queued_before: datetime | None = None,
        expired_only: bool = False,
    ) -> list[Job]:
        """Jobs of one status whose ``due_at`` has passed, longest due first, without payloads and logs.

        ``queues`` narrows them to jobs whose lanes lead through these.
        ``queued_before`` leaves only jobs whose ``queued_at`` is before it, so none that are parked (see ``parked``).
        ``expired_only`` leaves out those whose ``expires_at`` is to come.
        """
        ...

    def parked(self, priority: Priority, now: datetime, limit: int) -> list[Job]:
        """Parked jobs (queued or retrying, no delivery message of them in any queue) whose ``due_at`` has passed, of
        all channels.

        Longest due first, without payloads and logs.
        """
        ...

    def now(self) -> datetime:
        """The store's own time (aware UTC, milliseconds): the clock every process agrees on."""
        ...

    def ping(self) -> None:
        """Raises ``StoreError`` unless the store answers."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What stands in the dead-letter queue for a failed job; the job itself stays in the store."""

    job_id: JobId
    channel: Channel
    priority: Priority
    code: str
    message: str
    provider: str | None
    attempts: int
    failed_at: datetime


class Publisher(Protocol):
    """Hands delivery messages and dead letters to the broker: persistent, confirmed, mandatory, in bounded time."""

    def publish(self, delivery_messages: Sequence[DeliveryMessage]) -> list[bool]:
        """True for each delivery message that the broker has confirmed in a queue.

        Never raises for a broker that is away or blocked: an unpublished delivery message is the sweep's work.
        """
        ...

    def publish_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> list[bool]:
        """The same for dead letters."""
        ...


@dataclass(frozen=True, slots=True)
class WaitingMessages:
    """The delivery messages of a queue that nobody has taken."""

    #: How many there are; None when the broker can't be asked.
    ready: int | None
    #: Delivery messages queued before this time and not yet taken are lost; None when that can't be said (deep or
    #: unknown).
    lost_before: datetime | None


class Backlog(Protocol):
    """The delivery messages that wait in the broker's queues."""

    def of(self, queue: LaneQueue, now: datetime) -> WaitingMessages:
        """What waits in the queue now; never raises."""
        ...


class MissingFileError(Exception):
    """An attachment is not stored any more."""


class UnreadableFileError(Exception):
    """An attachment can't be read, for a bug."""


class NotBegunError(Exception):
    """A provider met a bug, its cause, before anything had left."""


class Files(Protocol):
    """The attachments of one message that are stored apart from it."""

    def read(self, name: str) -> bytes:
        """The file called ``name``, the ``blob`` of an attachment. Read anew each time: let go of it soon.

        Raises ``StoreError``, ``MissingFileError`` when it is not there any more, or ``UnreadableFileError``: a
        provider lets them pass, and has not sent the message then.
        """
        ...

    def handed_over(self) -> None:
        """The provider has no more need of them for this call, however long it still waits for its answer."""
        ...


class NoFiles:
    """``Files`` of a message that has none apart."""

    def read(self, name: str) -> bytes:
        """Raises ``MissingFileError`` for every name."""
        raise MissingFileError(name)

    def handed_over(self) -> None:
        """Does nothing: there is nothing to let go of."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a provider is asked to send. The same for every attempt, except ``attempt`` (1, 2, …).

    An attachment in ``payload`` has ``content`` (base64) or, where it is large, ``blob`` and ``size``: see ``files``.
    """

    job_id: JobId
    #: What the provider may use to recognise a repetition; changes only with a replay.
    delivery_key: str
    type: Channel
    to: Mapping[str, object]
    payload: Mapping[str, object]
    metadata: Mapping[str, object]
    attempt: int
    #: True when the client prefers no message over two: an ambiguous answer must then be reported as unknown.
    stops_on_unknown: bool = False
    #: Aware UTC. What has not reached the recipient by then should not any more; None: not told.
    expires_at: datetime | None = None
    files: Files = field(default=NoFiles(), compare=False, repr=False)
    #: How often the job was replayed before.
    replays: int = 0
    #: ``payload`` has the sender of the message's route, which the providers file names: people must put that right.
    has_route_sender: bool = False

    @property
    def receipt_reference(self) -> str:
        """What a provider is to give back in receipts (``core.job.receipt_reference``)."""
        return receipt_reference(self.job_id, self.replays)

    @property
    def own_sender_field(self) -> str | None:
        """The field of ``payload`` in which the message itself names its sender; None: its route or provider does."""
        field = SENDER_FIELDS.get(self.type)
        return field if field is not None and self.payload.get(field) and not self.has_route_sender else None

    def seconds_left(self, now: datetime) -> int | None:
        """Whole seconds from ``now`` (aware UTC) until ``expires_at``, below 0 after it; None where there is no end."""
        return None if self.expires_at is None else int((self.expires_at - now).total_seconds())


class Provider(Protocol):
    """A service that delivers messages: a mail server, an SMS gateway, a push service."""

    name: str
    channels: frozenset[Channel]
    #: Deliveries are confirmed later by a receipt: accepted means "sent", not "delivered".
    expects_receipts: bool
    #: The provider itself drops repetitions of the same delivery key.
    is_idempotent: bool
    #: No call of ``send`` takes longer.
    longest_call_seconds: float

    def send(self, message: Message) -> ProviderResult:
        """Hand over one message, within ``longest_call_seconds``.

        Never raises for what a provider or a network can do; the answer says it. Raises only where nothing has left,
        so that the call counts as not taken: where the machine has no descriptor, memory or thread to begin with, and
        ``NotBegunError``. Whatever else it raises is a bug in the middle of a call, of which nobody knows the outcome.
        """
        ...

    def close(self) -> None:
        """Let go of connections. May be called twice."""
        ...


#: Called with a provider's result, or with the exception of a bug that it met.
OnResult = Callable[[ProviderResult | Exception], None]


@runtime_checkable
class AsyncProvider(Protocol):
    """A provider whose calls need no thread to wait for each of them."""

    def start(self, message: Message, on_result: OnResult) -> bool:
        """As ``Provider.send`` without waiting: ``on_result`` gets the result, once, on whatever thread.

        It may be called before this returns, must be quick, and must not raise. False, with nothing done, where this
        call needs ``send``. Raises only with nothing done, too.
        """
        ...


#: Names the provider that takes the jobs of test accounts. No providers file can declare it, for its colon.
TEST_SANDBOX = "sandbox:test"


#: Names no provider: where routes have conditions, a message is admitted when some provider of its channel may be
#: called, and the permit for the job's own route is asked for after the claim, when the job is known.
AFTER_CLAIM = "after:claim"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to call one provider now. Must be given back with ``Gate.release`` whatever happens."""

    provider: str
    is_probe: bool = False

    def serves(self, lane: Lane) -> bool:
        """Whether a job of this lane may be sent with it: test lanes to the sandbox alone, live ones never to it."""
        return (self.provider == TEST_SANDBOX) is lane.is_test


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a provider may not be called now, and when it is worth asking again."""

    provider: str
    reason: str
    retry_after_seconds: float


class Gate(Protocol):
    """May this provider be called now? Breaker, rate limit and bulkhead, shared by all workers."""

    def acquire(self, provider: str, priority: Priority, cost: int = 1) -> Permit | Refusal:
        """Ask for one call of weight ``cost`` (SMS: segments). Never waits."""
        ...

    def release(self, permit: Permit, answer: ProviderResult | None, latency_ms: float, recipient: str = "") -> None:
        """Give the permit back and report what came of the call; ``answer`` is None when no call was made.

        ``recipient`` is an opaque key of whom the call was for, "" for somebody else each time: one recipient's
        trouble is not the provider's.
        """
        ...


class Interval(StrEnum):
    """How long a step of a series is. Days are those of UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """One step as a time span."""
        return timedelta(**{f"{self.value}s": 1})

    def start_of(self, moment: datetime) -> datetime:
        """The beginning of the step that ``moment`` (aware UTC) lies in."""
        cleared = {"second": 0, "microsecond": 0}
        if self is not Interval.MINUTE:
            cleared["minute"] = 0
        if self is Interval.DAY:
            cleared["hour"] = 0
        return moment.replace(**cleared)  # type: ignore[arg-type]


Sleep = Callable[[float], None]
