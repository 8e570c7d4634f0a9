"""The periodic task that holds the dead-letter queue against the store."""

from __future__ import annotations

import threading
from functools import cache

from celery import shared_task, signals

from wavecom.broker import topology
from wavecom.services.operator import OperatorServices, operator_services
from wavecom.settings import Settings

_is_running = threading.Lock()


@cache
def _services() -> OperatorServices:
    # Services of its own, made when first needed: of all workers only ``ops`` needs them.
    return operator_services(Settings.from_environment())


@shared_task(name=topology.RECONCILE_TASK, ignore_result=True, send_events=False)
def reconcile_dead_letters() -> None:
    """Cheap when store and queue agree. Beat sends a tick every ten seconds; several at once do no harm."""
    if _is_running.acquire(blocking=False):
        # In a thread of its own: a scan of a deep queue takes many seconds, and the sweep shares this worker.
        threading.Thread(target=_reconcile, name="reconciliation", daemon=True).start()


def _reconcile() -> None:
    try:
        _services().reconciliation.run_if_needed()
    finally:
        _is_running.release()


@signals.worker_shutdown.connect
def _close(**_: object) -> None:
    # A scan that goes on without its servers ends in an error that it expects; the broker takes the messages back.
    if _services.cache_info().currsize:
        _services().close()
