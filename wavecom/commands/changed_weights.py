"""What has changed about the weights of the providers file while WaveCom runs, as commands show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wavecom.core.receipt_health import WeightFactor
from wavecom.core.routes import Route
from wavecom.errors import StoreError
from wavecom.services.provider_control import ProviderServices


@dataclass(frozen=True, slots=True)
class ChangedWeights:
    """Weights that people have set, and what receipts leave of the others, by provider."""

    by_hand: Mapping[str, float] = field(default_factory=dict)
    factors: Mapping[str, WeightFactor] = field(default_factory=dict)

    @classmethod
    def read(cls, services: ProviderServices) -> ChangedWeights:
        """Those that hold now; none where the store can't be asked."""
        try:
            overrides, factors = services.overrides.all(), services.factors.all()
        except StoreError:
            return cls()
        return cls({name: each.weight for name, each in overrides.items() if each.weight is not None}, factors)

    def applied_to(self, route: Route) -> Route:
        """The route with the weights that workers use."""
        return route.with_weights(self.by_hand, {name: each.percent / 100 for name, each in self.factors.items()})

    def __contains__(self, provider: str) -> bool:
        return provider in self.by_hand or provider in self.factors

    def text(self, provider: str, own: str = "of the file") -> str:
        """The weight of a provider that has changed, and what it comes from; ``own`` is its weight in the file."""
        factor = self.factors.get(provider)
        words = "" if factor is None else f"{factor.percent} % of it: {factor.reason}"
        if provider not in self.by_hand:
            return f"{own} ({words})"
        instead = f"{own}, {words}" if words else own
        return f"{self.by_hand[provider]:g}, set by hand (else {instead})"
