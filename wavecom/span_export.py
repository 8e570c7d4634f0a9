"""Sends spans to a collector by OTLP over HTTP, with OpenTelemetry's SDK; imported only where traces are set up.

https://opentelemetry.io/docs/specs/otlp/ - in batches, by a thread of the SDK's own. While the collector is away spans
are dropped, and nobody waits.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from wavecom.core import traces

#: Spans that wait for the next batch, about a kilobyte each; what is more is dropped.
QUEUE_SIZE: Final = 4096
BATCH_SIZE: Final = 512
EVERY_SECONDS: Final = 2.0
#: Of one batch.
TIMEOUT_SECONDS: Final = 5
CLOSE_SECONDS: Final = 3.0
_KINDS: Final = {
    traces.SpanKind.SERVER: SpanKind.SERVER,
    traces.SpanKind.CONSUMER: SpanKind.CONSUMER,
    traces.SpanKind.CLIENT: SpanKind.CLIENT,
    traces.SpanKind.INTERNAL: SpanKind.INTERNAL,
}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class SpanExport:
    """A ``SpanSink`` that has spans sent to a collector. Thread-safe; one per process, made after any fork."""

    def __init__(self, url: str, *, headers: Mapping[str, str], service: str, version: str, instance: str) -> None:
        """``url`` takes OTLP (``http://collector:4318/v1/traces``); ``headers`` log in there."""
        self._exporter = OTLPSpanExporter(endpoint=url, headers=dict(headers), timeout=TIMEOUT_SECONDS)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUE_SIZE,
            max_export_batch_size=BATCH_SIZE,
            schedule_delay_millis=EVERY_SECONDS * 1000,
        )
        self._resource = Resource(
            {
                "service.namespace": "wavecom",
                "service.name": service,
                "service.version": version,
                "service.instance.id": instance,
            }
        )
        self._scope = InstrumentationScope("wavecom", version)

    def __call__(self, span: traces.RecordedSpan) -> None:
        """See ``SpanSink``."""
        trace_id = int(span.trace_id, 16)
        parent = int(span.parent_id, 16) if span.parent_id else None
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=SpanContext(trace_id, int(span.span_id, 16), is_remote=False, trace_flags=_SAMPLED),
                parent=None if parent is None else SpanContext(trace_id, parent, is_remote=False, trace_flags=_SAMPLED),
                resource=self._resource,
                attributes=span.attributes,
                kind=_KINDS[span.kind],
                status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
                start_time=_nanoseconds(span.started_at),
                end_time=_nanoseconds(span.ended_at),
                instrumentation_scope=self._scope,
            )
        )

    def close(self) -> None:
        """Send what waits, for some seconds at most, and end the SDK's thread. Not to be called twice."""
        # By itself it tries for half a minute, for which nobody waits who stops a process.
        ending = threading.Thread(target=self._processor.shutdown, name="span-export-end", daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000
