"""Reads what the broker has sent with one system call a time, instead of some twenty a message.

A delivery is three frames. py-amqp reads each in three pieces and switches the socket's time-out before and after,
and kombu goes once through the whole event loop for it; each of these calls also lets go of the interpreter's lock,
which the other threads of a busy worker then hold. This reads whatever there is into py-amqp's own buffer and has all
complete frames handled from there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from struct import unpack_from
from typing import Any

#: Some forty deliveries. py-amqp copies the rest of its buffer with each piece that it takes, so not much more.
_AT_ONCE_BYTES = 16 * 1024
_HEAD_BYTES = 7


class Intake:
    """Reads for one connection (``amqp.Connection``). Put on the event loop in place of kombu's reader.

    ``again`` has the loop call something soon.
    """

    def __init__(self, connection: Any, again: Callable[[Callable[[], None]], Any]) -> None:
        self._connection = connection
        self._again = again
        # Kept, because py-amqp connects anew when it is asked for the transport of a connection that is gone.
        self._transport = connection.transport

    @staticmethod
    def serves(connection: Any) -> bool:
        """Whether it can be used: not over TLS, which can't be read without waiting, nor with another transport."""
        transport = getattr(connection, "transport", None)
        return type(getattr(transport, "sock", None)) is socket.socket and hasattr(transport, "_read_buffer")

    def read(self) -> None:
        """Handle everything that has come. Raises ``OSError`` when the connection is gone."""
        transport = self._transport
        if not transport.connected:
            return
        # Into its own buffer, because who waits for an answer in the middle of all this reads from there too.
        transport._read_buffer += self._received()
        try:
            while transport.connected and _holds_a_frame(transport._read_buffer):
                self._connection.on_inbound_frame(transport.read_frame())
        except BaseException:
            if transport.connected and _holds_a_frame(transport._read_buffer):
                # The socket will not tell of these any more.
                self._again(self.read)
            raise

    def _received(self) -> bytes:
        """What has come; empty when nothing has."""
        try:
            data: bytes = self._transport.sock.recv(_AT_ONCE_BYTES, socket.MSG_DONTWAIT)
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
    (size,) = unpack_from(">I", buffer, 3)
    return len(buffer) > _HEAD_BYTES + int(size)
