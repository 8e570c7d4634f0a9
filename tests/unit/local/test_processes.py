"""Child processes, their logs, what a killed launcher leaves behind, and the signals that end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.waiting import comes_true
from wavecom.local.child import ChildProcess
from wavecom.local.interrupts import Interrupts
from wavecom.local.logs import cap, rotate, tail
from wavecom.local.orphans import end_orphans, orphans
from wavecom.local.service import MARK

# Starts another program, says so, and lives on with it.
PARENT = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"


def child(tmp_path: Path, *command: str, home: str = "nowhere") -> ChildProcess:
    return ChildProcess(command, log=tmp_path / "log", environment={**os.environ, MARK: home}, folder=tmp_path)


def test_a_child_writes_to_its_log_and_tells_its_exit_code(tmp_path: Path) -> None:
    running = child(tmp_path, sys.executable, "-c", "import sys; print('hello'); sys.exit(3)")

    assert running.wait(10)

    assert running.exit_code == 3
    assert tail(tmp_path / "log") == "hello"


def test_killing_a_child_takes_along_what_it_started(tmp_path: Path) -> None:
    running = child(tmp_path, sys.executable, "-c", PARENT, home=str(tmp_path))
    assert comes_true(lambda: tail(tmp_path / "log") == "up")
    assert len(orphans(tmp_path)) == 2

    running.kill()
    running.kill()

    assert running.exit_code == -signal.SIGKILL
    assert comes_true(lambda: not orphans(tmp_path))


def test_what_a_dead_child_had_started_goes_with_it(tmp_path: Path) -> None:
    running = child(tmp_path, sys.executable, "-c", PARENT, home=str(tmp_path))
    assert comes_true(lambda: tail(tmp_path / "log") == "up")

    os.kill(running.pid, signal.SIGKILL)

    assert comes_true(lambda: not running.is_running)
    assert comes_true(lambda: not orphans(tmp_path))


def test_a_child_that_does_not_end_is_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    running = child(tmp_path, "sleep", "60")

    assert not running.wait(0.1)

    running.terminate()
    assert running.wait(10)
    assert running.exit_code == -signal.SIGTERM


def test_orphans_of_this_home_are_ended_and_no_others(tmp_path: Path) -> None:
    ours = child(tmp_path, sys.executable, "-c", PARENT, home=str(tmp_path / "home"))
    assert comes_true(lambda: tail(tmp_path / "log") == "up")
    other = child(tmp_path, "sleep", "60", home=str(tmp_path / "home2"))

    assert end_orphans(tmp_path / "home") == 2

    assert not ours.is_running
    assert other.is_running
    other.kill()


def test_a_rotated_log_keeps_the_run_before(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    rotate(log)
    for text in ("first", "second", "third"):
        log.write_text(text)
        rotate(log)

    assert not log.exists()
    assert tail(tmp_path / "web.log.1") == "third"


def test_a_capped_log_goes_on_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("a") as writer:
        writer.write("old " * 100)
        writer.flush()
        cap(log, largest_bytes=1000)
        assert not tail(tmp_path / "web.log.1")
        cap(log, largest_bytes=100)
        writer.write("new")

    assert log.read_text() == "new"
    assert tail(tmp_path / "web.log.1").startswith("old old")


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(1000)))

    assert tail(log, lines=2) == "line 998 \ufffd\nline 999 \ufffd"
    assert tail(tmp_path / "none") == ""


def test_signals_are_counted_and_end_a_pause() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with Interrupts() as interrupts:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        started_at = time.monotonic()
        while not interrupts.count and time.monotonic() - started_at < 10:
            interrupts.pause(20)

        assert interrupts.count == 1

    assert signal.getsignal(signal.SIGTERM) == before


def test_the_end_of_a_child_ends_a_pause(tmp_path: Path) -> None:
    with Interrupts() as interrupts:
        running = subprocess.Popen(["sleep", "0.05"])
        interrupts.pause(150)  # the test's own time limit is 180 s

        assert interrupts.count == 0
        assert running.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_closes_ends_it_like_ctrl_c(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(number)
        signal.raise_signal(number)

        assert interrupts.count == 2
