"""One child process: logged to a file, ended with its parent, and with everything it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from wavecom import private_files

_WITH_PARENT_DEATH_SIGNAL = Path(__file__).with_name("parent_death_signal.py")
_POLL_SECONDS = 0.02


class ChildProcess:
    """A running program in a process group of its own, so that a Ctrl-C in the terminal reaches only the launcher.

    It dies with this process, even if that is killed with SIGKILL (Linux; ``death_signal`` says how gently). The
    kernel ties that to the starting *thread*, so a child started outside the main thread goes without. Its log, and
    every file that it makes, is for our user alone.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        # The kernel sends it when the thread that started the child ends: of another thread that says nothing.
        number = int(death_signal) if threading.current_thread() is threading.main_thread() else 0
        wrapper = [sys.executable, "-I", "-S", str(_WITH_PARENT_DEATH_SIGNAL), str(number), str(os.getpid())]
        with open(log, "ab", opener=private_files.opener) as output:
            self._process = subprocess.Popen(
                [*wrapper, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
                umask=private_files.UMASK,
            )
        self.log = log
        self.pid = self._process.pid
        self.started_at = time.monotonic()

    @property
    def exit_code(self) -> int | None:
        """As ``subprocess`` gives it (negative: a signal); None while it runs. What it left behind is killed."""
        if self._process.returncode is None and self._has_ended():
            # Before it is reaped: until then nobody else can have its group's number.
            self._signal_group(signal.SIGKILL)
            self._process.wait()
        return self._process.returncode

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.exit_code is None

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); returns at once. May be called twice."""
        if self.is_running:
            self._process.terminate()

    def kill(self) -> None:
        """End it and all that it started, now; returns when it is gone. May be called twice."""
        if self.is_running:
            self._signal_group(signal.SIGKILL)
            self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.is_running:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _has_ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # reaped by somebody else
            return True

    def _signal_group(self, number: signal.Signals) -> None:
        # PermissionError: macOS, where a group of zombies can't be signalled.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
