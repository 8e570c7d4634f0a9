"""Services of ``wavecom restore``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wavecom.broker.delivery_queue_scan import AmqpDeliveryMessageQueues
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.ports import Clock
from wavecom.core.store_recovery import StoreRecovery
from wavecom.core.transition_writer import TransitionWriter
from wavecom.services.shared import ClosableServices, bulk_runner_of, delivery_queues_of, policy_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.client_events import MongoEventLog, MongoRecordedEvents
from wavecom.storage.mongo.fallbacks import MongoFallbackStore
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.sessions import MongoSessionStore
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.mongo.store_heartbeat import MongoStoreHeartbeat
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.heartbeat_memory import RedisHeartbeatMemory
from wavecom.storage.redis.kept_answers import RedisKeptAnswers

#: Longer than a request would wait: this goes through all that Redis has kept.
_REDIS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryServices(ClosableServices):
    """What ``wavecom restore`` works with."""

    recovery: StoreRecovery
    clock: Clock


def recovery_services(settings: Settings) -> RecoveryServices:
    """Services of the recovery of a restored store. Raises ``ProvidersFileError``, and ``StoreError`` at once."""
    client = connect(settings.mongodb_uri, pool_size=4)
    database = default_database(client)
    policy = policy_of(settings)
    jobs = MongoJobRepository(database["jobs"], message_grace=policy.message_grace)
    clock = StoreClock(jobs.now).start()
    stats = MongoStats(database, now=clock.now)
    publisher = AmqpPublisher(settings.amqp, origin=settings.worker_name)
    redis_client = connect_redis(settings.redis_url, timeout_seconds=_REDIS_SECONDS)
    queues = delivery_queues_of(settings, database)
    queues.refresh()
    recovery = StoreRecovery(
        heartbeats=MongoStoreHeartbeat(database),
        memory=RedisHeartbeatMemory(redis_client),
        jobs=jobs,
        writer=TransitionWriter(jobs=jobs, publisher=publisher, stats=stats, clock=clock, policy=policy),
        runner=bulk_runner_of(database, clock),
        messages=AmqpDeliveryMessageQueues(settings.amqp, lambda: queues.layout),
        answers=RedisKeptAnswers(redis_client),
        event_versions=MongoRecordedEvents(database),
        event_log=MongoEventLog(database),
        sessions=MongoSessionStore(database),
        fallbacks=MongoFallbackStore(database),
        clock=clock,
        policy=policy,
    )
    closing = [stats.close, publisher.close, clock.close, redis_client.close, client.close]
    return RecoveryServices(recovery=recovery, clock=clock, close_callbacks=closing)
