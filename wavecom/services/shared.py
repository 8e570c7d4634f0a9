"""What several kinds of process make in the same way: the engine's policy, sessions, dead letters, progress."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
from pymongo.database import Database

from wavecom import private_files
from wavecom.accounts.sessions import Sessions
from wavecom.accounts.users import Users
from wavecom.broker import topology
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.core.bulk_cancellation import BulkCancellation
from wavecom.core.bulk_runner import BulkRunner
from wavecom.core.dead_letter_operations import DeadLetters
from wavecom.core.engine import Policy
from wavecom.core.ids import uuid7
from wavecom.core.lanes import Channel, QueueLayout
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.prices import SegmentPrices
from wavecom.core.provider_administration import ProviderAdministration, ProviderStatus
from wavecom.core.provider_control import ProviderControl
from wavecom.core.quota import Limits
from wavecom.core.regions import Regions
from wavecom.core.routes import ChannelRoutes
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import UnavailableError
from wavecom.providers.file import declared_limits, declared_prices, declared_providers, declared_regions, served_routes
from wavecom.settings import Settings
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.dead_letters import MongoDeadLetterRepository
from wavecom.storage.mongo.keys import MongoKeyStore
from wavecom.storage.mongo.provider_overrides import MongoOverrideStore
from wavecom.storage.mongo.queue_layout import MongoQueueLayout
from wavecom.storage.mongo.sessions import MongoSessionStore
from wavecom.storage.mongo.users import MongoUserStore
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore
from wavecom.storage.redis.progress import RedisProgress
from wavecom.storage.redis.provider_board import RedisProviderBoard


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosableServices:
    """Services with threads and connections of their own, which ``close`` ends."""

    close_callbacks: Sequence[Callable[[], None]] = ()

    def close(self) -> None:
        """Run the callbacks, in order. Not to be called twice."""
        for close in self.close_callbacks:
            close()


def policy_of(settings: Settings) -> Policy:
    """The numbers of the state machine that the settings name."""
    return Policy(
        retry_base_seconds=settings.retry_base_seconds,
        retry_cap_seconds=settings.retry_cap_seconds,
        max_attempts=settings.max_attempts,
    )


def receipts_url_of(settings: Settings) -> str | None:
    """What the world calls ``/receipts`` of this deployment; None: not told."""
    return None if settings.public_url is None else f"{settings.public_url}/receipts"


def usual_limits(settings: Settings) -> Limits:
    """What a key may send that has no limits of its own."""
    return Limits(settings.key_rate_per_second, settings.key_daily_quota)


def served_by(settings: Settings) -> Mapping[Channel, ChannelRoutes] | None:
    """The routes by which notifications are delivered; None: the sandbox takes all.

    Raises ``ProvidersFileError`` for a file that can't be read.
    """
    return None if settings.providers_file is None else served_routes(settings.providers_file)


def segment_prices_of(settings: Settings) -> SegmentPrices:
    """What text messages may cost, as the providers file says; nothing is known without one.

    Raises ``ProvidersFileError`` for a file that can't be read.
    """
    path = settings.providers_file
    return SegmentPrices({}, {}) if path is None else SegmentPrices(served_routes(path), declared_prices(path))


def regions_of(settings: Settings) -> Regions | None:
    """The regions that the providers file declares; None where it declares none. Raises ``ProvidersFileError``."""
    return None if settings.providers_file is None else declared_regions(settings.providers_file)


def provider_administration_of(
    settings: Settings, database: Database[dict[str, Any]], client: redis.Redis, clock: Clock
) -> ProviderAdministration:
    """Providers as the API shows and changes them. Raises ``ProvidersFileError`` for a file that can't be read."""
    overrides = MongoOverrideStore(database)
    board = RedisProviderBoard(client)

    def read_board() -> Mapping[str, ProviderStatus]:
        try:
            return board.read()
        except UnavailableError:
            return {}  # how they stand is not known then; what was changed is

    return ProviderAdministration(
        names=["sandbox"] if settings.providers_file is None else declared_providers(settings.providers_file),
        routes=served_by(settings) or {},
        control=ProviderControl(
            switch=None, overrides=overrides, audit=MongoAuditLog(database), clock=clock, new_id=new_key_id
        ),
        overrides=overrides,
        factors=MongoWeightFactorStore(database),
        read_board=read_board,
        clock=clock,
        limits={} if settings.providers_file is None else declared_limits(settings.providers_file),
    )


def new_key_id() -> str:
    """A new id for a key or a session: 32 hexadecimal digits, at random."""
    return uuid.uuid4().hex


def sessions_of(settings: Settings, database: Database[dict[str, Any]], clock: Clock) -> Sessions:
    """Sessions of the pages, kept in MongoDB, with the settings' idle time and lifetime."""
    return Sessions(
        store=MongoSessionStore(database),
        keys=MongoKeyStore(database),
        audit=MongoAuditLog(database),
        clock=clock,
        new_id=new_key_id,
        idle=timedelta(minutes=settings.session_idle_minutes),
        lifetime=timedelta(hours=settings.session_hours),
    )


def session_secret(settings: Settings) -> str:
    """What signs the pages' sessions: of the settings, else kept in the file that all processes of a machine share.

    Raises ``SettingsError`` where the file holds no secret.
    """
    return settings.secret_key or private_files.shared_secret(settings.home / "secret-key")


def users_of(settings: Settings, database: Database[dict[str, Any]], clock: Clock) -> Users:
    """People who sign in to the pages by name, kept in MongoDB."""
    return Users(
        store=MongoUserStore(database),
        audit=MongoAuditLog(database),
        clock=clock,
        monotonic=time.monotonic,
        new_id=new_key_id,
        secret=lambda: session_secret(settings).encode(),
    )


def dead_letters_of(
    settings: Settings,
    database: Database[dict[str, Any]],
    jobs: JobRepository,
    writer: TransitionWriter,
    clock: Clock,
) -> DeadLetters:
    """The use cases of dead letters over MongoDB."""
    return DeadLetters(
        jobs=jobs,
        repository=MongoDeadLetterRepository(database),
        writer=writer,
        runner=bulk_runner_of(database, clock),
        audit=MongoAuditLog(database),
        clock=clock,
        policy=policy_of(settings),
    )


def cancellation_of(
    settings: Settings,
    database: Database[dict[str, Any]],
    jobs: JobRepository,
    writer: TransitionWriter,
    clock: Clock,
) -> BulkCancellation:
    """Cancelling by a filter over MongoDB."""
    return BulkCancellation(
        jobs=jobs,
        writer=writer,
        runner=bulk_runner_of(database, clock),
        audit=MongoAuditLog(database),
        clock=clock,
        policy=policy_of(settings),
    )


def bulk_runner_of(database: Database[dict[str, Any]], clock: Clock) -> BulkRunner:
    """What runs bulk operations, with their audit entries in MongoDB."""
    return BulkRunner(
        audit=MongoAuditLog(database),
        clock=clock,
        sleep=time.sleep,
        new_id=lambda: uuid7(clock.now(), secrets.token_bytes(10)),
    )


def progress_of(client: redis.Redis, clock: Clock) -> RedisProgress:
    """Where sweeps note which lanes stand still, in Redis, for every process to read."""
    return RedisProgress(client, topology.queue_name, clock.now)


def delivery_queues_of(settings: Settings, database: Database[dict[str, Any]]) -> DeliveryQueues:
    """The queues that this process publishes into and those that may hold messages. Not refreshed yet.

    Raises ``ProvidersFileError``.
    """
    regions = regions_of(settings)
    names = () if regions is None else tuple(regions.regions)
    return DeliveryQueues(QueueLayout(settings.queue_partitions, names), MongoQueueLayout(database))
