"""One suite for every store of attachments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryBlobStore
from wavecom.storage.mongo.blobs import MongoBlobStore
from wavecom.storage.mongo.indexes import INDEXES

Blobs = MemoryBlobStore | MongoBlobStore


@pytest.fixture(params=["memory", "mongo"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    if request.param == "memory":
        return MemoryBlobStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoBlobStore(database)


def test_what_was_put_comes_back_and_what_was_not_is_missing(blobs: Blobs) -> None:
    blobs.put({"a": b"\0\xffone", "b": b"two"}, later(days=1))

    assert blobs.get({"a", "b", "c"}, NOW) == {"a": b"\0\xffone", "b": b"two"}
    assert blobs.get(set(), NOW) == {}


def test_what_is_missing_is_told_without_the_files(blobs: Blobs) -> None:
    blobs.put({"a": b"one"}, later(days=1))

    assert blobs.missing({"a", "b"}) == {"b"}
    assert blobs.missing(set()) == set()


def test_a_file_of_ten_mebibytes_fits(blobs: Blobs) -> None:
    data = bytes(range(256)) * (10 * 1024 * 4)

    blobs.put({"a": data}, later(days=1))

    assert blobs.get({"a"}, NOW) == {"a": data}


def test_putting_again_does_no_harm_even_at_the_same_moment(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: blobs.put({"a": b"one"}, later(days=number)), range(1, 17)))

    assert blobs.get({"a"}, NOW) == {"a": b"one"}


def _purge_at(database: Database[dict[str, Any]]) -> Any:
    [document] = database["blobs"].find({}, {"purgeAt": 1})
    return document["purgeAt"]


def test_a_file_is_kept_as_long_as_whoever_needs_it_longest(indexed_database: Database[dict[str, Any]]) -> None:
    blobs = MongoBlobStore(indexed_database)

    blobs.put({"a": b"one"}, later(days=5))
    blobs.put({"a": b"one"}, later(days=3))
    after_puts = _purge_at(indexed_database)
    blobs.get({"a"}, later(days=4))
    after_short_use = _purge_at(indexed_database)
    blobs.get({"a"}, later(days=9))

    assert (after_puts, after_short_use) == (later(days=5), later(days=5))
    assert _purge_at(indexed_database) == later(days=9)


def test_the_server_lets_go_of_them_by_itself() -> None:
    [index] = INDEXES["blobs"]

    assert (dict(index.document["key"]), index.document["expireAfterSeconds"]) == ({"purgeAt": 1}, 0)
