"""The one way to publish: persistent, mandatory, confirmed, many at a time, and never longer than a few seconds.

Why not Celery's own producer: it waits for one confirm at a time (0.4 to 0.7 ms of CPU each), takes the next
acknowledgement on the channel for its own, and hangs for ever on a broker that is blocked by a memory or disk alarm
(docs/celery.md, "Publishing"). This one writes all messages at once, then reads confirms and
returns until each is settled; after any trouble it drops the socket without a handshake, which a blocked broker would
not answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from amqp.exceptions import NotFound
from prometheus_client import Counter, Gauge

from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.connection import Connector
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.messages import Canary, Content, MessageFramer, PlainWriter, is_delayed, message_of
from wavecom.core.job import DeliveryMessage, JobId
from wavecom.core.lanes import QueueLayout
from wavecom.core.ports import DeadLetter
from wavecom.internals import amqp
from wavecom.label_values import LabelValues

log = structlog.get_logger()

PUBLISHED = Counter("wavecom_published_total", "Messages confirmed by the broker", ["kind"])
DEAD_LETTERS = Counter(
    "wavecom_dead_letters_total", "Dead letters of failed jobs confirmed by the broker, by the job's error", ["code"]
)
#: A gateway may answer with any code.
_CODES: Final = LabelValues(100)
BROKER_UP = Gauge(
    "wavecom_broker_up", "RabbitMQ for this process: 0 from a call that failed until a message is confirmed, else 1"
)
BROKER_UP.set(1)
BROKER_LOSSES = Counter("wavecom_broker_losses_total", "Times that this process lost RabbitMQ")
UNPUBLISHED = Counter("wavecom_unpublished_total", "Messages the broker did not confirm; the sweep owns them", ["kind"])

#: How long a batch may take in all, from the first byte to the last confirm.
_TIMEOUT_SECONDS: Final = 3.0
#: After a failure nobody tries for this long: requests must not queue up behind a broker that is away. Each failure in
#: a row doubles it, so that a broker that is frozen or blocked, which costs the whole timeout to find out, is asked
#: rarely.
_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 8.0
#: So often a process calls ``recheck``.
RECHECK_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Outgoing:
    """One message on its way, and what the broker said of it; ``is_returned``: no queue would take it."""

    content: Content
    is_confirmed: bool = False
    is_returned: bool = False


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many messages wait in a queue, and how many consumers it has."""

    ready: int
    consumers: int


class AmqpPublisher:
    """Implements ``wavecom.core.ports.Publisher`` over one connection of its own, made when first needed.

    ``publish`` and ``publish_dead_letters`` may be called from several threads; they take turns. Must be created
    after a fork.
    """

    def __init__(
        self,
        address: AmqpAddress,
        *,
        origin: str,
        queues: DeliveryQueues | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._connector = Connector(address, f"wavecom publisher {origin}")
        self._origin = origin
        #: Those to declare, and how many partitions to publish into; None: one, without regions.
        self._queues = queues or DeliveryQueues()
        self._monotonic = monotonic
        self._timeout_seconds = timeout_seconds
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._connection: Any = None
        self._channel: Any = None
        self._next_tag = 1
        self._in_flight: dict[int, _Outgoing] = {}
        self._writer: PlainWriter | MessageFramer
        self._paused_until = float("-inf")
        self._is_healthy = True
        self._failures = 0
        #: The queues that are there, as far as this process knows. Not declared again with each connection: while a
        #: node of a cluster is frozen, bindings can't be made on any, and publishing goes on all the same.
        self._declared: QueueLayout | None = None

    def publish(self, delivery_messages: Sequence[DeliveryMessage]) -> list[bool]:
        """See ``Publisher.publish``. Delayed messages need the delay queues, which the first worker declares."""
        return self._send("hint", delivery_messages)

    def publish_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> list[bool]:
        """See ``Publisher.publish_dead_letters``."""
        confirmed = self._send("dead_letter", dead_letters)
        for dead_letter, is_confirmed in zip(dead_letters, confirmed, strict=True):
            if is_confirmed:
                DEAD_LETTERS.labels(_CODES.of(dead_letter.code)).inc()
        return confirmed

    def ping(self) -> bool:
        """Whether the broker takes a message now and hands it out again; connects when it has to.

        One that is blocked by an alarm, or that has lost its queues' leaders, answers every question and does neither.
        """
        if self._is_paused():
            return False
        canary = _Outgoing(Canary(JobId("canary")))
        with self._lock:
            try:
                self._connect()
                self._write([canary])
                self._wait_for_confirms(self._monotonic() + self._timeout_seconds)
                # And what others, or an alarm that is over, have left there. Never more than the queue may hold.
                while self._channel.basic_get(topology.CANARY_QUEUE, no_ack=True) is not None:
                    pass
            except Exception as error:  # noqa: BLE001 - see _fail
                self._fail(error)
                return False
            self._succeed()
        return canary.is_confirmed and not canary.is_returned

    def recheck(self) -> None:
        """``ping`` if the last call failed, else nothing: so a process with nothing to publish sees it come back."""
        if not self._is_healthy:
            self.ping()

    def depth(self, queue: str) -> int | None:
        """Messages ready in ``queue`` (those in workers' hands not counted), or None when it can't be asked."""
        found = self.look_at(queue)
        return None if found is None else found.ready

    def look_at(self, queue: str) -> QueueState | None:
        """What the broker says of ``queue`` now; None when it can't be asked, or knows no such queue."""
        if self._is_paused():
            return None
        with self._lock:
            try:
                self._connect()
                found = self._channel.queue_declare(queue, passive=True)
            except NotFound:
                # The broker is well, and has closed the channel.
                self._forget_queues()
                return None
            except Exception as error:  # noqa: BLE001 - see _fail
                self._fail(error)
                return None
            return QueueState(int(found.message_count), int(found.consumer_count))

    def close(self) -> None:
        """Drop the connection. The next call makes a new one."""
        with self._lock:
            self._drop()

    def _send(self, kind: str, contents: Sequence[DeliveryMessage] | Sequence[DeadLetter]) -> list[bool]:
        if not contents:
            return []
        messages = [_Outgoing(content) for content in contents]
        # Asked before the lock too: while a broker is frozen, whoever holds it may be waiting for seconds.
        if not self._is_paused():
            with self._lock:
                if not self._is_paused():
                    self._send_batch(messages)
        confirmed = [message.is_confirmed and not message.is_returned for message in messages]
        count = sum(confirmed)
        PUBLISHED.labels(kind).inc(count)
        if count < len(messages):
            UNPUBLISHED.labels(kind).inc(len(messages) - count)
            returned = [
                message_of(message.content, self._origin, self._queues.publishing)
                for message in messages
                if message.is_returned
            ]
            if returned:
                log.error("publish_unroutable", kind=kind, keys=sorted({message.routing_key for message in returned}))
        return confirmed

    def _send_batch(self, messages: list[_Outgoing]) -> None:
        deadline = self._monotonic() + self._timeout_seconds
        while True:
            try:
                self._connect()
                self._write(messages)
                self._wait_for_confirms(deadline)
            except Exception as error:  # noqa: BLE001 - see _fail
                self._fail(error)
                if self._is_paused() or self._monotonic() >= deadline:
                    return
                # Another node takes what this one has not confirmed. It may have taken some all the same: a delivery
                # message too many does no harm.
                messages = [message for message in messages if not message.is_confirmed]
            else:
                self._succeed()
                break
        if any(message.is_returned and not is_delayed(message.content) for message in messages):
            # Somebody has deleted a queue, or the broker has lost all it had.
            self._forget_queues()

    def _wait_for_confirms(self, deadline: float) -> None:
        while self._in_flight:
            # Past the deadline only what has already come is read; then this times out.
            self._connection.drain_events(timeout=max(0.001, deadline - self._monotonic()))

    def _succeed(self) -> None:
        if not self._is_healthy:
            log.warning("broker_reachable_again")
        self._is_healthy = True
        BROKER_UP.set(1)
        self._failures = 0

    def _is_paused(self) -> bool:
        return self._monotonic() < self._paused_until

    def _fail(self, error: Exception) -> None:
        """Drop the connection. Where there is another node that may be well, it is next; else leave the broker alone
        for a while.

        For every exception: py-amqp raises more than it says on a connection that is half closed, and one that is kept
        after any of them has confirms on the way that belong to nobody.
        """
        was_connected = self._connection is not None
        self._drop()
        self._failures += 1
        if isinstance(error, NotFound):
            self._declared = None
        if was_connected:
            self._connector.skip_node()
        # Without a connection, all nodes have been tried.
        excess = self._failures - self._connector.node_count
        if not was_connected or excess >= 0:
            pause = min(_LONGEST_PAUSE_SECONDS, self._pause_seconds * 2.0 ** min(max(0, excess), 10))
            self._paused_until = self._monotonic() + pause
        if self._is_healthy:
            # Once per outage; the counter counts batches.
            log.warning("broker_unreachable", error=type(error).__name__, detail=str(error)[:200])
            BROKER_LOSSES.inc()
        self._is_healthy = False
        BROKER_UP.set(0)

    def _connect(self) -> None:
        layout = self._queues.layout
        if self._channel is not None and self._declared is layout:
            return
        # When there are more than before, over a new connection: what waits on this one is settled by now.
        self._drop()
        self._connection = self._connector.connect(self._timeout_seconds)
        channel = self._connection.channel()
        if self._declared is not layout:
            topology.declare(channel, layout)
            self._declared = layout
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        self._next_tag = 1
        self._in_flight = {}
        writer = MessageFramer if amqp.LIBRARY.is_fast() else PlainWriter
        self._writer = writer(channel, self._origin)
        self._channel = channel

    def _write(self, messages: Sequence[_Outgoing]) -> None:
        self._in_flight.update(enumerate(messages, self._next_tag))
        self._next_tag += len(messages)
        # As many as are declared, and no more: this process may have learnt of others meanwhile.
        partitions = min(self._queues.publishing, self._declared.partitions if self._declared else 1)
        self._writer.send((message.content for message in messages), partitions)

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        for message in self._settle(delivery_tag, multiple):
            message.is_confirmed = True

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple)

    def _on_return(self, _error: Exception, _exchange: str, _routing_key: str, returned: Any) -> None:
        # The broker returns an unroutable message first and acknowledges it afterwards.
        message_id = returned.properties.get("message_id")
        for message in self._in_flight.values():
            if message.content.job_id == message_id:
                message.is_returned = True

    def _settle(self, delivery_tag: int, multiple: bool) -> list[_Outgoing]:
        tags = [tag for tag in self._in_flight if tag <= delivery_tag] if multiple else [delivery_tag]
        return [self._in_flight.pop(tag) for tag in tags if tag in self._in_flight]

    def _forget_queues(self) -> None:
        """Declare them with the next connection: one of them is not there."""
        self._declared = None
        self._drop()

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self._in_flight = {}
        if connection is not None:
            connection.collect()
