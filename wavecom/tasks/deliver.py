"""The task behind every notification."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from wavecom.broker import topology
from wavecom.core.job import JobId
from wavecom.core.ports import Permit
from wavecom.errors import RequeueError, RetryLater
from wavecom.tasks.base import DeliverTask, reject_unreadable
from wavecom.worker.runtime import services


@shared_task(base=DeliverTask, bind=True, name=topology.DELIVER_TASK, autoretry_for=(RetryLater,))
def deliver(self: Any, job_id: str) -> None:
    """Deliver one job. The message is only a delivery message: whether there is anything to do is decided by the store.

    Runs as a task of its own only where a pool's tasks run in other processes (prefork), and without fast paths;
    elsewhere ``DeliveryConsumerStep`` takes its messages for the delivery pipeline, with the same steps in the same
    order. Raises ``Reject`` where another worker should have the message, or nobody.
    """
    if not isinstance(job_id, str):
        reject_unreadable("the argument is no job id")
    if services().stopping.is_set():
        # The pool still runs all that it was given, hundreds of messages: somebody else should have them.
        raise Reject("the worker is stopping", requeue=True)
    lane, partition = self.address()
    partitions_in_hand = services().partitions_in_hand
    if partition:
        partitions_in_hand[JobId(job_id)] = partition
    permit = services().router.reserve(lane, wait_seconds=1.0)
    try:
        if isinstance(permit, Permit):
            services().delivery.deliver(JobId(job_id), permit)
        else:
            services().delivery.park(JobId(job_id), services().router.parking_seconds(lane, permit))
    except RequeueError as error:
        raise Reject(str(error), requeue=True) from error
    finally:
        partitions_in_hand.pop(JobId(job_id), None)
