from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from wavecom.errors import StoreError
from wavecom.storage.mongo.indexes import INDEXES, ensure_indexes


def test_processes_that_start_together_make_every_index_once(database: Database[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: ensure_indexes(database), range(4)))

    for collection, indexes in INDEXES.items():
        made = database[collection].index_information()
        assert set(made) == {"_id_"} | {index.document["name"] for index in indexes}


def test_making_them_again_changes_nothing(database: Database[dict[str, Any]]) -> None:
    ensure_indexes(database)
    before = {name: database[name].index_information() for name in INDEXES}

    ensure_indexes(database)

    assert {name: database[name].index_information() for name in INDEXES} == before


def test_an_index_that_is_there_with_another_meaning_stops_the_start(database: Database[dict[str, Any]]) -> None:
    database["jobs"].create_index([("shardKey", 1), ("jobId", 1)])

    with pytest.raises(StoreError):
        ensure_indexes(database)


def test_uniqueness_purging_and_partiality_are_the_servers(database: Database[dict[str, Any]]) -> None:
    ensure_indexes(database)

    jobs = database["jobs"].index_information()

    assert {name for name, index in jobs.items() if index.get("unique")} == {
        "shardKey_1_jobId_1",
        "shardKey_1_client_1_idempotencyKey_1",
    }
    assert {name for name, index in jobs.items() if "expireAfterSeconds" in index} == {"purgeAt_1"}
    assert {name for name, index in jobs.items() if index.get("sparse")} == {
        "parkedUntil_1",
        "deadLetteredAt_1",
        "eventsDueAt_1",
    }
    assert sum("partialFilterExpression" in index for index in jobs.values()) == 7
