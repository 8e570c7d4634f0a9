"""One suite for every ``StopRequests``."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryStopRequests
from wavecom.core.bulk_operations import StopRequests
from wavecom.storage.mongo.stop_requests import MongoStopRequests


@pytest.fixture(params=["memory", "mongo"])
def requests(request: pytest.FixtureRequest) -> StopRequests:
    if request.param == "memory":
        return MemoryStopRequests()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoStopRequests(database)


def test_a_request_is_about_one_operation_and_may_be_repeated(requests: StopRequests) -> None:
    before = requests.has("one")

    requests.add("one", "ada", NOW)
    requests.add("one", "bob", later(1))

    assert (before, requests.has("one"), requests.has("two")) == (False, True, False)
