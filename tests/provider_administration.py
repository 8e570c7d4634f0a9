"""Providers as the API shows and changes them, over memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from tests.memory_storage import MemoryOverrideStore, MemoryWeightFactorStore
from wavecom.core.ports import Clock
from wavecom.core.provider_administration import ProviderAdministration, ProviderStatus
from wavecom.core.provider_control import ProviderControl, ProviderEvent
from wavecom.core.provider_overrides import OverrideStore
from wavecom.core.weight_adjustment import WeightFactorStore
from wavecom.errors import StoreError
from wavecom.providers.file import declared_limits, declared_providers
from wavecom.services.shared import served_by
from wavecom.settings import Settings


class MemoryProviderAudit:
    """Keeps what was done; without ``is_up`` it is a store that does not answer."""

    def __init__(self) -> None:
        self.events: list[ProviderEvent] = []
        self.is_up = True

    def record_provider_event(self, event: ProviderEvent) -> None:
        """See ``ProviderAudit``."""
        if not self.is_up:
            raise StoreError("MongoDB does not answer.")
        self.events.append(event)


def provider_administration_over(
    settings: Settings,
    clock: Clock,
    *,
    overrides: OverrideStore | None = None,
    audit: MemoryProviderAudit | None = None,
    statuses: Mapping[str, ProviderStatus] | None = None,
    factors: WeightFactorStore | None = None,
) -> ProviderAdministration:
    """Of the settings' providers file; ``statuses`` is what workers said last."""
    overrides = MemoryOverrideStore() if overrides is None else overrides
    numbers = itertools.count(1)
    return ProviderAdministration(
        names=["sandbox"] if settings.providers_file is None else declared_providers(settings.providers_file),
        routes=served_by(settings) or {},
        control=ProviderControl(
            switch=None,
            overrides=overrides,
            audit=audit or MemoryProviderAudit(),
            clock=clock,
            new_id=lambda: f"event-{next(numbers)}",
        ),
        overrides=overrides,
        factors=MemoryWeightFactorStore() if factors is None else factors,
        read_board=lambda: {} if statuses is None else statuses,
        clock=clock,
        limits={} if settings.providers_file is None else declared_limits(settings.providers_file),
    )
