"""The table of processes, the Procfile and the broker's queues are one thing."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from wavecom.broker import topology
from wavecom.local.programs import PROGRAMS, Program
from wavecom.settings import Settings

ROOT = Path(__file__).parents[3]


def test_the_procfile_is_the_table_that_the_launcher_runs() -> None:
    assert (ROOT / "Procfile").read_text(encoding="utf-8") == "".join(
        f"{program.name}: {program.command}\n" for program in PROGRAMS
    )


def test_every_queue_has_exactly_one_kind_of_worker() -> None:
    consumed = Counter(
        queue
        for program in PROGRAMS
        if " -Q " in program.command
        for queue in program.command.split(" -Q ")[1].split()[0].split(",")
    )

    assert consumed == Counter(queue.name for queue in topology.TASK_QUEUES)


@pytest.mark.parametrize("number", [1, 2])
def test_every_worker_has_a_node_name_of_its_own_beside_another_start_too(number: int) -> None:
    # As honcho names each process; the launcher gives its own the names of its logs, without a dot.
    workers = [program for program in PROGRAMS if " -n " in program.command]
    names = [
        arguments[arguments.index("-n") + 1]
        for program in workers
        for name in (f"{program.name}.{number}", program.name)
        for arguments in [program.arguments({"HONCHO_PROCESS_NAME": name})]
    ]

    assert len(names) == len(set(names)) == 6


def test_no_program_keeps_a_file_that_another_start_would_find_locked() -> None:
    assert [program.name for program in PROGRAMS if "WAVECOM_HOME" in program.command] == []


@pytest.mark.parametrize(
    ("variables", "argument"),
    [({}, "8000"), ({"WAVECOM_PORT": ""}, "8000"), ({"WAVECOM_PORT": "8001"}, "8001")],
)
def test_variables_are_filled_in_as_a_shell_does_it(variables: dict[str, str], argument: str) -> None:
    program = Program("web", "granian --port ${WAVECOM_PORT:-8000} wavecom.wsgi:app")

    assert program.arguments(variables) == [sys.executable, "-m", "granian", "--port", argument, "wavecom.wsgi:app"]


def test_a_folder_with_a_space_stays_one_argument() -> None:
    program = Program("any", 'celery -A wavecom beat -s "${WAVECOM_HOME:-var}/beat-schedule"')

    assert program.arguments({"WAVECOM_HOME": "/srv/wave com"})[-1] == "/srv/wave com/beat-schedule"


def test_no_command_line_carries_a_secret() -> None:
    words = ("KEY", "PASSWORD", "AUTH", "SECRET", "_URL", "_URI", "BROKER_API")

    assert not [program.name for program in PROGRAMS for word in words if word in program.command.upper()]


def test_the_web_server_speaks_http_1_alone_and_times_the_heads_of_requests() -> None:
    """HTTP/2 without TLS held streams whose connection had gone, and "auto" waits for ever for the first bytes."""
    [web] = [program for program in PROGRAMS if program.name == "web"]
    words = web.arguments({})

    assert words[words.index("--http") + 1] == "1"
    assert int(words[words.index("--http1-header-read-timeout") + 1]) <= 10_000
    assert int(words[words.index("--backpressure") + 1]) == Settings().web_connections
