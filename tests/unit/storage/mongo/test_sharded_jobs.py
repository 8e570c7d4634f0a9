from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect, ExecutionTimeout, PyMongoError

from tests.factories import make_job_id
from wavecom.storage.mongo.sharded_jobs import ShardedJobs

ID = make_job_id()
OF_ALL_SHARDS = {"jobId": ID}
OF_ITS_SHARD = {"shardKey": ID[-8:], "jobId": ID}


class Store:
    """Answers looks alone: whether there is a job without a shard key, and an earlier idempotency key."""

    def __init__(self) -> None:
        self.has_keyless = False
        self.error: PyMongoError | None = None
        self.looks = 0
        self.before_answer: Callable[[int, bool], None] = lambda number, answer: None
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    @property
    def database(self) -> dict[str, Any]:
        return {"earlier_idempotency_keys": self}

    def with_options(self, **options: object) -> Store:
        return self

    def find_one(self, where: dict[str, Any], *_: object, max_time_ms: int) -> dict[str, Any] | None:
        if not where:
            return None
        self.looks += 1
        answer = self.has_keyless
        self.before_answer(self.looks, answer)
        if self.error is not None:
            raise self.error
        return {"_id": 1} if answer else None


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def sharded(store: Store) -> ShardedJobs:
    return ShardedJobs(cast("Any", store), store.monotonic)


def test_filters_name_the_shard_when_every_job_has_a_key(store: Store, sharded: ShardedJobs) -> None:
    assert sharded.by_ids([ID]) == OF_ITS_SHARD
    other = make_job_id()
    assert sharded.by_ids([ID, other]) == {"shardKey": {"$in": [ID[-8:], other[-8:]]}, "jobId": {"$in": [ID, other]}}


def test_filters_name_no_shard_while_a_job_has_no_key(store: Store, sharded: ShardedJobs) -> None:
    store.has_keyless = True

    assert sharded.by_ids([ID]) == OF_ALL_SHARDS
    assert sharded.by_idempotency_keys(["acme"], ["k"]) == {
        "client": {"$in": ["acme"]},
        "idempotencyKey": {"$in": ["k"]},
    }


def test_it_is_looked_every_ten_seconds(store: Store, sharded: ShardedJobs) -> None:
    sharded.by_ids([ID])
    store.has_keyless = True
    store.seconds = 9.9
    before = sharded.by_ids([ID])
    store.seconds = 10
    after = sharded.by_ids([ID])

    assert (before, after, store.looks) == (OF_ITS_SHARD, OF_ALL_SHARDS, 2)


def test_before_a_job_counts_as_unknown_it_is_looked_once_more(store: Store, sharded: ShardedJobs) -> None:
    sharded.by_ids([ID])
    store.has_keyless = True

    assert not sharded.are_missed([ID], [{"jobId": ID}])
    assert sharded.are_missed([ID], [])
    assert sharded.by_ids([ID]) == OF_ALL_SHARDS
    # Now nothing is left out, so nothing can be missed, and nobody asks for ever.
    assert not sharded.are_missed([ID], [])


def test_a_look_that_takes_too_long_changes_nothing(store: Store, sharded: ShardedJobs) -> None:
    sharded.by_ids([ID])
    store.has_keyless = True
    store.error = ExecutionTimeout("too long")
    store.seconds = 100

    assert sharded.by_ids([ID]) == OF_ITS_SHARD
    assert store.looks == 2


def test_without_a_look_that_has_ended_nothing_is_assumed(store: Store, sharded: ShardedJobs) -> None:
    store.error = ExecutionTimeout("too long")

    with pytest.raises(ExecutionTimeout):
        sharded.by_ids([ID])


def test_a_store_that_is_away_is_told_as_such(store: Store, sharded: ShardedJobs) -> None:
    sharded.by_ids([ID])
    store.error = AutoReconnect("closed")
    store.seconds = 31

    with pytest.raises(AutoReconnect):
        sharded.by_ids([ID])


def _while_one_looks(store: Store, sharded: ShardedJobs, seconds: float) -> tuple[Any, Any]:
    """The filter of who asks after ``seconds`` while another's look goes on, which began before; and that afterwards.

    The other's look saw all jobs with keys, the one that began later did not.
    """
    sharded.by_ids([ID])
    begun, may_end = threading.Event(), threading.Event()

    def hold(number: int, answer: bool) -> None:
        if number == 2:
            begun.set()
            assert may_end.wait(10)

    store.before_answer = hold
    store.seconds = seconds
    other = threading.Thread(target=sharded.by_ids, args=([ID],))
    other.start()
    assert begun.wait(10)
    store.has_keyless = True
    meanwhile = sharded.by_ids([ID])
    may_end.set()
    other.join()
    return meanwhile, sharded.by_ids([ID])


def test_one_thread_looks_and_the_others_go_on(store: Store, sharded: ShardedJobs) -> None:
    assert _while_one_looks(store, sharded, 10) == (OF_ITS_SHARD, OF_ITS_SHARD)
    assert store.looks == 2


def test_after_thirty_seconds_nobody_goes_on_by_what_was_seen_and_the_later_look_wins(
    store: Store, sharded: ShardedJobs
) -> None:
    assert _while_one_looks(store, sharded, 31) == (OF_ALL_SHARDS, OF_ALL_SHARDS)
    assert store.looks == 3
