"""The periodic task that holds the dead-letter queue against the store."""

from __future__ import annotations

import threading
from functools import cache

from celery import shared_task, signals

from wavecom.bootstrap import OperatorServices, operator_services
from wavecom.broker import topology
from wavecom.settings import Settings

_lock = threading.Lock()


@cache
def _made() -> OperatorServices:
    # Services of its own, made when first needed: of all workers only ``ops`` needs them.
    return operator_services(Settings.from_environment())


@shared_task(name=topology.RECONCILE_TASK, ignore_result=True, send_events=False)
def reconcile_dead_letters() -> None:
    """Cheap when store and queue agree. Beat sends a tick every ten seconds; several at once do no harm."""
    with _lock:
        services = _made()
    services.reconciliation.run_if_needed()


@signals.worker_shutdown.connect
def _close(**_: object) -> None:
    if _made.cache_info().currsize:
        _made().close()
