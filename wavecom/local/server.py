"""What the three private servers have in common: start, answer, stop, be killed, start again with their data."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from wavecom.errors import ConfigurationError, Problem
from wavecom.local.child import Child, tail

_POLL_SECONDS = 0.03


class PrivateServer(ABC):
    """A server of our own on loopback, with its data and log in ``home``. Not thread-safe.

    Its ports are chosen when it first starts and kept as long as this object lives, so that clients find it again
    after ``stop()`` or ``kill()`` and another ``start()``. ``log`` defaults to ``home/server.log``.
    """

    title: ClassVar[str]
    start_seconds: ClassVar[float] = 30
    stop_seconds: ClassVar[float] = 5

    def __init__(self, home: Path, *, log: Path | None = None) -> None:
        self.home = home.absolute()
        self.log = log or self.home / "server.log"
        self._child: Child | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The address for clients; known once it has been started."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves clients now. Does not raise, returns within a second or so."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Prepare ``home``, choose ports where there are none yet, and say what to run."""

    @abstractmethod
    def _environment(self) -> Mapping[str, str]: ...

    @property
    def pid(self) -> int:
        """The process id of the running server. Raises ``RuntimeError`` when it has never been started."""
        if self._child is None:
            raise RuntimeError(f"{self.title} has not been started")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there; ``answers()`` tells whether it serves."""
        return self._child is not None and self._child.is_running

    @property
    def exit_code(self) -> int | None:
        """How its last process ended; None while it runs or before it was started."""
        return self._child.exit_code if self._child else None

    def launch(self) -> None:
        """Start the process and return before it is ready. Raises ``ConfigurationError`` when it isn't installed."""
        if self.is_running:
            return
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = self._command()
        self._child = Child(command, log=self.log, environment=self._environment(), folder=self.home)

    def start(self) -> None:
        """Start and wait until it answers. Does nothing when it runs. Raises ``ConfigurationError`` if it does not."""
        self.launch()
        deadline = time.monotonic() + self.start_seconds
        while not self.answers():
            if not self.is_running or time.monotonic() >= deadline:
                reason = self.failure()
                self.kill()
                raise ConfigurationError([Problem(self.title, reason)])
            time.sleep(_POLL_SECONDS)

    def failure(self) -> str:
        """Why it is not ready, with the end of its log."""
        code = self.exit_code
        what = f"ended with exit code {code}" if code is not None else f"did not answer within {self.start_seconds:g} s"
        return f"{what}; the end of its log {self.log}:\n{tail(self.log)}"

    def terminate(self) -> None:
        """Ask it to end; returns at once."""
        if self._child:
            self._child.terminate()

    def stop(self) -> None:
        """End it gracefully, within ``stop_seconds``, then by force. May be called twice."""
        self.terminate()
        if self._child:
            self._child.wait(self.stop_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, as a power cut would; returns when it is gone. May be called twice."""
        if self._child:
            self._child.kill()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.kill)
            self.start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def not_installed(title: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Problem(title, f"is not installed. {remedy}")])
