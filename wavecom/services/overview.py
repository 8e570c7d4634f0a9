"""Reads the overview of ``wavecom top`` from the servers' counters; each server may be away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from wavecom.broker import topology
from wavecom.broker.publisher import AmqpPublisher, QueueState
from wavecom.core.lanes import Channel
from wavecom.core.overview import Overview, QueueOverview, WorkerOverview, oldest_seconds, rate_window, rates_of
from wavecom.core.ports import Interval
from wavecom.core.progress import StallReport
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.states import Status
from wavecom.errors import UnavailableError
from wavecom.health import health_of
from wavecom.internals import fast_paths
from wavecom.services.shared import ClosableServices, delivery_queues_of, progress_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.provider_board import RedisProviderBoard
from wavecom.storage.redis.watermarks import RedisWatermarks

T = TypeVar("T")
_Counts = Mapping[datetime, Mapping[Channel, Mapping[Status, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewServices(ClosableServices):
    """``read`` asks all servers once, and never raises for one that is away."""

    read: Callable[[], Overview]


def overview_services(settings: Settings) -> OverviewServices:
    """Services of ``wavecom top``. Connects when first used."""
    fast_paths.switch(is_on=settings.fast_paths)
    client = connect_mongo(settings.mongodb_uri, pool_size=2)
    database = default_database(client)
    clock = StoreClock(MongoJobRepository(database["jobs"]).now).start()
    stats = MongoStats(database, now=clock.now)
    queues = delivery_queues_of(settings, database)
    publisher = AmqpPublisher(settings.amqp, origin=settings.worker_name, queues=queues)
    redis_client = connect_redis(settings.redis_url)
    watermarks = RedisWatermarks(redis_client)
    board = RedisProviderBoard(redis_client)
    progress = progress_of(redis_client, clock)

    def read() -> Overview:
        now = clock.now()
        away: list[str] = []

        def asked(server: str, ask: Callable[[], T], otherwise: T) -> T:
            try:
                return ask()
            except UnavailableError:
                away.append(server)
                return otherwise

        nothing: _Counts = {}
        counts = asked("MongoDB", lambda: stats.series(*rate_window(now), Interval.MINUTE), nothing)
        report: StallReport | None = asked("Redis", progress.stall_report, None)
        providers: Mapping[str, ProviderStatus] = {} if "Redis" in away else asked("Redis", board.read, {})
        queues.try_refresh()
        partitions = topology.partitions_by_queue(queues.layout)
        states = {name: [publisher.look_at(each) for each in names] for name, names in partitions.items()}
        dead = publisher.look_at(topology.DEAD_QUEUE)
        if dead is None and not any(map(any, states.values())):
            away.append("RabbitMQ")
        return Overview(
            at=now,
            rates={} if "MongoDB" in away else rates_of(counts, now),
            queues=[
                _queue(name, found, [watermarks.reached(each) for each in partitions[name]], now)
                for name, found in states.items()
            ],
            dead_letters=None if dead is None else dead.ready,
            providers=[providers[name] for name in sorted(providers)],
            workers=_workers(settings.home),
            sweep_seconds=None if report is None else max(0.0, (now - report.at).total_seconds()),
            stalled=() if report is None else report.stalled,
            away=away,
        )

    return OverviewServices(
        read=read, close_callbacks=[stats.close, publisher.close, clock.close, redis_client.close, client.close]
    )


def _queue(
    name: str, partitions: Sequence[QueueState | None], reached: Sequence[datetime | None], now: datetime
) -> QueueOverview:
    states = [state for state in partitions if state is not None]
    depths = tuple(None if state is None else state.ready for state in partitions)
    if len(states) < len(partitions):
        return QueueOverview(name, None, None, None, depths)
    ages = [oldest_seconds(state.ready, moment, now) for state, moment in zip(states, reached, strict=True)]
    known = [age for age in ages if age is not None]
    return QueueOverview(
        name,
        sum(state.ready for state in states),
        # A partition without a consumer is what somebody should see.
        min(state.consumers for state in states),
        max(known) if len(known) == len(ages) else None,
        depths,
    )


def _workers(home: Path) -> Sequence[WorkerOverview]:
    """Those that report under this machine's WAVECOM_HOME."""
    nodes: list[str] = []
    with suppress(OSError):
        nodes = sorted(path.stem for path in (home / "health").glob("*.json"))
    found = {node: health_of(home, node) for node in nodes}
    return [WorkerOverview(node, health.reason, health.lag_seconds) for node, health in found.items()]
