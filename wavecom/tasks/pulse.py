"""The worker's health check: measures progress, says it in a file, and ends a worker that has fallen silent.

``wavecom health NODE`` reads the file, for supervisors and orchestrators. A worker without progress for minutes is of
no use and holds messages that others could deliver: it ends itself, and its supervisor starts it again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import structlog
from celery import bootsteps
from prometheus_client import Gauge

from wavecom.core.vitals import Vitals, problems
from wavecom.health import report_path
from wavecom.tasks import admission
from wavecom.tasks.runtime import services

log = structlog.get_logger()

STALLED = Gauge("wavecom_worker_stalled", "1 while this worker makes no progress")

TICK_SECONDS = 2.0
_LOOK_SECONDS = 5.0
#: So many looks in a row must find the same trouble before the worker ends itself: two minutes.
_LOOKS_BEFORE_THE_END = 24
#: sysexits.h EX_SOFTWARE, so that a supervisor's log tells it from a crash.
_EXIT_CODE = 70


class Pulse(bootsteps.StartStopStep):
    """Consumer step: ticks on the main loop, looked at from a thread of its own."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._ticked_at = time.monotonic()
        self._consumer = consumer
        self._troubled_looks = 0
        self._starts = 0
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self, consumer: Any) -> None:
        """Begin to tick; again after each reconnection, which may or may not have taken the timer along."""
        self._starts += 1
        self._tick(self._starts)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="pulse", daemon=True)
            self._watcher.start()

    def shutdown(self, consumer: Any) -> None:
        """The worker ends as it was asked to: that is no trouble."""
        self._stopping.set()

    def _tick(self, start: int) -> None:
        if start == self._starts:  # of an earlier start: that one's timer has survived, and ends here
            self._ticked_at = time.monotonic()
            self._consumer.timer.call_after(TICK_SECONDS, self._tick, (start,))

    def _watch(self) -> None:
        path = report_path(services().settings.home, self._consumer.hostname)
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                found = problems(self._measure())
            except Exception:
                # A look that failed says nothing about the worker; the next one may.
                log.exception("pulse_failed")
                continue
            STALLED.set(1 if found else 0)
            report = {"at": time.time(), "pid": os.getpid(), "problems": found, "lag": services().lag.worst()}
            _write(path, report)
            self._troubled_looks = self._troubled_looks + 1 if found else 0
            if self._troubled_looks == 1:
                log.error("worker_stalled", problems=found)
            if self._troubled_looks >= _LOOKS_BEFORE_THE_END:
                log.error("worker_ends_itself", problems=found)
                os._exit(_EXIT_CODE)

    def _measure(self) -> Vitals:
        now = time.monotonic()
        activity = services().delivery.activity
        received_at, in_hand = admission.received()
        is_silent = in_hand == 0 and now - received_at > TICK_SECONDS
        return Vitals(
            loop_age=self._loop_age(now),
            oldest_delivery_age=activity.oldest_age(now),
            silence_age=now - received_at,
            in_hand=in_hand,
            # Asked only of a worker that has nothing to do.
            ready=self._ready() if is_silent else None,
        )

    def _loop_age(self, now: float) -> float:
        # While the broker is away the loop waits for it, which is what it should do.
        connection = self._consumer.connection
        return now - self._ticked_at if connection is not None and connection.connected else 0.0

    def _ready(self) -> int | None:
        consumer = self._consumer.task_consumer
        if consumer is None:
            return None
        return _sum(services().depth(queue.name) for queue in list(consumer.queues))


def _sum(depths: Iterable[int | None]) -> int | None:
    known = [depth for depth in depths if depth is not None]
    return sum(known) if known else None


def _write(path: Path, report: dict[str, Any]) -> None:
    """Whole or not at all: a reader must never see half a report."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        draft.write_bytes(orjson.dumps(report))
        draft.replace(path)
    except OSError as error:
        log.warning("health_report_unwritten", error=str(error))
