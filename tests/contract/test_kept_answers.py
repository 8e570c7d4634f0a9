"""The answers to repeated requests, as Redis keeps them, looked through and forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.factories import make_job_id
from tests.waiting import wait_until
from wavecom.core.job import JobId
from wavecom.core.quota import StoredAnswer
from wavecom.errors import UnavailableError
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.kept_answers import RedisKeptAnswers
from wavecom.storage.redis.quota import RedisQuotas


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        client.flushdb()
        yield client


def keep(client: redis.Redis, count: int) -> list[JobId]:
    quotas = RedisQuotas(client)
    job_ids = [make_job_id() for _ in range(count)]
    for number, job_id in enumerate(job_ids):
        quotas.store_answer(f"acme:{number}", StoredAnswer("fingerprint", job_id, "{}"))
    wait_until(lambda: client.llen("wavecom:answers") == count, "the answers to be written")
    return job_ids


def test_all_are_shown_batch_by_batch_with_the_job_that_each_tells_of(client: redis.Redis) -> None:
    job_ids = keep(client, 1203)

    batches = list(RedisKeptAnswers(client).batches())

    assert [job_id for batch in batches for _, job_id in batch] == job_ids
    assert max(map(len, batches)) <= 500


def test_what_is_forgotten_is_gone_and_nothing_else(client: redis.Redis) -> None:
    job_ids = keep(client, 3)
    answers = RedisKeptAnswers(client)
    [batch] = answers.batches()

    answers.forget([batch[1][0]])
    answers.forget([batch[1][0]])

    assert [job_id for _, job_id in answers.latest(10)] == [job_ids[0], job_ids[2]]


def test_the_latest_are_the_last_that_were_kept(client: redis.Redis) -> None:
    job_ids = keep(client, 5)

    assert [job_id for _, job_id in RedisKeptAnswers(client).latest(2)] == job_ids[-2:]


def test_without_any_there_is_nothing(client: redis.Redis) -> None:
    assert list(RedisKeptAnswers(client).batches()) == []
    assert RedisKeptAnswers(client).latest(5) == []


def test_redis_away_is_said() -> None:
    answers = RedisKeptAnswers(connect("redis://127.0.0.1:1/0"))

    with pytest.raises(UnavailableError):
        list(answers.batches())
    with pytest.raises(UnavailableError):
        answers.forget(["a"])
