"""Reads what the broker has sent with one system call a time, instead of some twenty a message.

A delivery is three frames. py-amqp reads each in three pieces and switches the socket's time-out before and after,
and kombu goes once through the whole event loop for it; each of these calls also lets go of the interpreter's lock,
which the other threads of a busy worker then hold. This reads whatever there is into py-amqp's own buffer and has all
complete frames handled from there.

Delivery messages, nearly all that comes, differ from each other in nothing but their job's id. So one that is, but for
its id, byte by byte like one that was understood before is not parsed again, by py-amqp, kombu and a JSON parser.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple, Protocol

from wavecom.core.job import JobId

#: Some forty deliveries. py-amqp copies the rest of its buffer with each piece that it takes, so not much more.
_READ_BYTES = 16 * 1024


#: A frame: its type, its channel and how long it is, before that many bytes and one that ends it.
_HEAD = Struct(">BHI")
_HEAD_BYTES = 7
_METHOD, _HEADER, _BODY = 1, 2, 3
#: The beginning of a ``basic.deliver``.
_DELIVER = b"\x00\x3c\x00\x3c"
_TAG = Struct(">Q")
#: How a body of ours begins, and what its job's id looks like there.
_BODY_START = re.compile(rb'\[\["([0-9a-f-]{36})"\]')
_BODY_END = len('[["') + 36
#: Lanes, senders and releases make some dozens of kinds; beyond so many, all are forgotten.
_MAX_KINDS = 256


class MessageHandler(Protocol):
    """Takes delivery messages: ``wavecom.worker.delivery_consumer.DeliveryConsumerStep``."""

    def has_handled(self, job_id: str) -> bool:
        """Whether the message that Celery handed on last was a delivery message about this job."""
        ...

    def handle(self, channel: Any, tag: int, routing_key: str, job_id: JobId) -> None:
        """Take a delivery message by its parts; no ``kombu.Message`` was made of it."""
        ...


class _Delivery(NamedTuple):
    """The three frames of one message at the beginning of a buffer."""

    channel: int
    consumer: str
    tag: int
    routing_key: str
    job_id: str
    #: Routing key, header and body without the job's id: the same for all messages that differ only in their job.
    kind: tuple[bytes, bytes, bytes]
    #: Where the frames end.
    end: int


class FrameReader:
    """Reads for one connection (``amqp.Connection``). Put on the event loop in place of kombu's reader.

    ``call_soon`` has the event loop call something soon. Without a ``handler`` every message goes its usual way.
    """

    def __init__(
        self, connection: Any, call_soon: Callable[[Callable[[], None]], Any], handler: MessageHandler | None = None
    ) -> None:
        self._connection = connection
        self._call_soon = call_soon
        self._handler = handler
        #: Kinds of delivery messages that Celery's way has handled before.
        self._known_kinds: set[tuple[bytes, bytes, bytes]] = set()
        # Kept, because py-amqp connects anew when it is asked for the transport of a connection that is gone.
        self._transport = connection.transport

    @staticmethod
    def serves(connection: Any) -> bool:
        """Whether it can be used: not over TLS, which can't be read without waiting, nor with another transport."""
        transport = getattr(connection, "transport", None)
        return type(getattr(transport, "sock", None)) is socket.socket and hasattr(transport, "_read_buffer")

    def read(self) -> None:
        """Handle every whole frame that has come. Raises ``OSError`` when the connection is gone."""
        transport = self._transport
        if not transport.connected:
            return
        # Into its own buffer, because who waits for an answer in the middle of all this reads from there too.
        transport._read_buffer += self._receive()
        try:
            while transport.connected and _holds_a_frame(transport._read_buffer):
                self._handle_next()
        except BaseException:
            if transport.connected and _holds_a_frame(transport._read_buffer):
                # The socket will not tell of these any more.
                self._call_soon(self.read)
            raise

    def _handle_next(self) -> None:
        delivery = _delivery_in(self._transport._read_buffer) if self._handler is not None else None
        if delivery is None or self._handler is None:
            self._handle_frame()
            return
        channel = self._connection.channels.get(delivery.channel)
        # Of a consumer that was cancelled py-amqp sends back what still comes.
        if delivery.kind in self._known_kinds and channel is not None and delivery.consumer in channel.callbacks:
            self._transport._read_buffer = self._transport._read_buffer[delivery.end :]
            self._connection.bytes_recv += 3  # it counts frames, by which the heartbeat knows that the broker lives
            self._handler.handle(channel, delivery.tag, delivery.routing_key, JobId(delivery.job_id))
            return
        for _ in range(3):
            self._handle_frame()
        if self._handler.has_handled(delivery.job_id):
            if len(self._known_kinds) >= _MAX_KINDS:
                self._known_kinds.clear()
            self._known_kinds.add(delivery.kind)

    def _handle_frame(self) -> None:
        self._connection.on_inbound_frame(self._transport.read_frame())

    def _receive(self) -> bytes:
        """The bytes that have come; empty when none have. Never waits."""
        try:
            data: bytes = self._transport.sock.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            self._transport.connected = False
            raise
        if not data:
            self._transport.connected = False
            raise OSError("the broker has closed the connection")
        return data


def _holds_a_frame(buffer: bytes) -> bool:
    if len(buffer) < _HEAD_BYTES:
        return False
    _, _, size = _HEAD.unpack_from(buffer)
    return len(buffer) > _HEAD_BYTES + int(size)


def _delivery_in(buffer: bytes) -> _Delivery | None:
    """The message that ``buffer`` begins with, if it is whole and may be a delivery message."""
    if buffer[_HEAD_BYTES : _HEAD_BYTES + 4] != _DELIVER:
        return None
    parts = []
    at = channel = 0
    for expected in (_METHOD, _HEADER, _BODY):
        if len(buffer) < at + _HEAD_BYTES:
            return None
        kind, channel_of_frame, size = _HEAD.unpack_from(buffer, at)
        end = at + _HEAD_BYTES + size + 1
        if at == 0:
            channel = channel_of_frame
        if kind != expected or channel_of_frame != channel or len(buffer) < end:
            return None
        parts.append(buffer[at + _HEAD_BYTES : end - 1])
        at = end
    method, header, body = parts
    found = _BODY_START.match(body)
    if found is None:
        return None
    # Consumer, tag (8 bytes), whether it was redelivered, exchange, routing key; the texts with their lengths before.
    tag_at = 5 + method[4]
    key_at = tag_at + 10 + method[tag_at + 9]
    routing_key = method[key_at + 1 : key_at + 1 + method[key_at]]
    job_id = found[1]
    return _Delivery(
        channel,
        method[5:tag_at].decode(),
        _TAG.unpack_from(method, tag_at)[0],
        routing_key.decode(),
        job_id.decode(),
        # The header says how long the body is, so these three are all of it.
        (routing_key, header.replace(job_id, b""), body[_BODY_END:]),
        at,
    )
