"""Two benchmarks in one home would delete each other's servers' data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lock import alone_in
from wavecom.errors import ConfigurationError

HOLD = "import sys; from pathlib import Path; from harness.lock import alone_in\n"
HOLD += "with alone_in(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()\n"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the home."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


def test_a_second_benchmark_is_told_who_is_there(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with (
        pytest.raises(ConfigurationError, match=rf"another benchmark runs in .* \(pid {other.pid}\)"),
        alone_in(tmp_path),
    ):
        pytest.fail("both were let in")


def test_a_benchmark_that_was_killed_leaves_the_home_free(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()

    with alone_in(tmp_path):
        assert (tmp_path / "bench.lock").read_text() == f"{os.getpid()}\n"


def test_one_after_the_other_is_no_offence(tmp_path: Path) -> None:
    for _ in range(2):
        with alone_in(tmp_path / "made"):
            pass
