"""One suite for every ``JobRepository``: what holds for one holds for all, or the twin is no twin."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW
from tests.memory_storage import MemoryJobRepository
from wavecom.core.ports import JobRepository
from wavecom.storage.mongo.jobs import MongoJobRepository


@pytest.fixture(params=["memory", "mongo"])
def rivals(request: pytest.FixtureRequest) -> tuple[JobRepository, JobRepository]:
    """Two repositories on one store, as two processes have them."""
    if request.param == "memory":
        memory = MemoryJobRepository()
        return memory, memory
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    first, second = (MongoJobRepository(database["jobs"], system_now=lambda: NOW) for _ in range(2))
    return first, second


@pytest.fixture
def jobs(rivals: tuple[JobRepository, JobRepository]) -> JobRepository:
    """An empty repository."""
    return rivals[0]
