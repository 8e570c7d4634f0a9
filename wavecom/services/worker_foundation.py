"""What everything in a worker process stands on: its servers, its clock, its queues, and the providers file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis
from prometheus_client import Gauge
from pymongo.database import Database

from wavecom.broker import topology
from wavecom.broker.connection import Connector
from wavecom.broker.delay_queues import DelayQueues
from wavecom.broker.delivery_queues import REFRESH_SECONDS as LAYOUT_SECONDS
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import RECHECK_SECONDS, AmqpPublisher
from wavecom.core.connections import worker_pool
from wavecom.core.engine import Policy
from wavecom.core.store_guard import CHECK_SECONDS, StoreGuard
from wavecom.periodic import Periodic
from wavecom.providers.configuration import ProvidersConfig
from wavecom.providers.factory import load_config
from wavecom.services.shared import ClosableServices, delivery_queues_of, policy_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.mongo.store_heartbeat import MongoStoreHeartbeat
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.heartbeat_memory import RedisHeartbeatMemory
from wavecom.storage.redis.receipt_counts import RedisReceiptCounter

STORE_OLDER = Gauge(
    "wavecom_store_older", "1 while MongoDB is an older copy of itself: nothing is sent until wavecom restore has run."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFoundation(ClosableServices):
    """Connections of one worker process, and what is kept over them; closed after all that uses them."""

    settings: Settings
    config: ProvidersConfig
    policy: Policy
    database: Database[dict[str, Any]]
    jobs: MongoJobRepository
    clock: StoreClock
    stats: MongoStats
    #: The queues that messages may be in, and the partitions that this process publishes into.
    queues: DeliveryQueues
    publisher: AmqpPublisher
    #: Declares where delayed messages wait, as a worker connects, and when there are more queues than before.
    delay_queues: DelayQueues
    redis_client: redis.Redis
    receipt_counter: RedisReceiptCounter
    #: Holds what this process would send, move or publish while the store is an older copy of itself.
    store_guard: StoreGuard


def worker_foundation(settings: Settings) -> WorkerFoundation:
    """Connect, and begin to follow the clock and the queues. Raises ``ProvidersFileError``. For after the fork."""
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
    rechecking = Periodic(publisher.recheck, seconds=RECHECK_SECONDS, name="broker-recheck").start()
    redis_client = connect_redis(settings.redis_url)
    receipt_counter = RedisReceiptCounter(redis_client)
    store_guard = StoreGuard(MongoStoreHeartbeat(database), RedisHeartbeatMemory(redis_client), clock)

    def compare() -> None:
        store_guard.check()
        STORE_OLDER.set(store_guard.is_older)

    compare()
    comparing = Periodic(compare, seconds=CHECK_SECONDS, name="store-guard").start()
    return WorkerFoundation(
        settings=settings,
        config=config,
        policy=policy,
        database=database,
        jobs=jobs,
        clock=clock,
        stats=stats,
        queues=queues,
        publisher=publisher,
        delay_queues=DelayQueues(
            Connector(settings.amqp, "wavecom delay queues"),
            declare=lambda connection: topology.declare_delays(connection, queues.layout),
        ),
        redis_client=redis_client,
        receipt_counter=receipt_counter,
        store_guard=store_guard,
        close_callbacks=[
            comparing.close,
            stats.close,
            receipt_counter.close,
            rechecking.close,
            looking.close,
            publisher.close,
            clock.close,
        ],
    )
