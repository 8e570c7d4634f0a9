"""An operator's view of the providers' shared state, and the changes that operators make to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from wavecom.routing.breaker import ProviderHealth
from wavecom.routing.evidence import CallCounts
from wavecom.routing.gate import GateSettings
from wavecom.routing.shared import Scripts, SharedProvider, StateDelta, health_of, sync


class RedisSwitch:
    """``wavecom.core.provider_control.ProviderSwitch`` through Redis. Counts as no worker. Thread-safe."""

    def __init__(self, providers: Mapping[str, GateSettings], scripts: Scripts) -> None:
        self._providers = {name: SharedProvider(name, settings) for name, settings in providers.items()}
        self._scripts = scripts

    @property
    def names(self) -> list[str]:
        """The providers of the file, in its order."""
        return list(self._providers)

    def health(self) -> list[ProviderHealth]:
        """How every provider stands for the fleet. Raises ``UnavailableError``."""
        deltas = [(provider, StateDelta(CallCounts())) for provider in self._providers.values()]
        _, views = sync(self._scripts, deltas, worker=None, is_leaving=False)
        return [health_of(name, view) for name, view in zip(self._providers, views, strict=True)]

    def pause(self, provider: str, seconds: float, reason: str) -> None:
        """See ``ProviderSwitch``."""
        self._providers[provider].pause(self._scripts, seconds, reason)

    def reopen(self, provider: str, reason: str, at: datetime) -> None:
        """See ``ProviderSwitch``."""
        self._providers[provider].reopen(self._scripts, reason, at)
