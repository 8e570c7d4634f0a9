"""What the suites of all stores need."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

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
