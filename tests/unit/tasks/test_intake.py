from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amqp.transport import TCPTransport
from hypothesis import given
from hypothesis import strategies as st

from wavecom.tasks.intake import Intake


class Line:
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

    def intake(self) -> Intake:
        return Intake(self, self.again.append)

    def close(self) -> None:
        self.broker.close()
        self.transport.sock.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def frame(payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(f">BHI{len(payload)}sB", 1, channel, len(payload), payload, 0xCE)


def test_all_frames_that_have_come_are_handled_in_order(line: Line) -> None:
    line.broker.sendall(frame(b"one") + frame(b"") + frame(b"three", channel=2))

    line.intake().read()

    assert line.frames == [(1, 1, b"one"), (1, 1, b""), (1, 2, b"three")]


def test_nothing_to_read_is_no_reason_to_wait(line: Line) -> None:
    line.intake().read()

    assert line.frames == []


def test_a_connection_that_was_closed_is_an_error(line: Line) -> None:
    line.broker.close()

    with pytest.raises(OSError, match="closed"):
        line.intake().read()

    assert not line.transport.connected


def test_of_a_connection_that_is_gone_nothing_is_read(line: Line) -> None:
    line.broker.sendall(frame(b"one"))
    line.transport.connected = False

    line.intake().read()

    assert line.frames == []


def test_what_came_behind_a_frame_that_could_not_be_handled_is_handled_soon(line: Line) -> None:
    line.broker.sendall(frame(b"bad") + frame(b"good"))

    def handle(found: tuple[int, int, bytes]) -> None:
        if found[2] == b"bad":
            raise ValueError("a bug")
        line.frames.append(found)

    line.on_inbound_frame = handle  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a bug"):
        line.intake().read()
    [again] = line.again
    again()

    assert line.frames == [(1, 1, b"good")]


def test_who_waits_for_an_answer_in_the_middle_reads_on_from_the_same_place(line: Line) -> None:
    line.broker.sendall(frame(b"asks") + frame(b"the answer") + frame(b"later"))
    answers = []

    def handle(found: tuple[int, int, bytes]) -> None:
        line.frames.append(found)
        if found[2] == b"asks":
            answers.append(line.transport.read_frame())

    line.on_inbound_frame = handle  # type: ignore[method-assign]
    line.intake().read()

    assert answers == [(1, 1, b"the answer")]
    assert [payload for _, _, payload in line.frames] == [b"asks", b"later"]


@given(st.lists(st.binary(max_size=40), max_size=12), st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_frames_arrive_whole_in_whatever_pieces_the_network_brings_them(payloads: list[bytes], cuts: list[int]) -> None:
    line = Line()
    intake = line.intake()
    stream = b"".join(map(frame, payloads))

    while stream:
        size = cuts[0]
        cuts = [*cuts[1:], size]
        piece, stream = stream[:size], stream[size:]
        line.broker.sendall(piece)
        intake.read()

    assert [payload for _, _, payload in line.frames] == payloads
    line.close()
