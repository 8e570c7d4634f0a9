"""A launcher as a user has it: a command in a terminal, seen only through what it prints, serves and leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from tests.waiting import PATIENCE_SECONDS, comes_true
from wavecom.local.orphans import orphans
from wavecom.local.ports import free_ports

START_SECONDS = 150
#: What the launcher promises from Ctrl-C to the last process's end.
STOP_SECONDS = 15


class Launched:
    """``command`` (``wavecom run``, ``make run``) in ``folder`` with a home and ports of its own.

    It inherits ``environment`` (default: ours); ``variables`` are set in it.
    """

    def __init__(
        self,
        command: Sequence[str],
        home: Path,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.home = home
        self.folder = folder
        self.port, self.flower_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = dict(os.environ if environment is None else environment)
        self._variables = dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._output = home.with_name(f"{home.name}.out")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it has not been started"
        return self._process

    @property
    def output(self) -> str:
        """All that it has printed since its last start."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def curl_line(self) -> str:
        """The line to paste."""
        return next(line for line in self.output.splitlines() if line.startswith("curl "))

    @property
    def api_key(self) -> str:
        return (self.home / "api-key").read_text(encoding="ascii").strip()

    def environment(self) -> dict[str, str]:
        """What it is started with, and what a second copy beside it would be."""
        return {
            **self._environment,
            "WAVECOM_HOME": str(self.home),
            "WAVECOM_PORT": str(self.port),
            "WAVECOM_FLOWER_PORT": str(self.flower_port),
            "WAVECOM_WORKER_CONCURRENCY": "4",
            **self._variables,
        }

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start it and wait for the panel."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for(r"^curl ", seconds)

    def wait_for(self, pattern: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Until a printed line matches."""
        found = comes_true(
            lambda: re.search(pattern, self.output, re.MULTILINE) is not None or self.process.poll() is not None,
            seconds,
        )
        assert found and re.search(pattern, self.output, re.MULTILINE), f"no {pattern!r} in:\n{self.output}"  # noqa: PT018

    def interrupt(self) -> int:
        """Ctrl-C, as the terminal sends it to the whole foreground group. Returns the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_SECONDS + 15)

    def end(self) -> None:
        """Leave nothing behind, however the test went."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS + 5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        for pid in self.left_behind():
            os.kill(pid, signal.SIGKILL)

    def left_behind(self) -> list[int]:
        """The living processes that it started."""
        return orphans(self.home)

    def pid_of(self, words: str) -> int:
        """The one process that it started with ``words`` in its command line."""
        # A child that was forked a moment ago still bears the launcher's command line.
        found: list[int] = []

        def is_there() -> bool:
            found[:] = [pid for pid in self.left_behind() if words in command_line(pid)]
            return len(found) == 1

        comes_true(is_there, poll_seconds=0.1)
        assert len(found) == 1, f"{len(found)} processes with {words!r}"
        return found[0]

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=30)

    def paste_curl_line(self) -> dict[str, Any]:
        """Do as the panel says; returns the answer's body."""
        # Its own words first, so that no ~/.curlrc has a say; in a shell, which reads the key from its file.
        line = self.curl_line.replace("curl ", "curl --disable --fail-with-body ", 1)
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def wait_for_status(self, job_id: str, status: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Until the job has reached ``status``; returns it."""
        reached = comes_true(lambda: self.get(f"/api/notifications/{job_id}").json()["status"] == status, seconds)
        job: dict[str, Any] = self.get(f"/api/notifications/{job_id}").json()
        assert reached, job
        return job


def command_line(pid: int) -> str:
    """Empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
