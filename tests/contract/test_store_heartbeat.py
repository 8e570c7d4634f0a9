"""One suite for every ``HeartbeatStore`` and every ``HeartbeatMemory``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryHeartbeats, MemoryStoreHeartbeat
from wavecom.core.store_guard import Heartbeat, HeartbeatMemory, HeartbeatStore, RememberedBeat
from wavecom.errors import UnavailableError
from wavecom.storage.mongo.store_heartbeat import MongoStoreHeartbeat
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.heartbeat_memory import RedisHeartbeatMemory


@pytest.fixture(params=["memory", "mongo"])
def make_store(request: pytest.FixtureRequest) -> Callable[[], HeartbeatStore]:
    if request.param == "memory":
        store = MemoryStoreHeartbeat()
        return lambda: store
    database: Database[dict[str, Any]] = request.getfixturevalue("database")
    return lambda: MongoStoreHeartbeat(database)


@pytest.fixture(params=["memory", "redis"])
def make_memory(request: pytest.FixtureRequest) -> Iterator[Callable[[], HeartbeatMemory]]:
    if request.param == "memory":
        memory = MemoryHeartbeats()
        yield lambda: memory
        return
    client = connect(request.getfixturevalue("redis_url"))
    yield lambda: RedisHeartbeatMemory(client)
    client.close()


def test_at_first_there_is_none_and_of_two_who_begin_one_does(make_store: Callable[[], HeartbeatStore]) -> None:
    one, other = make_store(), make_store()
    assert one.read() is None

    first = one.beat(None, NOW)

    assert first is not None
    assert (first.number, first.at) == (1, NOW)
    assert other.beat(None, NOW) is None
    assert other.read() == first


def test_of_two_who_count_on_from_the_same_number_one_does(make_store: Callable[[], HeartbeatStore]) -> None:
    one, other = make_store(), make_store()
    first = one.beat(None, NOW)

    second = one.beat(first, later(5))

    assert second is not None
    assert (second.number, second.at) == (2, later(5))
    assert other.beat(first, later(6)) is None
    assert other.read() == second


def test_when_it_was_first_seen_to_be_older_stays(make_store: Callable[[], HeartbeatStore]) -> None:
    store = make_store()
    store.beat(None, NOW)
    than = RememberedBeat(720, later(3600))

    assert store.note_older(than, later(3700)) == later(3700)
    assert make_store().note_older(than, later(3800)) == later(3700)


def test_a_later_restore_is_another_one(make_store: Callable[[], HeartbeatStore]) -> None:
    store = make_store()
    store.beat(None, NOW)
    store.note_older(RememberedBeat(720, later(3600)), later(3700))

    assert store.note_older(RememberedBeat(900, later(4500)), later(4600)) == later(4600)


def test_a_recovered_one_goes_on_from_the_number_it_was_given(make_store: Callable[[], HeartbeatStore]) -> None:
    store = make_store()
    first = store.beat(None, NOW)
    assert first is not None
    store.note_older(RememberedBeat(720, later(3600)), later(3700))

    store.recover(721, later(3800))
    store.recover(721, later(3900))

    assert store.read() == Heartbeat(first.store_id, 721, later(3800))
    assert store.note_older(RememberedBeat(720, later(3600)), later(9000)) == later(9000)


def test_the_greatest_number_of_a_store_is_remembered(make_memory: Callable[[], HeartbeatMemory]) -> None:
    memory = make_memory()
    memory.note(Heartbeat("a", 7, later(30)))
    memory.note(Heartbeat("a", 5, later(40)))
    memory.note(Heartbeat("b", 2, NOW + timedelta(milliseconds=1)))

    assert make_memory().latest("a") == RememberedBeat(7, later(30))
    assert make_memory().latest("b") == RememberedBeat(2, NOW + timedelta(milliseconds=1))
    assert make_memory().latest("c") is None


def test_redis_away_is_said() -> None:
    client = connect("redis://127.0.0.1:1/0")
    memory = RedisHeartbeatMemory(client)

    with pytest.raises(UnavailableError):
        memory.latest("a")
    with pytest.raises(UnavailableError):
        memory.note(Heartbeat("a", 1, NOW))
    client.close()
