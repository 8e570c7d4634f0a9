"""What the suites of all stores need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import monitoring
from pymongo.database import Database

from tests.contract.job_commands import JobCommands
from wavecom.storage.mongo.indexes import INDEXES, ensure_indexes


@pytest.fixture
def indexed_database(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """A database with all indexes but those that purge: to the server, the time of the tests is long ago."""
    ensure_indexes(database)
    for collection, indexes in INDEXES.items():
        for index in indexes:
            if "expireAfterSeconds" in index.document:
                database[collection].drop_index(index.document["name"])
    return database


#: For every client that is made from now on: what it asks of ``jobs``.
_COMMANDS = JobCommands()
monitoring.register(_COMMANDS)


@pytest.fixture(autouse=True)
def job_commands(request: pytest.FixtureRequest) -> Iterator[JobCommands]:
    """What this test has WaveCom ask of ``jobs``. No filter for a named job may leave the shard open, in any test.

    But where jobs of 0.1 are stored that have no shard key yet: such tests are marked ``without_shard_keys``.
    """
    _COMMANDS.clear()
    yield _COMMANDS
    if request.node.get_closest_marker("without_shard_keys") is None:
        assert _COMMANDS.scattered() == []
