"""Services of ``wavecom migrate``."""

from __future__ import annotations

import time
from dataclasses import dataclass

from wavecom.services.shared import ClosableServices
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.shard_key_migration import ShardKeyMigration


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationServices(ClosableServices):
    """What ``wavecom migrate`` works with."""

    migration: ShardKeyMigration


def migration_services(settings: Settings, holder: str) -> MigrationServices:
    """Services of the migration; ``holder`` is named to who starts another one. Connects when first used."""
    client = connect(settings.mongodb_uri, pool_size=2)
    database = default_database(client)
    clock = StoreClock(MongoJobRepository(database["jobs"]).now).start()
    migration = ShardKeyMigration(database, now=clock.now, sleep=time.sleep, holder=holder)
    return MigrationServices(migration=migration, close_callbacks=[clock.close, client.close])
