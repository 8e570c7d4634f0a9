"""One suite for every ``UserStore``."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryUserStore
from wavecom.core.roles import Role
from wavecom.core.users import UserRecord, UserStore
from wavecom.storage.mongo.users import MongoUserStore


@pytest.fixture(params=["memory", "mongo"])
def users(request: pytest.FixtureRequest) -> UserStore:
    if request.param == "memory":
        return MemoryUserStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoUserStore(database)


def _record(name: str = "ada", **overrides: Any) -> UserRecord:
    fields: dict[str, Any] = {
        "name": name,
        "role": Role.VIEWER,
        "created_at": NOW,
        "password_hash": "$argon2id$…",
        "second_factor": b"\x00\xff secret",
        "credentials_id": "c-1",
    }
    return UserRecord(**fields | overrides)


def test_a_user_is_found_by_name_as_it_was_kept(users: UserStore) -> None:
    ada, bob = _record(), _record("bob", second_factor=None, disabled_at=later(5), last_step=7)

    assert users.add(bob)
    assert users.add(ada)

    assert users.find("ada") == ada
    assert users.find("bob") == bob
    assert users.find("eve") is None
    assert list(users.all()) == [ada, bob]


def test_a_second_user_of_the_same_name_changes_nothing(users: UserStore) -> None:
    users.add(_record())

    assert not users.add(_record(role=Role.ADMIN, password_hash="another"))

    assert users.find("ada") == _record()


def test_each_change_changes_nothing_else(users: UserStore) -> None:
    users.add(_record())

    assert users.set_role("ada", Role.OPERATOR)
    assert users.set_disabled("ada", later(60))
    assert users.set_credentials("ada", password_hash="new", second_factor=None, credentials_id="c-2")
    changed = users.find("ada")
    assert users.set_disabled("ada", None)

    expected = {"role": Role.OPERATOR, "password_hash": "new", "second_factor": None, "credentials_id": "c-2"}
    assert changed == _record(**expected, disabled_at=later(60))
    assert users.find("ada") == _record(**expected)


def test_credentials_that_somebody_has_replaced_meanwhile_are_left(users: UserStore) -> None:
    users.add(_record())
    own = {"password_hash": "own", "second_factor": None, "credentials_id": "c-3"}

    assert users.set_credentials("ada", password_hash="reset", second_factor=b"new", credentials_id="c-2")
    is_late = users.set_credentials("ada", **own, replaces=_record().credentials_id)
    after_reset = users.find("ada")
    # The second time as well: who did not hear of the first says it again.
    in_time = [users.set_credentials("ada", **own, replaces="c-2") for _ in range(2)]

    assert not is_late
    assert after_reset == _record(password_hash="reset", second_factor=b"new", credentials_id="c-2")
    assert in_time == [True, True]
    assert users.find("ada") == _record(**own)


def test_nobody_is_changed_who_is_not_there(users: UserStore) -> None:
    changes = [
        users.set_role("eve", Role.ADMIN),
        users.set_disabled("eve", NOW),
        users.set_credentials("eve", password_hash="new", second_factor=None, credentials_id="c-2"),
        users.take_step("eve", 1),
    ]

    assert changes == [False] * 4
    assert list(users.all()) == []


def test_a_step_is_taken_once_and_no_earlier_one_after_it(users: UserStore) -> None:
    users.add(_record())

    assert [users.take_step("ada", step) for step in (5, 5, 4, 6)] == [True, False, False, True]


def test_whom_a_provider_vouches_for_is_found_by_its_name_of_him_and_kept_once(users: UserStore) -> None:
    ada = _record("sso:ada", password_hash="", second_factor=None, issuer="https://login.example", subject="7")
    users.add(_record())

    assert users.add(ada)
    assert not users.add(_record("sso:bob", issuer="https://login.example", subject="7"))
    assert users.add(_record("sso:eve", issuer="https://other.example", subject="7"))

    assert users.find_by_subject("https://login.example", "7") == ada
    assert users.find_by_subject("https://login.example", "8") is None
    assert [each.name for each in users.all()] == ["ada", "sso:ada", "sso:eve"]


def test_users_with_passwords_do_not_stand_in_each_others_way(users: UserStore) -> None:
    assert users.add(_record("ada"))
    assert users.add(_record("bob"))
    assert users.find_by_subject("", "") is None
