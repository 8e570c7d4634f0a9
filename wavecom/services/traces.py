"""Traces as the settings have them; nothing of OpenTelemetry is imported where they do not ask for it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from wavecom import __version__, observability
from wavecom.core.engine import Policy
from wavecom.core.ids import BufferedRandom
from wavecom.core.job import Job
from wavecom.core.traces import TraceRecorder, TraceSampler
from wavecom.errors import Problem, SettingsError
from wavecom.settings import Settings


@dataclass(frozen=True, slots=True)
class Tracing:
    """What decides which notifications are traced, what makes the spans, and what ends their sending."""

    sampler: TraceSampler
    recorder: TraceRecorder
    close: Callable[[], None]


def tracing_of(settings: Settings, policy: Policy, service: str) -> Tracing | None:
    """Tracing for a process of this ``service`` (web, worker); None: there is none. To be called after any fork.

    Connects to nothing by itself. Raises ``SettingsError`` where the extra is not installed.
    """
    if settings.traces_url is None:
        return None
    try:
        from wavecom.span_export import SpanExport
    except ModuleNotFoundError as error:
        reason = f"needs what is not installed here ({error.name}): pip install 'wavecom[otel]'"
        raise SettingsError([Problem("WAVECOM_TRACES_URL", reason)]) from error
    export = SpanExport(
        settings.traces_url,
        headers=settings.traces_headers,
        service=f"wavecom-{service}",
        version=__version__,
        instance=settings.worker_name,
    )
    random_bytes = BufferedRandom(secrets.token_bytes).take
    trace_ids = observability.show_trace_ids()

    def note(job: Job) -> None:
        if job.trace is not None:
            trace_ids.note(job.job_id, job.trace.trace_id)

    return Tracing(
        sampler=TraceSampler(settings.traces_ratio, random_bytes),
        recorder=TraceRecorder(sink=export, random_bytes=random_bytes, policy=policy, note=note),
        close=export.close,
    )
