"""Where workers say how they are, and how to read it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from wavecom.core.worker_health import NOT_FATAL

#: Workers write every five seconds.
STALE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """``reason`` is for people; empty when all is well.

    ``lag_seconds`` is the longest time in the last minute for which the worker could not run.
    """

    is_well: bool
    reason: str = ""
    lag_seconds: float = 0


def report_path(home: Path, node: str) -> Path:
    """The file in which the worker ``node`` (its Celery name, ``worker1@host``) says how it is."""
    return home / "health" / f"{node.replace('/', '_')}.json"


def health_of(home: Path, node: str, now: float | None = None, *, fatal_only: bool = False) -> Health:
    """Read a worker's report; never raises for a worker that is not there.

    ``fatal_only`` passes over problems that end by themselves, or would not end with another process.
    """
    path = report_path(home, node)
    try:
        report = orjson.loads(path.read_bytes())
        age = (time.time() if now is None else now) - float(report["at"])
        problems = [each for each in report["problems"] if not (fatal_only and each in NOT_FATAL)]
        lag_seconds = float(report.get("lag", 0))
    except FileNotFoundError:
        return Health(False, f"no worker {node} has reported under {home}; the names are those of `celery status`")
    except (OSError, ValueError, KeyError, TypeError):
        return Health(False, f"the report of {node} can't be read: {path}")
    if age > STALE_SECONDS:
        return Health(False, f"{node} last reported {age:.0f} s ago: it hangs or is gone")
    if problems:
        return Health(False, f"{node} makes no progress: {', '.join(problems)}", lag_seconds)
    return Health(True, lag_seconds=lag_seconds)
