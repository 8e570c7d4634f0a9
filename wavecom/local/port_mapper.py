"""Erlang's port mapper epmd: tells nodes of one machine, by name, at which port each listens for others."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from wavecom.errors import ConfigurationError, Problem
from wavecom.local.child import ChildProcess
from wavecom.local.ports import LOOPBACK
from wavecom.local.server import not_installed

_NAMES_REQUEST = b"\x00\x01n"  # https://www.erlang.org/doc/apps/erts/erl_dist_protocol#names_req


class PortMapper:
    """One epmd on loopback, at ``port``. ``owner`` and ``remedy`` are for its error messages."""

    def __init__(self, port: int, *, home: Path, log: Path, environment: Mapping[str, str], owner: str, remedy: str):
        self._port = port
        self._home = home
        self._log = log
        self._environment = environment
        self._owner = owner
        self._remedy = remedy
        self._child: ChildProcess | None = None

    def start(self) -> None:
        """Start and wait until it answers. Does nothing when it runs. Raises ``ConfigurationError``."""
        if self._child and self._child.is_running:
            return
        program = shutil.which("epmd")
        if program is None:
            raise not_installed("Erlang's epmd", self._remedy)
        command = [program, "-port", str(self._port), "-address", LOOPBACK]
        self._child = ChildProcess(command, log=self._log, environment=self._environment, folder=self._home)
        deadline = time.monotonic() + 10
        while not self._answers():
            if not self._child.is_running or time.monotonic() > deadline:
                self.stop()
                raise ConfigurationError([Problem(self._owner, f"its port mapper epmd did not start; see {self._log}")])
            time.sleep(0.01)

    def stop(self) -> None:
        """End it. May be called twice."""
        if self._child:
            self._child.kill()

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=1) as connection:
                connection.sendall(_NAMES_REQUEST)
                return bool(connection.recv(4))
        except OSError:
            return False
