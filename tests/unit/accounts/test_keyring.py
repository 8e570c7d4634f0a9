"""The key ring: looks keys up by hash, remembers for seconds, keeps no key."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.memory_storage import MemoryKeyStore
from wavecom.accounts import Caller, KeyRing, KeyScope, hash_of, make_key
from wavecom.accounts.keyring import MEMORY_SECONDS
from wavecom.core.keys import KeyRecord
from wavecom.errors import UnauthenticatedError

KEY = make_key()


class CountingKeyStore(MemoryKeyStore):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.finds = 0

    def find(self, key_hash: str) -> KeyRecord | None:
        self.finds += 1
        return super().find(key_hash)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> CountingKeyStore:
    return CountingKeyStore()


@pytest.fixture
def keys(store: CountingKeyStore, clock: FakeClock) -> KeyRing:
    return KeyRing(store, clock, capacity=3)


def _record(key: str, clock: FakeClock, **fields: object) -> KeyRecord:
    record = KeyRecord(
        key_id="key-1",
        hash=hash_of(key),
        client="acme",
        scopes=frozenset({KeyScope.SEND}),
        is_live=False,
        created_at=clock.now(),
    )
    return replace(record, **fields)  # type: ignore[arg-type]


def _is_refused(keys: KeyRing, key: str) -> bool:
    try:
        keys.authenticate(key)
    except UnauthenticatedError:
        return True
    return False


def _caller(account: str, *, is_live: bool) -> Caller:
    scopes = frozenset({"send"})
    return Caller(client=account, name="key key-1", budget="key-1", scopes=scopes, is_live=is_live, key_id="key-1")


def test_a_known_key_names_its_client_scopes_and_kind(keys: KeyRing, store: CountingKeyStore, clock: FakeClock) -> None:
    store.add(_record(KEY, clock, is_live=True))

    assert keys.authenticate(KEY) == _caller("acme", is_live=True)


def test_a_test_key_stands_for_its_clients_test_account(
    keys: KeyRing, store: CountingKeyStore, clock: FakeClock
) -> None:
    store.add(_record(KEY, clock, is_live=False))

    assert keys.authenticate(KEY) == _caller("acme:test", is_live=False)


def test_an_unknown_key_is_refused(keys: KeyRing) -> None:
    assert _is_refused(keys, KEY)


def test_a_key_of_absurd_length_is_refused_without_asking_the_store(keys: KeyRing, store: CountingKeyStore) -> None:
    assert _is_refused(keys, "x" * 513)
    assert store.finds == 0


def test_a_key_with_half_a_surrogate_pair_is_only_unknown(keys: KeyRing) -> None:
    assert _is_refused(keys, "wc_live_\udcff")
    assert _is_refused(keys, "wc_live_\ud800")


def test_the_store_is_asked_once_in_a_while(keys: KeyRing, store: CountingKeyStore, clock: FakeClock) -> None:
    store.add(_record(KEY, clock))
    for _ in range(5):
        keys.authenticate(KEY)
        assert _is_refused(keys, "unknown")
    assert store.finds == 2

    clock.advance(MEMORY_SECONDS)
    keys.authenticate(KEY)

    assert store.finds == 3


def test_a_revoked_key_is_refused_within_seconds(keys: KeyRing, store: CountingKeyStore, clock: FakeClock) -> None:
    record = _record(KEY, clock)
    store.add(record)
    keys.authenticate(KEY)
    store.revoke(record.key_id, clock.now())

    clock.advance(MEMORY_SECONDS)

    assert _is_refused(keys, KEY)


def test_a_remembered_key_ends_on_time(keys: KeyRing, store: CountingKeyStore, clock: FakeClock) -> None:
    store.add(_record(KEY, clock, expires_at=clock.now() + timedelta(seconds=2)))
    keys.authenticate(KEY)

    clock.advance(2)

    assert _is_refused(keys, KEY)


def test_what_is_recalled_is_what_was_found_and_asks_nobody(
    keys: KeyRing, store: CountingKeyStore, clock: FakeClock
) -> None:
    store.add(_record(KEY, clock, expires_at=clock.now() + timedelta(seconds=MEMORY_SECONDS / 2)))

    assert keys.remembered(KEY) is None
    assert store.finds == 0

    found = keys.authenticate(KEY)
    assert keys.remembered(KEY) == found
    assert store.finds == 1

    clock.advance(MEMORY_SECONDS / 2)
    assert keys.remembered(KEY) is None, "it has expired"


def test_nothing_is_recalled_for_longer_than_a_revoked_key_may_be_taken(
    keys: KeyRing, store: CountingKeyStore, clock: FakeClock
) -> None:
    store.add(_record(KEY, clock))
    keys.authenticate(KEY)

    clock.advance(MEMORY_SECONDS)

    assert keys.remembered(KEY) is None
    assert keys.remembered("k" * 10_000) is None


def test_a_flood_of_invented_keys_pushes_out_no_real_one(
    keys: KeyRing, store: CountingKeyStore, clock: FakeClock
) -> None:
    store.add(_record(KEY, clock))
    keys.authenticate(KEY)
    for number in range(50):
        assert _is_refused(keys, f"invented-{number}")
    asked = store.finds

    keys.authenticate(KEY)

    assert store.finds == asked


def test_the_first_key_is_live_with_all_rights_and_made_once(keys: KeyRing, store: CountingKeyStore) -> None:
    assert _is_refused(keys, KEY)

    keys.ensure_first_key(KEY)
    keys.ensure_first_key(KEY)

    caller = keys.authenticate(KEY)
    assert (caller.client, caller.scopes, caller.is_live) == ("default", frozenset(KeyScope), True)
    assert len(store.of_client("default")) == 1


def test_a_key_stands_in_no_log_and_in_no_text_of_ours(keys: KeyRing, store: CountingKeyStore) -> None:
    with capture_logs() as lines:
        keys.ensure_first_key(KEY)
        caller = keys.authenticate(KEY)
        with pytest.raises(UnauthenticatedError) as refused:
            keys.authenticate(KEY + "x")

    said = repr((lines, caller, str(refused.value), store.of_client("default")))
    assert KEY not in said
    assert hash_of(KEY) not in said


@pytest.mark.parametrize(("is_live", "prefix"), [(True, "wc_live_"), (False, "wc_test_")])
def test_keys_tell_their_kind_and_are_never_the_same(is_live: bool, prefix: str) -> None:
    made = {make_key(is_live=is_live) for _ in range(50)}

    assert len(made) == 50
    assert all(re.fullmatch(prefix + "[A-Za-z0-9_-]{43}", key) for key in made)


def test_what_is_stored_is_a_sha256() -> None:
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
