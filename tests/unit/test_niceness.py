"""Workers that can wait step back for those who accept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from wavecom.local.programs import PROGRAMS
from wavecom.niceness import niceness_for, step_back


def _queues_of(program: str) -> list[str]:
    [command] = [each.command for each in PROGRAMS if each.name == program]
    return command.rpartition("-Q ")[2].split(",")


def test_only_a_worker_whose_queues_can_all_wait_steps_back() -> None:
    patient, high, ops = (_queues_of(name) for name in ("worker", "worker-high", "ops"))

    assert niceness_for(patient, 10) == 10
    assert niceness_for(patient[:1], 10) == 10
    assert niceness_for(high, 10) == 0
    assert niceness_for(ops, 10) == 0
    assert niceness_for([*patient, high[0]], 10) == 0
    assert niceness_for([], 10) == 0
    assert niceness_for(patient, 0) == 0


#: Nobody steps forward: who is nicer already, as these tests may be, stays so.
NICENESS = str(max(7, os.getpriority(os.PRIO_PROCESS, 0)))

_STEP = """
import os, sys, threading
from pathlib import Path
from wavecom.niceness import step_back

step_back(7, Path(sys.argv[1]))
found = []
thread = threading.Thread(target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
thread.start()
thread.join()
print(os.getpriority(os.PRIO_PROCESS, 0), *found)
"""


def test_the_process_its_threads_and_its_session_step_back(tmp_path: Path) -> None:
    session = tmp_path / "autogroup"

    told = subprocess.run([sys.executable, "-c", _STEP, session], capture_output=True, text=True, check=True)

    assert told.stdout.split() == [NICENESS, NICENESS]
    assert session.read_text() == "7"


def test_without_such_a_file_only_the_process_steps_back(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", _STEP, tmp_path / "none" / "autogroup"], capture_output=True, text=True, check=True
    )

    assert told.stdout.split() == [NICENESS, NICENESS]


def test_nothing_changes_when_nobody_is_to_step_back(tmp_path: Path) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)

    step_back(0, tmp_path / "autogroup")

    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    assert not (tmp_path / "autogroup").exists()
