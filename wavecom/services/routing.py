"""What the providers file says, as values for gate and router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from wavecom.providers.configuration import ProviderConfig
from wavecom.routing.breaker import BreakerSettings
from wavecom.routing.gate import GateSettings
from wavecom.routing.routes import Alternative, Route, RouteStep

#: After this a probe's place is given to another: longer than a call takes, but a worker that died must not block it.
_PROBE_SECONDS = 15.0
_PATIENT_PROBE_SECONDS = 300.0


def gate_settings_of(provider: ProviderConfig[Any]) -> GateSettings:
    """A provider's limits and breaker, as the gate takes them."""
    probe_seconds = _PATIENT_PROBE_SECONDS if provider.is_patient else _PROBE_SECONDS
    return GateSettings(
        rate_per_second=provider.rate_per_second,
        burst=provider.burst,
        max_concurrency=provider.most_calls,
        is_patient=provider.is_patient,
        breaker=BreakerSettings(**asdict(provider.breaker), probe_lease_seconds=probe_seconds),
    )


def route_of(steps: Sequence[Any]) -> Route:
    """A channel's route, as the router takes it."""
    return Route(
        tuple(RouteStep(tuple(Alternative(each.provider, each.weight) for each in step.alternatives)) for step in steps)
    )
