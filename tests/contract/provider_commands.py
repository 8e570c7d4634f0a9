"""``wavecom providers`` over a real Redis: what the tests of its commands share."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from click.testing import CliRunner, Result

from tests.fakes import FakeClock
from tests.memory_storage import MemoryOverrideStore, MemoryWeightFactorStore
from tests.provider_administration import MemoryProviderAudit
from wavecom.cli import main
from wavecom.core.lanes import Channel
from wavecom.core.provider_control import ProviderControl
from wavecom.core.routes import ChannelRoutes
from wavecom.routing.gate import GateSettings
from wavecom.routing.switch import RedisSwitch
from wavecom.services.provider_control import ProviderServices
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.scripts import RedisScripts


class ProviderCommandEnvironment:
    """The commands' services: providers ``gateway``, ``mail``, ``alone``, switched in Redis; the rest in memory."""

    def __init__(self, redis_url: str, routes: Mapping[Channel, ChannelRoutes]) -> None:
        self.client = connect(redis_url, timeout_seconds=5)
        self.audit = MemoryProviderAudit()
        self.overrides = MemoryOverrideStore()
        self.factors = MemoryWeightFactorStore()
        # Redis, by its own clock, ends only what began before somebody said so: nothing here begins after this.
        self.clock = FakeClock(datetime.now(UTC) + timedelta(hours=1))
        switch = RedisSwitch({name: GateSettings() for name in ("gateway", "mail", "alone")}, RedisScripts(self.client))
        numbers = itertools.count(1)
        control = ProviderControl(
            switch=switch,
            overrides=self.overrides,
            audit=self.audit,
            clock=self.clock,
            new_id=lambda: f"id-{next(numbers)}",
        )
        self.services = ProviderServices(
            clock=self.clock,
            switch=switch,
            control=control,
            overrides=self.overrides,
            factors=self.factors,
            routes=routes,
        )

    def run(self, *words: str) -> Result:
        """``wavecom providers`` with these words."""
        return CliRunner().invoke(main, ["providers", *words], obj=self.services)

    def listed(self) -> dict[str, dict[str, str]]:
        """Provider -> what ``list --json`` says of it."""
        lines = [json.loads(line) for line in self.run("list", "--json").output.splitlines()]
        return {line["provider"]: line for line in lines}
