"""The periodic task that begins the steps of fallbacks."""

from __future__ import annotations

import threading

import structlog
from celery import shared_task

from wavecom.broker import topology
from wavecom.errors import StoreError
from wavecom.worker.runtime import services

log = structlog.get_logger()

_is_running = threading.Lock()


@shared_task(name=topology.FOLLOW_FALLBACKS_TASK, ignore_result=True, send_events=False)
def follow_fallbacks() -> None:
    """One run. Beat sends a tick every second; several workers at once do no harm, and one needs no second run."""
    # What an older copy holds as waiting may have gone on since.
    if services().store_guard.is_held or not _is_running.acquire(blocking=False):
        return
    try:
        services().fallbacks.run()
    except StoreError as error:
        log.warning("fallbacks_store_away", error=type(error).__name__)
    finally:
        _is_running.release()
