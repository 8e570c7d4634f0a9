"""This worker process's services: made once, when first needed, after any fork."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from functools import cache
from typing import Any

from celery import current_app, signals

from wavecom import metrics
from wavecom.broker import topology
from wavecom.concurrency import call_limit
from wavecom.services.worker import WorkerServices, worker_services
from wavecom.settings import Settings

_lock = threading.Lock()
#: Whose services these are.
_process_id = os.getpid()


@cache
def _services() -> WorkerServices:
    settings = Settings.from_environment()
    # As many as the pool has, for everything that is sized by it.
    limited = replace(settings, worker_concurrency=call_limit(settings.worker_concurrency).calls)
    return worker_services(limited, takes_deliveries)


def takes_deliveries() -> bool:
    """Whether this worker consumes a queue of notifications, as it was told at its start or is told meanwhile."""
    return any(map(topology.is_delivery_queue, current_app.amqp.queues.consume_from))


def services() -> WorkerServices:
    """The services of this process. Raises ``ConfigurationError`` when the settings or the providers file are wrong."""
    with _lock:
        return _services()


@signals.worker_init.connect
def _start_early(sender: Any = None, **_: object) -> None:
    """Wrong settings stop the start, instead of failing every task."""
    node = str(getattr(sender, "hostname", None) or "celery")
    metrics.serve(services().settings, node.partition("@")[0])


@signals.worker_process_init.connect
def _start_anew(**_: object) -> None:
    """In a child of a pool that forks: connections and threads belong to the parent, and none of them may be used.

    The solo pool sends the signal too, in the worker itself, where nothing is to be made anew.
    """
    global _lock, _process_id
    if _process_id == os.getpid():
        return
    _process_id = os.getpid()
    _lock = threading.Lock()
    _services.cache_clear()
    metrics.serve(services().settings, "worker")


@signals.worker_shutting_down.connect
def _stop_waiting(**_: object) -> None:
    """Threads that wait for a store to come back give their messages back instead of holding up the shutdown."""
    services().stopping.set()


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _close(**_: object) -> None:
    services().close()
