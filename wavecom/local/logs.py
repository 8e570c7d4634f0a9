"""Log files of running programs: a fresh one at each start, the one before kept, neither ever very large."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from wavecom import private_files

LARGEST_BYTES = 32 * 1024 * 1024


def rotate(log: Path) -> None:
    """Put the last run's log aside."""
    if log.exists():
        log.replace(_previous(log))


def cap(log: Path, largest_bytes: int = LARGEST_BYTES) -> None:
    """Put a log aside that has grown too large, under its writer: who appends goes on at the new end."""
    if log.exists() and log.stat().st_size > largest_bytes:
        with log.open("rb") as full, open(_previous(log), "wb", opener=private_files.opener) as previous:
            shutil.copyfileobj(full, previous)
        os.truncate(log, 0)


def tail(log: Path, lines: int = 15) -> str:
    """The last ``lines``; empty when there is no such file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 300 * lines))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _previous(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")
