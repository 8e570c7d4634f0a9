"""Honest stand-ins behind our own ports, for tests of the core. Each keeps the contract of its port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from wavecom.core.attachments import reattach
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import CallResult, DeliveryMessage, Job, Outcome, ProviderResult
from wavecom.core.lanes import Channel, Lane
from wavecom.core.ports import (
    AFTER_CLAIM,
    Clock,
    DeadLetter,
    Interval,
    JobRepository,
    Message,
    Permit,
    Publisher,
    Refusal,
)
from wavecom.core.receipts import InboundMessage, MatchedReceipt, Receipt
from wavecom.core.recipients import destination_of
from wavecom.core.states import Status
from wavecom.core.stats import Counts, Stats
from wavecom.core.transition_writer import TransitionWriter


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, at: datetime = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)) -> None:
        self.at = at
        self.mark = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.mark

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.mark += seconds


class FakeTimer:
    """A timer and its clock: whatever it was asked for happens, in order, when time goes by."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pending: list[tuple[float, Callable[..., Any], tuple[Any, ...]]] = []

    def monotonic(self) -> float:
        return self.now

    def call_after(self, secs: float, fun: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.pending.append((self.now + secs, fun, args))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [entry for entry in self.pending if entry[0] <= end]:
            entry = min(due, key=lambda each: each[0])
            self.pending.remove(entry)
            self.now, fun, args = entry
            fun(*args)
        self.now = end


class OneByOne:
    """A batcher without company: each item is a batch of its own."""

    def __init__(self, flush: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        self._flush = flush

    def submit(self, item: Any, *, is_urgent: bool = False) -> Any:
        [result] = self._flush([item])
        if isinstance(result, Exception):
            raise result
        return result


class RecordingPublisher:
    """Keeps what it is given; ``is_up = False`` is a broker that is away."""

    def __init__(self) -> None:
        self.is_up = True
        self.delivery_messages: list[DeliveryMessage] = []
        self.dead_letters: list[DeadLetter] = []

    def publish(self, delivery_messages: Sequence[DeliveryMessage]) -> list[bool]:
        if self.is_up:
            self.delivery_messages.extend(delivery_messages)
        return [self.is_up] * len(delivery_messages)

    def publish_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> list[bool]:
        if self.is_up:
            self.dead_letters.extend(dead_letters)
        return [self.is_up] * len(dead_letters)


class CountingStats:
    def __init__(self) -> None:
        self.counts: dict[Status, int] = {}
        self.new = 0

    def add(self, client: str, channel: Channel, status: Status, count: int = 1, *, is_new: bool = False) -> None:
        self.counts[status] = self.counts.get(status, 0) + count
        self.new += count if is_new else 0

    def totals(self, since: datetime, before: datetime, client: str | None = None) -> dict[Status, int]:
        return dict(self.counts)

    def accepted(self, since: datetime, before: datetime) -> dict[tuple[str, Channel], int]:
        return {}

    def by_account(self, since: datetime, before: datetime) -> dict[str, dict[Status, int]]:
        return {}

    def series(
        self,
        since: datetime,
        before: datetime,
        step: Interval,
        client: str | None = None,
        *,
        is_test: bool | None = None,
    ) -> dict[datetime, Counts]:
        return {}


class RecordingObserver:
    """Keeps what it is told; ``error``, where it is set, is raised afterwards."""

    def __init__(self) -> None:
        self.inserted: list[Job] = []
        self.moved: list[Transition] = []
        self.error: Exception | None = None

    def on_inserted(self, jobs: Sequence[Job], now: datetime) -> None:
        self.inserted += jobs
        if self.error is not None:
            raise self.error

    def on_moved(self, transitions: Sequence[Transition], now: datetime) -> None:
        self.moved += transitions
        if self.error is not None:
            raise self.error


def make_writer(
    jobs: JobRepository,
    clock: Clock,
    *,
    publisher: Publisher | None = None,
    stats: Stats | None = None,
    **others: Any,
) -> TransitionWriter:
    """What writes transitions into ``jobs``; with a publisher and counters of its own where none are named."""
    return TransitionWriter(
        jobs=jobs,
        publisher=publisher or RecordingPublisher(),
        stats=stats or CountingStats(),
        clock=clock,
        policy=Policy(),
        **others,
    )


class ScriptedProvider:
    """Answers from a list, the last one for ever; keeps the messages it was given."""

    channels = frozenset(Channel)
    longest_call_seconds = 10.0

    def __init__(
        self, name: str, *answers: ProviderResult, is_idempotent: bool = True, expects_receipts: bool = False
    ) -> None:
        self.name = name
        self.is_idempotent = is_idempotent
        self.expects_receipts = expects_receipts
        self.messages: list[Message] = []
        self.answers = list(answers) or [ProviderResult(Outcome.ACCEPTED, "ok", message_id="m-1")]
        self.on_send: Callable[[Message], None] = lambda _message: None

    def send(self, message: Message) -> ProviderResult:
        self.messages.append(replace(message, payload=reattach(message.payload, message.files.read)))
        self.on_send(message)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        return None


class FixedRoute:
    """The providers in the order given; ``closed`` ones are refused. Counts permits that are out."""

    def __init__(self, *providers: str) -> None:
        self.providers = providers
        self.closed: set[str] = set()
        self.out = 0
        self.released: list[CallResult | None] = []
        self.charged: list[int] = []
        #: Provider and destination → seconds for which no mail should go there.
        self.waits_by_destination: dict[tuple[str, str], float] = {}
        #: Providers that rest → seconds.
        self.pauses: dict[str, float] = {}

    def reserve(self, lane: Lane, *, wait_seconds: float = 0.0, prefer: str | None = None) -> Permit | Refusal:
        return self._first([], prefer) or Refusal("", "no_route", 60)

    def reserve_for(
        self, job: Job, *, besides: Collection[str] = (), wait_seconds: float = 0.0
    ) -> Permit | Refusal | None:
        return self.reserve_next(job, besides)

    def parking_seconds(self, lane: Lane, refusal: Refusal) -> float:
        return refusal.retry_after_seconds

    def payload_of(self, job: Job) -> Mapping[str, Any]:
        return job.payload

    def sandbox_of(self, job: Job) -> str | None:
        return None

    def reserve_next(self, job: Job, tried: Collection[str], *, prefer: str | None = None) -> Permit | Refusal | None:
        return self._first(tried, prefer)

    def _first(self, tried: Collection[str], prefer: str | None) -> Permit | Refusal | None:
        order = sorted((p for p in self.providers if p not in tried), key=lambda name: name != prefer)
        if not order:
            return None
        for name in order:
            if name not in self.closed:
                self.out += 1
                return Permit(name)
        return Refusal(order[0], "open", 5)

    def charge(self, permit: Permit, extra_cost: int) -> None:
        self.charged.append(extra_cost)

    def release(self, permit: Permit, outcome: CallResult | None) -> None:
        if permit.provider == AFTER_CLAIM:
            return
        self.out -= 1
        self.released.append(outcome)

    def paused_providers(self, job: Job) -> Mapping[str, float]:
        return self.pauses

    def destination_waits(self, job: Job) -> Mapping[str, float]:
        destination = destination_of(job)
        return {name: seconds for (name, where), seconds in self.waits_by_destination.items() if where == destination}


class NeverStopping:
    """Patience that moves a fake clock instead of waiting."""

    def __init__(self, clock: FakeClock, on_wait: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self.on_wait = on_wait
        self.is_stopping = False

    def wait(self, timeout: float) -> bool:
        self._clock.advance(timeout)
        self.on_wait()
        return self.is_stopping


class NoFeedbackHandler:
    """``FeedbackHandler`` that keeps nothing."""

    def on_receipts(self, receipts: Sequence[MatchedReceipt]) -> None:
        """See the port."""

    def on_unmatched(self, provider: str, receipts: Sequence[Receipt]) -> None:
        """See the port."""

    def on_inbound(self, provider: str, messages: Sequence[InboundMessage]) -> None:
        """See the port."""
