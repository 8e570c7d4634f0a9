"""What is asked before a request is accepted: is there room under its key's limits, was it answered before?

Both are asked of Redis, in one step, and both may go unanswered: without it requests are accepted all the same, and the
store's unique index still sees to it that no idempotency key makes two jobs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may send; None: as much as it likes. Notifications, not requests."""

    rate_per_second: float | None = None
    daily_quota: int | None = None

    #: How many seconds' worth of its rate may come at once.
    BURST_SECONDS = 10

    @property
    def burst(self) -> int:
        """How many may come at once after a rest. 0 without a rate."""
        return 0 if self.rate_per_second is None else max(1, math.floor(self.rate_per_second * self.BURST_SECONDS))


@dataclass(frozen=True, slots=True)
class Finished:
    """An answer that was given: the request's fingerprint, the job, and the body as it went out."""

    fingerprint: str
    job_id: str
    body: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: ``cost`` notifications under ``limits``, of which ``key_id`` keeps the count.

    ``answer`` names an answer that may have been given before (see ``answer_name``); None: there is nothing to look up.
    """

    key_id: str
    limits: Limits
    cost: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """How much is left under one limit: ``quota`` in every ``window_seconds``, ``remaining`` until ``reset_seconds``
    from now."""

    name: str
    quota: int
    window_seconds: int
    remaining: int
    reset_seconds: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What there is to say. ``finished``: it was answered before, and nothing was counted. ``refused``: the name of the
    limit that has no room for it; come back after ``retry_after_seconds``, nothing was counted either."""

    rooms: Sequence[Room] = ()
    finished: Finished | None = None
    refused: str | None = None
    retry_after_seconds: int = 0

    @property
    def is_yes(self) -> bool:
        """Whether the request may go on."""
        return self.finished is None and self.refused is None


#: When nobody can be asked, or there is nothing to ask.
GO_ON = Verdict()


class Intake(Protocol):
    """Limits and finished answers, shared by all processes. Never raises, never takes long; may say ``GO_ON``."""

    def ask(self, ask: Ask) -> Verdict:
        """Count the request in, unless it was answered before or there is no room for it."""
        ...

    def ask_many(self, asks: Sequence[Ask]) -> Sequence[Verdict]:
        """``ask`` for each of many that came at one time, in one step; in their order."""
        ...

    def remember(self, answer: str, finished: Finished) -> None:
        """Keep an answer for the next request of its name. Cheap; may be forgotten."""
        ...


class OpenIntake:
    """An ``Intake`` without limits and memory."""

    def ask(self, ask: Ask) -> Verdict:
        """See the port."""
        return GO_ON

    def ask_many(self, asks: Sequence[Ask]) -> Sequence[Verdict]:
        """See the port."""
        return [GO_ON] * len(asks)

    def remember(self, answer: str, finished: Finished) -> None:
        """See the port."""
