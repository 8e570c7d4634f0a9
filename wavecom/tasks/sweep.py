"""The periodic task that puts right every job past its due time."""

from __future__ import annotations

from celery import shared_task

from wavecom.broker import topology
from wavecom.delivery_metrics import observe_sweep
from wavecom.worker.runtime import services


@shared_task(name=topology.SWEEP_TASK, ignore_result=True, send_events=False)
def sweep() -> None:
    """One run of the sweep. Beat sends a tick every second to the ``ops`` worker; several at once do no harm."""
    observe_sweep(services().sweep.run())
    services().receipts.retry_until_none_is_due()
    services().queue_sampler.sample_if_due()
