"""What the providers file says, as settings for the gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wavecom.providers.configuration import ProviderConfig
from wavecom.routing.gate import GateSettings

#: After this a probe's place is given to another: longer than a call takes, but a worker that died must not block it.
_PROBE_SECONDS = 15.0
_PATIENT_PROBE_SECONDS = 300.0


def gate_settings_of(provider: ProviderConfig[Any]) -> GateSettings:
    """A provider's limits and breaker, as the gate takes them."""
    probe_seconds = _PATIENT_PROBE_SECONDS if provider.is_patient else _PROBE_SECONDS
    return GateSettings(
        rate_per_second=provider.rate_per_second,
        burst=provider.burst,
        max_concurrency=provider.max_concurrency,
        is_patient=provider.is_patient,
        breaker=replace(provider.breaker, probe_lease_seconds=probe_seconds),
    )
