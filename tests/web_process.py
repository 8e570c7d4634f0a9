"""A web process as the Procfile starts it, seen through what it answers and logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from wavecom.local.ports import free_ports
from wavecom.local.programs import PROGRAMS

START_SECONDS = 60
KEY = "wc_live_w7Rk2TzXm9LbQ4nVc8HsYp0JdGaEuW1fK5oBiMxCzNg"

_ROOT = Path(__file__).parents[1]


class WebProcess:
    """A context manager: within it the process is up and ready.

    ``servers`` are the addresses of the three servers, by the names of their variables; without them it serves
    ``tests.memory_web``, which needs none. ``key`` may do everything for the client ``default``.
    """

    def __init__(
        self,
        folder: Path,
        servers: Mapping[str, str] | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        key: str = KEY,
    ) -> None:
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = key
        self.log = folder / "web.log"
        self._environment = {
            **os.environ,
            "WAVECOM_HOME": str(folder),
            "WAVECOM_PORT": str(self.port),
            "WAVECOM_API_KEY": key,
            "PYTHONUNBUFFERED": "1",
            **(servers or {}),
            **(variables or {}),
        }
        [program] = [each for each in PROGRAMS if each.name == "web"]
        self._command = program.arguments(self._environment)
        if servers is None:
            self._command[-1] = "tests.memory_web:app"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that lets ``key`` in."""
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def pid(self) -> int:
        """Of the process, which leads a group of its own."""
        return self._process.pid

    def logged(self) -> str:
        """All that it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> WebProcess:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=_ROOT, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, self.logged()
            assert time.monotonic() < deadline, self.logged()
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def kill(self) -> None:
        """With all of its children, at once; ``with`` starts it again, at the same address."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False


@contextmanager
def workers(home: Path, servers: Mapping[str, str], variables: Mapping[str, str] | None = None) -> Iterator[Path]:
    """A worker of every queue, also of that of ticks, and the scheduler, so that what is sent moves on; their log.

    Two processes, of two seconds of CPU each until they are up: a third, for ticks alone, would show nothing more.
    """
    environment = {**os.environ, "WAVECOM_HOME": str(home), **servers, **(variables or {})}
    celery = [sys.executable, "-m", "celery", "-A", "wavecom"]
    commands = [
        [*celery, "worker", "-n", "all@%h"],
        [*celery, "beat", "--pidfile="],
    ]
    path = home / "workers.log"
    with path.open("wb") as log:
        processes = [subprocess.Popen(each, env=environment, cwd=_ROOT, stdout=log, stderr=log) for each in commands]
    try:
        yield path
    finally:
        for process in processes:
            process.kill()
            process.wait()
