"""Reads the overview of ``wavecom top`` from the servers' counters; each server may be away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import redis

from wavecom.broker import topology
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import AmqpPublisher, QueueState
from wavecom.core.lanes import LIVE_QUEUES, Channel, LaneQueue, QueueLayout, without_region
from wavecom.core.measurements import Buckets, MeasuredKey, MeasurementStore
from wavecom.core.overview import (
    Overview,
    QueueOverview,
    WorkerOverview,
    accepted_rates,
    added_up,
    lanes_of,
    oldest_seconds,
    rate_window,
    rates_of,
)
from wavecom.core.ports import Clock, Interval
from wavecom.core.progress import StallReport
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.states import Status
from wavecom.core.stats import Stats
from wavecom.errors import UnavailableError
from wavecom.health import health_of
from wavecom.internals import fast_paths
from wavecom.services.shared import ClosableServices, delivery_queues_of, progress_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.measurements import MongoMeasurementStore
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.provider_board import RedisProviderBoard
from wavecom.storage.redis.watermarks import RedisWatermarks

T = TypeVar("T")
_Counts = Mapping[datetime, Mapping[Channel, Mapping[Status, int]]]
_Measured = Mapping[datetime, Mapping[MeasuredKey, Buckets]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewServices(ClosableServices):
    """``read`` asks all servers once, and never raises for one that is away."""

    read: Callable[[], Overview]


class OverviewReader:
    """Reads the overview. Thread-safe. ``queues`` is kept fresh by whoever made it."""

    def __init__(
        self,
        *,
        stats: Stats,
        measurements: MeasurementStore,
        queues: DeliveryQueues,
        look_at: Callable[[str], QueueState | None],
        redis_client: redis.Redis,
        clock: Clock,
        home: Path,
    ) -> None:
        self._stats = stats
        self._measurements = measurements
        self._queues = queues
        self._look_at = look_at
        self._watermarks = RedisWatermarks(redis_client)
        self._board = RedisProviderBoard(redis_client)
        self._progress = progress_of(redis_client, clock)
        self._clock = clock
        self._home = home

    def read(self) -> Overview:
        """Ask all servers once; never raises for one that is away."""
        now = self._clock.now()
        away: list[str] = []

        def asked(server: str, ask: Callable[[], T], otherwise: T) -> T:
            if server in away:
                return otherwise
            try:
                return ask()
            except UnavailableError:
                away.append(server)
                return otherwise

        nothing: _Counts = {}
        nothing_measured: _Measured = {}
        window = rate_window(now)
        counts = asked("MongoDB", lambda: self._stats.series(*window, Interval.MINUTE, is_test=False), nothing)
        nothing_accepted: Mapping[tuple[str, Channel], int] = {}
        accepted = asked("MongoDB", lambda: self._stats.accepted(*window), nothing_accepted)
        measured = asked("MongoDB", lambda: self._measurements.between(*window, Interval.MINUTE), nothing_measured)
        report: StallReport | None = asked("Redis", self._progress.stall_report, None)
        providers: Mapping[str, ProviderStatus] = asked("Redis", self._board.read, {})
        layout = self._queues.layout
        names = topology.partitions_by_queue(layout)
        states = {name: [self._look_at(each) for each in partitions] for name, partitions in names.items()}
        dead = self._look_at(topology.DEAD_QUEUE)
        if dead is None and not any(map(any, states.values())):
            away.append("RabbitMQ")
        queues = {
            name: added_up(name, [self._queue(*each, now) for each in zip(names[name], found, strict=True)])
            for name, found in states.items()
        }
        return Overview(
            at=now,
            rates={} if "MongoDB" in away else rates_of(counts, now),
            accepted={} if "MongoDB" in away else accepted_rates(accepted, now),
            queues=list(queues.values()),
            lanes=lanes_of(measured, _lane_queues(layout, queues), now),
            dead_letters=None if dead is None else dead.ready,
            providers=[providers[name] for name in sorted(providers)],
            workers=_workers(self._home),
            sweep_seconds=None if report is None else max(0.0, (now - report.at).total_seconds()),
            stalled=() if report is None else report.stalled,
            away=away,
        )

    def _queue(self, name: str, state: QueueState | None, now: datetime) -> QueueOverview:
        if state is None:
            return QueueOverview(name, None, None, None)
        age = oldest_seconds(state.ready, self._watermarks.reached(name), now)
        return QueueOverview(name, state.ready, state.consumers, age)


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
    reader = OverviewReader(
        stats=stats,
        measurements=MongoMeasurementStore(database),
        queues=queues,
        look_at=publisher.look_at,
        redis_client=redis_client,
        clock=clock,
        home=settings.home,
    )

    def read() -> Overview:
        queues.try_refresh()
        return reader.read()

    return OverviewServices(
        read=read, close_callbacks=[stats.close, publisher.close, clock.close, redis_client.close, client.close]
    )


def _lane_queues(layout: QueueLayout, queues: Mapping[str, QueueOverview]) -> dict[LaneQueue, QueueOverview]:
    """The queue of each live lane; with regions, those of all of them as one."""
    of_lanes: dict[LaneQueue, list[QueueOverview]] = {lane: [] for lane in LIVE_QUEUES}
    for queue in layout.lane_queues:
        if (lane := without_region(queue)) in of_lanes:
            of_lanes[lane].append(queues[topology.queue_name(queue)])
    return {lane: added_up(topology.queue_name(lane), found) for lane, found in of_lanes.items()}


def _workers(home: Path) -> Sequence[WorkerOverview]:
    """Those that report under this machine's WAVECOM_HOME."""
    nodes: list[str] = []
    with suppress(OSError):
        nodes = sorted(path.stem for path in (home / "health").glob("*.json"))
    found = {node: health_of(home, node) for node in nodes}
    return [WorkerOverview(node, health.reason, health.lag_seconds) for node, health in found.items()]
