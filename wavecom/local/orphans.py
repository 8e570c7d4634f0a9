"""Processes that a launcher left behind when it was killed. Found on Linux only; elsewhere there are none to see."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from wavecom.local.service import MARK


def orphans(home: Path) -> list[int]:
    """The living processes that a launcher started from ``home``, or that those started in turn.

    Only whoever holds the home's lock may call them left behind.
    """
    mark = f"{MARK}={home}".encode()
    return [pid for pid in _processes() if mark in _environment(pid).split(b"\0")]


def end_orphans(home: Path) -> int:
    """Kill them and wait until they are gone. Returns how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + 10
    while (found := orphans(home)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended.update(found)
        time.sleep(0.05)
    return len(ended)


def _processes() -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        yield int(entry.name)


def _environment(pid: int) -> bytes:
    """As it was when the program started; empty for a zombie, and for other users' processes."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
