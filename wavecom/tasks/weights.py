"""The periodic task that has providers' weights follow their receipts."""

from __future__ import annotations

from celery import shared_task

from wavecom.broker import topology
from wavecom.worker.runtime import services


@shared_task(name=topology.ADJUST_TASK, ignore_result=True, send_events=False)
def adjust_weights() -> None:
    """One look. Beat sends a tick every 30 seconds to the ``ops`` worker; several at once do no harm."""
    services().weight_adjustment.run()
