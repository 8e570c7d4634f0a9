"""Spans as a collector gets them: OTLP over real HTTP, read by the protocol's own definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.factories import NOW, later
from tests.otlp_receiver import OtlpReceiver, otlp_receiver
from wavecom.core.traces import RecordedSpan, SpanKind
from wavecom.span_export import QUEUE_SIZE, SpanExport

SPAN = RecordedSpan(
    name="deliver",
    kind=SpanKind.CONSUMER,
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    span_id="00f067aa0ba902b7",
    parent_id="aaaaaaaaaaaaaaaa",
    started_at=NOW,
    ended_at=later(0.25),
    attributes={"wavecom.attempt": 2, "wavecom.status": "sent"},
    is_error=True,
)


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


def export_to(url: str) -> SpanExport:
    return SpanExport(
        url, headers={"authorization": "Bearer abc"}, service="wavecom-web", version="1.2", instance="w:1"
    )


def test_a_collector_gets_what_was_recorded(receiver: OtlpReceiver) -> None:
    export = export_to(receiver.url)
    export(SPAN)
    export(replace(SPAN, parent_id="", is_error=False, kind=SpanKind.SERVER))
    export.close()

    first, root = receiver.spans
    assert (first.name, first.kind, first.is_error) == ("deliver", "consumer", True)
    assert (first.trace_id, first.span_id, first.parent_id) == (SPAN.trace_id, SPAN.span_id, SPAN.parent_id)
    assert first.starts == round(NOW.timestamp() * 1000) * 1_000_000
    assert first.ends - first.starts == 250_000_000
    assert first.attributes == {"wavecom.attempt": 2, "wavecom.status": "sent"}
    assert first.resource == {
        "service.namespace": "wavecom",
        "service.name": "wavecom-web",
        "service.version": "1.2",
        "service.instance.id": "w:1",
    }
    assert (root.kind, root.parent_id, root.is_error) == ("server", "", False)
    assert receiver.headers[0]["authorization"] == "Bearer abc"


def test_who_makes_spans_waits_for_no_collector_and_neither_does_the_end() -> None:
    export = export_to("http://127.0.0.1:1/v1/traces")

    for _ in range(2 * QUEUE_SIZE):
        export(SPAN)  # what does not fit is dropped

    export.close()
    export(SPAN)  # by a thread that has not heard of the end
