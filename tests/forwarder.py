"""A server's address that can be taken away and given back in a moment: to a client the server dies and starts again.

A start of RabbitMQ takes five seconds of CPU.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from wavecom.local.ports import LOOPBACK, free_ports


class Forwarder:
    """Passes what comes to ``port`` on to a port of the same machine, and the answers back."""

    def __init__(self, to: int) -> None:
        [self.port] = free_ports(1)
        self._to = to
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Take connections."""
        listener = socket.create_server((LOOPBACK, self.port))
        self._listener = listener
        self._run(self._accept, listener)

    def close(self) -> None:
        """Break all connections and refuse new ones, as the port of a process that has died."""
        with self._lock:
            if self._listener is None:
                return
            ended, self._listener, self._open = [self._listener, *self._open], None, []
        for each in ended:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(30)
        for each in ended:
            each.close()

    def _run(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, name="forwarder", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((LOOPBACK, self._to))
                with self._lock:
                    if self._listener is not listener:
                        near.close()
                        far.close()
                        return
                    self._open += [near, far]
                    self._run(self._pass_on, near, far)
                    self._run(self._pass_on, far, near)

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
