"""Preflights: what is asked about a claimed job before any provider is called for it. Pure.

Each is a rule of its own, in one list, asked in order: the first that stops the job decides. None of them costs a
permit: what the job's message was admitted with is given back unused, and a provider that a preflight holds is not
asked for one. The list: suppression (``suppression_check``), what the recipient wants (``preference_check``),
attachments (``attachment_check``), pauses (``pauses``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wavecom.core.job import Job, Reason


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now: the job rests for so long, which uses up none of its attempts.

    ``code``: why, in one word, for the job's history; empty: what has nothing to do with this job, and no entry.
    """

    retry_after_seconds: float
    code: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Never: the job fails without a call. ``message`` is for people, without secret and recipient.

    The job's error is called after ``reason`` where there is one, else ``rejected``; its history has ``code``.
    """

    code: str
    message: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class ProviderHold:
    """Not by these providers now: name → seconds after which each is worth asking for again. Others may be called.

    A job whose route has no other rests until the first of them, which uses up none of its attempts.
    """

    waits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """What all preflights say of a job together."""

    #: Nobody may be called.
    stop: Hold | Rejection | None = None
    #: Providers that may not be called, and for how many seconds each.
    waits: Mapping[str, float] = field(default_factory=dict)


class Preflight(Protocol):
    """One rule. Thread-safe."""

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Read at once what ``check`` will need to know of jobs that were just claimed together.

        May take one round trip. Raises ``StoreError`` where that can't be had: it is asked again, with the same jobs.
        """
        ...

    def check(self, job: Job) -> Hold | Rejection | ProviderHold | None:
        """Whether the job may be sent: None. Takes microseconds, and no I/O: asked on the thread that claims for all.

        May be asked more than once for one claim, and for a job that ``prepare`` never saw: after an error, say.
        """
        ...


def prepare_all(preflights: Sequence[Preflight], jobs: Sequence[Job]) -> None:
    """Have each read what it needs of these jobs. Raises ``StoreError``."""
    if jobs:
        for preflight in preflights:
            preflight.prepare(jobs)


_PASSED = PreflightResult()


def ask_all(preflights: Sequence[Preflight], job: Job) -> PreflightResult:
    """What the preflights say of a job: the first that stops it decides, else all providers that any of them holds."""
    waits: dict[str, float] = {}
    for preflight in preflights:
        answer = preflight.check(job)
        if isinstance(answer, ProviderHold):
            for provider, seconds in answer.waits.items():
                waits[provider] = max(seconds, waits.get(provider, 0.0))
        elif answer is not None:
            return PreflightResult(answer)
    return PreflightResult(waits=waits) if waits else _PASSED
