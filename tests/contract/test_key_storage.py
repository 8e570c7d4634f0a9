"""One suite for every ``KeyStore``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryKeyStore
from wavecom.core.keys import KeyRecord, KeyStore
from wavecom.core.senders import ANY_SENDER, SenderPolicy
from wavecom.storage.mongo.keys import MongoKeyStore


@pytest.fixture(params=["memory", "mongo"])
def keys(request: pytest.FixtureRequest) -> KeyStore:
    if request.param == "memory":
        return MemoryKeyStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoKeyStore(database)


def _record(**overrides: Any) -> KeyRecord:
    fields: dict[str, Any] = {
        "key_id": "key-1",
        "hash": "a" * 64,
        "client": "acme",
        "scopes": frozenset({"send", "read"}),
        "is_live": True,
        "created_at": NOW,
        "name": "Backend",
    }
    return KeyRecord(**fields | overrides)


@pytest.mark.parametrize(
    "record",
    [
        _record(),
        _record(
            is_live=False,
            scopes=frozenset(),
            name="",
            expires_at=later(9),
            revoked_at=later(3),
            hint="x7Qk",
            replaced_by="k",
            counts_as="j",
        ),
    ],
    ids=["usual", "ended"],
)
def test_a_key_is_found_by_its_hash_as_it_was_kept(keys: KeyStore, record: KeyRecord) -> None:
    keys.add(record)

    assert keys.find(record.hash) == record
    assert keys.find("b" * 64) is None


def test_adding_a_hash_again_changes_nothing(keys: KeyStore) -> None:
    keys.add(_record())

    keys.add(_record(key_id="key-2", client="globex"))

    assert keys.find("a" * 64) == _record()
    assert keys.of_client("globex") == []


def test_of_many_who_add_the_first_key_at_once_one_is_kept(keys: KeyStore) -> None:
    records = [_record(key_id=f"key-{number}") for number in range(8)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(keys.add, records))

    assert keys.of_client("acme") == [keys.find("a" * 64)]


def test_a_key_is_found_by_its_id(keys: KeyStore) -> None:
    keys.add(_record())

    assert keys.find_by_id("key-1") == _record()
    assert keys.find_by_id("key-2") is None


def test_the_first_revocation_counts(keys: KeyStore) -> None:
    keys.add(_record())

    first = keys.revoke("key-1", later(5))
    second = keys.revoke("key-1", later(9))

    assert first == second == keys.find("a" * 64) == _record(revoked_at=later(5))
    assert keys.revoke("key-2", later(5)) is None


def test_a_retired_key_ends_in_favour_of_another_however_often_that_is_said(keys: KeyStore) -> None:
    keys.add(_record())

    answers = [keys.retire("key-1", later(60), "key-2") for _ in range(2)]

    assert answers == [True, True]
    assert keys.find("a" * 64) == _record(expires_at=later(60), replaced_by="key-2")


def test_a_key_is_retired_once_and_never_after_it_was_revoked(keys: KeyStore) -> None:
    keys.add(_record())
    keys.add(_record(key_id="revoked", hash="b" * 64, revoked_at=NOW))
    keys.retire("key-1", later(60), "key-2")

    assert not keys.retire("key-1", later(90), "key-3")
    assert not keys.retire("revoked", later(90), "key-3")
    assert not keys.retire("unknown", later(90), "key-3")
    assert keys.find("a" * 64) == _record(expires_at=later(60), replaced_by="key-2")
    assert keys.find("b" * 64) == _record(key_id="revoked", hash="b" * 64, revoked_at=NOW)


def test_of_many_who_rotate_a_key_at_once_one_wins(keys: KeyStore) -> None:
    keys.add(_record())

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: keys.retire("key-1", later(60), f"key-{number}"), range(2, 10)))

    assert answers.count(True) == 1


def test_a_clients_keys_come_newest_first(keys: KeyStore) -> None:
    records = [_record(key_id=f"key-{age}", hash=f"{age:064}", created_at=later(-age)) for age in (3, 1, 2)]
    for record in [*records, _record(key_id="key-9", client="globex")]:
        keys.add(record)

    found = keys.of_client("acme")

    assert [record.key_id for record in found] == ["key-1", "key-2", "key-3"]
    assert len(keys.of_client(None)) == 4


@pytest.mark.parametrize(
    ("record", "is_valid"),
    [
        (_record(), True),
        (_record(expires_at=later(0.001)), True),
        (_record(expires_at=NOW), False),
        (_record(revoked_at=later(-1)), False),
        (_record(revoked_at=later(-1), expires_at=later(9)), False),
        (_record(revoked_at=later(1), expires_at=later(9)), True),
    ],
)
def test_a_key_is_valid_until_it_expires_or_is_revoked(record: KeyRecord, is_valid: bool) -> None:
    assert record.is_valid(NOW) is is_valid


def test_as_whom_a_client_may_send_is_kept_whole_and_replaced_whole(keys: KeyStore) -> None:
    policy = SenderPolicy(frozenset({"bank.example", "*.x.example"}), frozenset({"acme"}), True)
    assert keys.sender_policy("acme") == ANY_SENDER

    keys.set_sender_policy("acme", policy)
    assert keys.sender_policy("acme") == policy
    assert keys.sender_policy("globex") == ANY_SENDER

    keys.set_sender_policy("acme", SenderPolicy(frozenset()))
    assert keys.sender_policy("acme") == SenderPolicy(frozenset(), None, False)


def test_a_clients_contact_is_kept_beside_its_senders_and_forgotten_again(keys: KeyStore) -> None:
    assert keys.contact("acme") is None

    keys.set_sender_policy("acme", SenderPolicy(frozenset()))
    keys.set_contact("acme", "platform@acme.example")
    assert (keys.contact("acme"), keys.contact("globex")) == ("platform@acme.example", None)
    assert keys.sender_policy("acme") == SenderPolicy(frozenset())

    keys.set_contact("acme", None)
    assert keys.contact("acme") is None
