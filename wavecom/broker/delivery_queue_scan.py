"""The delivery messages that wait in the queues of all lanes, looked through as long as nobody consumes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import amqp
from amqp.exceptions import NotFound

from wavecom.amqp_address import AmqpAddress
from wavecom.broker import queue_scan, topology
from wavecom.broker.connection import connect
from wavecom.core.job import JobId
from wavecom.core.lanes import QueueLayout
from wavecom.errors import BrokerError

_TIMEOUT_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 5.0


class AmqpDeliveryMessageQueues:
    """Implements ``wavecom.core.store_recovery.DeliveryMessageQueues``; a connection for each call."""

    def __init__(
        self,
        address: AmqpAddress,
        layout: Callable[[], QueueLayout],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._layout = layout
        self._monotonic = monotonic

    def consumer_count(self) -> int:
        """See the port."""
        count = 0
        with self._connection() as connection:
            for queue in self._names():
                try:
                    count += connection.channel().queue_declare(queue, passive=True).consumer_count
                except NotFound:
                    continue  # no process has run yet that declares it
        return count

    def scan(self, must_be_removed: Callable[[Sequence[JobId]], Sequence[bool]]) -> None:
        """See the port. Raises ``BrokerError`` too where a queue could not be seen whole."""
        with self._connection() as connection:
            for queue in self._names():
                self._scan(connection, queue, must_be_removed)

    def _scan(self, connection: Any, queue: str, must_be_removed: Callable[[Sequence[JobId]], Sequence[bool]]) -> None:
        channel = connection.channel()
        # Only headers are looked at, and what lies here may be in no encoding at all.
        channel.auto_decode = False
        try:
            channel.queue_declare(queue, passive=True)
        except NotFound:
            return
        result = queue_scan.scan(
            connection,
            channel,
            queue,
            read=_job_id_of,
            must_be_removed=must_be_removed,
            silence_seconds=_SILENCE_SECONDS,
            monotonic=self._monotonic,
        )
        if not result.is_complete:
            raise BrokerError(f"RabbitMQ did not give out all messages of {queue}: is somebody consuming it?")
        channel.close()
        queue_scan.wait_for_return(
            connection,
            queue,
            result.seen - result.removed,
            patience_seconds=_SILENCE_SECONDS,
            monotonic=self._monotonic,
        )

    def _names(self) -> list[str]:
        return [queue.name for queue in topology.delivery_queues(self._layout())]

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection: Any = None
        try:
            connection = connect(self._address, _TIMEOUT_SECONDS, "wavecom restore")
            yield connection
        except (amqp.AMQPError, OSError) as error:
            raise BrokerError(f"RabbitMQ can't be reached or refused to serve ({type(error).__name__}).") from error
        finally:
            if connection is not None:
                connection.collect()


def _job_id_of(message: Any) -> JobId:
    """The job that a delivery message tells of; "" of what is none: that stays where it is."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    job_id = headers.get("id")
    if headers.get("task") != topology.DELIVER_TASK or not isinstance(job_id, str):
        return JobId("")
    return JobId(job_id)
