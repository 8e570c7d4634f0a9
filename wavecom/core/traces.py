"""Traces: one for a notification, from the call that brought it to the callback that tells of its end. No I/O.

Whether a notification is traced is decided once, when it is accepted; the job carries that, and every process makes
spans of what it records about the job anyway, with the times of the records. Nothing else knows of traces, and of a job
without one nothing more is asked than whether it has one. Spans hold ids, names, codes and times: no person's data.

https://www.w3.org/TR/trace-context/ (how callers and callbacks name a trace) and OpenTelemetry's words for spans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from wavecom.core.engine import Policy, Transition
from wavecom.core.job import Job, LogEntry, Outcome, Trace
from wavecom.core.states import Status

#: Version, trace, parent, flags; versions after ours may have more behind that (section 3.2.2).
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_LONGEST: Final = 512
_SAMPLED: Final = 1
#: Of a trace's id, the part that is random by the second edition of the standard, and by which the ratio is held.
_RANDOM_DIGITS: Final = 14

#: So many random bytes.
RandomBytes = Callable[[int], bytes]
Attributes = Mapping[str, str | int | float | bool]


class SpanKind(StrEnum):
    """Which side of a conversation a span is, in OpenTelemetry's words."""

    SERVER = "server"
    CONSUMER = "consumer"
    CLIENT = "client"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpan:
    """One piece of work in a trace. Ids are hexadecimal, 32 digits of a trace's, 16 of a span's; times aware UTC."""

    name: str
    kind: SpanKind
    trace_id: str
    span_id: str
    #: Empty: the trace begins with it.
    parent_id: str
    started_at: datetime
    ended_at: datetime
    attributes: Attributes = field(default_factory=dict)
    is_error: bool = False


#: Takes a span that has ended; must be quick, and never raise.
SpanSink = Callable[[RecordedSpan], None]


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The trace that a caller is in, by the header ``traceparent`` (Trace Context, section 3.2)."""

    trace_id: str
    span_id: str
    is_sampled: bool


def parse_traceparent(header: str) -> TraceParent | None:
    """What the header says; None for what is none, which is as if it had not come (section 4.3)."""
    found = _TRACEPARENT.fullmatch(header) if len(header) <= _LONGEST else None
    if found is None or (found[1] == "00" and found[5] is not None):
        return None
    return TraceParent(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))


def traceparent_of(trace_id: str, span_id: str) -> str:
    """The header by which somebody who is called goes on with a trace that is recorded."""
    return f"00-{trace_id}-{span_id}-01"


class TraceSampler:
    """Decides which notifications are traced: as their callers decided, else ``ratio`` (0 to 1) of them by chance."""

    def __init__(self, ratio: float, random_bytes: RandomBytes) -> None:
        self._bound = round(ratio * 16**_RANDOM_DIGITS)
        self._random_bytes = random_bytes

    def begin(self, traceparent: str | None = None) -> Trace | None:
        """The trace of a new notification; None: it has none."""
        caller = None if traceparent is None else parse_traceparent(traceparent)
        if caller is not None:
            return self._trace(caller.trace_id, caller.span_id) if caller.is_sampled else None
        trace_id = self._random_bytes(16).hex()
        return self._trace(trace_id, "") if int(trace_id[-_RANDOM_DIGITS:], 16) < self._bound else None

    def _trace(self, trace_id: str, parent_id: str) -> Trace:
        return Trace(trace_id, self._random_bytes(8).hex(), parent_id)


class TraceRecorder:
    """A ``WriteObserver`` that makes spans of what was written about traced jobs, and of the calls of endpoints.

    ``note`` is told which trace a job belongs to, for the lines of the log.
    """

    def __init__(
        self,
        *,
        sink: SpanSink,
        random_bytes: RandomBytes,
        policy: Policy,
        note: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        self._sink = sink
        self._random_bytes = random_bytes
        self._lease = policy.lease
        self._note = note

    def on_inserted(self, jobs: Sequence[Job], now: datetime) -> None:
        """See ``WriteObserver``: the root of each trace, or what stands right under the caller's span."""
        for job in jobs:
            if job.trace is None:
                continue
            self._note(job)
            self._sink(
                RecordedSpan(
                    name="accept notification",
                    kind=SpanKind.SERVER,
                    trace_id=job.trace.trace_id,
                    span_id=job.trace.span_id,
                    parent_id=job.trace.parent_id,
                    started_at=job.created_at,
                    ended_at=now,
                    attributes=_of_job(job),
                )
            )

    def on_claimed(self, job: Job) -> None:
        """A worker holds the job: its lines in the log name its trace from now on."""
        if job.trace is not None:
            self._note(job)

    def on_moved(self, transitions: Sequence[Transition], now: datetime) -> None:
        """See ``WriteObserver``: attempts with their wait and their calls, receipts, and what people and time do."""
        for transition in transitions:
            job = transition.before
            if job.trace is None:
                continue
            calls = [
                entry for entry in transition.entries if entry.latency_ms is not None and entry.outcome is not None
            ]
            if calls and job.claim is not None:
                self._attempt(job, transition, calls, now)
            else:
                for entry in transition.entries:
                    self._moment(job, transition, entry, now)

    def call_endpoint(self, trace: Trace, endpoint: EndpointCall) -> None:
        """A callback's endpoint was called about an event of a job in ``trace``."""
        self._add(
            trace,
            "call callback",
            SpanKind.CLIENT,
            endpoint.started_at,
            endpoint.ended_at,
            {"wavecom.callback.id": endpoint.callback_id, "wavecom.event.id": endpoint.event_id}
            | ({} if endpoint.status is None else {"http.response.status_code": endpoint.status}),
            span_id=endpoint.span_id,
            is_error=not endpoint.is_delivered,
        )

    def new_span_id(self) -> str:
        """An id for a span that somebody has to be told before it has ended."""
        return self._random_bytes(8).hex()

    def _attempt(self, job: Job, transition: Transition, calls: Sequence[LogEntry], now: datetime) -> None:
        assert job.trace is not None and job.claim is not None  # noqa: S101, PT018 - asked by the caller
        claimed_at = min(job.claim.lease_until - self._lease, calls[0].at)
        queue = {"messaging.system": "rabbitmq", "messaging.destination.name": job.lane.queue}
        if job.queued_at is not None and job.queued_at <= claimed_at:
            # The delivery message, from its publication until its job was claimed.
            self._add(job.trace, "wait in queue", SpanKind.INTERNAL, job.queued_at, claimed_at, queue)
        attempt = self._add(
            job.trace,
            "deliver",
            SpanKind.CONSUMER,
            claimed_at,
            now,
            {**queue, **_of_job(job), "wavecom.attempt": job.attempts + 1, "wavecom.status": transition.status.value},
            is_error=transition.status in _BAD,
        )
        for call in calls:
            self._add(
                job.trace,
                f"call {call.provider or 'no provider'}",
                SpanKind.CLIENT,
                call.at,
                call.at + timedelta(milliseconds=call.latency_ms or 0),
                {"wavecom.outcome": call.outcome or "", "wavecom.code": call.code or ""},
                parent_id=attempt,
                is_error=call.outcome != Outcome.ACCEPTED,
            )

    def _moment(self, job: Job, transition: Transition, entry: LogEntry, now: datetime) -> None:
        assert job.trace is not None  # noqa: S101 - asked by the caller
        is_receipt = entry.receipt_id is not None
        found = {"wavecom.provider": entry.provider, "wavecom.code": entry.code, "wavecom.by": entry.by}
        self._add(
            job.trace,
            f"receipt of {entry.provider}" if is_receipt else entry.event,
            SpanKind.CONSUMER if is_receipt else SpanKind.INTERNAL,
            min(entry.at, now),
            now,
            {"wavecom.job.id": job.job_id, "wavecom.status": transition.status.value}
            | {name: value for name, value in found.items() if value is not None},
            is_error=transition.status in _BAD,
        )

    def _add(
        self,
        trace: Trace,
        name: str,
        kind: SpanKind,
        started_at: datetime,
        ended_at: datetime,
        attributes: Attributes,
        *,
        parent_id: str = "",
        span_id: str = "",
        is_error: bool = False,
    ) -> str:
        span_id = span_id or self.new_span_id()
        self._sink(
            RecordedSpan(
                name=name,
                kind=kind,
                trace_id=trace.trace_id,
                span_id=span_id,
                parent_id=parent_id or trace.span_id,
                started_at=started_at,
                ended_at=max(started_at, ended_at),
                attributes=attributes,
                is_error=is_error,
            )
        )
        return span_id


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCall:
    """One call of a callback's endpoint, as a span of it. ``status``: of its answer; None: there was none."""

    span_id: str
    callback_id: str
    event_id: str
    started_at: datetime
    ended_at: datetime
    status: int | None
    is_delivered: bool


#: What a notification's sender did not want.
_BAD: Final = frozenset({Status.FAILED, Status.EXPIRED, Status.UNCONFIRMED})


def _of_job(job: Job) -> Attributes:
    return {
        "wavecom.job.id": job.job_id,
        "wavecom.account": job.client,
        "wavecom.channel": job.type.value,
        "wavecom.priority": job.priority.value,
    }
