"""Ctrl-C, SIGTERM and a closed terminal, counted instead of thrown: nothing is cut short in the middle."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Within ``with``, in the main thread: ``count`` is how often the user has asked to stop."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def pause(self, seconds: float) -> None:
        """Sleep, but wake at once when a signal comes or a child ends."""
        ready, _, _ = select.select([self._bell], [], [], seconds)
        if ready:
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(4096)

    def __enter__(self) -> Self:
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._rope.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._take)
        # Python rings the bell only for signals that it handles.
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _ignore)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._bell.close()
        self._rope.close()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
