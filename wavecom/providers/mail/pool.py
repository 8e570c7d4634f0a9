"""The pool of open connections to one mail server."""

from __future__ import annotations

import threading
import time
from typing import Final

from wavecom.providers.mail.connection import SmtpConnection

IDLE_SECONDS: Final = 30.0
LIFETIME_SECONDS: Final = 300.0
#: Servers commonly end a connection after a number of mails; leave before that.
MAILS_PER_CONNECTION: Final = 100


class SmtpConnectionPool:
    """A stack of idle connections, the one last used on top. Thread-safe."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._idle: list[SmtpConnection] = []
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self) -> SmtpConnection | None:
        """One that may still be used, now the caller's; None when there is none."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                # The oldest goes first when it has expired, so that a burst's many are let go in time.
                connection = self._idle.pop(0 if self._is_expired(self._idle[0]) else -1)
            if not self._is_expired(connection) and connection.is_alive:
                return connection
            connection.close_with_quit()

    def put(self, connection: SmtpConnection) -> None:
        """Give back a connection that ended well."""
        connection.used_at = time.monotonic()
        with self._lock:
            if not self._is_closed and not self._is_expired(connection):
                self._idle.append(connection)
                return
        connection.close_with_quit()

    def close(self) -> None:
        """Close them all, and those in use when they are given back. May be called twice."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close_with_quit()

    def _is_expired(self, connection: SmtpConnection) -> bool:
        now = time.monotonic()
        return (
            now - connection.used_at > self._idle_seconds
            or now - connection.opened_at > LIFETIME_SECONDS
            or connection.mails >= MAILS_PER_CONNECTION
        )
