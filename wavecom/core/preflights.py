"""Preflights: what is asked about a claimed job before any provider is called for it. Pure.

Each is a rule of its own, in one list, asked in order: the first that stops the job decides. None of them costs a
permit: what the job's message was admitted with is given back unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wavecom.core.job import Job, Reason


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now: the job rests for so long, which uses up none of its attempts."""

    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """Never: the job fails without a call. ``message`` is for people, without secret and recipient.

    The job's error is called after ``reason`` where there is one, else ``rejected``; its history has ``code``.
    """

    code: str
    message: str
    reason: Reason | None = None


class Preflight(Protocol):
    """One rule. Thread-safe."""

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Read at once what ``check`` will need to know of jobs that were just claimed together.

        May take one round trip. Raises ``StoreError`` where that can't be had: it is asked again, with the same jobs.
        """
        ...

    def check(self, job: Job) -> Hold | Rejection | None:
        """Whether the job may be sent: None. Takes microseconds, and no I/O: asked on the thread that claims for all.

        May be asked more than once for one claim, and for a job that ``prepare`` never saw: after an error, say.
        """
        ...


def prepare_all(preflights: Sequence[Preflight], jobs: Sequence[Job]) -> None:
    """Have each read what it needs of these jobs. Raises ``StoreError``."""
    if jobs:
        for preflight in preflights:
            preflight.prepare(jobs)


def first_stop(preflights: Sequence[Preflight], job: Job) -> Hold | Rejection | None:
    """What the first preflight says that stops the job; None: it may be sent."""
    for preflight in preflights:
        stop = preflight.check(job)
        if stop is not None:
            return stop
    return None
