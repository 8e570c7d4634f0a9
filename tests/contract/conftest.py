"""What the suites of all stores need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from tests.contract.indexed_databases import IndexedDatabases, WrittenCollections
from tests.contract.job_commands import JobCommands

#: For every client that is made from now on: what it asks of ``jobs``, and which collections it writes.
_COMMANDS, _WRITTEN = JobCommands(), WrittenCollections()
monitoring.register(_COMMANDS)
monitoring.register(_WRITTEN)


@pytest.fixture(scope="session")
def indexed_databases() -> IndexedDatabases:
    """Those of ``mongodb_deployment``."""
    return IndexedDatabases(_WRITTEN)


@pytest.fixture
def indexed_database(
    mongo_client: MongoClient[dict[str, Any]], restart_mongo: Callable[[], None], indexed_databases: IndexedDatabases
) -> Iterator[Database[dict[str, Any]]]:
    """An empty database, not that of ``mongodb_uri``, with all indexes but those that purge."""
    database = indexed_databases.take(mongo_client)
    yield database
    restart_mongo()
    indexed_databases.give_back(database)


@pytest.fixture(autouse=True)
def job_commands(request: pytest.FixtureRequest) -> Iterator[JobCommands]:
    """What this test has WaveCom ask of ``jobs``. No filter for a named job may leave the shard open, in any test.

    But where jobs of 0.1 are stored that have no shard key yet: such tests are marked ``without_shard_keys``.
    """
    _COMMANDS.clear()
    yield _COMMANDS
    if request.node.get_closest_marker("without_shard_keys") is None:
        assert _COMMANDS.scattered() == []
