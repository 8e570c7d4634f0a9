"""What one process allows while the shared counts can't be used: its share of what was left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from wavecom.core.local_quota import LocalQuotas
from wavecom.core.quota import DAILY, DAY_SECONDS, RATE, Limits, QuotaDecision, QuotaRequest


class QuotaShare:
    """Limits divided by the number of ``processes``, one notification at least. Thread-safe.

    ``now``: seconds since 1970.

    Of a daily quota it divides what was left when Redis last answered this process: perhaps a little more than is left.
    """

    def __init__(self, processes: int, now: Callable[[], float]) -> None:
        self.processes = processes
        self._now = now
        self._local = LocalQuotas(now)
        #: By budget: of which day, and what was left of its quota then.
        self._left: dict[str, tuple[int, int]] = {}

    def record_remaining(self, requests: Sequence[QuotaRequest], decisions: Sequence[QuotaDecision]) -> None:
        """Remember what the shared counts say is left."""
        for request, decision in zip(requests, decisions, strict=True):
            if request.limits.daily_quota is not None and decision.limits:
                left = next(status.remaining for status in decision.limits if status.name == DAILY)
                self._left[request.budget] = (self._today(), left)

    def check_many(self, requests: Sequence[QuotaRequest]) -> list[QuotaDecision]:
        """See ``QuotaService``; answers that were given are not known here, the store has them."""
        shares = [replace(request, limits=self._limits(request)) for request in requests]
        decisions = self._local.check_many(shares)
        return [_with_own_limits(request, decision) for request, decision in zip(requests, decisions, strict=True)]

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        """See ``QuotaService``."""
        self._local.refund(replace(request, limits=self._limits(request)), decision, count)

    def take_usage(self) -> dict[str, int]:
        """What each budget has used of today's quota while the shared counts were away; begins anew."""
        return self._local.forget()

    def _limits(self, request: QuotaRequest) -> Limits:
        rate, quota = request.limits.rate_per_second, request.limits.daily_quota
        if quota is not None:
            day, left = self._left.get(request.budget, (-1, quota))
            left = left if day == self._today() else quota
            quota = left and max(1, left // self.processes)
        return Limits(None if rate is None else rate / self.processes, quota)

    def _today(self) -> int:
        return int(self._now() // DAY_SECONDS)


def _with_own_limits(request: QuotaRequest, decision: QuotaDecision) -> QuotaDecision:
    """The decision with the caller's own limits in place of this process's share, and what is left of the share."""
    own = {DAILY: request.limits.daily_quota or 0, RATE: request.limits.burst}
    limits = [replace(status, quota=own[status.name]) for status in decision.limits]
    return replace(decision, limits=limits, is_local=True)
