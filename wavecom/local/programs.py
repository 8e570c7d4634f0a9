"""WaveCom's own processes as one table: the launcher runs it, and Procfile is held equal to it by a test."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wavecom.broker import topology
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.local.service import Service

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(:-(?P<default>[^}]*))?\}")


def _queues(*priorities: Priority) -> str:
    return ",".join(topology.queue_of(Lane(channel, priority)) for channel in Channel for priority in priorities)


_PATIENT_QUEUES = f"{_queues(Priority.NORMAL, Priority.BULK)},{topology.TEST_QUEUE},{topology.CALLBACKS_QUEUE}"


@dataclass(frozen=True, slots=True)
class Program:
    """A line of the Procfile. ``command`` is shell; of its language only words, quotes and ``${NAME:-default}``."""

    name: str
    command: str

    def arguments(self, variables: Mapping[str, str]) -> list[str]:
        """The command with ``variables`` filled in, run by this Python: nothing need be on PATH."""
        words = [_VARIABLE.sub(lambda found: _value(found, variables), word) for word in shlex.split(self.command)]
        return [sys.executable, "-m", *words]


def _worker(name: str, queues: str, options: str = "") -> Program:
    # --quiet: Celery's banner is no JSON line.
    node = f"${{HONCHO_PROCESS_NAME:-{name}}}@%h"
    return Program(name, f"celery --quiet -A wavecom worker -n {node} {options}-Q {queues}")


#: HONCHO_PROCESS_NAME: what honcho, and the launcher, call each copy of a process.
PROGRAMS = (
    Program(
        "web",
        # HTTP/1 alone: its time for the head of a request, silent and idle connections included, is all there is, and
        # "auto" would wait for the first bytes of a connection for ever.
        "granian --interface rsgi --http 1 --http1-header-read-timeout 10000"
        " --host ${WAVECOM_HOST:-127.0.0.1} --port ${WAVECOM_PORT:-8000} --workers ${WAVECOM_WEB_WORKERS:-1}"
        # Connections held at once, idle ones too: as many as that may stall without anybody noticing.
        " --backpressure ${WAVECOM_WEB_CONNECTIONS:-8192} --backlog 4096"
        # What the head of a request may take, so that half heads can't fill the memory.
        " --http1-buffer-size 65536"
        " --no-ws --respawn-failed-workers --workers-kill-timeout 3 --log-level warning wavecom.wsgi:app",
    ),
    _worker("worker", _PATIENT_QUEUES),
    _worker("worker-high", _queues(Priority.HIGH)),
    _worker("ops", topology.PERIODIC_QUEUE, "-P solo "),
    Program("beat", "celery --quiet -A wavecom beat --pidfile="),
    Program(
        "flower",
        "celery -A wavecom flower --address=127.0.0.1 --port=${WAVECOM_FLOWER_PORT:-5555}"
        # Events would cost every task of every worker more than Flower's task list is worth; the pages have their own.
        " --enable_events=False --max_tasks=10000",
    ),
)


class ProgramService(Service):
    """One running copy of a program."""

    def __init__(self, program: Program, *, title: str, log: Path, environment: Mapping[str, str]) -> None:
        super().__init__(title, log=log, environment={**environment, "HONCHO_PROCESS_NAME": title})
        self.program = program
        if program.name == "web":
            # granian's workers outlive it when it is killed, with the port; asked, it takes them along.
            self.death_signal = signal.SIGTERM

    def _command(self) -> Sequence[str]:
        return self.program.arguments(self._inherited)


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    # As the shell does with ":-": an empty variable counts as one that is not set.
    return variables.get(found["name"]) or found["default"] or ""
