"""Scans the dead-letter queue, and removes from it what no longer belongs there (``queue_scan``)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import amqp
import orjson
from amqp.exceptions import ResourceLocked

from wavecom.amqp_address import AmqpAddress
from wavecom.broker import queue_scan, topology
from wavecom.broker.connection import Connector
from wavecom.core.dead_letters import Predicate, QueueBusyError, QueuedDeadLetter, Scan
from wavecom.core.job import JobId
from wavecom.errors import BrokerError

#: Exclusive to the connection that scans: while it is there, nobody else does. Two would each see half of the queue.
_LOCK_QUEUE: Final = f"{topology.DEAD_QUEUE}.reader"
#: A broker that says nothing for so long, though dead letters are left, is in trouble or has others reading.
_SILENCE_SECONDS: Final = 5.0
_TIMEOUT_SECONDS: Final = 10.0
#: A broker may take that long to notice that who had the lock has gone: RabbitMQ 4 deletes exclusive queues afterwards.
_LOCK_SECONDS: Final = 3.0
_LOCK_PAUSE_SECONDS: Final = 0.05
_HEAD_BYTES: Final = 256

_TROUBLE: Final = (amqp.AMQPError, OSError, socket.timeout)


class AmqpDeadLetterQueue:
    """Implements ``wavecom.core.dead_letters.DeadLetterQueue``; a connection of its own for each scan.

    Holds one batch of dead letters at a time, and of each no more than the first bytes.
    """

    def __init__(
        self,
        address: AmqpAddress,
        *,
        origin: str,
        monotonic: Callable[[], float] = time.monotonic,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        self._connector = Connector(address, f"wavecom dead letters {origin}")
        self._monotonic = monotonic
        self._silence_seconds = silence_seconds

    def scan(self, predicate: Predicate, budget_seconds: float | None = None) -> Scan:
        """See ``DeadLetterQueue.scan``."""
        deadline = float("inf") if budget_seconds is None else self._monotonic() + budget_seconds
        connection: Any = None
        try:
            connection = self._connector.connect(_TIMEOUT_SECONDS)
            channel = self._lock(connection)
            # Bodies as they are: what lies here may be in no encoding at all.
            channel.auto_decode = False
            result = queue_scan.scan(
                connection,
                channel,
                topology.DEAD_QUEUE,
                read=queued_dead_letter_of,
                must_be_removed=predicate,
                silence_seconds=self._silence_seconds,
                monotonic=self._monotonic,
                deadline=deadline,
            )
            if result.is_complete:
                # Answered only after every acknowledgement was taken. An incomplete scan does not wait for that behind
                # thousands of dead letters on their way to us; the next scan meets those that are left.
                channel.close()
                queue_scan.wait_for_return(
                    connection,
                    topology.DEAD_QUEUE,
                    result.seen - result.removed,
                    patience_seconds=self._silence_seconds,
                    monotonic=self._monotonic,
                )
        except ResourceLocked as error:
            raise QueueBusyError(
                "Somebody else is going through the dead-letter queue; try again in a minute."
            ) from error
        except _TROUBLE as error:
            self._connector.skip_node()
            raise BrokerError(f"RabbitMQ can't be reached or refused to serve ({type(error).__name__}).") from error
        finally:
            if connection is not None:
                # Without a handshake, which a blocked broker would not answer.
                connection.collect()
        return result

    def _lock(self, connection: Any) -> Any:
        """A channel, when nobody else scans. Raises ``ResourceLocked`` when somebody still does after some seconds."""
        deadline = self._monotonic() + _LOCK_SECONDS
        while True:
            channel = connection.channel()
            try:
                channel.queue_declare(_LOCK_QUEUE, exclusive=True, auto_delete=True)
            except ResourceLocked:
                # The broker has closed the channel.
                if self._monotonic() > deadline:
                    raise
                time.sleep(_LOCK_PAUSE_SECONDS)
            else:
                return channel


def queued_dead_letter_of(message: Any) -> QueuedDeadLetter:
    """What a message of the dead-letter queue says; it may be anybody's (kombu's or py-amqp's ``Message``)."""
    body: bytes = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    headers = message.headers if isinstance(message.headers, dict) else {}
    job_id = message.properties.get("message_id")
    is_ours = headers.get("kind") == "failed_job" and isinstance(job_id, str) and not headers.get("x-death")
    deaths = headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    return QueuedDeadLetter(
        job_id=JobId(job_id) if is_ours and isinstance(job_id, str) else None,
        failed_at=_failed_at(body) if is_ours else None,
        reason="failed_job" if is_ours else str(death.get("reason", "unknown")),
        queue="" if is_ours else str(death.get("queue", "")),
        size_bytes=len(body),
        head=body[:_HEAD_BYTES],
    )


def _failed_at(body: bytes) -> datetime | None:
    with suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return datetime.fromisoformat(orjson.loads(body)["failedAt"])
    return None
