"""Limits: how many notifications may be caused, who shares a count, and what counts.

A *budget* is one count that is held against limits. The keys that a key has made or was rotated into share its budget
(``wavecom.accounts``), so no key gets room by making another one. What counts (ADR 18): a notification that is
accepted, retried or replayed counts once against rate and quota; work that is refused counts against the rate only;
what repeats an accepted notification, by its idempotency key, counts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from wavecom.errors import LimitStatus

DAY_SECONDS = 86_400
#: How long a name that was counted is known as counted. Longer than any request is under way; afterwards the store
#: tells repeats.
NAME_SECONDS = 60
#: How old a job is at least that was not accepted on the count of who finds it now: half, because clocks differ.
_EARLIER_AFTER = timedelta(seconds=NAME_SECONDS / 2)
RATE, DAILY = "rate", "daily"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one budget allows; None: as much as it likes. Notifications, not requests."""

    rate_per_second: float | None = None
    daily_quota: int | None = None

    #: How many seconds' worth of its rate may come at once.
    BURST_SECONDS = 10

    @property
    def burst(self) -> int:
        """How many may come at once after a rest. 0 without a rate."""
        return 0 if self.rate_per_second is None else max(1, math.floor(self.rate_per_second * self.BURST_SECONDS))

    @property
    def is_unlimited(self) -> bool:
        """Whether there is nothing to hold anybody against."""
        return self.rate_per_second is None and self.daily_quota is None

    def or_else(self, usual: Limits) -> Limits:
        """These, and those of ``usual`` where these say nothing."""
        return Limits(
            usual.rate_per_second if self.rate_per_second is None else self.rate_per_second,
            usual.daily_quota if self.daily_quota is None else self.daily_quota,
        )

    def allow_no_more_than(self, other: Limits) -> bool:
        """Whether neither of these is wider than the other's."""
        return _is_within(self.rate_per_second, other.rate_per_second) and _is_within(
            self.daily_quota, other.daily_quota
        )


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that was given: the request's fingerprint, the job, and the body as it went out."""

    fingerprint: str
    job_id: str
    body: str


@dataclass(frozen=True, slots=True)
class QuotaRequest:
    """What somebody is about to cause, under the ``limits`` of ``budget``.

    ``cost``: notifications that are certainly new. ``names``: further ones, by account and idempotency key
    (``name_of``); each counts unless it was counted lately. ``refused``: items of a request that can't be taken.
    ``wants_answer``: look whether the (one) name was answered before.
    """

    budget: str
    limits: Limits
    cost: int = 0
    names: tuple[str, ...] = ()
    refused: int = 0
    wants_answer: bool = False


@dataclass(frozen=True, slots=True)
class QuotaDecision:
    """Whether it may go on. ``answer``: it was answered before, and nothing was counted. ``refused``: the name of the
    limit that has no room for it; come back after ``retry_after_seconds``, nothing was counted either. Else
    ``charged`` notifications were counted."""

    limits: Sequence[LimitStatus] = ()
    answer: StoredAnswer | None = None
    refused: str | None = None
    retry_after_seconds: int = 0
    charged: int = 0
    #: Decided by this process alone, from its share of the limits.
    is_local: bool = False
    #: On which day, in days since 1970 (UTC), it was counted against a daily quota.
    day: int | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the request may go on."""
        return self.answer is None and self.refused is None

    def is_repeat(self, held_since: datetime, now: datetime) -> bool:
        """Whether a name that was charged here, and was found to be held by a job, had been paid for before.

        A job that is younger than the mark of a name came at the same time as this and was let through by the mark
        that this left: it is what this pays for. (Marks of one process alone let nobody through elsewhere.)
        """
        return self.is_local or now - held_since >= _EARLIER_AFTER


#: Where there is nothing to ask.
ALLOWED = QuotaDecision()


class QuotaService(Protocol):
    """Counts and stored answers, shared by all processes. Never raises, never takes long.

    When what the processes share can't be used, each holds its callers to its own share of the limits: they never open.
    """

    def check(self, request: QuotaRequest) -> QuotaDecision:
        """Count the request in, unless it was answered before or there is no room for it."""
        ...

    def check_many(self, requests: Sequence[QuotaRequest]) -> Sequence[QuotaDecision]:
        """``check`` for each of many that came at one time, in one step; in their order."""
        ...

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        """Give ``count`` of what was charged back: they were repeats after all, or not stored. Cheap; done soon.

        What was counted on another day is not given back to today's quota.
        """
        ...

    def store_answer(self, name: str, answer: StoredAnswer) -> None:
        """Keep an answer for the next request of its name. Cheap; may be forgotten."""
        ...


class UnlimitedQuotas:
    """A ``QuotaService`` without limits and memory."""

    def check(self, request: QuotaRequest) -> QuotaDecision:
        """See the port."""
        return ALLOWED

    def check_many(self, requests: Sequence[QuotaRequest]) -> Sequence[QuotaDecision]:
        """See the port."""
        return [ALLOWED] * len(requests)

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        """See the port."""

    def store_answer(self, name: str, answer: StoredAnswer) -> None:
        """See the port."""


def _is_within(mine: float | None, other: float | None) -> bool:
    return other is None or (mine is not None and mine <= other)
