"""This worker process's services: made once, when first needed, after any fork."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cache
from typing import Any

from celery import signals

from wavecom import metrics
from wavecom.concurrency import call_limit
from wavecom.services.worker import WorkerServices, worker_services
from wavecom.settings import Settings

_lock = threading.Lock()


@cache
def _services() -> WorkerServices:
    settings = Settings.from_environment()
    # As many as the pool has, for everything that is sized by it.
    return worker_services(replace(settings, worker_concurrency=call_limit(settings.worker_concurrency).calls))


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
    """In a child of a pool that forks: connections and threads belong to the parent, and none of them may be used."""
    global _lock
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
