"""A provider's state in one line, as pages and commands show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from wavecom.core.provider_administration import ProviderAvailability
from wavecom.routing.breaker import BreakerState, ProviderHealth

_STATES = {
    BreakerState.CLOSED: ProviderAvailability.IN_USE,
    BreakerState.OPEN: ProviderAvailability.LEFT_ALONE,
    BreakerState.HALF_OPEN: ProviderAvailability.TRIED,
}


@dataclass(frozen=True, slots=True)
class ProviderSummary:
    """State, why, since and until when (aware UTC); None and "" where there is nothing to say."""

    provider: str
    state: ProviderAvailability
    since: datetime | None
    until: datetime | None
    reason: str

    @classmethod
    def of(cls, health: ProviderHealth, now: datetime) -> ProviderSummary:
        """A pause comes first: while it lasts, the breaker's state makes no difference."""

        def ago(seconds: float) -> datetime | None:
            return now - timedelta(seconds=seconds) if seconds > 0 else None

        def ahead(seconds: float) -> datetime | None:
            return now + timedelta(seconds=seconds) if seconds > 0 else None

        if health.throttled_for_seconds > 0:
            since, until = ago(health.throttled_since_seconds), ahead(health.throttled_for_seconds)
            return cls(health.provider, ProviderAvailability.PAUSED, since, until, health.throttled_reason)
        state = ProviderAvailability.STARTING if health.is_ramping else _STATES[health.state]
        until = ahead(health.open_for_seconds) if health.state is BreakerState.OPEN else None
        return cls(health.provider, state, ago(health.since_seconds), until, health.reason)
