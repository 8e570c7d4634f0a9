"""Who is refused is seen, and who guesses is slowed down; who has a right key never is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.unit.web.conftest import KEY, NOW, WebEnvironment, make_environment
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.settings import Settings
from wavecom.web.security import LINES_EACH, LINES_IN_ALL, REASONS

SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}
WRONG = "wc_live_" + "w" * 39 + "9zYx"
READ_ONLY = "wc_live_" + "r" * 43
ADDRESS = "192.0.2.7"


@pytest.fixture
def log_lines() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


def _add_key(environment: WebEnvironment, key: str, **fields: Any) -> None:
    usual = {"key_id": "another", "client": "acme", "scopes": frozenset({KeyScope.READ}), "is_live": True}
    environment.keys.add(KeyRecord(**usual | {"hash": hash_of(key), "created_at": NOW} | fields))


def _call(environment: WebEnvironment, key: str | None, address: str = ADDRESS, *, short_way: bool = True) -> Any:
    # A query keeps a request from the fast path.
    path = "/api/notifications" + ("" if short_way else "?x=1")
    return environment.client(key).post(path, json=SMS, environ_overrides={"REMOTE_ADDR": address})


def _count(reason: str, surface: str = "api") -> float:
    labels = {"surface": surface, "reason": reason}
    return REGISTRY.get_sample_value("wavecom_security_events_total", labels) or 0


CASES: dict[str, tuple[str | None, dict[str, Any] | None, int, dict[str, Any]]] = {
    "no key": (None, None, 401, {"reason": "no_key"}),
    "no bearer": ("", None, 401, {"reason": "no_bearer"}),
    "an unknown key": (WRONG, None, 401, {"reason": "unknown_key", "key_hint": "9zYx"}),
    "an expired key": (
        WRONG,
        {"expires_at": NOW},
        401,
        {"reason": "expired_key", "key_hint": "9zYx", "key_id": "another"},
    ),
    "a revoked key": (
        WRONG,
        {"revoked_at": NOW},
        401,
        {"reason": "revoked_key", "key_hint": "9zYx", "key_id": "another"},
    ),
    "a key without the right": (WRONG, {}, 403, {"reason": "forbidden", "key_hint": "9zYx", "key_id": "another"}),
    "a password": ("hunter2-is-no-key-at-all", None, 401, {"reason": "unknown_key"}),
    "what only begins like a key": ("wc_live_short9zYx", None, 401, {"reason": "unknown_key"}),
    "what has more in it than a key": (WRONG + "\u2028\u202e", None, 401, {"reason": "unknown_key"}),
}


@pytest.mark.parametrize("short_way", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_each_refusal_leaves_a_line_and_a_count(
    name: str, short_way: bool, environment: WebEnvironment, log_lines: list[EventDict]
) -> None:
    key, fields, status, told = CASES[name]
    if fields is not None:
        _add_key(environment, str(key), **fields)
    before = _count(told["reason"])

    answer = _call(environment, key and key.encode().decode("latin-1"), short_way=short_way)

    line = {"event": "access_refused", "log_level": "warning", "surface": "api", "address": ADDRESS}
    assert answer.status_code == status
    assert log_lines == [line | told]
    assert _count(told["reason"]) == before + 1
    assert told["reason"] in REASONS
    assert key is None or not key or key not in str(log_lines)


def test_a_refusal_deep_in_a_view_is_seen_too(environment: WebEnvironment, log_lines: list[EventDict]) -> None:
    _add_key(environment, WRONG, scopes=frozenset({KeyScope.ADMIN}))

    answer = environment.client(WRONG).post("/api/keys", json={"name": "wider", "scopes": ["send"]})

    assert answer.status_code == 403
    assert [(line["reason"], line["key_id"]) for line in log_lines] == [("forbidden", "another")]


def test_after_many_wrong_keys_an_address_is_told_to_wait(environment: WebEnvironment) -> None:
    answers = [_call(environment, WRONG[:-1] + str(number % 10)) for number in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    assert (answers[-1].json["code"], answers[-1].headers["Retry-After"]) == ("too_many_wrong_keys", "3")


def test_a_right_key_is_let_in_whatever_others_try_from_its_address(environment: WebEnvironment) -> None:
    _add_key(environment, READ_ONLY)
    for number in range(60):
        _call(environment, f"{KEY[:-4]}x{number:03}")
        _call(environment, KEY[:-1] + "x")

    assert _call(environment, KEY).status_code == 202
    assert _call(environment, KEY, short_way=False).status_code == 202
    assert [_call(environment, READ_ONLY).status_code for _ in range(60)] == [403] * 60


def test_guesses_at_one_key_from_many_addresses_are_slowed_down(environment: WebEnvironment) -> None:
    answers = [_call(environment, f"wc_live_{number:039}9zYx", f"192.0.2.{number}") for number in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5


def test_requests_without_a_key_are_never_told_to_wait(environment: WebEnvironment) -> None:
    assert {_call(environment, None).status_code for _ in range(60)} == {401}


def test_after_a_while_a_wrong_key_is_only_wrong_again(environment: WebEnvironment) -> None:
    for _ in range(25):
        _call(environment, WRONG)
    environment.clock.advance(3)

    assert [_call(environment, WRONG).status_code for _ in range(2)] == [401, 429]


def test_a_flood_from_one_address_leaves_few_lines_and_tells_how_many_it_left_out(
    environment: WebEnvironment, log_lines: list[EventDict]
) -> None:
    before = _count("no_key")
    for _ in range(500):
        _call(environment, None)
    flood = len(log_lines)
    environment.clock.advance(60)
    _call(environment, None)

    assert flood == LINES_EACH
    assert log_lines[-1]["unlogged_before"] == 500 - LINES_EACH
    assert _count("no_key") == before + 501


def test_a_flood_from_everywhere_leaves_few_lines_too(environment: WebEnvironment, log_lines: list[EventDict]) -> None:
    for number in range(600):
        _call(environment, None, f"198.51.{number // 250}.{number % 250}")

    assert len(log_lines) == LINES_IN_ALL


def test_the_address_is_the_clients_behind_a_trusted_proxy_and_nobodys_invention(log_lines: list[EventDict]) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.5"}
    for count in (0, 1):
        environment = make_environment(Settings(secret_key="a secret for tests", trusted_proxies=count))
        for path in ("/api/notifications", "/api/notifications?x=1"):
            environment.client(None).post(path, json=SMS, headers=headers, environ_overrides={"REMOTE_ADDR": ADDRESS})

    addresses = [line["address"] for line in log_lines if line["event"] == "access_refused"]
    assert addresses == [ADDRESS, ADDRESS, "203.0.113.5", "203.0.113.5"]
