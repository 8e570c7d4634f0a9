"""Something that runs: one program that can be launched, watched, ended and launched again."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from wavecom.local.child import ChildProcess

#: Set in the environment of everything that a launcher starts, and inherited by what that starts in turn: how the
#: next launcher recognises what a killed one has left behind.
MARK = "WAVECOM_LAUNCHED_FROM"


class Service(ABC):
    """``environment`` is what its process inherits (default: ours), ``log`` takes its output. Not thread-safe."""

    #: What its process gets when the one that started it is gone.
    death_signal = signal.SIGKILL

    def __init__(self, title: str, *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.title = title
        self.log = log
        self._inherited = os.environ if environment is None else environment
        self._child: ChildProcess | None = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Prepare what must be there before the start, and say what to run."""

    def _environment(self) -> Mapping[str, str]:
        return self._inherited

    @property
    def _folder(self) -> Path:
        return Path.cwd()

    @property
    def pid(self) -> int:
        """The process id. Raises ``RuntimeError`` when it has never been started."""
        if self._child is None:
            raise RuntimeError(f"{self.title} has not been started")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there, which is not to say that it works."""
        return self._child is not None and self._child.is_running

    @property
    def exit_code(self) -> int | None:
        """How its last process ended, as ``subprocess`` gives it; None while it runs or before the first start."""
        return self._child.exit_code if self._child else None

    @property
    def started_at(self) -> float:
        """``time.monotonic()`` of its last start; 0 before the first."""
        return self._child.started_at if self._child else 0

    def launch(self) -> None:
        """Start the process and return at once. Does nothing when it runs.

        Raises ``ConfigurationError`` when a program that it needs isn't there.
        """
        if self.is_running:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = self._command()
        self._child = ChildProcess(
            command,
            log=self.log,
            environment=self._environment(),
            folder=self._folder,
            death_signal=self.death_signal,
        )

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); returns at once. May be called twice."""
        if self._child:
            self._child.terminate()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within ``seconds``."""
        return self._child is None or self._child.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, as a power cut would; returns when it and all that it started are gone. May be called twice."""
        if self._child:
            self._child.kill()
