"""The arithmetic of limits in one process: the same rules as ``storage/redis/quota.lua``, held to one contract test.

Used while Redis can't be, with a share of the limits, and by tests.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wavecom.core.quota import DAILY, DAY_SECONDS, NAME_SECONDS, RATE, Limits, QuotaDecision, QuotaRequest, StoredAnswer
from wavecom.errors import LimitStatus

_ENOUGH = 0.0000005
_NAMES_LIMIT = 50_000


@dataclass(slots=True)
class _Count:
    """``paid_off``: when all that came would be paid off at the budget's rate; ``used`` on ``day``."""

    paid_off: float = 0.0
    day: int = -1
    used: int = 0


class LocalQuotas:
    """``wavecom.core.quota.QuotaService`` of one process. Thread-safe. ``now``: seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        #: As many as there are keys with limits: nobody invents a budget.
        self._counts: dict[str, _Count] = {}
        #: Until when each name is known as counted; the oldest first.
        self._names: dict[str, float] = {}
        self._answers: dict[str, StoredAnswer] = {}

    def check(self, request: QuotaRequest) -> QuotaDecision:
        """See the port."""
        return self.check_many([request])[0]

    def check_many(self, requests: Sequence[QuotaRequest]) -> list[QuotaDecision]:
        """See the port."""
        with self._lock:
            now = self._now()
            return [self._decide(request, now) for request in requests]

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        """See the port."""
        with self._lock:
            found = self._counts.get(request.budget)
            if found is None:
                return
            if request.limits.rate_per_second is not None:
                found.paid_off -= count / request.limits.rate_per_second
            if found.day == decision.day:
                found.used = max(0, found.used - count)

    def store_answer(self, name: str, answer: StoredAnswer) -> None:
        """See the port."""
        with self._lock:
            self._answers[name] = answer
            while len(self._answers) > _NAMES_LIMIT:
                del self._answers[next(iter(self._answers))]

    def forget(self) -> dict[str, int]:
        """Forget all counts; what each budget has used of its quota today."""
        with self._lock:
            today = self._now() // DAY_SECONDS
            used = {budget: count.used for budget, count in self._counts.items() if count.day == today and count.used}
            self._counts.clear()
            self._names.clear()
            self._answers.clear()
            return used

    def _decide(self, request: QuotaRequest, now: float) -> QuotaDecision:
        limits = request.limits
        if request.wants_answer and (answer := self._answers.get(request.names[0])) is not None:
            return QuotaDecision(answer=answer)
        if limits.is_unlimited:
            return QuotaDecision()
        fresh = [name for name in request.names if self._names.get(name, 0.0) <= now]
        cost = request.cost + len(fresh)
        count = self._counts.setdefault(request.budget, _Count())
        day = int(now // DAY_SECONDS)
        if count.day != day:
            count.day, count.used = day, 0
        refused, wait = _refusal(limits, count, cost, cost + request.refused, now)
        if refused is None:
            self._charge(limits, count, cost, cost + request.refused, now)
            self._note(fresh, now)
        return QuotaDecision(
            _statuses(limits, count, now),
            refused=refused,
            retry_after_seconds=0 if refused is None else max(1, math.ceil(wait)),
            charged=0 if refused is not None else cost,
            day=day,
        )

    @staticmethod
    def _charge(limits: Limits, count: _Count, cost: int, rate_cost: int, now: float) -> None:
        if limits.rate_per_second is not None:
            count.paid_off = max(now, count.paid_off) + rate_cost / limits.rate_per_second
        count.used += cost

    def _note(self, fresh: Sequence[str], now: float) -> None:
        for name in fresh:
            self._names.pop(name, None)
            self._names[name] = now + NAME_SECONDS
        while self._names:
            oldest = next(iter(self._names))
            if len(self._names) <= _NAMES_LIMIT and self._names[oldest] > now:
                return
            del self._names[oldest]


def _refusal(limits: Limits, count: _Count, cost: int, rate_cost: int, now: float) -> tuple[str | None, float]:
    refused: str | None = None
    wait = 0.0
    if limits.rate_per_second is not None and rate_cost > 0:
        # What is larger than a burst needs a full one, and is paid off afterwards.
        room = limits.burst - min(rate_cost, limits.burst)
        over = max(0.0, count.paid_off - now) - room / limits.rate_per_second
        if over > _ENOUGH:
            refused, wait = RATE, over
    if limits.daily_quota is not None and cost > 0 and count.used + cost > limits.daily_quota:
        refused, wait = DAILY, DAY_SECONDS - now % DAY_SECONDS
    return refused, wait


def _statuses(limits: Limits, count: _Count, now: float) -> list[LimitStatus]:
    found = []
    if limits.rate_per_second is not None:
        debt = max(0.0, count.paid_off - now)
        left = max(0, math.floor(limits.burst - debt * limits.rate_per_second + _ENOUGH))
        found.append(LimitStatus(RATE, limits.burst, limits.BURST_SECONDS, left, math.ceil(debt)))
    if limits.daily_quota is not None:
        left = max(0, limits.daily_quota - count.used)
        found.append(
            LimitStatus(DAILY, limits.daily_quota, DAY_SECONDS, left, math.ceil(DAY_SECONDS - now % DAY_SECONDS))
        )
    return found
