"""Reads what the broker has sent with one system call a time, instead of some twenty a message.

A delivery is three frames. py-amqp reads each in three pieces and switches the socket's time-out before and after,
and kombu goes once through the whole event loop for it; each of these calls also lets go of the interpreter's lock,
which the other threads of a busy worker then hold. This reads whatever there is into py-amqp's own buffer and has all
complete frames handled from there.
"""

from __future__ import annotations

import socket
from struct import unpack_from
from typing import Any

#: Some forty deliveries. py-amqp copies the rest of its buffer with each piece that it takes, so not much more.
_AT_ONCE_BYTES = 16 * 1024
_HEAD_BYTES = 7


class Intake:
    """Reads for one connection (``amqp.Connection``). Put on the event loop in place of kombu's reader."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._transport = connection.transport

    @staticmethod
    def serves(connection: Any) -> bool:
        """Whether it can be used: not over TLS, which can't be read without waiting, nor with another transport."""
        transport = getattr(connection, "transport", None)
        return type(getattr(transport, "sock", None)) is socket.socket and hasattr(transport, "_read_buffer")

    def read(self) -> None:
        """Handle everything that has come, at least once. Raises ``OSError`` when the connection is gone."""
        transport = self._transport
        try:
            data = transport.sock.recv(_AT_ONCE_BYTES, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            raise OSError("the broker has closed the connection")
        # Its own buffer, because who waits for an answer in the middle of all this reads from there too.
        transport._read_buffer += data
        while self._transport is self._connection.transport and _holds_a_frame(transport._read_buffer):
            self._connection.on_inbound_frame(transport.read_frame())


def _holds_a_frame(buffer: bytes) -> bool:
    if len(buffer) < _HEAD_BYTES:
        return False
    (size,) = unpack_from(">I", buffer, 3)
    return len(buffer) > _HEAD_BYTES + int(size)
