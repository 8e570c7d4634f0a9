"""The autoscaler: from counters, routes and the state of providers to a decision for each lane group."""

from __future__ import annotations

from typing import Any

import pytest

from wavecom.core.autoscaling import ScalingPolicy
from wavecom.core.lanes import Channel, Lane, LaneQueue, Priority
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.queue_rates import QueueCounters
from wavecom.core.routes import ChannelRoutes
from wavecom.errors import SettingsError, UnavailableError
from wavecom.providers.configuration import ProviderConfig, ProvidersConfig
from wavecom.services.autoscaling import Autoscaler, autoscaling_services, check_autoscaling, policy_of
from wavecom.settings import Settings

SMS, SMS_HIGH = (Lane(Channel.SMS, priority).queue for priority in (Priority.NORMAL, Priority.HIGH))


def config(**rates: float | None) -> ProvidersConfig:
    """Providers by name with their rate limits, all on the route of text messages."""
    providers: dict[str, ProviderConfig[Any]] = {
        name: ProviderConfig(name=name, type="sandbox", options=None, rate_per_second=rate)
        for name, rate in rates.items()
    }
    return ProvidersConfig(providers, {Channel.SMS: ChannelRoutes.of(*providers)})


class Environment:
    def __init__(self, config: ProvidersConfig) -> None:
        self.seconds = 0.0
        self.counters: dict[LaneQueue, QueueCounters] = {}
        self.statuses: dict[str, ProviderStatus] | None = {}
        self.autoscaler = Autoscaler(
            read_counters=lambda: self.counters,
            read_statuses=self._read_statuses,
            config=config,
            policy=ScalingPolicy(most=9, drain_seconds=10, assumed_worker_per_second=10),
            monotonic=lambda: self.seconds,
        )

    def _read_statuses(self) -> dict[str, ProviderStatus]:
        if self.statuses is None:
            raise UnavailableError("Redis does not answer.")
        return self.statuses

    def say(self, provider: str, state: str) -> None:
        assert self.statuses is not None
        self.statuses[provider] = ProviderStatus(provider, state, None, "", "")

    def desired(self) -> dict[str, int]:
        return {name: decision.desired for name, decision in self.autoscaler.decide().items()}


def test_each_group_follows_its_own_queues() -> None:
    environment = Environment(config(one=None))
    environment.counters = {SMS: QueueCounters(waiting=450, consumers=1), SMS_HIGH: QueueCounters(consumers=1)}

    assert environment.desired() == {"worker": 5, "worker-high": 1}


def test_providers_together_bound_it_by_their_limits() -> None:
    environment = Environment(config(one=20, two=10))
    environment.counters = {SMS: QueueCounters(waiting=10_000, consumers=1)}

    assert environment.desired()["worker"] == 3


@pytest.mark.parametrize("state", ["paused", "left alone", "being tried", "starting slowly"])
def test_a_provider_that_may_not_be_called_freely_brings_no_worker(state: str) -> None:
    environment = Environment(config(one=None, two=20))
    environment.say("one", state)
    environment.counters = {SMS: QueueCounters(waiting=10_000, consumers=1)}

    assert environment.desired()["worker"] == 2


def test_without_redis_all_providers_count_as_in_use() -> None:
    environment = Environment(config(one=20))
    environment.statuses = None
    environment.counters = {SMS: QueueCounters(waiting=10_000, consumers=1)}

    assert environment.desired()["worker"] == 2


def test_what_the_high_lanes_use_of_a_limit_is_not_there_for_the_others() -> None:
    environment = Environment(config(one=50))
    environment.counters = {SMS: QueueCounters(), SMS_HIGH: QueueCounters()}
    environment.autoscaler.look()
    environment.seconds = 30
    environment.counters = {SMS: QueueCounters(waiting=10_000), SMS_HIGH: QueueCounters(acked=900)}

    assert environment.desired()["worker"] == 2


def test_the_settings_are_the_bounds_and_times() -> None:
    settings = Settings(workers_min=2, workers_max=6, drain_seconds=30, scale_down_seconds=10, worker_concurrency=100)

    policy = policy_of(settings)

    assert (policy.least, policy.most, policy.drain_seconds, policy.quiet_seconds) == (2, 6, 30, 10)
    assert policy.settle_seconds == 10
    assert policy.assumed_worker_per_second == 400


def test_all_that_is_missing_is_named_with_the_remedy() -> None:
    with pytest.raises(SettingsError) as refused:
        autoscaling_services(Settings(workers_min=5, workers_max=3))

    assert [problem.where for problem in refused.value.problems] == [
        "WAVECOM_RABBITMQ_API_URL",
        "WAVECOM_WORKERS_MIN",
    ]
    check_autoscaling(Settings(), has_api=True)
