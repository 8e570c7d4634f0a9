from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW, make_job, make_random_bytes
from wavecom.core.account import account_of
from wavecom.core.ids import uuid7
from wavecom.core.job import JobId
from wavecom.core.job_ids import (
    follows_idempotency_key,
    make_job_id,
    request_hash,
    shard_key_of,
    shard_key_of_request,
)

keys = st.text(min_size=1, max_size=64)
randoms = st.binary(min_size=10, max_size=10)


def test_ids_that_are_stored_since_this_release_are_made_in_the_same_way_for_ever() -> None:
    """SHA-256 of the account, NUL and the key. A release that reckons otherwise finds no job by its key."""
    made = make_job_id(NOW, bytes(range(10)), "acme", "order-42")

    assert made == "019cebab-8995-7405-8607-0809" + "c493bc9b"
    assert shard_key_of(made) == shard_key_of_request("acme", "order-42") == "c493bc9b"
    assert request_hash("acme", "order-42").startswith("c493bc9b")


@given(keys, randoms)
def test_the_shard_key_of_a_request_is_that_of_every_job_made_for_it(key: str, random_bytes: bytes) -> None:
    made = make_job_id(NOW, random_bytes, "acme", key)

    assert shard_key_of(made) == shard_key_of_request("acme", key)
    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (7, uuid.RFC_4122)
    assert uuid.UUID(made).int >> 80 == int(NOW.timestamp() * 1000)


@given(keys)
def test_two_jobs_of_one_key_have_two_ids(key: str) -> None:
    assert make_job_id(NOW, make_random_bytes(10), "acme", key) != make_job_id(NOW, make_random_bytes(10), "acme", key)


@given(randoms)
def test_without_an_idempotency_key_the_shard_key_is_chance(random_bytes: bytes) -> None:
    made = make_job_id(NOW, random_bytes, "acme", None)

    assert made == uuid7(NOW, random_bytes)
    assert shard_key_of(made) == random_bytes[-4:].hex()


def test_the_same_key_of_another_client_or_of_its_tests_leads_elsewhere() -> None:
    accounts = [account_of(client, is_live) for client in ("acme", "globex") for is_live in (True, False)]

    assert len({shard_key_of_request(account, "order-42") for account in accounts}) == 4


def test_equal_shard_keys_of_many_requests_are_spread_over_all_there_are() -> None:
    """In four shards that each have a quarter of the range, each has about a quarter of the jobs."""
    first_digits = [int(shard_key_of_request("acme", f"order-{number}")[0], 16) // 4 for number in range(4000)]

    assert all(900 < first_digits.count(quarter) < 1100 for quarter in range(4))


def test_a_job_follows_its_key_if_its_id_was_made_with_it() -> None:
    job = make_job(client="acme", idempotency_key="order-42")

    assert follows_idempotency_key(job)
    assert follows_idempotency_key(make_job())
    assert not follows_idempotency_key(make_job(job_id=job.job_id, client="globex", idempotency_key="order-42"))
    assert not follows_idempotency_key(make_job(job_id=job.job_id, client="acme", idempotency_key="order-43"))
    assert not follows_idempotency_key(
        make_job(job_id=JobId("019cebab-8995-7000-8000-000000000001"), idempotency_key="k")
    )
