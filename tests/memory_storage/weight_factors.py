"""``WeightFactorStore`` in memory."""

from __future__ import annotations

from collections.abc import Mapping

from wavecom.core.receipt_health import WeightFactor
from wavecom.errors import StoreError


class MemoryWeightFactorStore:
    """Keeps factors in a dictionary; away while ``is_up`` is False."""

    def __init__(self) -> None:
        self.is_up = True
        self._factors: dict[str, WeightFactor] = {}

    def all(self) -> Mapping[str, WeightFactor]:
        """See the port."""
        self._check()
        return dict(self._factors)

    def replace(self, provider: str, known: WeightFactor | None, new: WeightFactor | None) -> bool:
        """See the port."""
        self._check()
        if self._factors.get(provider) != known:
            return False
        if new is None:
            self._factors.pop(provider, None)
        else:
            self._factors[provider] = new
        return True

    def _check(self) -> None:
        if not self.is_up:
            raise StoreError("MongoDB does not answer.")
