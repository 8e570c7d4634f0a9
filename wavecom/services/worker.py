"""Services of a worker process."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prometheus_client import Gauge

from wavecom import delivery_metrics
from wavecom.allocator import return_large_blocks
from wavecom.batching import GroupCommit
from wavecom.broker import topology
from wavecom.broker.backlog import QueueBacklog
from wavecom.broker.delay_queues import DelayQueues
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import QueueState
from wavecom.core.client_events import EventAccounts
from wavecom.core.delivery import Delivery
from wavecom.core.fallback_following import FallbackFollowing, FallbackObserver
from wavecom.core.job import DeliveryMessage, JobId
from wavecom.core.progress import StallDetector
from wavecom.core.receipt_counts import SentObserver
from wavecom.core.receipt_processing import ReceiptProcessor
from wavecom.core.region_attendance import Attendance, ConsumedLanes
from wavecom.core.store_guard import StoreGuard
from wavecom.core.sweep import Sweep
from wavecom.core.transition_writer import TransitionWriter
from wavecom.core.weight_adjustment import WeightAdjustment
from wavecom.internals import fast_paths
from wavecom.lag import LagMeter
from wavecom.region_metrics import RegionSampler
from wavecom.routing.router import Router
from wavecom.services.acceptance import submission_of
from wavecom.services.callbacks import EventServices
from wavecom.services.campaign_runs import CampaignLoop, runner_of
from wavecom.services.delivery import delivery_services
from wavecom.services.fallbacks import following_of
from wavecom.services.receipts import processor_of
from wavecom.services.routing import check_region, region_of, weight_adjustment_of
from wavecom.services.shared import ClosableServices, progress_of
from wavecom.services.suppressions import suppressions_of, unsubscribe_links_of
from wavecom.services.traces import tracing_of
from wavecom.services.worker_foundation import worker_foundation
from wavecom.settings import Settings
from wavecom.storage.mongo.client_events import MongoEventAccountStore
from wavecom.storage.mongo.fallbacks import MongoFallbackStore
from wavecom.storage.redis.attendance import RedisAttendance
from wavecom.storage.redis.progress import RedisProgress
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
    campaigns: CampaignLoop
    fallbacks: FallbackFollowing
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
    #: Says while nothing may be sent, moved or published.
    store_guard: StoreGuard
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
    foundation = worker_foundation(settings)
    database, jobs, clock, queues = foundation.database, foundation.jobs, foundation.clock, foundation.queues
    publisher, receipt_counter = foundation.publisher, foundation.receipt_counter
    regions = foundation.config.regions
    check_region(settings, regions)
    board = RedisAttendance(foundation.redis_client, clock.now)
    attendance = partial(Attendance, board, limit_seconds=settings.region_takeover_seconds, monotonic=time.monotonic)
    watermarks = RedisWatermarks(foundation.redis_client)
    progress = progress_of(foundation.redis_client, clock)
    tracing = tracing_of(settings, foundation.policy, "worker")
    recorder = None if tracing is None else tracing.recorder
    writer = TransitionWriter(
        jobs=jobs,
        publisher=publisher,
        stats=foundation.stats,
        clock=clock,
        policy=foundation.policy,
        observers=[
            delivery_metrics.TransitionMetrics(),
            SentObserver(receipt_counter),
            *([] if recorder is None else [recorder]),
        ],
        move_observers=[FallbackObserver(MongoFallbackStore(database))],
    )
    suppressions = suppressions_of(database, clock)
    delivering = delivery_services(foundation, writer, suppressions, watermarks, takes_deliveries, recorder)
    # For notices of WaveCom's own: no key's limits count for them, and nobody is sent events about them.
    submission = submission_of(settings, database, jobs=jobs, writer=writer, clock=clock)
    events = EventServices(
        settings, database, clock, delivering.transport, delivering.stopping.is_set, submission.accept, recorder
    )
    runner = runner_of(foundation, writer, tracing)
    campaigns = CampaignLoop(runner, delivering.stopping, lambda: foundation.store_guard.is_held)
    # Steps record events where the account uses them, as whatever it sends does.
    event_accounts = EventAccounts(MongoEventAccountStore(database))
    fallbacks = following_of(
        settings,
        database,
        jobs=jobs,
        writer=writer,
        accept=submission_of(
            settings,
            database,
            jobs=jobs,
            writer=writer,
            clock=clock,
            unsubscribe_links=unsubscribe_links_of(settings),
            event_accounts=event_accounts,
            traces=None if tracing is None else tracing.sampler,
        ).accept,
        clock=clock,
        prepare=event_accounts.refresh,
    )
    return WorkerServices(
        settings=settings,
        router=delivering.router,
        delivery=delivering.delivery,
        sweep=Sweep(
            jobs=jobs,
            writer=writer,
            backlog=QueueBacklog(publisher.depth, watermarks.reached, queues),
            clock=clock,
            policy=foundation.policy,
            jitter=random.random,
            stalls=StallDetector(topology.queue_name, lambda stalled: DELIVERIES_STALLED.set(len(stalled))),
            board=progress,
            queues=lambda: queues.layout.lane_queues,
            require_current=foundation.store_guard.require_current_and_beat,
        ),
        receipts=processor_of(
            settings,
            database,
            foundation.config.providers,
            jobs=jobs,
            writer=writer,
            suppressions=suppressions,
            counter=receipt_counter,
            clock=clock,
        ),
        weight_adjustment=weight_adjustment_of(
            settings, foundation.config, database, counter=receipt_counter, clock=clock
        ),
        events=events,
        campaigns=campaigns,
        fallbacks=fallbacks,
        queue_sampler=delivery_metrics.QueueSampler(
            lambda: [*topology.partitions_by_queue(queues.layout).values(), [topology.DEAD_QUEUE]],
            publisher.depth,
            watermarks.reached,
            clock.now,
            clock.monotonic,
            also=[RegionSampler(regions, attendance()).sample, events.sampler.sample],
        ),
        queues=queues,
        consumed_lanes=ConsumedLanes(regions, region_of(settings, regions), board, attendance()),
        delay_queues=foundation.delay_queues,
        partitions_in_hand=delivering.partitions_in_hand,
        delivery_messages=GroupCommit(publisher.publish),
        look_at=publisher.look_at,
        progress=progress,
        store_guard=foundation.store_guard,
        lag=delivering.lag,
        stopping=delivering.stopping,
        close_callbacks=[
            campaigns.close,
            delivering.close,
            foundation.close,
            *([] if tracing is None else [tracing.close]),
        ],
    )
