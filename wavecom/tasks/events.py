"""The tasks of events and callbacks. What is due stands in the store: a message only says that somebody may look."""

from __future__ import annotations

import threading

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError

from wavecom.broker import topology
from wavecom.errors import StoreError
from wavecom.worker.runtime import services

log = structlog.get_logger()

_is_running = threading.Lock()


@shared_task(name=topology.PUBLISH_EVENTS_TASK, ignore_result=True, send_events=False)
def publish_events() -> None:
    """One run. Beat sends a tick every second; several workers at once do no harm, and one needs no second run."""
    # What an older copy holds as unpublished was published before, at positions that readers have passed.
    if services().store_guard.is_held or not _is_running.acquire(blocking=False):
        return
    try:
        services().events.publication.run()
        services().events.fallback_publication.run()
        services().events.dispatch(_publish)
        services().events.notices.run()
    except StoreError as error:
        log.warning("events_store_away", error=type(error).__name__)
    except OperationalError as error:
        # Those that were taken are found again in half a minute.
        log.warning("callbacks_broker_away", error=type(error).__name__)
    finally:
        _is_running.release()


@shared_task(
    name=topology.SEND_CALLBACKS_TASK,
    ignore_result=True,
    send_events=False,
    # A store that is away for a moment. Whatever lasts longer, the callback's due time brings.
    autoretry_for=(StoreError,),
    retry_backoff=2,
    retry_backoff_max=60,
    retry_jitter=True,
    max_retries=3,
)
def send_callbacks(callback_id: str) -> None:
    """One turn of one callback; whether there is anything to do is decided by the store."""
    if services().store_guard.is_held:
        return
    services().events.sending.run(callback_id)


def _publish(callback_id: str) -> None:
    # Its types know nothing of an option that goes on to the publisher, which else waits for ever (docs/celery.md).
    send_callbacks.apply_async((callback_id,), expires=60, confirm_timeout=3)  # type: ignore[call-arg]
