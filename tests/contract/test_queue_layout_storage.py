"""One suite for every ``LayoutRegistry``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from tests.memory_storage import MemoryQueueLayout
from wavecom.broker.delivery_queues import LayoutRegistry
from wavecom.core.lanes import QueueLayout
from wavecom.storage.mongo.queue_layout import MongoQueueLayout


@pytest.fixture(params=["memory", "mongo"])
def registry(request: pytest.FixtureRequest) -> LayoutRegistry:
    if request.param == "memory":
        return MemoryQueueLayout()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoQueueLayout(database)


def test_at_first_nobody_has_noted_anything(registry: LayoutRegistry) -> None:
    assert registry.noted() == QueueLayout()


def test_what_was_noted_once_stays_whoever_notes_less_afterwards(registry: LayoutRegistry) -> None:
    assert registry.note(QueueLayout(4, ("eu",))) == QueueLayout(4, ("eu",))
    assert registry.note(QueueLayout(1)) == QueueLayout(4, ("eu",))
    assert registry.note(QueueLayout(8, ("us", "eu"))) == QueueLayout(8, ("eu", "us"))

    assert registry.noted() == QueueLayout(8, ("eu", "us"))


def test_of_many_who_note_at_once_nobody_takes_anothers_away(registry: LayoutRegistry) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: registry.note(QueueLayout(number, (f"r{number}",))), range(1, 9)))

    noted = registry.noted()
    assert (noted.partitions, set(noted.regions)) == (8, {f"r{number}" for number in range(1, 9)})
