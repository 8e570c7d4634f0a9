"""The periodic task that has campaigns' rows become notifications."""

from __future__ import annotations

from celery import shared_task

from wavecom.broker import topology
from wavecom.worker.runtime import services


@shared_task(name=topology.RUN_CAMPAIGNS_TASK, ignore_result=True, send_events=False)
def run_campaigns() -> None:
    """Beat sends a tick every second to the ``ops`` worker; several at once do no harm."""
    services().campaigns.wake()
