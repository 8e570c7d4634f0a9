"""Has a worker follow what changes about providers while it runs, from the store: weights and pauses that people set,
and what their receipts leave of a weight.

The store is the truth: what people set is read more than once a second, so that a change holds everywhere within one,
whether Redis is there or not, after a restart, and after a Redis that has forgotten everything. Every worker asks, busy
or not, so what changes seldom is asked for and told seldom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from wavecom.core.provider_administration import ProviderBoard, ProviderStatus
from wavecom.core.provider_overrides import OverrideStore, ProviderOverride
from wavecom.core.receipt_health import WeightFactor
from wavecom.core.weight_adjustment import WeightFactorStore
from wavecom.errors import StoreError, UnavailableError
from wavecom.routing.breaker import BreakerState, ProviderHealth
from wavecom.routing.summary import ProviderSummary

log = structlog.get_logger()

_NEVER = datetime.min.replace(tzinfo=UTC)

FOLLOW_SECONDS = 0.7
#: Weights that follow receipts move by steps of minutes.
FACTORS_EVERY = timedelta(seconds=5)
#: How providers stand is told again so often though nothing has changed: the board forgets (``RedisProviderBoard``).
PUBLISH_EVERY = timedelta(seconds=5)
#: Pauses that differ by less are the same: clocks do.
_SLACK_SECONDS = 2.0


class PausableGate(Protocol):
    """What of a gate is needed here."""

    def set_pause(self, provider: str, seconds: float, reason: str) -> None:
        """Let nobody call it for ``seconds``, whatever was said before. Raises ``UnavailableError``."""
        ...

    def reopen(self, provider: str, reason: str, at: datetime) -> None:
        """End a pause, and close the breaker, as somebody said ``at`` this moment. Raises ``UnavailableError``."""
        ...

    def snapshot(self) -> list[ProviderHealth]:
        """How every provider stands."""
        ...


class OverrideFollower:
    """Reads the overrides and brings router and gate to them. ``refresh`` is for one thread, at any pace."""

    def __init__(
        self,
        store: OverrideStore,
        *,
        factors: WeightFactorStore,
        set_weights: Callable[[Mapping[str, float], Mapping[str, float]], None],
        gate: PausableGate,
        now: Callable[[], datetime],
        board: ProviderBoard | None = None,
    ) -> None:
        self._store = store
        self._factors = factors
        self._set_weights = set_weights
        self._gate = gate
        self._now = now
        self._board = board
        #: Of providers whose weight nobody has set: what people set holds in place of both.
        self._factors_in_effect: Mapping[str, WeightFactor] = {}
        #: Weights and factors, by provider.
        self._weights: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {})
        #: What was read last; None: nothing yet.
        self._followed: Mapping[str, ProviderOverride] | None = None
        self._known_factors: Mapping[str, WeightFactor] = {}
        self._factors_read_at = _NEVER
        self._published: Sequence[ProviderStatus] = ()
        self._published_at = _NEVER

    def refresh(self) -> None:
        """Say how the providers stand, and follow what has changed; without the store what was known last holds."""
        now, healths = self._now(), self._gate.snapshot()
        self._publish(healths, now)
        try:
            overrides, known_factors = self._store.all(), self._read_factors(now)
        except StoreError:
            return
        weights = {name: each.weight for name, each in overrides.items() if each.weight is not None}
        self._factors_in_effect = {name: each for name, each in known_factors.items() if name not in weights}
        factors = {name: each.percent / 100 for name, each in self._factors_in_effect.items()}
        if (weights, factors) != self._weights:
            self._set_weights(weights, factors)
            self._weights = weights, factors
            log.info("provider_weights_changed", weights=weights, factors=factors)
        try:
            self._follow_pauses(overrides, healths, now)
        except UnavailableError:
            return  # the gate goes on by itself in a moment; the next reading finds the same
        self._followed = overrides

    def _read_factors(self, now: datetime) -> Mapping[str, WeightFactor]:
        if now - self._factors_read_at >= FACTORS_EVERY:
            self._known_factors = self._factors.all()
            self._factors_read_at = now
        return self._known_factors

    def _publish(self, healths: Sequence[ProviderHealth], now: datetime) -> None:
        if self._board is None:
            return
        statuses = [self._status(health, now) for health in healths]
        is_known = [_without_end(each) for each in statuses] == [_without_end(each) for each in self._published]
        if is_known and now - self._published_at < PUBLISH_EVERY:
            return
        # Who asks the API has no use for it while Redis is away, and neither has anybody else.
        with suppress(UnavailableError):
            self._board.publish(statuses)
            self._published, self._published_at = statuses, now

    def _status(self, health: ProviderHealth, now: datetime) -> ProviderStatus:
        summary, factor = ProviderSummary.of(health, now), self._factors_in_effect.get(health.provider)
        receipts = "" if factor is None else f"{factor.percent} % of its weight: {factor.reason}"
        return ProviderStatus(summary.provider, summary.state, summary.until, summary.reason, health.account, receipts)

    def _follow_pauses(
        self, overrides: Mapping[str, ProviderOverride], snapshot: Sequence[ProviderHealth], now: datetime
    ) -> None:
        healths = {health.provider: health for health in snapshot}
        for name, override in overrides.items():
            before = None if self._followed is None else self._followed.get(name)
            seconds = (override.paused_until - now).total_seconds() if override.paused_until is not None else 0.0
            if name not in healths:
                continue  # of another file
            lasting = healths[name].throttled_for_seconds
            if seconds > _SLACK_SECONDS:
                is_changed = before is not None and before.paused_until != override.paused_until
                missing = seconds - lasting
                if missing > _SLACK_SECONDS or (is_changed and abs(missing) > _SLACK_SECONDS):
                    self._gate.set_pause(
                        name, seconds, f"paused by {override.pause_changed_by}: {override.pause_reason}"
                    )
                continue
            reopened_at = self._reopened_at(before, override)
            if reopened_at is not None and _is_held(healths[name]):
                reason = f"reopened by {override.pause_changed_by}: {override.pause_reason}"
                self._gate.reopen(name, reason, reopened_at)

    def _reopened_at(self, before: ProviderOverride | None, override: ProviderOverride) -> datetime | None:
        """When somebody opened it, if that was since the last reading; what was before the first one is over."""
        is_known = before is not None and before.reopened_at == override.reopened_at
        return None if self._followed is None or is_known else override.reopened_at


def _is_held(health: ProviderHealth) -> bool:
    return health.throttled_for_seconds > 0 or health.state is not BreakerState.CLOSED


def _without_end(status: ProviderStatus) -> ProviderStatus:
    """Without the moment when it may be called again: reckoned anew each time, it differs by milliseconds."""
    return replace(status, until=None)
