"""``DeliverTask``: Celery's retry made exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import structlog
from celery import Task
from celery.exceptions import Ignore, Reject
from celery.result import AsyncResult

from wavecom.broker import topology
from wavecom.core.job import DeliveryMessage, JobId
from wavecom.core.lanes import Lane
from wavecom.errors import BrokerError, RetryLater
from wavecom.worker.runtime import services

log = structlog.get_logger()


class DeliverTask(Task):  # type: ignore[type-arg]
    """Base of ``wavecom.deliver``.

    ``autoretry_for=(RetryLater,)`` drives retries; this class makes them keep what the store already says: the delay
    of the exception is the one stored as ``nextAttemptAt``, the message returns to its own lane (by default Celery
    sends it to the default queue: docs/celery.md), and there is no limit here, because attempts are counted in the job.
    """

    abstract = True
    acks_late = True
    ignore_result = True
    # Events and confirms read one socket from two threads: the worker would stall for good (docs/celery.md).
    send_events = False
    # Never through retry_kwargs: those are set on the task object, which all threads share.
    max_retries = None

    def retry(  # type: ignore[override]
        self,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        exc: Exception | None = None,
        throw: bool = True,
        **_: Any,
    ) -> Any:
        """Publish the next attempt's message and raise ``Retry``, which acknowledges this one.

        A publish that fails ends as ``Ignore``: the retry is recorded in the store, so the sweep publishes it. (Celery
        would reject the message into the dead-letter queue.)
        """
        delay_seconds = exc.delay_seconds if isinstance(exc, RetryLater) else 1
        queue = topology.routing_key(self.lane())
        try:
            return super().retry(args, kwargs, exc=exc, throw=throw, countdown=delay_seconds, queue=queue)
        except Reject as error:
            raise Ignore from error

    def publish_retry(self, job_id: JobId, routing_key: str, error: RetryLater) -> None:
        """``retry`` for a message that is worked on outside of a task: publishes the next attempt's message.

        Never raises for a broker that is away.
        """
        self.push_request(
            id=job_id,
            args=(job_id,),
            kwargs={},
            called_directly=False,
            delivery_info={"routing_key": routing_key},
        )
        try:
            self.retry(exc=error, throw=False)
        except Ignore:
            log.info("retry_left_to_the_sweep", job_id=job_id)
        finally:
            self.pop_request()

    def apply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        countdown: float | None = None,
        **_: Any,
    ) -> AsyncResult:  # type: ignore[type-arg]
        """Publish a delivery message through our publisher, so that every path to the broker is confirmed and bounded
        in time.

        ``args`` is ``(job_id,)``; ``queue`` is the routing key of the lane; ``countdown`` is in seconds. Raises
        ``BrokerError``, and ``ValueError`` for a queue that is no lane's.
        """
        lane = topology.lane_of(queue or "")
        if lane is None:
            raise ValueError(f"queue={queue!r} names no lane; give one such as 'notifications.sms.normal'")
        [job_id] = args or (kwargs or {}).values()
        delivery_message = DeliveryMessage(JobId(job_id), lane, max(0, round(countdown or 0)))
        if not services().delivery_messages.submit(delivery_message):
            raise BrokerError("The broker did not confirm the message; the sweep publishes it later.")
        return self.AsyncResult(job_id)

    def lane(self) -> Lane:
        """The lane of the message being worked on, by the key it was routed with."""
        return self.address().lane

    def address(self) -> topology.QueueAddress:
        """The same, with the partition of the lane that the message came from."""
        address = topology.address_of(self._routing_key())
        if address is None:
            reject_unreadable(f"routing key {self._routing_key()!r} names no lane")
        return address

    def _routing_key(self) -> str:
        return (self.request.delivery_info or {}).get("routing_key") or ""


def reject_unreadable(reason: str) -> NoReturn:
    """Reject a message that can't be read into the dead-letter queue: raises ``Reject``."""
    raise Reject(reason, requeue=False)
