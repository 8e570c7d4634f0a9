"""What the publisher writes to the broker: delivery messages, dead letters and canaries as AMQP messages.

A delivery message is a Celery task message, which any Celery worker takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from kombu.transport.native_delayed_delivery import calculate_routing_key, level_name

from wavecom.broker import topology
from wavecom.core.job import DeliveryMessage, JobId
from wavecom.core.lanes import Lane
from wavecom.core.ports import DeadLetter
from wavecom.internals import amqp

#: The delay exchange that Celery's workers declare at their start.
_DELAY_EXCHANGE: Final = level_name(27)
#: Stands for a job id in the frames of a delivery message that are kept ready. No job has it: its version is none.
_ANY_ID: Final = JobId("ffffffff-ffff-ffff-ffff-ffffffffffff")


@dataclass(frozen=True, slots=True)
class Canary:
    """A probe message without content: only whether it comes through matters."""

    job_id: JobId


Content = DeliveryMessage | DeadLetter | Canary


@dataclass(frozen=True, slots=True)
class AmqpMessage:
    """A message as it is published: where to, and what it holds."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]


class PlainWriter:
    """Sends messages one by one, with ``basic_publish``."""

    def __init__(self, channel: Any, origin: str) -> None:
        self._channel = channel
        self._origin = origin

    def send(self, contents: Iterable[Content], partitions: int) -> None:
        """Send these messages, delivery messages into one of so many partitions. Raises ``OSError``, ``AMQPError``."""
        for content in contents:
            message = message_of(content, self._origin, partitions)
            self._channel.basic_publish(
                _prepared(self._channel, message),
                exchange=message.exchange,
                routing_key=message.routing_key,
                mandatory=True,
            )


class MessageFramer:
    """Sends any number of messages with one system call.

    ``basic_publish`` writes and polls the socket once for every message, and py-amqp takes some 40 µs to make one into
    frames. Delivery messages of a lane differ only in their job's id, so the frames of one serve for all.
    """

    def __init__(self, channel: Any, origin: str) -> None:
        self._channel = channel
        self._origin = origin
        self._writer = amqp.FrameWriter(channel)
        #: By lane, or by lane and partition where there are several.
        self._templates: dict[Lane | tuple[Lane, int], bytes] = {}
        self._partitions = 1

    def send(self, contents: Iterable[Content], partitions: int) -> None:
        """Send these messages, delivery messages into one of so many partitions. Raises ``OSError``."""
        self._partitions = partitions
        self._writer.send(b"".join(map(self._frames_of, contents)))

    def _frames_of(self, content: Content) -> bytes:
        job_id = content.job_id.encode()
        if not isinstance(content, DeliveryMessage) or is_delayed(content) or len(job_id) != len(_ANY_ID):
            return self._new_frames(content)
        way: Lane | tuple[Lane, int] = content.lane
        if self._partitions > 1:
            way = (content.lane, topology.partition_of(content.job_id, self._partitions))
        template = self._templates.get(way)
        if template is None:
            # The frames name the partition of this job; the other id takes its place in them.
            own = self._new_frames(content)
            template = self._templates[way] = own.replace(job_id, _ANY_ID.encode())
        return template.replace(_ANY_ID.encode(), job_id)

    def _new_frames(self, content: Content) -> bytes:
        message = message_of(content, self._origin, self._partitions)
        return self._writer.frames_of(message.exchange, message.routing_key, _prepared(self._channel, message))


def _prepared(channel: Any, message: AmqpMessage) -> Any:
    """``message`` as py-amqp's."""
    return channel.prepare_message(
        message.body,
        content_type="application/json",
        content_encoding="utf-8",
        headers=dict(message.headers),
        properties={"delivery_mode": 2, **message.properties},
    )


def is_delayed(content: Content) -> bool:
    """Whether it goes through the delay queues, which are not ours to declare."""
    return isinstance(content, DeliveryMessage) and content.delay_seconds > 0


def message_of(content: Content, origin: str, partitions: int) -> AmqpMessage:
    """``content`` as it is published by the process ``origin``, a delivery message into one of so many partitions."""
    if isinstance(content, Canary):
        return AmqpMessage("", topology.CANARY_QUEUE, b"{}", {"origin": origin}, {"message_id": content.job_id})
    return (
        _task_message(content, origin, partitions)
        if isinstance(content, DeliveryMessage)
        else _dead_letter_message(content, origin)
    )


def _task_message(delivery_message: DeliveryMessage, origin: str, partitions: int) -> AmqpMessage:
    """A Celery task message (protocol 2) without the detours: any Celery worker takes it."""
    key = topology.routing_key(delivery_message.lane, topology.partition_of(delivery_message.job_id, partitions))
    exchange = topology.NOTIFICATIONS.name
    if is_delayed(delivery_message):
        exchange, key = _DELAY_EXCHANGE, calculate_routing_key(delivery_message.delay_seconds, key)
    # No more than a worker needs: encoding and decoding each header costs more than the body.
    headers = {"task": topology.DELIVER_TASK, "id": delivery_message.job_id, "origin": origin}
    body = orjson.dumps(
        [[delivery_message.job_id], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    )
    return AmqpMessage(
        exchange, key, body, headers, {"correlation_id": delivery_message.job_id, "message_id": delivery_message.job_id}
    )


def _dead_letter_message(dead_letter: DeadLetter, origin: str) -> AmqpMessage:
    body = orjson.dumps(
        {
            "jobId": dead_letter.job_id,
            "type": dead_letter.channel,
            "priority": dead_letter.priority,
            "error": {"code": dead_letter.code, "message": dead_letter.message, "provider": dead_letter.provider},
            "attempts": dead_letter.attempts,
            "failedAt": dead_letter.failed_at,
        },
        option=orjson.OPT_UTC_Z,
    )
    headers = {"origin": origin, "kind": "failed_job"}
    properties = {"message_id": dead_letter.job_id, "type": "wavecom.dead-letter"}
    return AmqpMessage(topology.DEAD_LETTERS.name, topology.DEAD_QUEUE, body, headers, properties)
