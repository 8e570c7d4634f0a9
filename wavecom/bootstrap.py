"""The composition root: Settings in, services out. The only module that knows every concrete class."""

from __future__ import annotations

import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import redis
import structlog
from prometheus_client import Gauge
from pymongo.database import Database

from wavecom import delivery_metrics
from wavecom.accounts import KeyAdministration, KeyRing
from wavecom.accounts.sessions import Sessions
from wavecom.allocator import return_large_blocks
from wavecom.batching import GroupCommit
from wavecom.broker import topology
from wavecom.broker.background import BackgroundPublisher
from wavecom.broker.backlog import QueueBacklog
from wavecom.broker.dead_letter_queue import AmqpDeadLetterQueue
from wavecom.broker.publisher import AmqpPublisher, QueueState
from wavecom.core.acceptance import Acceptance
from wavecom.core.audit import AuditReader
from wavecom.core.dead_letters import DeadLetters
from wavecom.core.delivery import Delivery, RetryBounds
from wavecom.core.engine import Policy
from wavecom.core.ids import BufferedRandom, uuid7
from wavecom.core.job import Channel, DeliveryMessage, Job
from wavecom.core.keys import KeyRecord
from wavecom.core.leases import RENEWAL_SECONDS
from wavecom.core.operations import Operations
from wavecom.core.ports import TEST_SANDBOX, Clock, JobRepository, Provider, Stats
from wavecom.core.progress import LANES, ProgressWatch
from wavecom.core.provider_control import ProviderControl
from wavecom.core.quota import Limits
from wavecom.core.reconciliation import Reconciliation
from wavecom.core.submission import Submission
from wavecom.core.sweep import Sweep
from wavecom.errors import StoreError
from wavecom.lag import LagMeter
from wavecom.periodic import Periodic
from wavecom.providers.base import build_providers
from wavecom.providers.configuration import ProviderConfig, ProvidersConfig, read_providers_file, served_channels
from wavecom.providers.transport import make_transport
from wavecom.readiness import broker_check, deliveries_check, redis_check
from wavecom.routing.breaker import BreakerSettings
from wavecom.routing.gate import GateSettings
from wavecom.routing.redis_gate import RedisGate
from wavecom.routing.router import Router
from wavecom.routing.routes import Alternative, Route, RouteStep
from wavecom.routing.shared import Scripts
from wavecom.routing.switch import RedisSwitch
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.blobs import MongoBlobStore
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.dead_letters import MongoDeadLetterRepository
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.keys import MongoKeyStore
from wavecom.storage.mongo.outbox import MongoOutbox
from wavecom.storage.mongo.sessions import MongoSessionStore
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.progress import RedisProgress
from wavecom.storage.redis.quota import TIMEOUT_SECONDS as QUOTA_TIMEOUT_SECONDS
from wavecom.storage.redis.quota import RedisQuotas
from wavecom.storage.redis.scripts import RedisScripts
from wavecom.storage.redis.watermarks import RedisWatermarks

Check = Callable[[], None]

DELIVERIES_STALLED = Gauge("wavecom_deliveries_stalled", "Queues in which work waits and nothing moves")

#: How long a request may wait under load for others to share its batch. Less than elsewhere: a client waits.
ACCEPT_WINDOW_SECONDS = 0.015

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosableServices:
    """Services with threads and connections of their own, which ``close`` ends."""

    close_callbacks: Sequence[Callable[[], None]] = ()

    def close(self) -> None:
        """Run the callbacks, in order. Not to be called twice."""
        for close in self.close_callbacks:
            close()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices(ClosableServices):
    """What the web app works with: the API and the pages share every one of them."""

    settings: Settings
    clock: Clock
    jobs: JobRepository
    submission: Submission
    operations: Operations
    dead_letters: DeadLetters
    stats: Stats
    keys: KeyRing
    acceptance: Acceptance
    key_administration: KeyAdministration
    sessions: Sessions
    outbox: MongoOutbox
    #: Name of a server of ours → raises ``UnavailableError`` unless it answers.
    checks: Mapping[str, Check]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerServices(ClosableServices):
    """What a Celery worker works with."""

    settings: Settings
    router: Router
    delivery: Delivery
    sweep: Sweep
    queue_sampler: delivery_metrics.QueueSampler
    #: Single delivery messages of many threads, published together; answers whether the broker confirmed.
    delivery_messages: GroupCommit[DeliveryMessage, bool]
    #: What the broker says of a queue; None when it can't be asked.
    look_at: Callable[[str], QueueState | None]
    progress: RedisProgress
    #: How late this process runs.
    lag: LagMeter
    #: Set when the worker shuts down; ends every wait.
    stopping: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorServices(ClosableServices):
    """What the commands of people who run WaveCom work with, and the reconciliation of dead letters."""

    clock: Clock
    jobs: JobRepository
    dead_letters: DeadLetters
    keys: KeyAdministration
    sessions: Sessions
    audit: AuditReader
    reconciliation: Reconciliation


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderServices(ClosableServices):
    """What ``wavecom providers`` works with."""

    clock: Clock
    switch: RedisSwitch
    control: ProviderControl


def web_services(settings: Settings, database: Database[dict[str, Any]]) -> WebServices:
    """Services of one web process over the database that flask-pymongo supplies. To be called after the fork.

    Raises ``ProvidersFileError``.
    """
    jobs = MongoJobRepository(database["jobs"], message_grace=policy_of(settings).message_grace)
    clock = StoreClock(jobs.now).start()
    publisher = AmqpPublisher(settings.amqp_url, origin=settings.worker_name)
    background = BackgroundPublisher(publisher)
    stats = MongoStats(database, now=clock.now)
    key_store = MongoKeyStore(database)
    keys = KeyRing(key_store, clock)
    redis_client = connect_redis(settings.redis_url)
    # Apart, because a request waits for it: few connections, and little patience.
    quota_client = connect_redis(settings.redis_url, max_connections=4, timeout_seconds=QUOTA_TIMEOUT_SECONDS)
    quotas = RedisQuotas(quota_client, processes=settings.web_workers)

    def prepare() -> None:
        ensure_indexes(database)
        if settings.api_key is not None:
            keys.ensure_first_key(settings.api_key)

    preparation = _Preparation(prepare)
    sessions = _sessions(settings, database, clock)

    def on_key_ended(record: KeyRecord) -> None:
        keys.forget(record)
        sessions.end_with_key(record)

    def check_store() -> None:
        jobs.ping()
        preparation.check()

    submission = Submission(
        jobs=jobs,
        blobs=MongoBlobStore(database),
        publisher=background,
        stats=stats,
        clock=clock,
        batcher=partial(GroupCommit, max_window_seconds=ACCEPT_WINDOW_SECONDS),
        random_bytes=BufferedRandom(secrets.token_bytes).take,
        policy=policy_of(settings),
        quotas=quotas,
        served=served_by(settings),
    )
    return WebServices(
        settings=settings,
        clock=clock,
        jobs=jobs,
        submission=submission,
        operations=Operations(jobs=jobs, publisher=publisher, stats=stats, clock=clock, policy=policy_of(settings)),
        dead_letters=_dead_letters(settings, database, jobs, publisher, stats, clock),
        stats=stats,
        keys=keys,
        acceptance=Acceptance(submission, quotas, usual_limits(settings)),
        key_administration=KeyAdministration(
            store=key_store,
            audit=MongoAuditLog(database),
            clock=clock,
            new_id=_key_id,
            on_ended=on_key_ended,
            usual=usual_limits(settings),
        ),
        sessions=sessions,
        outbox=MongoOutbox(database),
        checks={
            "mongodb": check_store,
            "rabbitmq": broker_check(publisher),
            "redis": redis_check(redis_client),
            "deliveries": deliveries_check(_progress(redis_client, clock), clock.now),
        },
        close_callbacks=[stats.close, background.close, publisher.close, clock.close, quotas.close, redis_client.close],
    )


def worker_services(settings: Settings) -> WorkerServices:
    """Services of one worker process. Raises ``ProvidersFileError``. To be called after the fork."""
    return_large_blocks()
    config = providers_config(settings)
    policy = policy_of(settings)
    database = default_database(connect_mongo(settings.mongodb_uri, pool_size=settings.worker_concurrency + 8))
    jobs = MongoJobRepository(database["jobs"], message_grace=policy.message_grace)
    clock = StoreClock(jobs.now).start()
    stats = MongoStats(database, now=clock.now)
    publisher = AmqpPublisher(settings.amqp_url, origin=settings.worker_name)
    redis_client = connect_redis(settings.redis_url)
    watermarks = RedisWatermarks(redis_client)
    progress = _progress(redis_client, clock)
    stopping = threading.Event()
    scripts: Scripts = RedisScripts(redis_client)
    gate = RedisGate(
        {name: _gate_settings(provider) for name, provider in config.providers.items()},
        scripts,
        threads=settings.worker_concurrency,
        monotonic=time.monotonic,
        worker=settings.worker_name,
        expected_workers=settings.workers + 1,
    )
    router = Router(
        {channel: _route(steps) for channel, steps in config.routes.items()},
        gate,
        threads=settings.worker_concurrency,
        stopping=stopping,
        monotonic=time.monotonic,
        draw=random.random,
    )
    lag = LagMeter().start()
    transport = make_transport(lag.note)
    outbox = MongoOutbox(database)
    providers: dict[str, Provider] = build_providers(config, transport=transport, outbox=outbox, clock=clock)
    # Whatever the providers file says, and apart from any sandbox that it declares.
    [sandbox] = build_providers(
        ProvidersConfig.sandbox(TEST_SANDBOX), transport=transport, outbox=outbox, clock=clock
    ).values()

    def note_taken(job: Job) -> None:
        if job.queued_at is not None:
            watermarks.note(topology.queue_of(job.delivery_message()), job.queued_at)

    delivery = Delivery(
        jobs=jobs,
        blobs=MongoBlobStore(database),
        route=router,
        providers=providers,
        sandbox=sandbox,
        publisher=publisher,
        stats=stats,
        clock=clock,
        batcher=GroupCommit,
        policy=policy,
        worker=settings.worker_name,
        stopping=stopping,
        jitter=random.random,
        new_token=lambda: uuid.uuid4().hex,
        retry_bounds={
            name: RetryBounds(each.retry_floor_seconds, each.retry_base_seconds, each.retry_cap_seconds)
            for name, each in config.providers.items()
        },
        on_claimed=note_taken,
        on_called=delivery_metrics.observe_calls,
        on_moved=delivery_metrics.observe_moves,
        attachment_bytes=settings.attachment_memory_mib * 1024 * 1024,
        lag_since=lag.longest_since,
    )
    renewal = Periodic(delivery.leases.renew, seconds=RENEWAL_SECONDS, name="lease-renewal").start()
    sweep = Sweep(
        jobs=jobs,
        publisher=publisher,
        backlog=QueueBacklog(publisher.depth, watermarks.reached),
        stats=stats,
        clock=clock,
        policy=policy,
        jitter=random.random,
        watch=ProgressWatch(topology.queue_of_lane, lambda stalled: DELIVERIES_STALLED.set(len(stalled))),
        board=progress,
        on_moved=delivery_metrics.observe_moves,
    )
    close_callbacks = [
        renewal.close,
        lag.close,
        gate.close,
        *(provider.close for provider in providers.values()),
        transport.close,
        stats.close,
        publisher.close,
        clock.close,
    ]
    return WorkerServices(
        settings=settings,
        queue_sampler=delivery_metrics.QueueSampler(
            [queue.name for queue in (*topology.DELIVERY_QUEUES, topology.DEAD)],
            publisher.depth,
            watermarks.reached,
            clock.now,
            clock.monotonic,
        ),
        router=router,
        delivery=delivery,
        sweep=sweep,
        delivery_messages=GroupCommit(publisher.publish),
        look_at=publisher.look_at,
        progress=progress,
        lag=lag,
        stopping=stopping,
        close_callbacks=close_callbacks,
    )


def operator_services(settings: Settings) -> OperatorServices:
    """Services of an operator's command, or of the reconciliation. Connects when first used."""
    policy = policy_of(settings)
    client = connect_mongo(settings.mongodb_uri, pool_size=4)
    database = default_database(client)
    jobs = MongoJobRepository(database["jobs"], message_grace=policy.message_grace)
    clock = StoreClock(jobs.now).start()
    stats = MongoStats(database, now=clock.now)
    publisher = AmqpPublisher(settings.amqp_url, origin=settings.worker_name)
    sessions = _sessions(settings, database, clock)
    return OperatorServices(
        clock=clock,
        jobs=jobs,
        dead_letters=_dead_letters(settings, database, jobs, publisher, stats, clock),
        keys=KeyAdministration(
            store=MongoKeyStore(database),
            audit=MongoAuditLog(database),
            clock=clock,
            new_id=_key_id,
            on_ended=sessions.end_with_key,
        ),
        sessions=sessions,
        audit=MongoAuditLog(database),
        reconciliation=Reconciliation(
            repository=MongoDeadLetterRepository(database),
            queue=AmqpDeadLetterQueue(settings.amqp_url, origin=settings.worker_name),
            depth=lambda: publisher.depth(topology.DEAD_QUEUE),
            publisher=publisher,
            clock=clock,
            sleep=time.sleep,
        ),
        close_callbacks=[stats.close, publisher.close, clock.close, client.close],
    )


def provider_services(settings: Settings, new_id: Callable[[], str]) -> ProviderServices:
    """Services of the command that shows and switches providers. Raises ``ProvidersFileError``."""
    config = providers_config(settings)
    client = connect_mongo(settings.mongodb_uri, pool_size=2)
    database = default_database(client)
    clock = StoreClock(MongoJobRepository(database["jobs"]).now).start()
    redis_client = connect_redis(settings.redis_url)
    gates = {name: _gate_settings(provider) for name, provider in config.providers.items()}
    switch = RedisSwitch(gates, RedisScripts(redis_client))
    return ProviderServices(
        clock=clock,
        switch=switch,
        control=ProviderControl(switch=switch, audit=MongoAuditLog(database), clock=clock, new_id=new_id),
        close_callbacks=[clock.close, redis_client.close, client.close],
    )


def _sessions(settings: Settings, database: Database[dict[str, Any]], clock: Clock) -> Sessions:
    return Sessions(
        store=MongoSessionStore(database),
        keys=MongoKeyStore(database),
        audit=MongoAuditLog(database),
        clock=clock,
        new_id=_key_id,
        idle=timedelta(minutes=settings.session_idle_minutes),
        lifetime=timedelta(hours=settings.session_hours),
    )


def _dead_letters(
    settings: Settings,
    database: Database[dict[str, Any]],
    jobs: JobRepository,
    publisher: AmqpPublisher,
    stats: Stats,
    clock: Clock,
) -> DeadLetters:
    return DeadLetters(
        jobs=jobs,
        repository=MongoDeadLetterRepository(database),
        queue=AmqpDeadLetterQueue(settings.amqp_url, origin=settings.worker_name),
        publisher=publisher,
        audit=MongoAuditLog(database),
        stats=stats,
        clock=clock,
        policy=policy_of(settings),
        sleep=time.sleep,
        new_id=lambda: uuid7(clock.now(), secrets.token_bytes(10)),
    )


def providers_config(settings: Settings) -> ProvidersConfig:
    """The providers file, or the sandbox for everything when there is none. Raises ``ProvidersFileError``."""
    if settings.providers_file is None:
        return ProvidersConfig.default()
    return read_providers_file(settings.providers_file, settings.environment)


def served_by(settings: Settings) -> frozenset[Channel]:
    """The channels that some provider delivers. Raises ``ProvidersFileError`` for a file that can't be read."""
    return frozenset(Channel) if settings.providers_file is None else served_channels(settings.providers_file)


def usual_limits(settings: Settings) -> Limits:
    """What a key may send that has no limits of its own."""
    return Limits(settings.key_rate_per_second, settings.key_daily_quota)


def policy_of(settings: Settings) -> Policy:
    """The engine's numbers."""
    return Policy(
        retry_base_seconds=settings.retry_base_seconds,
        retry_cap_seconds=settings.retry_cap_seconds,
        max_attempts=settings.max_attempts,
    )


def _key_id() -> str:
    return uuid.uuid4().hex


class _Preparation:
    """Indexes and the first key, made in the background until the store has taken them.

    The web app starts without its store, answers 503 meanwhile, and is not ready before this is done.
    """

    def __init__(self, prepare: Callable[[], None]) -> None:
        self._prepare = prepare
        self._is_done = threading.Event()
        threading.Thread(target=self._run, name="preparation", daemon=True).start()

    def check(self) -> None:
        """Raises ``StoreError`` until everything is made."""
        if not self._is_done.is_set():
            raise StoreError("MongoDB has not taken the indexes yet.")

    def _run(self) -> None:
        pause_seconds = 0.2
        while True:
            try:
                self._prepare()
            except StoreError as error:
                log.warning("preparation_waits_for_store", error=str(error))
                time.sleep(pause_seconds)
                pause_seconds = min(5.0, pause_seconds * 2)
            else:
                self._is_done.set()
                return


#: After this a probe's place is given to another: longer than a call takes, but a worker that died must not block it.
_PROBE_SECONDS = 15.0
_PATIENT_PROBE_SECONDS = 300.0


def _gate_settings(provider: ProviderConfig[Any]) -> GateSettings:
    probe_seconds = _PATIENT_PROBE_SECONDS if provider.is_patient else _PROBE_SECONDS
    return GateSettings(
        rate_per_second=provider.rate_per_second,
        burst=provider.burst,
        max_concurrency=provider.most_calls,
        is_patient=provider.is_patient,
        breaker=BreakerSettings(**asdict(provider.breaker), probe_lease_seconds=probe_seconds),
    )


def _route(steps: Sequence[Any]) -> Route:
    return Route(
        tuple(RouteStep(tuple(Alternative(each.provider, each.weight) for each in step.alternatives)) for step in steps)
    )


def _progress(client: redis.Redis, clock: Clock) -> RedisProgress:
    return RedisProgress(client, topology.queue_of_lane, LANES, clock.now)
