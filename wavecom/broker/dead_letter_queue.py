"""Scans the dead-letter queue, and removes from it what no longer belongs there.

A queue gives up messages only from its head, so whoever wants one out of the middle must take them all. They are taken
without being acknowledged, in batches, and only those that must go are acknowledged; when the channel ends, the broker
puts the others back where they were. That costs nothing (50,000: some milliseconds), whereas a quorum queue without a
delivery limit appends each *rejected* message again (50,000: half a minute, and nobody can publish meanwhile), so
nothing is rejected here. A scan that dies anywhere leaves the queue whole.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import amqp
import orjson
from amqp.exceptions import NotFound, ResourceLocked

from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.connection import Connector
from wavecom.core.dead_letters import Predicate, QueueBusyError, QueuedDeadLetter, Scan
from wavecom.core.job import JobId
from wavecom.errors import BrokerError

#: Exclusive to the connection that scans: while it is there, nobody else does. Two would each see half of the queue.
_LOCK_QUEUE: Final = f"{topology.DEAD_QUEUE}.reader"
#: Letters that one consumer may hold; AMQP counts them in 16 bits. A deeper queue gets several consumers.
_PREFETCH: Final = 60_000
_BATCH: Final = 500
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
            result = self._scan(connection, channel, predicate, deadline)
            if result.is_complete:
                # Answered only after every acknowledgement was taken. An incomplete scan does not wait for that behind
                # thousands of dead letters on their way to us; the next scan meets those that are left.
                channel.close()
                self._wait_for_return(connection, result.seen - result.removed)
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

    def _wait_for_return(self, connection: Any, kept: int) -> None:
        """Wait until the dead letters are back, some tenths of a second: the next scan must not find an empty queue."""
        deadline = self._monotonic() + self._silence_seconds
        channel = connection.channel()
        while channel.queue_declare(topology.DEAD_QUEUE, passive=True).message_count < kept:
            if self._monotonic() > deadline:
                return
            time.sleep(0.05)

    def _scan(self, connection: Any, channel: Any, predicate: Predicate, deadline: float) -> Scan:
        try:
            found = channel.queue_declare(topology.DEAD_QUEUE, passive=True)
        except NotFound:
            # Nothing has been declared yet, so nothing has died.
            return Scan(0, 0, is_complete=False)
        # Ready ones only: nobody else scans, but a consumer that is not ours would hold some of them.
        waiting, is_shared = found.message_count, found.consumer_count > 0
        batches = _ScanBatches(channel, predicate)
        consumers = [f"scan-{number}" for number in range(waiting // _PREFETCH + 1)] if waiting else []
        channel.basic_qos(0, _PREFETCH, False)
        for consumer in consumers:
            # nowait: the answer would stand in line behind what the first consumers are sent.
            channel.basic_consume(topology.DEAD_QUEUE, consumer, callback=batches.take, nowait=True, no_ack=False)
        while batches.taken < waiting and self._monotonic() < deadline:
            try:
                connection.drain_events(timeout=self._silence_seconds)
            except TimeoutError:
                break
            if len(batches.batch) >= _BATCH:
                batches.settle()
        batches.settle()
        seen, is_complete = batches.taken, batches.taken >= waiting
        if is_complete:
            for consumer in consumers:
                channel.basic_cancel(consumer)
        return Scan(seen, batches.removed, is_complete and not is_shared)


class _ScanBatches:
    """The messages that one scan holds unacknowledged, and what was decided about those before them."""

    def __init__(self, channel: Any, predicate: Predicate) -> None:
        self.batch: list[tuple[int, QueuedDeadLetter]] = []
        self.taken = 0
        self.removed = 0
        self._channel = channel
        self._predicate = predicate

    def take(self, message: Any) -> None:
        """One delivery."""
        self.batch.append((message.delivery_tag, queued_dead_letter_of(message)))
        self.taken += 1

    def settle(self) -> None:
        """Ask the predicate about the batch, and acknowledge what must be removed."""
        if not self.batch:
            return
        tags = [tag for tag, _ in self.batch]
        removals = self._predicate([dead_letter for _, dead_letter in self.batch])
        removed = [tag for tag, is_removed in zip(tags, removals, strict=True) if is_removed]
        if len(removed) == len(tags) and self.removed + len(tags) == self.taken:
            # Nothing was kept so far: one acknowledgement does for all, and spares the broker 499.
            self._channel.basic_ack(tags[-1], multiple=True)
        else:
            for tag in removed:
                self._channel.basic_ack(tag)
        self.removed += len(removed)
        self.batch = []


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
