"""The task behind every notification."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from wavecom.broker import topology
from wavecom.core.delivery import GiveBackError
from wavecom.core.job import JobId
from wavecom.core.ports import Permit
from wavecom.errors import RetryLater
from wavecom.tasks import admission
from wavecom.tasks.base import DeliverTask, refuse
from wavecom.tasks.runtime import services


@shared_task(base=DeliverTask, bind=True, name=topology.DELIVER_TASK, autoretry_for=(RetryLater,))
def deliver(self: Any, job_id: str) -> None:
    """Deliver one job. The message is only a hint: whether there is anything to do is decided by the store."""
    if not isinstance(job_id, str):
        refuse("the argument is no job id")
    # Admission has already taken leave to call a provider, save where a pool can't be handed it (prefork).
    permit = getattr(self.request, "permit", None)
    if permit is None and self.is_test():
        permit = services().router.reserve_sandbox()
    elif permit is None:
        permit = services().router.reserve(*self.lane(), wait_seconds=1.0)
    if not isinstance(permit, Permit):
        raise Reject("no provider may be called now", requeue=True)
    try:
        services().delivery.deliver(JobId(job_id), permit)
    except GiveBackError as error:
        raise Reject(str(error), requeue=True) from error
    finally:
        admission.wake()
