"""``OverrideStore`` in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from wavecom.core.provider_overrides import ProviderOverride
from wavecom.errors import StoreError


class MemoryOverrideStore:
    """Keeps overrides in a dictionary; away while ``is_up`` is False."""

    def __init__(self) -> None:
        self.is_up = True
        self._overrides: dict[str, ProviderOverride] = {}

    def all(self) -> Mapping[str, ProviderOverride]:
        """See the port."""
        self._check()
        return dict(self._overrides)

    def set_weight(self, provider: str, weight: float | None, by: str, reason: str, at: datetime) -> None:
        """See the port."""
        self._overrides[provider] = replace(self._changed(provider, by, reason, at), weight=weight)

    def set_pause(self, provider: str, until: datetime | None, by: str, reason: str, at: datetime) -> None:
        """See the port."""
        changed = self._changed(provider, by, reason, at)
        changed = replace(changed, paused_until=until, pause_changed_by=by, pause_reason=reason)
        self._overrides[provider] = replace(changed, reopened_at=at) if until is None else changed

    def _changed(self, provider: str, by: str, reason: str, at: datetime) -> ProviderOverride:
        self._check()
        known = self._overrides.get(provider) or ProviderOverride(provider, at, by, reason)
        return replace(known, changed_at=at, changed_by=by, reason=reason)

    def _check(self) -> None:
        if not self.is_up:
            raise StoreError("MongoDB does not answer.")
