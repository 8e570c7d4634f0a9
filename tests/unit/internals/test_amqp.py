from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from amqp.transport import TCPTransport
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.job import JobId
from wavecom.internals.amqp import FrameReader


class FakeConnection:
    """A connection of py-amqp's, as far as reading goes, and its other end."""

    def __init__(self) -> None:
        self.broker, sock = socket.socketpair()
        self.transport: Any = TCPTransport("nowhere")
        self.transport.sock = sock
        self.transport._setup_transport()
        self.transport.connected = True
        self.again: list[Callable[[], None]] = []
        self.frames: list[tuple[int, int, bytes]] = []

    def on_inbound_frame(self, frame: tuple[int, int, bytes]) -> None:
        self.frames.append(frame)

    def reader(self) -> FrameReader:
        return FrameReader(self, self.again.append)

    def close(self) -> None:
        self.broker.close()
        self.transport.sock.close()


@pytest.fixture
def connection() -> Iterator[FakeConnection]:
    connection = FakeConnection()
    yield connection
    connection.close()


def frame(payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(f">BHI{len(payload)}sB", 1, channel, len(payload), payload, 0xCE)


def test_all_frames_that_have_come_are_handled_in_order(connection: FakeConnection) -> None:
    connection.broker.sendall(frame(b"one") + frame(b"") + frame(b"three", channel=2))

    connection.reader().read()

    assert connection.frames == [(1, 1, b"one"), (1, 1, b""), (1, 2, b"three")]


def test_nothing_to_read_is_no_reason_to_wait(connection: FakeConnection) -> None:
    connection.reader().read()

    assert connection.frames == []


def test_a_connection_that_was_closed_is_an_error(connection: FakeConnection) -> None:
    connection.broker.close()

    with pytest.raises(OSError, match="closed"):
        connection.reader().read()

    assert not connection.transport.connected


def test_a_connection_that_a_write_has_found_gone_is_an_error_for_who_reads(connection: FakeConnection) -> None:
    reader = connection.reader()
    connection.broker.sendall(frame(b"one"))
    connection.broker.close()
    with pytest.raises(OSError, match="Broken pipe"):
        connection.transport.write(frame(b"an acknowledgement"))

    with pytest.raises(OSError, match="gone"):
        reader.read()

    assert connection.frames == []


def test_what_was_to_be_read_soon_is_forgotten_with_its_connection(connection: FakeConnection) -> None:
    connection.broker.sendall(frame(b"bad") + frame(b"good"))
    handled = []

    def handle(found: tuple[int, int, bytes]) -> None:
        handled.append(found[2])
        raise ValueError("a bug")

    connection.on_inbound_frame = handle  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a bug"):
        connection.reader().read()
    [again] = connection.again
    connection.transport.connected = False

    again()

    assert handled == [b"bad"]


def test_what_came_behind_a_frame_that_could_not_be_handled_is_handled_soon(connection: FakeConnection) -> None:
    connection.broker.sendall(frame(b"bad") + frame(b"good"))

    def handle(found: tuple[int, int, bytes]) -> None:
        if found[2] == b"bad":
            raise ValueError("a bug")
        connection.frames.append(found)

    connection.on_inbound_frame = handle  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a bug"):
        connection.reader().read()
    [again] = connection.again
    again()

    assert connection.frames == [(1, 1, b"good")]


def test_who_waits_for_an_answer_in_the_middle_reads_on_from_the_same_place(connection: FakeConnection) -> None:
    connection.broker.sendall(frame(b"asks") + frame(b"the answer") + frame(b"later"))
    answers = []

    def handle(found: tuple[int, int, bytes]) -> None:
        connection.frames.append(found)
        if found[2] == b"asks":
            answers.append(connection.transport.read_frame())

    connection.on_inbound_frame = handle  # type: ignore[method-assign]
    connection.reader().read()

    assert answers == [(1, 1, b"the answer")]
    assert [payload for _, _, payload in connection.frames] == [b"asks", b"later"]


@given(st.lists(st.binary(max_size=40), max_size=12), st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_frames_arrive_whole_in_whatever_pieces_the_network_brings_them(payloads: list[bytes], cuts: list[int]) -> None:
    connection = FakeConnection()
    reader = connection.reader()
    stream = b"".join(map(frame, payloads))

    while stream:
        size = cuts[0]
        cuts = [*cuts[1:], size]
        piece, stream = stream[:size], stream[size:]
        connection.broker.sendall(piece)
        reader.read()

    assert [payload for _, _, payload in connection.frames] == payloads
    connection.close()


# --- Delivery messages that are like others
# -----------------------------------------------------------------------------------

ONE, TWO, THREE = (f"0199f5e0-0000-7000-8000-00000000000{number}" for number in (1, 2, 3))


def text(value: str) -> bytes:
    return struct.pack(f">B{len(value)}s", len(value), value.encode())


def delivery_message(
    job_id: str, tag: int, *, key: str = "notifications.sms.normal", consumer: str = "c1", rest: str = "{}"
) -> bytes:
    body = f'[["{job_id}"],{rest},{{"chain":null}}]'.encode()
    method = (
        struct.pack(">HH", 60, 60) + text(consumer) + struct.pack(">QB", tag, 0) + text("notifications") + text(key)
    )
    header = struct.pack(">HHQH", 60, 0, len(body), 0x0400) + text(job_id)
    frames = ((1, method), (2, header), (3, body))
    return b"".join(struct.pack(f">BHI{len(part)}sB", kind, 1, len(part), part, 0xCE) for kind, part in frames)


class Channel:
    """A channel with one consumer."""

    callbacks: ClassVar = {"c1": None}


class RecordingHandler:
    """Takes what py-amqp would have brought it, as long as ``understands``."""

    def __init__(self, connection: FakeConnection) -> None:
        self.understands = True
        self.handled: list[tuple[int, str, str]] = []
        self.channel = Channel()
        connection.channels = {1: self.channel}  # type: ignore[attr-defined]
        connection.bytes_recv = 0  # type: ignore[attr-defined]
        self._connection = connection

    def has_handled(self, job_id: str) -> bool:
        return self.understands and job_id.encode() in self._connection.frames[-1][2]

    def handle(self, channel: Any, tag: int, routing_key: str, job_id: JobId) -> None:
        assert channel is self.channel
        self.handled.append((tag, routing_key, job_id))


def read_all(connection: FakeConnection, handler: RecordingHandler, *delivery_messages: bytes) -> None:
    connection.broker.sendall(b"".join(delivery_messages))
    FrameReader(connection, connection.again.append, handler).read()


def test_a_delivery_message_like_one_that_was_understood_is_not_taken_apart_again(connection: FakeConnection) -> None:
    handler = RecordingHandler(connection)

    read_all(connection, handler, delivery_message(ONE, 1), delivery_message(TWO, 2), delivery_message(THREE, 2**40))

    assert len(connection.frames) == 3  # the first one's
    assert handler.handled == [
        (2, "notifications.sms.normal", TWO),
        (2**40, "notifications.sms.normal", THREE),
    ]
    assert connection.bytes_recv == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "other",
    [
        delivery_message(TWO, 2, key="notifications.email.normal"),
        delivery_message(TWO, 2, rest='{"a":1}'),
        delivery_message(TWO, 2, consumer="cancelled"),
        delivery_message("x" * 36, 2),
        delivery_message("short", 2),
        frame(b"\x00\x3c\x00\x50"),
    ],
    ids=[
        "of another lane",
        "with other arguments",
        "of a consumer that is gone",
        "of no id",
        "of a short id",
        "no message",
    ],
)
def test_whatever_differs_goes_its_usual_way(connection: FakeConnection, other: bytes) -> None:
    handler = RecordingHandler(connection)

    read_all(connection, handler, delivery_message(ONE, 1), other)

    assert handler.handled == []
    assert len(connection.frames) > 3


def test_what_was_not_understood_once_is_not_taken_for_a_delivery_message_later(connection: FakeConnection) -> None:
    handler = RecordingHandler(connection)
    handler.understands = False

    read_all(connection, handler, delivery_message(ONE, 1), delivery_message(TWO, 2))

    assert handler.handled == []
    assert len(connection.frames) == 6


def test_half_a_delivery_message_waits_for_its_other_half(connection: FakeConnection) -> None:
    handler = RecordingHandler(connection)
    reader = FrameReader(connection, connection.again.append, handler)
    connection.broker.sendall(delivery_message(ONE, 1))
    reader.read()
    whole = delivery_message(TWO, 2) + delivery_message(THREE, 3)

    for at in range(0, len(whole), 50):
        connection.broker.sendall(whole[at : at + 50])
        reader.read()

    heard = [payload for _, _, payload in connection.frames]
    assert sum(THREE.encode() in part for part in heard) + len([1 for tag, _, _ in handler.handled if tag == 3]) >= 1
    assert sum(TWO.encode() in part for part in heard) + len([1 for tag, _, _ in handler.handled if tag == 2]) >= 1
