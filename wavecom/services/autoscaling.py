"""Services that say how many workers there should be: for ``wavecom run`` and ``wavecom autoscale``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wavecom.broker.publisher import AmqpPublisher
from wavecom.broker.queue_counters import QueueCounterReader
from wavecom.core.autoscaling import (
    LANE_GROUPS,
    GroupLoad,
    LaneGroup,
    ScalingDecision,
    ScalingMemory,
    ScalingPolicy,
    assumed_worker_per_second,
    channel_limit,
    decide,
    left_by_others,
)
from wavecom.core.lanes import Channel, LaneQueue
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.queue_rates import WINDOW_SECONDS, QueueCounters, QueueRates
from wavecom.core.regions import own_queues
from wavecom.errors import Problem, SettingsError, UnavailableError
from wavecom.providers.configuration import ProvidersConfig
from wavecom.providers.factory import load_config
from wavecom.services.routing import region_of
from wavecom.services.shared import ClosableServices, delivery_queues_of, regions_of
from wavecom.settings import Settings
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.provider_board import RedisProviderBoard


class Autoscaler:
    """Looks at queues and providers, and decides for each lane group; remembers what it has seen. Not thread-safe.

    ``read_counters`` raises ``BrokerError``, ``read_statuses`` ``UnavailableError``; without the latter's answer all
    providers count as in use. ``queues_of`` gives the queues of a group in the region that is scaled.
    """

    def __init__(
        self,
        *,
        read_counters: Callable[[], Mapping[LaneQueue, QueueCounters]],
        read_statuses: Callable[[], Mapping[str, ProviderStatus]],
        config: ProvidersConfig,
        policy: ScalingPolicy,
        monotonic: Callable[[], float],
        window_seconds: float = WINDOW_SECONDS,
        queues_of: Callable[[LaneGroup], Sequence[LaneQueue]] = lambda group: group.queues,
    ) -> None:
        self._read_counters = read_counters
        self._read_statuses = read_statuses
        self._config = config
        self._policy = policy
        self._queues_of = queues_of
        self._monotonic = monotonic
        self._rates = QueueRates(window_seconds)
        self._memories = {group.name: ScalingMemory() for group in LANE_GROUPS}

    def look(self) -> None:
        """Look at the queues once more. Raises ``BrokerError``."""
        self._rates.note(self._monotonic(), self._read_counters())

    def decide(self) -> Mapping[str, ScalingDecision]:
        """The decision for each lane group, by what was looked at so far. Raises ``BrokerError``."""
        self.look()
        limits = self._limits()
        loads = {group.name: [self._rates.load(queue) for queue in self._queues_of(group)] for group in LANE_GROUPS}
        decisions = {}
        for group in LANE_GROUPS:
            others = [load for name, queues in loads.items() if name != group.name for load in queues]
            load = GroupLoad(
                at=self._monotonic(),
                workers=self._rates.consumers(self._queues_of(group)),
                queues=loads[group.name],
                limits=left_by_others(limits, others),
            )
            decisions[group.name] = decide(load, self._policy, self._memories[group.name])
            self._memories[group.name] = decisions[group.name].memory
        return decisions

    def _limits(self) -> dict[Channel, float]:
        try:
            statuses = self._read_statuses()
        except UnavailableError:
            statuses = {}
        limits = {}
        for channel, routes in self._config.routes.items():
            free = [
                name
                for name in routes.providers
                if (said := statuses.get(name)) is None or said.state is ProviderAvailability.IN_USE
            ]
            limit = channel_limit([self._config.providers[name].rate_per_second for name in free])
            if limit is not None:
                limits[channel] = limit
        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalingServices(ClosableServices):
    """What decides about the number of workers."""

    autoscaler: Autoscaler


def policy_of(settings: Settings) -> ScalingPolicy:
    """The bounds and times that the settings give."""
    return ScalingPolicy(
        least=settings.workers_min,
        most=settings.workers_max,
        drain_seconds=settings.drain_seconds,
        quiet_seconds=settings.scale_down_seconds,
        settle_seconds=window_of(settings),
        assumed_worker_per_second=assumed_worker_per_second(settings.worker_concurrency),
    )


def check_autoscaling(settings: Settings, *, has_api: bool) -> None:
    """Raises ``SettingsError`` for what autoscaling can't work with. ``has_api``: whether RabbitMQ's management API is
    known."""
    problems = []
    if not has_api:
        text = "is needed to count what comes and goes: give the address of RabbitMQ's management API, such as"
        problems.append(Problem("WAVECOM_RABBITMQ_API_URL", f"{text} http://user:password@host:15672/api/"))
    if settings.workers_min > settings.workers_max:
        text = f"is {settings.workers_min}, more than WAVECOM_WORKERS_MAX, which is {settings.workers_max}: lower it"
        problems.append(Problem("WAVECOM_WORKERS_MIN", text))
    if problems:
        raise SettingsError(problems)


def window_of(settings: Settings) -> float:
    """Over how many seconds rates are taken: never over more than the time after which workers go."""
    return min(WINDOW_SECONDS, settings.scale_down_seconds)


def autoscaling_services(settings: Settings, *, window_seconds: float | None = None) -> AutoscalingServices:
    """Raises ``SettingsError`` and ``ProvidersFileError``. Connects when first used. ``window_seconds``: over how long
    rates are taken, unless as ``window_of`` says."""
    check_autoscaling(settings, has_api=bool(settings.rabbitmq_api_url))
    publisher = AmqpPublisher(settings.amqp, origin=f"autoscaling {settings.worker_name}")
    redis_client = connect_redis(settings.redis_url)
    client = connect_mongo(settings.mongodb_uri, pool_size=1)
    queues = delivery_queues_of(settings, default_database(client))
    regions = regions_of(settings)
    counters = QueueCounterReader(settings.rabbitmq_api_url, settings.amqp.vhost, publisher.look_at, queues)
    return AutoscalingServices(
        autoscaler=Autoscaler(
            read_counters=counters.read,
            read_statuses=RedisProviderBoard(redis_client).read,
            config=load_config(settings.providers_file, settings.environment),
            policy=policy_of(settings),
            monotonic=time.monotonic,
            window_seconds=window_seconds or window_of(settings),
            queues_of=lambda group: own_queues(regions, region_of(settings, regions), group.queues),
        ),
        close_callbacks=[publisher.close, redis_client.close, client.close],
    )
