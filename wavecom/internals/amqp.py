"""py-amqp beyond its documentation: frames read from its buffer, and messages written many at a time.

``FrameReader`` reads what the broker has sent with one system call, instead of some twenty a message. A delivery is
three frames. py-amqp reads each in three pieces and switches the socket's time-out before and after, and kombu goes
once through the whole event loop for it; each of these calls also lets go of the interpreter's lock, which the other
threads of a busy worker then hold. The reader takes whatever there is into py-amqp's own buffer and has all complete
frames handled from there.

Delivery messages, nearly all that comes, differ from each other in nothing but their job's id. So one that is, but for
its id, byte by byte like one that was understood before is not parsed again, by py-amqp, kombu and a JSON parser.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from struct import Struct
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, Protocol

from amqp import Connection, Message, spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from amqp.transport import TCPTransport

from wavecom.core.job import JobId
from wavecom.internals.fast_paths import Library, changed_signature, missing_attributes

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
        return (
            type(getattr(transport, "sock", None)) is socket.socket
            and hasattr(transport, "_read_buffer")
            and isinstance(getattr(connection, "channels", None), dict)
        )

    def read(self) -> None:
        """Handle every whole frame that has come. Raises ``OSError`` when the connection is gone."""
        transport = self._transport
        if not transport.connected:
            # A write has found it out, whose caller may have left it at that: nobody else tells the event loop.
            raise OSError("the connection to the broker is gone")
        # Into its own buffer, because who waits for an answer in the middle of all this reads from there too.
        transport._read_buffer += self._receive()
        try:
            while transport.connected and _holds_a_frame(transport._read_buffer):
                self._handle_next()
        except BaseException:
            if transport.connected and _holds_a_frame(transport._read_buffer):
                # The socket will not tell of these any more.
                self._call_soon(self._read_on)
            raise

    def _read_on(self) -> None:
        """Later, when there may be another connection already: of one that is gone there is nothing to say."""
        if self._transport.connected:
            self.read()

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


class FrameWriter:
    """Makes messages for one channel into the bytes that go over the wire, without sending them."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._written: list[bytes] = []
        self._write_frames = frame_writer(channel.connection, self)

    def write(self, data: memoryview) -> None:
        """As a transport: py-amqp hands over what it would send."""
        self._written.append(bytes(data))

    def frames_of(self, exchange: str, routing_key: str, message: Any) -> bytes:
        """The frames of a ``basic.publish``, mandatory. ``message`` was made by the channel's ``prepare_message``."""
        arguments = dumps("Bssbb", (0, exchange, routing_key, True, False))
        self._written.clear()
        self._write_frames(1, self._channel.channel_id, spec.Basic.Publish, arguments, message)
        return b"".join(self._written)

    def send(self, frames: bytes) -> None:
        """Write the frames of any number of messages with one system call. Raises ``OSError``."""
        self._channel.connection.transport.write(frames)


def _check() -> Iterator[str]:
    yield from missing_attributes(Connection, "on_inbound_frame", "bytes_recv", "transport")
    yield from changed_signature(TCPTransport, "read_frame")
    yield from changed_signature(TCPTransport, "write", "s")
    yield from _check_reading()
    yield from _check_writing()


def _check_reading() -> Iterator[str]:
    """Whether what lies in a transport's buffer is read from there, frame by frame."""
    transport: Any = TCPTransport("nowhere")
    here, there = socket.socketpair()
    with here, there:
        transport.sock = here
        transport._setup_transport()
        if transport._read_buffer != b"":
            yield "a new transport's _read_buffer is not empty"
        transport.connected = True
        transport._read_buffer = _frame(1, b"one") + _frame(2, b"two")
        if transport.read_frame() != (1, 7, b"one") or transport._read_buffer != _frame(2, b"two"):
            yield "read_frame does not read from _read_buffer"


def _check_writing() -> Iterator[str]:
    """Whether a message becomes the three frames that AMQP 0-9-1 asks for."""
    connection = SimpleNamespace(frame_max=131_072, bytes_sent=0)
    channel: Any = SimpleNamespace(connection=connection, channel_id=7)
    message = Message(b"body", content_type="text/plain")
    method = b"\x00\x3c\x00\x28" + b"\x00\x00" + b"\x01e" + b"\x01k" + b"\x01"
    header = b"\x00\x3c\x00\x00" + bytes(7) + b"\x04" + b"\x80\x00" + b"\x0atext/plain"
    if FrameWriter(channel).frames_of("e", "k", message) != _frame(1, method) + _frame(2, header) + _frame(3, b"body"):
        yield "frame_writer writes other frames"


def _frame(kind: int, payload: bytes) -> bytes:
    return _HEAD.pack(kind, 7, len(payload)) + payload + b"\xce"


LIBRARY: Final = Library("amqp", lambda: list(_check()))
