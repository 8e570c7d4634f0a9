"""Which notifications are traced, and which spans are made of what is recorded about them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.factories import NOW, later, make_claim, make_job, make_receipt_event, make_try
from wavecom.core.engine import AttemptFinished, CancelRequested, Policy, Transition, decide
from wavecom.core.events import Event
from wavecom.core.job import Job, Outcome, Trace
from wavecom.core.receipt_rules import ReceiptArrived
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import Status
from wavecom.core.traces import (
    EndpointCall,
    RecordedSpan,
    SpanKind,
    TraceParent,
    TraceRecorder,
    TraceSampler,
    parse_traceparent,
    traceparent_of,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
OWN = "aaaaaaaaaaaaaaaa"


@pytest.mark.parametrize(
    ("header", "is_sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-03", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", True),
    ],
)
def test_a_callers_trace_is_read_as_the_standard_has_it(header: str, is_sampled: bool) -> None:
    assert parse_traceparent(header) == TraceParent(TRACE, PARENT, is_sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"cc-{TRACE}-{PARENT}-01-" + "x" * 5000,
    ],
)
def test_what_is_no_trace_is_as_if_it_had_not_come(header: str) -> None:
    assert parse_traceparent(header) is None


def test_what_we_say_others_can_read() -> None:
    assert parse_traceparent(traceparent_of(TRACE, PARENT)) == TraceParent(TRACE, PARENT, True)


def test_a_trace_is_kept_as_a_text() -> None:
    for trace in (Trace(TRACE, OWN, PARENT), Trace(TRACE, OWN)):
        assert Trace.parse(str(trace)) == trace


def counting_bytes() -> Any:
    numbers = itertools.count()
    return lambda size: (next(numbers) * 0x9E3779B97F4A7C15 % 2 ** (8 * size)).to_bytes(size, "big")


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.25, 200, 300), (1.0, 1000, 1000)])
def test_the_ratio_holds_for_those_whose_callers_do_not_say(ratio: float, least: int, most: int) -> None:
    sampler = TraceSampler(ratio, counting_bytes())

    found = [sampler.begin() for _ in range(1000)]

    traces = [each for each in found if each is not None]
    assert least <= len(traces) <= most
    assert all(each.parent_id == "" for each in traces)
    assert len({each.trace_id for each in traces}) == len(traces)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_callers_decision_holds(ratio: float) -> None:
    sampler = TraceSampler(ratio, counting_bytes())

    traced = sampler.begin(f"00-{TRACE}-{PARENT}-01")

    assert traced is not None
    assert (traced.trace_id, traced.parent_id) == (TRACE, PARENT)
    assert traced.span_id not in {PARENT, ""}
    assert sampler.begin(f"00-{TRACE}-{PARENT}-00") is None
    assert (sampler.begin("nonsense") is None) is (ratio == 0)


class Environment:
    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []
        self.noted: list[str] = []
        numbers = itertools.count(1)
        self.recorder = TraceRecorder(
            sink=self.spans.append,
            random_bytes=lambda size: next(numbers).to_bytes(size, "big"),
            policy=Policy(),
            note=lambda job: self.noted.append(job.job_id),
        )

    def move(self, job: Job, event: Event, at: float) -> Job:
        transition = decide(job, event, later(at), Policy())
        assert isinstance(transition, Transition)
        self.recorder.on_moved([transition], later(at))
        return transition.applied_to(job)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def job_of(**overrides: Any) -> Job:
    return make_job(trace=Trace(TRACE, OWN, PARENT), **overrides)


def claimed(**overrides: Any) -> Job:
    """Accepted at ``NOW``, queued a second later, claimed after three."""
    return job_of(
        status=Status.PROCESSING, queued_at=later(1), claim=make_claim("t", lease_until=later(33)), **overrides
    )


def test_the_acceptance_stands_under_the_callers_span(environment: Environment) -> None:
    job = job_of()

    environment.recorder.on_inserted([make_job(), job], later(0.5))

    [span] = environment.spans
    assert (span.name, span.kind, span.trace_id, span.span_id, span.parent_id) == (
        "accept notification",
        SpanKind.SERVER,
        TRACE,
        OWN,
        PARENT,
    )
    assert (span.started_at, span.ended_at) == (NOW, later(0.5))
    assert environment.noted == [job.job_id]


def test_an_attempt_shows_its_wait_and_each_call(environment: Environment) -> None:
    calls = (
        make_try(Outcome.UNAVAILABLE, provider="a", at=later(4), latency_ms=100),
        make_try(Outcome.ACCEPTED, provider="b", at=later(5), latency_ms=250, code="http_202"),
    )
    job = claimed()

    environment.move(job, AttemptFinished("t", calls, expects_receipt=True), 6)

    wait, attempt, _, second = environment.spans
    assert [each.name for each in environment.spans] == ["wait in queue", "deliver", "call a", "call b"]
    assert (wait.started_at, wait.ended_at) == (later(1), later(3))
    assert (attempt.started_at, attempt.ended_at) == (later(3), later(6))
    assert (second.started_at, second.ended_at) == (later(5), later(5.25))
    assert [each.parent_id for each in environment.spans] == [OWN, OWN, attempt.span_id, attempt.span_id]
    assert [each.is_error for each in environment.spans] == [False, False, True, False]
    assert attempt.attributes["wavecom.status"] == "sent"
    assert second.attributes == {"wavecom.outcome": "accepted", "wavecom.code": "http_202"}
    assert len({each.span_id for each in environment.spans}) == 4
    assert {each.trace_id for each in environment.spans} == {TRACE}


def test_an_attempt_that_ends_badly_is_an_error(environment: Environment) -> None:
    environment.move(claimed(), AttemptFinished("t", (make_try(Outcome.REJECTED, at=later(4)),)), 5)

    [attempt] = [each for each in environment.spans if each.name == "deliver"]
    assert attempt.is_error


def test_a_wait_that_no_clock_can_tell_is_left_out(environment: Environment) -> None:
    parked = claimed()
    environment.move(
        make_job(
            trace=parked.trace, status=Status.PROCESSING, queued_at=None, claim=make_claim("t", lease_until=later(33))
        ),
        AttemptFinished("t", (make_try(at=later(4)),)),
        5,
    )

    assert "wait in queue" not in {each.name for each in environment.spans}
    assert all(each.ended_at >= each.started_at for each in environment.spans)


def test_a_receipt_and_what_people_do_are_spans_too(environment: Environment) -> None:
    sent = environment.move(claimed(), AttemptFinished("t", (make_try(at=later(4)),), expects_receipt=True), 5)
    environment.spans.clear()

    receipt = make_receipt_event(ReceiptKind.DELIVERED)
    assert isinstance(receipt, ReceiptArrived)
    environment.move(sent, receipt, 60)
    environment.move(job_of(), CancelRequested(by="key k-1"), 7)

    told, cancelled = environment.spans
    assert (told.name, told.kind, told.ended_at) == ("receipt of sandbox", SpanKind.CONSUMER, later(60))
    assert told.attributes["wavecom.status"] == "delivered"
    assert (cancelled.name, cancelled.attributes["wavecom.by"]) == ("cancelled", "key k-1")
    assert {told.parent_id, cancelled.parent_id} == {OWN}


def test_a_callbacks_call_has_the_id_that_its_endpoint_was_told(environment: Environment) -> None:
    span_id = environment.recorder.new_span_id()
    call = EndpointCall(
        span_id=span_id,
        callback_id="c-1",
        event_id="e.2",
        started_at=NOW,
        ended_at=later(1),
        status=503,
        is_delivered=False,
    )

    environment.recorder.call_endpoint(Trace(TRACE, OWN), call)

    [span] = environment.spans
    assert (span.span_id, span.parent_id, span.kind, span.is_error) == (span_id, OWN, SpanKind.CLIENT, True)
    assert span.attributes["http.response.status_code"] == 503


def test_a_job_that_is_not_traced_costs_no_span(environment: Environment) -> None:
    job = make_job(status=Status.PROCESSING, claim=make_claim("t"))

    environment.recorder.on_inserted([job], NOW)
    environment.recorder.on_claimed(job)
    environment.move(job, AttemptFinished("t", (make_try(),)), 1)

    assert (environment.spans, environment.noted) == ([], [])


CANARY = "amina.haddad@example.com"


def test_no_span_says_anything_of_a_person(environment: Environment) -> None:
    job = claimed(
        to={"phone": "+447700900123", "name": CANARY},
        payload={"text": f"For {CANARY}"},
        metadata={"note": CANARY},
        idempotency_key=CANARY,
    )
    calls = (make_try(Outcome.UNAVAILABLE, at=later(4), message=f"550 {CANARY} +447700900123"),)

    environment.recorder.on_inserted([job], NOW)
    environment.move(job, AttemptFinished("t", calls), 5)

    assert len(environment.spans) == 4
    assert CANARY not in str(environment.spans)
    assert "447700900123" not in str(environment.spans)
