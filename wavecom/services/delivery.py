"""How a worker process delivers: providers, the routes to them, the use case itself, and what follows an operator."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wavecom import delivery_metrics
from wavecom.batching import GroupCommit
from wavecom.broker import topology
from wavecom.core.attachment_check import AttachmentCheck
from wavecom.core.attachments import BlobStore
from wavecom.core.delivery import Delivery, RetryBounds
from wavecom.core.files import ByteBudget
from wavecom.core.gone_tokens import GoneTokens
from wavecom.core.job import CallResult, Job, JobId
from wavecom.core.leases import RENEWAL_SECONDS
from wavecom.core.measurements import Measured
from wavecom.core.pauses import DestinationPauses, PausingRoute, ProviderPauses
from wavecom.core.ports import TEST_SANDBOX
from wavecom.core.preference_check import PreferenceCheck
from wavecom.core.preflights import Preflight
from wavecom.core.suppression_check import REFRESH_SECONDS, SuppressionCheck
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.traces import TraceRecorder
from wavecom.core.transition_writer import TransitionWriter
from wavecom.lag import LagMeter
from wavecom.measuring import FLUSH_SECONDS, MeasurementWriter
from wavecom.periodic import Periodic
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.factory import build_providers, build_sandbox
from wavecom.providers.transport import HttpTransport, make_transport
from wavecom.routing.overrides import FOLLOW_SECONDS, OverrideFollower
from wavecom.routing.redis_gate import RedisGate
from wavecom.routing.router import Router
from wavecom.services.recipients import preference_check_of, recipient_store_of
from wavecom.services.routing import bound_providers, gate_settings_of
from wavecom.services.shared import ClosableServices, receipts_url_of
from wavecom.services.suppressions import suppression_store_of
from wavecom.services.worker_foundation import WorkerFoundation
from wavecom.storage.mongo.blobs import MongoBlobStore
from wavecom.storage.mongo.measurements import MongoMeasurementStore
from wavecom.storage.mongo.outbox import MongoOutbox
from wavecom.storage.mongo.provider_overrides import MongoOverrideStore
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore
from wavecom.storage.redis.provider_board import RedisProviderBoard
from wavecom.storage.redis.scripts import RedisScripts
from wavecom.storage.redis.watermarks import WRITE_SECONDS, RedisWatermarks


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryServices(ClosableServices):
    """What one worker process delivers with; to be closed before its foundation."""

    router: Router
    delivery: Delivery
    transport: HttpTransport
    #: Jobs whose message came from another than the first partition of its lane, as long as it is in hand.
    partitions_in_hand: dict[JobId, int]
    #: How late this process runs.
    lag: LagMeter
    #: Set when the worker shuts down; ends every wait.
    stopping: threading.Event


def preflights_of(
    suppression: SuppressionCheck, preferences: PreferenceCheck, blobs: BlobStore, route: PausingRoute
) -> list[Preflight]:
    """What is asked about every claimed job before anybody is called, in this order: what ends it before what waits."""
    return [suppression, preferences, AttachmentCheck(blobs), ProviderPauses(route), DestinationPauses(route)]


def delivery_services(
    foundation: WorkerFoundation,
    writer: TransitionWriter,
    suppressions: SuppressionList,
    watermarks: RedisWatermarks,
    takes_deliveries: Callable[[], bool],
    traces: TraceRecorder | None = None,
) -> DeliveryServices:
    """Build the providers of the file and all that leads to them. ``takes_deliveries``: see ``worker_services``."""
    settings, config, clock = foundation.settings, foundation.config, foundation.clock
    stopping = threading.Event()
    gate = RedisGate(
        {name: gate_settings_of(provider) for name, provider in config.providers.items()},
        RedisScripts(foundation.redis_client),
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
        transport=transport,
        outbox=MongoOutbox(foundation.database),
        clock=clock,
        receipts_url=receipts_url_of(settings),
    )
    providers = build_providers(config, dependencies)
    partitions_in_hand: dict[JobId, int] = {}

    def note_taken(job: Job) -> None:
        if job.queued_at is not None:
            partition = partitions_in_hand.get(job.job_id)
            name = topology.queue_of(job.lane) if partition is None else topology.queue_name(job.lane.queue, partition)
            watermarks.note(name, job.queued_at)
        if traces is not None:
            traces.on_claimed(job)

    blobs = MongoBlobStore(foundation.database)
    suppression_check = SuppressionCheck(suppression_store_of(foundation.database, clock), clock)
    gone_tokens = GoneTokens(recipient_store_of(foundation.database))

    def on_rejected(rejections: Sequence[tuple[Job, CallResult]]) -> None:
        gone_tokens.forget(rejections)
        suppressions.add_rejected(rejections)

    delivery = Delivery(
        jobs=foundation.jobs,
        writer=writer,
        blobs=blobs,
        route=router,
        providers=providers,
        sandbox=build_sandbox(TEST_SANDBOX, dependencies),
        clock=clock,
        batcher=GroupCommit,
        policy=foundation.policy,
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
        preflights=preflights_of(suppression_check, preference_check_of(foundation.database, clock), blobs, router),
        on_rejected_recipients=on_rejected,
        require_current=foundation.store_guard.require_current,
    )
    follower = OverrideFollower(
        MongoOverrideStore(foundation.database),
        factors=MongoWeightFactorStore(foundation.database),
        set_weights=router.set_weights,
        gate=gate,
        now=clock.now,
        board=RedisProviderBoard(foundation.redis_client),
    )
    measurements = MeasurementWriter(
        {
            Measured.TAKEN: delivery_metrics.ACCEPTED,
            Measured.ENDED: delivery_metrics.ENDED,
            Measured.CALLS: delivery_metrics.CALLS,
        },
        MongoMeasurementStore(foundation.database),
        clock.now,
    )

    def follow(refresh: Callable[[], None], seconds: float, name: str) -> Periodic:
        return Periodic(lambda: refresh() if takes_deliveries() else None, seconds=seconds, name=name).start()

    periodic = [
        follow(suppression_check.keep_fresh, REFRESH_SECONDS, "suppressions"),
        Periodic(delivery.leases.renew, seconds=RENEWAL_SECONDS, name="lease-renewal").start(),
        follow(follower.refresh, FOLLOW_SECONDS, "provider-overrides"),
        Periodic(measurements.write, seconds=FLUSH_SECONDS, name="measurements").start(),
        Periodic(watermarks.write, seconds=WRITE_SECONDS, name="watermarks").start(),
    ]
    return DeliveryServices(
        router=router,
        delivery=delivery,
        transport=transport,
        partitions_in_hand=partitions_in_hand,
        lag=lag,
        stopping=stopping,
        close_callbacks=[
            *(each.close for each in periodic),
            measurements.write_last,
            lag.close,
            gate.close,
            *(provider.close for provider in providers.values()),
            transport.close,
        ],
    )
