"""One suite for every ``SessionStore``."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemorySessionStore
from wavecom.core.sessions import SessionRecord, SessionStore
from wavecom.storage.mongo.sessions import MongoSessionStore


@pytest.fixture(params=["memory", "mongo"])
def sessions(request: pytest.FixtureRequest) -> SessionStore:
    if request.param == "memory":
        return MemorySessionStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoSessionStore(database)


def _record(number: int = 1, **overrides: Any) -> SessionRecord:
    fields: dict[str, Any] = {
        "session_id": f"session-{number}",
        "token_hash": f"{number:064}",
        "viewer": "key k-1",
        "opened_at": later(number),
        "last_seen_at": later(number),
        "expires_at": later(days=1),
        "key_id": "k-1",
        "address": "192.0.2.1",
        "browser": "Firefox",
    }
    return SessionRecord(**fields | overrides)


def test_a_session_is_found_by_its_token_as_it_was_kept(sessions: SessionStore) -> None:
    of_key = _record(1)
    of_operator = _record(2, viewer="operator", key_id=None, password_mark="abc", address="", browser="")
    of_sign_on = _record(
        3, viewer="user sso:ada", key_id=None, provider_session="s-7", sealed_id_token=b"\x00\xff sealed"
    )
    for record in (of_key, of_operator, of_key, of_sign_on):
        sessions.add(record)

    assert sessions.find(of_key.token_hash) == of_key
    assert sessions.find(of_operator.token_hash) == of_operator
    assert sessions.find(of_sign_on.token_hash) == of_sign_on
    assert sessions.find("f" * 64) is None
    assert list(sessions.all()) == [of_sign_on, of_operator, of_key]


def test_a_touch_moves_the_time_forward_only(sessions: SessionStore) -> None:
    sessions.add(_record(1))

    sessions.touch("session-1", later(60))
    sessions.touch("session-1", NOW)

    assert [record.last_seen_at for record in sessions.all()] == [later(60)]


def test_what_is_ended_is_gone_and_a_touch_does_not_bring_it_back(sessions: SessionStore) -> None:
    sessions.add(_record(1))

    first, second = sessions.end("session-1"), sessions.end("session-1")
    sessions.touch("session-1", later(60))

    assert (first, second) == (True, False)
    assert sessions.find(_record(1).token_hash) is None
    assert list(sessions.all()) == []


def test_a_key_takes_its_sessions_with_it_and_no_others(sessions: SessionStore) -> None:
    others = [_record(3, key_id="k-2", viewer="key k-2"), _record(4, key_id=None, viewer="operator")]
    for record in (_record(1), _record(2), *others):
        sessions.add(record)

    assert sessions.end_of_key("k-1") == 2
    assert sessions.end_of_key("k-1") == 0
    assert list(sessions.all()) == others[::-1]


def test_all_end_at_once(sessions: SessionStore) -> None:
    sessions.add(_record(1))
    sessions.add(_record(2, viewer="operator", key_id=None))

    assert sessions.end_all() == 2
    assert list(sessions.all()) == []
    assert sessions.end_all() == 0


def test_the_oldest_of_a_viewer_make_room_and_nobody_elses_do(sessions: SessionStore) -> None:
    others = [_record(9, key_id="k-2", viewer="key k-2"), _record(10, key_id=None, viewer="operator")]
    mine = [_record(number) for number in range(1, 6)]
    for record in (*mine, *others):
        sessions.add(record)

    sessions.end_oldest("key k-1", 2)
    sessions.end_oldest("key k-1", 2)

    assert [record.session_id for record in sessions.all()] == ["session-10", "session-9", "session-5", "session-4"]
