"""Services of the command that shows and switches providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock
from wavecom.core.provider_control import ProviderControl
from wavecom.core.provider_overrides import OverrideStore
from wavecom.core.regions import Regions
from wavecom.core.routes import ChannelRoutes
from wavecom.core.weight_adjustment import WeightFactorStore
from wavecom.providers.factory import load_config
from wavecom.routing.switch import RedisSwitch
from wavecom.services.routing import bound_providers, gate_settings_of
from wavecom.services.shared import ClosableServices
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.provider_overrides import MongoOverrideStore
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.scripts import RedisScripts


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderServices(ClosableServices):
    """What ``wavecom providers`` works with."""

    clock: Clock
    switch: RedisSwitch
    control: ProviderControl
    overrides: OverrideStore
    factors: WeightFactorStore
    routes: Mapping[Channel, ChannelRoutes] = field(default_factory=dict)
    regions: Regions | None = None
    #: Providers that may be called for some regions' jobs alone, and for which.
    bound: Mapping[str, frozenset[str]] = field(default_factory=dict)


def provider_services(settings: Settings, new_id: Callable[[], str]) -> ProviderServices:
    """Services of the command that shows and switches providers. Raises ``ProvidersFileError``."""
    config = load_config(settings.providers_file, settings.environment)
    client = connect_mongo(settings.mongodb_uri, pool_size=2)
    database = default_database(client)
    clock = StoreClock(MongoJobRepository(database["jobs"]).now).start()
    redis_client = connect_redis(settings.redis_url)
    gates = {name: gate_settings_of(provider) for name, provider in config.providers.items()}
    overrides = MongoOverrideStore(database)
    switch = RedisSwitch(gates, RedisScripts(redis_client))
    return ProviderServices(
        clock=clock,
        switch=switch,
        routes=config.routes,
        regions=config.regions,
        bound=bound_providers(config),
        control=ProviderControl(
            switch=switch,
            overrides=overrides,
            audit=MongoAuditLog(database),
            clock=clock,
            new_id=new_id,
        ),
        overrides=overrides,
        factors=MongoWeightFactorStore(database),
        close_callbacks=[clock.close, redis_client.close, client.close],
    )
