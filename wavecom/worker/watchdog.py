"""The worker's health check: measures progress, reports it in a file, and ends a worker that makes none.

``wavecom health NODE`` reads the file, for supervisors and orchestrators. A worker without progress for minutes is of
no use and holds messages that others could deliver: it ends itself, and its supervisor starts it again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog
from celery import bootsteps
from prometheus_client import Counter, Gauge

from wavecom import private_files
from wavecom.broker.publisher import QueueState
from wavecom.core.worker_health import NOT_FATAL, WorkerHealth, problems
from wavecom.errors import UnavailableError
from wavecom.health import report_path
from wavecom.internals import celery
from wavecom.worker import delivery_consumer
from wavecom.worker.consumed_queues import consumed_queues
from wavecom.worker.runtime import services

log = structlog.get_logger()

STALLED = Gauge("wavecom_worker_stalled", "1 while this worker makes no progress")
CANCELLED = Counter("wavecom_consumers_cancelled_total", "Queues that somebody told this worker to consume no more")

TICK_SECONDS = 2.0
_CHECK_SECONDS = 5.0
#: A check that is running when the worker ends has so long; one that takes longer reports nothing any more.
_LAST_CHECK_SECONDS = 2.0
#: So many checks in a row must fail before the worker ends itself: two minutes.
_CHECKS_BEFORE_EXIT = 24
#: sysexits.h EX_SOFTWARE, so that a supervisor's log tells it from a crash.
_EXIT_CODE = 70


class Watchdog(bootsteps.StartStopStep):
    """Consumer step that ticks on the main loop, and checks from a thread of its own whether it still does.

    A worker consumes the queues that it was started with, and their partitions. Held messages are no reason to stop
    that (admission never does), so a consumer that is gone was cancelled by somebody else, and is started again.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._ticked_at = time.monotonic()
        self._consumer = consumer
        #: Queues of which the broker said, at the last check, that nobody consumes them.
        self._suspected: frozenset[str] = frozenset()
        self._cancelled: list[str] = []
        self._is_consuming = False
        self._failed_checks = 0
        self._starts = 0
        self._stopping = threading.Event()
        self._report_path = report_path(services().settings.home, consumer.hostname)
        # Not only when it is connected: a worker that waits for the broker is well, and must be able to say so.
        _write(self._report_path, [])
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def start(self, consumer: Any) -> None:
        """Begin to tick; again after each reconnection, which may or may not have taken the timer along."""
        self._starts += 1
        self._is_consuming = True
        self._tick(self._starts)

    def stop(self, consumer: Any) -> None:
        """The connection is gone or going, and with it every consumer."""
        self._is_consuming = False

    def shutdown(self, consumer: Any) -> None:
        """The worker ends as it was asked to: that is no trouble, and it has nothing to report any more."""
        self._stopping.set()
        self._thread.join(_LAST_CHECK_SECONDS)
        with contextlib.suppress(OSError):
            self._report_path.unlink()

    def _tick(self, start: int) -> None:
        if start == self._starts:  # of an earlier start: that one's timer has survived, and ends here
            self._ticked_at = time.monotonic()
            self._consumer.timer.call_after(TICK_SECONDS, self._tick, (start,))

    def _run(self) -> None:
        while not self._stopping.wait(_CHECK_SECONDS):
            try:
                health = self._measure()
                self._publish_progress(health)
                self._attend(health)
            except Exception:
                # A check that raised says nothing about the worker; the next one may.
                log.exception("watchdog_failed")
                continue
            if self._stopping.is_set():
                return
            found = problems(health)
            STALLED.set(1 if found else 0)
            _write(self._report_path, found)
            self._restart_consumers(health.cancelled)
            self._count_failure(found)

    def _count_failure(self, found: Sequence[str]) -> None:
        is_fatal = not NOT_FATAL.issuperset(found)
        self._failed_checks = self._failed_checks + 1 if is_fatal else 0
        if self._failed_checks == 1:
            log.error("worker_stalled", problems=found)
        if self._failed_checks >= _CHECKS_BEFORE_EXIT:
            log.error("worker_ends_itself", problems=found)
            os._exit(_EXIT_CODE)

    def _measure(self) -> WorkerHealth:
        now = time.monotonic()
        activity = services().delivery.activity
        received_at, in_hand = delivery_consumer.received()
        is_silent = in_hand == 0 and now - received_at > TICK_SECONDS
        # Asked only of a worker that has nothing to do.
        states = {queue: services().look_at(queue) for queue in consumed_queues()} if is_silent else {}
        return WorkerHealth(
            loop_age=self._loop_age(now),
            oldest_delivery_age=activity.oldest_age(now),
            silence_age=now - received_at,
            in_hand=in_hand,
            ready=_total_ready(states.values()),
            cancelled=self._cancelled_queues(states),
            stalled=self._stalled_queues(),
        )

    def _is_connected(self) -> bool:
        connection = self._consumer.connection
        return connection is not None and bool(connection.connected)

    def _loop_age(self, now: float) -> float:
        # While the broker is away the loop waits for it, which is what it should do.
        return now - self._ticked_at if self._is_connected() else 0.0

    # --- consumers ----------------------------------------------------------------------------------------------------

    def _cancelled_queues(self, states: Mapping[str, QueueState | None]) -> list[str]:
        """Those that Celery knows that it does not consume, and those of which the broker says so twice in a row."""
        consumer = self._consumer.task_consumer
        if consumer is None or not self._is_consuming or not self._is_connected():
            self._suspected = frozenset()
            return []
        dropped = frozenset(queue for queue, state in states.items() if state is not None and state.consumers == 0)
        certain, self._suspected = dropped & self._suspected, dropped
        return [queue for queue in consumed_queues() if queue in certain or not consumer.consuming_from(queue)]

    def _restart_consumers(self, cancelled: Collection[str]) -> None:
        if cancelled:
            CANCELLED.inc(len(cancelled))
            log.error("consumers_cancelled", queues=cancelled)
            celery.call_soon(self._consumer)(self._consume_again, list(cancelled))
        elif self._cancelled:
            log.warning("consumers_started_again", queues=self._cancelled)
        self._cancelled = list(cancelled)

    def _consume_again(self, queues: Sequence[str]) -> None:
        """On the main loop, to which the connection belongs."""
        # But for those that the worker has left meanwhile: they belong to another region again.
        for queue in set(queues).intersection(consumed_queues()):
            self._consumer.task_consumer.cancel_by_queue(queue)
            self._consumer.add_task_queue(queue)

    # --- progress of all ----------------------------------------------------------------------------------------------

    def _stalled_queues(self) -> list[str]:
        try:
            report = services().progress.stall_report()
        except UnavailableError:
            return []
        return [queue for queue in consumed_queues() if report is not None and queue in report.stalled]

    def _publish_progress(self, health: WorkerHealth) -> None:
        """Tell the other workers, through Redis. An outage of Redis is logged elsewhere."""
        progress = services().progress
        with contextlib.suppress(UnavailableError):
            progress.note_moved(delivery_consumer.moved_queues())
            if health.cancelled or self._cancelled:
                progress.note_cancelled(self._consumer.hostname, list(health.cancelled))

    def _attend(self, health: WorkerHealth) -> None:
        """Tell the other regions that ours has a worker, and learn of those that have none."""
        is_consuming = self._is_consuming and self._is_connected() and not health.cancelled
        with contextlib.suppress(UnavailableError):
            services().consumed_lanes.refresh(is_consuming=is_consuming and self._failed_checks == 0)


def _total_ready(states: Iterable[QueueState | None]) -> int | None:
    known = [state.ready for state in states if state is not None]
    return sum(known) if known else None


def _write(path: Path, found: Sequence[str]) -> None:
    """A report of these problems, whole or not at all: a reader must never see half of one."""
    report = {"at": time.time(), "pid": os.getpid(), "problems": found, "lag": services().lag.worst()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        with open(draft, "wb", opener=private_files.opener) as file:
            file.write(orjson.dumps(report))
        draft.replace(path)
    except OSError as error:
        log.warning("health_report_unwritten", error=str(error))
