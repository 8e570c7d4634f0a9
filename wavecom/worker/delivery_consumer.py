"""Celery consumer step that admits delivery messages to the pipeline, each with a permit to call a provider.

Not being able to call is not an attempt. While no provider of a channel may be called (breaker open, rate used up, all
threads of its bulkhead busy) its messages are held here, unacknowledged, in the worker's memory: that costs no thread,
no write and no delayed message, and since the broker hands out no more than the prefetch count per queue, everything
behind them waits in RabbitMQ for free. Higher lanes are admitted first, and jobs of test accounts last: those come
from a queue of their own and need only a place in the sandbox.

Stands where Celery would make a task of each message, and takes those of ``wavecom.deliver`` for itself; everything
else goes on to Celery. So do they where the pool's tasks do not run in this process (prefork), and where there are to
be no fast paths, or Celery is not as ``wavecom.internals`` knows it: then each is a plain task (``wavecom.tasks``).

Runs on the worker's main loop, so it needs no lock; the pipeline's threads reach it through ``call_soon``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import structlog
from amqp.exceptions import AMQPError
from celery import bootsteps

from wavecom.broker import topology
from wavecom.core.job import JobId
from wavecom.core.lanes import Lane
from wavecom.core.ports import Permit
from wavecom.errors import RequeueError, RetryLater
from wavecom.internals import amqp, celery, kombu
from wavecom.worker.ack_tracker import AckTracker
from wavecom.worker.held_messages import LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS, HeldMessage, HeldMessages
from wavecom.worker.pipeline import DeliveryPipeline, Disposition, InFlightMessage
from wavecom.worker.runtime import services

log = structlog.get_logger()

#: As often as Celery's heartbeats.
_ACTIVE_UPDATE_SECONDS = 2.0
#: At a shutdown: what is being sent is finished first; nearly every call takes ten seconds at most, and its record
#: comes after. A mail server that takes minutes is not waited for: see ``Delivery.abandon``.
_DRAIN_SECONDS = 25.0

#: When the last message came from the broker (monotonic), how many are held, and where messages came from.
_last_received_at = [time.monotonic()]
_unfinished_count: list[Callable[[], int]] = []
_held_lanes: list[Callable[[], list[Lane]]] = []
_routing_keys: set[str] = set()


def received() -> tuple[float, int]:
    """When the last message came (monotonic seconds), and how many are held or in flight.

    Where Celery does not hand messages over here, it is as if one had come just now: nobody knows.
    """
    if not _unfinished_count:
        return time.monotonic(), 0
    return _last_received_at[0], sum(count() for count in _unfinished_count)


def moved_queues() -> set[str]:
    """The queues of which a message has come since the last call, or is held."""
    keys = set(_routing_keys)
    _routing_keys.difference_update(keys)
    lanes = {lane for lane in map(topology.lane_of, keys) if lane is not None}
    return {topology.queue_of(lane) for lane in lanes.union(*(held() for held in _held_lanes))}


class DeliveryConsumerStep(bootsteps.StartStopStep):
    """Consumer step that stands between the broker and the pool, with one delivery pipeline."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._consumer = consumer
        self._router = services().router
        self._call_soon = celery.call_soon(consumer)
        self._held = HeldMessages(consumer.timer, self._call_soon, admit=self._admit_one, drop=self._drop)
        self._ack_tracker = AckTracker()
        self._celery_state = celery.CeleryState(topology.DELIVER_TASK, consumer.hostname)
        self._channel: Any = None
        #: Ends that the pipeline has reported and the broker has not been told of yet.
        self._ended: deque[tuple[InFlightMessage, Disposition]] = deque()
        self._is_settling = False
        self._pipeline = DeliveryPipeline(
            services().delivery,
            services().delivery.attempts,
            threads=celery.concurrency_of(consumer),
            release=lambda permit: self._router.release(permit, None),
            retry=self._retry,
            on_end=self._on_end,
            on_freed=self._held.on_permit_freed,
        )
        self._partitions_in_hand = services().partitions_in_hand
        self._last_handled = ""
        self._active_updates = 0
        #: Whether delivery messages go to the pipeline. A permit is of use only where the call is made in this process.
        self._takes_messages = celery.LIBRARY.is_fast() and celery.runs_tasks_in_this_process(consumer)
        # Celery reads these when the consumer starts, after every step was made.
        if celery.LIBRARY.is_as_expected():
            celery.reject_unreadable(consumer, self._reject_undecodable)
            celery.wrap_message_handler(consumer, self._wrap_handler)

    def start(self, consumer: Any) -> None:
        """Begin with nothing held; also called after each reconnection."""
        # The dead-letter queue above all: Celery declares only what it consumes, and what is rejected needs a place.
        self._channel = consumer.connection.default_channel
        topology.declare(self._channel, services().queues.layout)
        self._held.clear()
        # Tags count from one again, and what is still being worked on was of an earlier channel.
        self._ack_tracker = AckTracker()
        self._is_settling = False
        _unfinished_count[:] = [self._unfinished_count] if celery.LIBRARY.is_as_expected() else []
        self._active_updates += 1
        self._update_active(self._active_updates)
        _held_lanes[:] = [self._held.lanes]
        connection = consumer.connection.connection
        is_fast = amqp.LIBRARY.is_fast() and kombu.LIBRARY.is_fast()
        if is_fast and consumer.hub is not None and amqp.FrameReader.serves(connection):
            reader = amqp.FrameReader(connection, consumer.hub.call_soon, self if self._takes_messages else None)
            kombu.replace_reader(consumer.hub, connection.sock, reader.read)

    def stop(self, consumer: Any) -> None:
        """The connection is gone or going: the broker gives what is held here to somebody else."""
        unsettled = self._ack_tracker.unsettled()
        for tag in self._held.tags() if self._partitions_in_hand else ():
            self._partitions_in_hand.pop(JobId(unsettled.get(tag, "")), None)
        self._held.clear()
        if services().stopping.is_set():
            # What ends meanwhile can still be acknowledged: the channel is closed later.
            if not self._pipeline.drain(_DRAIN_SECONDS):
                log.error("shutdown_abandons_deliveries", count=self._pipeline.in_flight, abandoned=_abandon_calls())
            self._settle()

    def _update_active(self, start: int) -> None:
        """Tell Celery what is being delivered, every few seconds: for each message it would cost too much."""
        if start != self._active_updates:  # of an earlier start: that one's timer has survived, and ends here
            return
        held = self._held.tags()
        jobs = {tag: JobId(job_id) for tag, job_id in self._ack_tracker.unsettled().items() if tag not in held}
        self._celery_state.set_active(jobs)
        self._consumer.timer.call_after(_ACTIVE_UPDATE_SECONDS, self._update_active, (start,))

    def _unfinished_count(self) -> int:
        return len(self._held) + self._pipeline.in_flight + celery.reserved_count()

    # --- in -----------------------------------------------------------------------------------------------------------

    def _wrap_handler(self, celery_handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """What Celery calls with every message, in place of its own handler."""

        def on_message(message: Any) -> Any:
            self._last_handled = ""
            _last_received_at[0] = time.monotonic()
            headers = message.headers
            if isinstance(headers, dict) and headers.get("task") == topology.DELIVER_TASK:
                if self._takes_messages:
                    return self._handle_message(message)
                _routing_keys.add(message.delivery_info.get("routing_key") or "")
                return celery_handler(message)
            self._ack_tracker.receive_celery_message(message.delivery_tag, message)
            return celery_handler(message)

        return on_message

    def _handle_message(self, message: Any) -> None:
        routing_key = message.delivery_info.get("routing_key") or ""
        job_id = job_id_of(message)
        if topology.lane_of(routing_key) is None or job_id is None:
            # Before it costs a permit: again would only meet it again.
            log.error("message_names_no_job")
            reject(message)
            return
        self._last_handled = job_id
        self.handle(message.channel, message.delivery_tag, routing_key, job_id)

    def has_handled(self, job_id: str) -> bool:
        """See ``wavecom.internals.amqp.MessageHandler``."""
        return self._last_handled == job_id

    def handle(self, channel: Any, tag: int, routing_key: str, job_id: JobId) -> None:
        """See ``wavecom.internals.amqp.MessageHandler``. ``routing_key`` must name a lane."""
        address = topology.address_of(routing_key)
        if address is None:
            raise ValueError(f"routing key {routing_key!r} names no lane")
        if address.partition:
            self._partitions_in_hand[job_id] = address.partition
        now = _last_received_at[0] = time.monotonic()
        _routing_keys.add(routing_key)
        self._ack_tracker.receive(tag, job_id)
        self._held.add(address.lane, HeldMessage(now, job_id, routing_key, channel, tag))

    def _admit_one(self, lane: Lane, held: HeldMessage) -> float | None:
        """Admit one message, or drop a revoked one: None. Or the seconds after which to try again."""
        if held.job_id in celery.revoked:
            self._drop(held)
            return None
        permit = self._router.reserve(lane)
        if not isinstance(permit, Permit):
            return min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, permit.retry_after_seconds))
        message = InFlightMessage(
            held.job_id, held.routing_key, permit, held.channel, held.tag, is_urgent=lane.is_urgent
        )
        return None if self._pipeline.offer(message) else LONGEST_PAUSE_SECONDS

    # --- out ----------------------------------------------------------------------------------------------------------

    def _on_end(self, ends: Sequence[tuple[InFlightMessage, Disposition]]) -> None:
        """Messages have ended. Called on the pipeline's threads; the socket belongs to the main loop."""
        self._ended.extend(ends)
        if not self._is_settling:
            self._is_settling = True
            self._call_soon(self._settle)

    def _settle(self) -> None:
        self._is_settling = False
        tags: dict[Disposition, list[int]] = {end: [] for end in Disposition}
        handled = 0
        while self._ended:
            message, end = self._ended.popleft()
            handled += end is not Disposition.REQUEUE
            if self._partitions_in_hand:
                self._partitions_in_hand.pop(message.job_id, None)
            if message.channel is self._channel:  # of an earlier connection: the broker has given it to somebody
                tags[end].append(message.tag)
        self._celery_state.count_handled(handled)
        for end in (Disposition.REJECT, Disposition.REQUEUE, Disposition.ACK):
            self._send_disposition(tags[end], end)

    def _drop(self, held: HeldMessage) -> None:
        """Acknowledge a message of which nothing comes."""
        if self._partitions_in_hand:
            self._partitions_in_hand.pop(held.job_id, None)
        self._send_disposition([held.tag], Disposition.ACK)

    def _send_disposition(self, tags: Sequence[int], end: Disposition) -> None:
        try:
            if end is Disposition.ACK:
                for ack in self._ack_tracker.settle(tags):
                    self._channel.basic_ack(ack.tag, multiple=ack.is_multiple)
            else:
                for tag in filter(self._ack_tracker.drop, tags):
                    self._channel.basic_reject(tag, requeue=end is Disposition.REQUEUE)
        except (AMQPError, OSError, AttributeError) as error:
            # The connection is gone, which the main loop is about to find out; the broker has the messages again.
            log.warning("disposition_not_sent", error=type(error).__name__, count=len(tags))

    def _retry(self, message: InFlightMessage, retry: RetryLater) -> None:
        task: Any = self._consumer.app.tasks[topology.DELIVER_TASK]
        task.publish_retry(message.job_id, message.routing_key, retry)

    def _reject_undecodable(self, message: Any, error: Exception) -> None:
        """Into the dead-letter queue; Celery would acknowledge it, which loses it."""
        log.error("message_undecodable", error=type(error).__name__)
        reject(message)


def reject(message: Any) -> None:
    """Into the dead-letter queue, once: kombu reports a message that it can't decode again when the report fails.

    The broker closes a channel on which a message is answered twice, and everything held there is redelivered.
    """
    if not message.acknowledged:
        message.reject(requeue=False)


def _abandon_calls() -> int:
    """Say of the calls that are not waited for any longer what is known of them; how many there were."""
    try:
        return services().delivery.abandon()
    except RequeueError:
        return 0  # the store is away: the sweep finds out when the leases have ended


def job_id_of(message: Any) -> JobId | None:
    """The one argument of a task message (protocol 2) of ours; None when it is none."""
    if message.content_type != "application/json" or not isinstance(message.headers.get("id"), str):
        return None
    try:
        body = orjson.loads(message.body)
    except ValueError:
        return None
    match body:
        case [[str(job_id)], {**named}, _] if not named:
            return JobId(job_id)
        case _:
            return None
