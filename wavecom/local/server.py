"""What the three private servers have in common: start, answer, stop, be killed, start again with their data."""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from wavecom.errors import ConfigurationError, Problem
from wavecom.local.logs import tail
from wavecom.local.service import Service

_POLL_SECONDS = 0.03


class PrivateServer(Service):
    """A server of our own on loopback, with its data in ``home`` and its log in ``home/server.log`` or ``log``.

    Its ports are chosen when it first starts and kept as long as this object lives, so that clients find it again
    after ``stop()`` or ``kill()`` and another ``start()``.
    """

    name: ClassVar[str]
    start_seconds: ClassVar[float] = 30
    stop_seconds: ClassVar[float] = 5

    def __init__(self, home: Path, *, log: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.home = home.absolute()
        super().__init__(self.name, log=log or self.home / "server.log", environment=environment)

    @property
    @abstractmethod
    def url(self) -> str:
        """The address for clients; known once it has been started."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves clients now. Does not raise, returns within a second or so."""

    @property
    def _folder(self) -> Path:
        return self.home

    def launch(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().launch()

    def start(self) -> None:
        """Start and wait until it answers. Does nothing when it runs. Raises ``ConfigurationError`` if it does not."""
        self.launch()
        deadline = time.monotonic() + self.start_seconds
        while not self.answers():
            if not self.is_running or time.monotonic() >= deadline:
                reason = self._failure()
                self.kill()
                raise ConfigurationError([Problem(self.title, reason)])
            time.sleep(_POLL_SECONDS)

    def _failure(self) -> str:
        code = self.exit_code
        what = f"ended with exit code {code}" if code is not None else f"did not answer within {self.start_seconds:g} s"
        return f"{what}; the end of its log {self.log}:\n{tail(self.log)}"

    def stop(self) -> None:
        """End it gracefully, within ``stop_seconds``, then by force. May be called twice."""
        self.terminate()
        self.wait(self.stop_seconds)
        self.kill()

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
    """The error for a program that is missing; ``remedy`` says how to get it."""
    return ConfigurationError([Problem(title, f"is not installed. {remedy}")])
