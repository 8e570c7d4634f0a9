"""Services of a worker process."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prometheus_client import Gauge

from wavecom import delivery_metrics, receipt_metrics
from wavecom.allocator import return_large_blocks
from wavecom.batching import GroupCommit
from wavecom.broker import topology
from wavecom.broker.backlog import QueueBacklog
from wavecom.broker.connection import Connector
from wavecom.broker.delay_queues import DelayQueues
from wavecom.broker.delivery_queues import REFRESH_SECONDS as LAYOUT_SECONDS
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import RECHECK_SECONDS, AmqpPublisher, QueueState
from wavecom.core.connections import worker_pool
from wavecom.core.delivery import Delivery, RetryBounds
from wavecom.core.files import ByteBudget
from wavecom.core.job import DeliveryMessage, Job, JobId
from wavecom.core.leases import RENEWAL_SECONDS
from wavecom.core.measurements import Measured
from wavecom.core.ports import TEST_SANDBOX
from wavecom.core.progress import StallDetector
from wavecom.core.receipt_counts import SentObserver
from wavecom.core.receipt_processing import ReceiptProcessor
from wavecom.core.region_attendance import Attendance, ConsumedLanes
from wavecom.core.suppression_check import REFRESH_SECONDS, SuppressionCheck
from wavecom.core.sweep import Sweep
from wavecom.core.transition_writer import TransitionWriter
from wavecom.core.weight_adjustment import WeightAdjustment
from wavecom.internals import fast_paths
from wavecom.lag import LagMeter
from wavecom.measuring import FLUSH_SECONDS, MeasurementWriter
from wavecom.periodic import Periodic
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.factory import build_providers, build_sandbox, load_config
from wavecom.providers.transport import make_transport
from wavecom.region_metrics import RegionSampler
from wavecom.routing.overrides import FOLLOW_SECONDS, OverrideFollower
from wavecom.routing.redis_gate import RedisGate
from wavecom.routing.router import Router
from wavecom.routing.shared import Scripts
from wavecom.services.callbacks import EventServices
from wavecom.services.receipts import owners_of, processor_of
from wavecom.services.routing import adjusted_providers, bound_providers, check_region, gate_settings_of, region_of
from wavecom.services.shared import (
    ClosableServices,
    delivery_queues_of,
    feedback_of,
    new_key_id,
    policy_of,
    progress_of,
    receipts_url_of,
    suppression_store_of,
    suppressions_of,
)
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.blobs import MongoBlobStore
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.keys import MongoKeyStore
from wavecom.storage.mongo.measurements import MongoMeasurementStore
from wavecom.storage.mongo.outbox import MongoOutbox
from wavecom.storage.mongo.provider_overrides import MongoOverrideStore
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore
from wavecom.storage.redis.attendance import RedisAttendance
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.progress import RedisProgress
from wavecom.storage.redis.provider_board import RedisProviderBoard
from wavecom.storage.redis.receipt_counts import RedisReceiptCounter
from wavecom.storage.redis.scripts import RedisScripts
from wavecom.storage.redis.watermarks import RedisWatermarks

DELIVERIES_STALLED = Gauge("wavecom_deliveries_stalled", "Queues in which work waits and nothing moves")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerServices(ClosableServices):
    """What a Celery worker works with."""

    settings: Settings
    router: Router
    delivery: Delivery
    sweep: Sweep
    receipts: ReceiptProcessor
    weight_adjustment: WeightAdjustment
    events: EventServices
    queue_sampler: delivery_metrics.QueueSampler
    #: The queues that messages may be in, and the partitions that this process publishes into.
    queues: DeliveryQueues
    #: The lanes of which this worker takes messages.
    consumed_lanes: ConsumedLanes
    #: Declares where delayed messages wait, as a worker connects, and when there are more queues than before.
    delay_queues: DelayQueues
    #: Jobs whose message came from another than the first partition of its lane, as long as it is in hand.
    partitions_in_hand: dict[JobId, int]
    #: Single delivery messages of many threads, published together; answers whether the broker confirmed.
    delivery_messages: GroupCommit[DeliveryMessage, bool]
    #: What the broker says of a queue; None when it can't be asked.
    look_at: Callable[[str], QueueState | None]
    progress: RedisProgress
    #: How late this process runs.
    lag: LagMeter
    #: Set when the worker shuts down; ends every wait.
    stopping: threading.Event


def worker_services(settings: Settings, takes_deliveries: Callable[[], bool] = lambda: True) -> WorkerServices:
    """Services of one worker process. Raises ``ProvidersFileError``. To be called after the fork.

    ``takes_deliveries`` tells whether notifications come to this process at all: one that has only periodic tasks does
    not follow what matters to deliveries alone.
    """
    return_large_blocks()
    fast_paths.switch(is_on=settings.fast_paths)
    config = load_config(settings.providers_file, settings.environment)
    policy = policy_of(settings)
    database = default_database(connect_mongo(settings.mongodb_uri, pool_size=worker_pool(settings.worker_concurrency)))
    jobs = MongoJobRepository(database["jobs"], message_grace=policy.message_grace)
    clock = StoreClock(jobs.now).start()
    stats = MongoStats(database, now=clock.now)
    queues = delivery_queues_of(settings, database)
    queues.try_refresh()
    looking = Periodic(queues.try_refresh, seconds=LAYOUT_SECONDS, name="queue-layout").start()
    publisher = AmqpPublisher(settings.amqp, origin=settings.worker_name, queues=queues)
    delay_queues = DelayQueues(
        Connector(settings.amqp, "wavecom delay queues"),
        declare=lambda connection: topology.declare_delays(connection, queues.layout),
    )
    partitions_in_hand: dict[JobId, int] = {}
    regions = config.regions
    check_region(settings, regions)
    rechecking = Periodic(publisher.recheck, seconds=RECHECK_SECONDS, name="broker-recheck").start()
    redis_client = connect_redis(settings.redis_url)
    watermarks = RedisWatermarks(redis_client)
    progress = progress_of(redis_client, clock)
    board = RedisAttendance(redis_client, clock.now)
    attendance = partial(Attendance, board, limit_seconds=settings.region_takeover_seconds, monotonic=time.monotonic)
    stopping = threading.Event()
    scripts: Scripts = RedisScripts(redis_client)
    gate = RedisGate(
        {name: gate_settings_of(provider) for name, provider in config.providers.items()},
        scripts,
        threads=settings.worker_concurrency,
        monotonic=time.monotonic,
        worker=settings.worker_name,
        expected_workers=settings.expected_workers,
    )
    router = Router(
        config.routes,
        gate,
        threads=settings.worker_concurrency,
        stopping=stopping,
        monotonic=time.monotonic,
        draw=random.random,
        bound=bound_providers(config),
    )
    lag = LagMeter().start()
    transport = make_transport(lag.note)
    dependencies = ProviderDependencies(
        transport=transport, outbox=MongoOutbox(database), clock=clock, receipts_url=receipts_url_of(settings)
    )
    providers = build_providers(config, dependencies)
    sandbox = build_sandbox(TEST_SANDBOX, dependencies)

    def note_taken(job: Job) -> None:
        if job.queued_at is not None:
            partition = partitions_in_hand.get(job.job_id)
            name = topology.queue_of(job.lane) if partition is None else topology.queue_name(job.lane.queue, partition)
            watermarks.note(name, job.queued_at)

    receipt_counter = RedisReceiptCounter(redis_client)
    writer = TransitionWriter(
        jobs=jobs,
        publisher=publisher,
        stats=stats,
        clock=clock,
        policy=policy,
        observers=[delivery_metrics.TransitionMetrics(), SentObserver(receipt_counter)],
    )
    suppressions = suppressions_of(database, clock)
    suppression_check = SuppressionCheck(suppression_store_of(database, clock), clock)
    delivery = Delivery(
        jobs=jobs,
        writer=writer,
        blobs=MongoBlobStore(database),
        route=router,
        providers=providers,
        sandbox=sandbox,
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
        attachment_budget=ByteBudget(settings.attachment_memory_mib * 1024 * 1024),
        lag_since=lag.longest_since,
        preflights=[suppression_check],
        on_rejected_recipients=suppressions.add_rejected,
    )

    def follow(refresh: Callable[[], None], seconds: float, name: str) -> Periodic:
        return Periodic(lambda: refresh() if takes_deliveries() else None, seconds=seconds, name=name).start()

    reading = follow(suppression_check.keep_fresh, REFRESH_SECONDS, "suppressions")
    weight_factors, overrides = MongoWeightFactorStore(database), MongoOverrideStore(database)
    follower = OverrideFollower(
        overrides,
        factors=weight_factors,
        set_weights=router.set_weights,
        gate=gate,
        now=clock.now,
        board=RedisProviderBoard(redis_client),
    )
    measured = {
        Measured.TAKEN: delivery_metrics.ACCEPTED,
        Measured.ENDED: delivery_metrics.ENDED,
        Measured.CALLS: delivery_metrics.CALLS,
    }
    measurements = MeasurementWriter(measured, MongoMeasurementStore(database), clock.now)
    measuring = Periodic(measurements.write, seconds=FLUSH_SECONDS, name="measurements").start()
    following = follow(follower.refresh, FOLLOW_SECONDS, "provider-overrides")
    renewal = Periodic(delivery.leases.renew, seconds=RENEWAL_SECONDS, name="lease-renewal").start()
    sweep = Sweep(
        jobs=jobs,
        writer=writer,
        backlog=QueueBacklog(publisher.depth, watermarks.reached, queues),
        clock=clock,
        policy=policy,
        jitter=random.random,
        stalls=StallDetector(topology.queue_name, lambda stalled: DELIVERIES_STALLED.set(len(stalled))),
        board=progress,
        queues=lambda: queues.layout.lane_queues,
    )
    close_callbacks = [
        reading.close,
        renewal.close,
        following.close,
        measuring.close,
        measurements.write_last,
        lag.close,
        gate.close,
        *(provider.close for provider in providers.values()),
        transport.close,
        stats.close,
        receipt_counter.close,
        rechecking.close,
        looking.close,
        publisher.close,
        clock.close,
    ]
    return WorkerServices(
        settings=settings,
        queue_sampler=delivery_metrics.QueueSampler(
            lambda: [*topology.partitions_by_queue(queues.layout).values(), [topology.DEAD_QUEUE]],
            publisher.depth,
            watermarks.reached,
            clock.now,
            clock.monotonic,
            also=RegionSampler(regions, attendance()).sample,
        ),
        router=router,
        delivery=delivery,
        sweep=sweep,
        receipts=processor_of(
            settings,
            database,
            jobs=jobs,
            writer=writer,
            feedback=feedback_of(
                settings, suppressions, jobs, MongoKeyStore(database), owners=owners_of(config.providers)
            ),
            counter=receipt_counter,
            clock=clock,
        ),
        weight_adjustment=WeightAdjustment(
            adjusted=adjusted_providers(settings, config),
            counter=receipt_counter,
            factors=weight_factors,
            overrides=overrides,
            audit=MongoAuditLog(database),
            clock=clock,
            new_id=new_key_id,
            report=receipt_metrics.report_adjustment,
            thresholds=settings.receipt_thresholds,
        ),
        queues=queues,
        consumed_lanes=ConsumedLanes(regions, region_of(settings, regions), board, attendance()),
        delay_queues=delay_queues,
        partitions_in_hand=partitions_in_hand,
        events=EventServices(settings, database, clock, transport),
        delivery_messages=GroupCommit(publisher.publish),
        look_at=publisher.look_at,
        progress=progress,
        lag=lag,
        stopping=stopping,
        close_callbacks=close_callbacks,
    )
