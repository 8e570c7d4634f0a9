"""What the providers file says, as settings for gate and weights, and what moves those weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pymongo.database import Database

from wavecom import receipt_metrics
from wavecom.core.ports import Clock
from wavecom.core.receipt_counts import ReceiptCounter
from wavecom.core.regions import Regions
from wavecom.core.weight_adjustment import WeightAdjustment
from wavecom.errors import Problem, SettingsError
from wavecom.providers.configuration import ProviderConfig, ProvidersConfig
from wavecom.routing.gate import GateSettings
from wavecom.services.shared import new_key_id
from wavecom.settings import Settings
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.provider_overrides import MongoOverrideStore
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore

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


def adjusted_providers(settings: Settings, config: ProvidersConfig) -> frozenset[str]:
    """The providers whose weight follows their receipts: those that share a step, unless it is switched off."""
    if not settings.adjust_weights:
        return frozenset()
    return frozenset(
        name
        for name, provider in config.providers.items()
        if provider.adjust_weight and any(routes.shares_a_step(name) for routes in config.routes.values())
    )


def weight_adjustment_of(
    settings: Settings,
    config: ProvidersConfig,
    database: Database[dict[str, Any]],
    *,
    counter: ReceiptCounter,
    clock: Clock,
) -> WeightAdjustment:
    """What moves the weights of ``adjusted_providers`` by their receipts, with its audit entries in MongoDB."""
    return WeightAdjustment(
        adjusted=adjusted_providers(settings, config),
        counter=counter,
        factors=MongoWeightFactorStore(database),
        overrides=MongoOverrideStore(database),
        audit=MongoAuditLog(database),
        clock=clock,
        new_id=new_key_id,
        report=receipt_metrics.report_adjustment,
        thresholds=settings.receipt_thresholds,
    )


def bound_providers(config: ProvidersConfig) -> dict[str, frozenset[str]]:
    """The providers that may be called for some regions' jobs alone, and for which.

    Those without a region count as the default region's: they were accepted before there were regions.
    """
    default = config.regions.default if config.regions is not None else ""
    return {
        name: provider.regions | ({""} if default in provider.regions else set())
        for name, provider in config.providers.items()
        if provider.regions
    }


def region_of(settings: Settings, regions: Regions | None) -> str:
    """The region of this process: the one that is set, else the default one; empty without regions."""
    return settings.region or (regions.default if regions is not None else "")


def check_region(settings: Settings, regions: Regions | None) -> None:
    """Raises ``SettingsError`` where a worker's region is none of the providers file's."""
    if regions is None and settings.region:
        reason = "names a region, and the providers file declares none: add [regions] to it, or take this away"
    elif regions is not None and settings.region and settings.region not in regions.regions:
        reason = f"must be one of the providers file's regions: {', '.join(regions.regions)}"
    else:
        return
    raise SettingsError([Problem("WAVECOM_REGION", reason)])
