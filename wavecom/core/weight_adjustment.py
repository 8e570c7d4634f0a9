"""The use case that has a provider's weight follow its receipts: run from beat, one small step at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from wavecom.core.ports import Clock
from wavecom.core.provider_control import ProviderAction, ProviderAudit, ProviderEvent
from wavecom.core.provider_overrides import OverrideStore, ProviderOverride
from wavecom.core.receipt_counts import ReceiptCounter
from wavecom.core.receipt_health import (
    ReceiptHealth,
    WeightFactor,
    WindowCounts,
    health_by_provider,
    next_factor,
    window_of,
)
from wavecom.core.receipt_thresholds import ReceiptThresholds
from wavecom.errors import StoreError, UnavailableError

log = structlog.get_logger()

#: Who makes the steps, in the audit.
ACTOR = "wavecom"


class WeightFactorStore(Protocol):
    """Keeps a factor for each provider that has lost weight; durable. Raises ``StoreError``."""

    def all(self) -> Mapping[str, WeightFactor]:
        """Every factor, by provider."""
        ...

    def replace(self, provider: str, known: WeightFactor | None, new: WeightFactor | None) -> bool:
        """Put ``new`` in the place of ``known``; False, with nothing done, where another stands there by now."""
        ...


class AdjustmentReport(Protocol):
    """Is told what every run has found, for metrics."""

    def __call__(self, window: Mapping[tuple[str, str], WindowCounts], factors: Mapping[str, int]) -> None:
        """``window`` by provider and country; ``factors`` in percent, of every provider that is adjusted."""
        ...


class WeightAdjustment:
    """Judges providers by their receipts and moves their factors. Any number may run at once: a step is made once.

    ``adjusted`` are the providers whose weight makes a difference and may be changed; of any other no factor is kept.
    """

    def __init__(
        self,
        *,
        adjusted: Collection[str],
        counter: ReceiptCounter,
        factors: WeightFactorStore,
        overrides: OverrideStore,
        audit: ProviderAudit,
        clock: Clock,
        new_id: Callable[[], str],
        report: AdjustmentReport,
        thresholds: ReceiptThresholds,
    ) -> None:
        self._adjusted = frozenset(adjusted)
        self._counter = counter
        self._factors = factors
        self._overrides = overrides
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        self._report = report
        self._thresholds = thresholds

    def run(self) -> None:
        """One look. Never raises for a server that is away: what holds goes on to hold."""
        now = self._clock.now()
        try:
            counts = self._counter.between(now - self._thresholds.window, now)
            window = window_of(counts, now, self._thresholds)
            healths = health_by_provider(window, self._thresholds)
            known, overrides = self._factors.all(), self._overrides.all()
            for provider in sorted(self._adjusted | known.keys()):
                health = healths.get(provider, ReceiptHealth.UNKNOWN)
                self._adjust(provider, known.get(provider), health, overrides.get(provider))
            factors = self._factors.all()
        except (StoreError, UnavailableError) as error:
            log.info("weights_not_adjusted", error=type(error).__name__)
            return
        self._report(window, {each: factors[each].percent if each in factors else 100 for each in self._adjusted})

    def _adjust(
        self, provider: str, known: WeightFactor | None, health: ReceiptHealth, override: ProviderOverride | None
    ) -> None:
        now = self._clock.now()
        if provider in self._adjusted:
            new = next_factor(known, health, now)
            reason = new.reason if new is not None else "receipts good again"
        else:
            new, reason = None, "switched off, or its weight makes no difference any more"
        if new == known:
            return
        before, after = (100 if each is None else each.percent for each in (known, new))
        if before != after:
            # Before the deed: nothing is done without an entry.
            self._audit.record_provider_event(
                ProviderEvent(self._new_id(), ProviderAction.ADJUST, ACTOR, now, provider, reason, percent=after)
            )
        if self._factors.replace(provider, known, new) and before != after:
            event = "provider_loses_weight" if after < before else "provider_regains_weight"
            # A weight that people have set holds in its place.
            is_in_effect = override is None or override.weight is None
            log.warning(
                event, provider=provider, percent=after, before=before, reason=reason, is_in_effect=is_in_effect
            )
