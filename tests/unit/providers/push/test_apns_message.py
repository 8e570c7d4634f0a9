"""What APNs is sent: headers, payload, and the token of the half hour."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.push_services import key_file
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.apns import ApnsOptions, ApnsProvider
from wavecom.providers.base import UnsendableError
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.push.apns_message import apns_headers, apns_payload, message_uuid
from wavecom.providers.push.content import LONGEST_TTL_SECONDS, seconds_to_live

if TYPE_CHECKING:
    from tests.unit.providers.conftest import Environment

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def message(new_message: Callable[..., Message]) -> Message:
    return new_message(Channel.PUSH, to={"platform": "apns", "token": "ab" * 32})


def test_each_field_has_its_place() -> None:
    payload = {
        "title": "Order",
        "body": "is on its way",
        "data": {"order": "A-17"},
        "badge": 0,
        "sound": "ding.wav",
        "imageUrl": "https://example.com/a.png",
        "clickUrl": "myapp://orders/1",
        "ttlSeconds": 600,
        "collapseKey": "order-A-17",
    }

    assert json.loads(apns_payload(payload)) == {
        "aps": {
            "alert": {"title": "Order", "body": "is on its way"},
            "badge": 0,
            "sound": "ding.wav",
            "mutable-content": 1,
        },
        "order": "A-17",
        "imageUrl": "https://example.com/a.png",
        "clickUrl": "myapp://orders/1",
    }


@pytest.mark.parametrize(
    ("payload", "type_", "priority"),
    [
        ({"title": "a"}, "alert", "10"),
        ({"body": "a", "data": {"a": "b"}}, "alert", "10"),
        ({"data": {"a": "b"}}, "background", "5"),
        ({"badge": 3}, "alert", "5"),
    ],
)
def test_the_type_says_whether_something_is_shown(
    message: Message, payload: dict[str, Any], type_: str, priority: str
) -> None:
    headers = apns_headers(replace(message, payload=payload), "com.example.app", NOW)

    assert (headers["apns-push-type"], headers["apns-priority"]) == (type_, priority)


def test_what_only_wakes_the_app_says_so() -> None:
    assert json.loads(apns_payload({"data": {"a": "b"}}))["aps"] == {"content-available": 1}


@pytest.mark.parametrize(("ttl", "seconds"), [(600, 600), (None, 28 * 86_400)])
def test_a_message_is_kept_as_long_as_it_says(message: Message, ttl: int | None, seconds: int) -> None:
    payload = {"title": "a"} if ttl is None else {"title": "a", "ttlSeconds": ttl}

    headers = apns_headers(replace(message, payload=payload), "t", NOW)

    assert headers["apns-expiration"] == str(int(NOW.timestamp()) + seconds)


def test_no_time_to_live_means_now_or_never(message: Message) -> None:
    headers = apns_headers(replace(message, payload={"title": "a", "ttlSeconds": 0}), "t", NOW)

    assert headers["apns-expiration"] == "0"


def test_ids_are_the_same_at_every_attempt_and_new_after_a_replay(message: Message) -> None:
    replayed = replace(message, delivery_key=f"{message.delivery_key}:1")
    first, again, other = (apns_headers(each, "t", NOW) for each in (message, replace(message, attempt=2), replayed))

    assert first["apns-id"] == again["apns-id"] == message.delivery_key
    assert other["apns-id"] == str(message_uuid(replayed.delivery_key)) != first["apns-id"]
    assert first["apns-collapse-id"] == again["apns-collapse-id"] != other["apns-collapse-id"]


def test_what_is_too_large_in_this_form_is_refused_before_the_call() -> None:
    fits = 4096 - len(apns_payload({"body": ""}))

    assert len(apns_payload({"body": "x" * (fits - len('"alert":{"body":""}'))})) <= 4096
    with pytest.raises(UnsendableError, match="at most 4096"):
        apns_payload({"body": "x" * 4096})


@dataclass
class MovedClock:
    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


def test_the_token_is_the_same_in_every_process_for_half_an_hour(
    environment: Environment, message: Message, tmp_path: Path
) -> None:
    clock = MovedClock(NOW)
    options = ApnsOptions(key_file=str(key_file(tmp_path)), key_id="ABC123DEFG", team_id="DEF123GHIJ", topic="t")
    config = ProviderConfig(name="apns", type="apns", options=options)
    dependencies = replace(environment.dependencies(), clock=clock)
    one, other = ApnsProvider(config, dependencies), ApnsProvider(config, dependencies)

    def token(provider: ApnsProvider, minutes: float) -> str:
        clock.at = NOW + timedelta(minutes=minutes)
        return provider.request(message).headers["authorization"]

    first = token(one, 1)
    assert first == token(one, 30.9) == token(other, 15)
    # A minute behind the half hour, so that the clock of APNs, if it is behind ours, has come there too.
    assert token(one, 31) == token(other, 60.9) != first


def test_another_platform_is_for_another_provider(
    environment: Environment, new_message: Callable[..., Message], tmp_path: Path
) -> None:
    options = ApnsOptions(key_file=str(key_file(tmp_path)), key_id="ABC123DEFG", team_id="DEF123GHIJ", topic="t")
    provider = ApnsProvider(ProviderConfig(name="a", type="apns", options=options), environment.dependencies())

    result = provider.send(new_message(Channel.PUSH))

    assert result.is_final_here
    assert "to.platform" in result.message
    assert environment.transport.requests == []


@pytest.mark.parametrize(
    ("left", "asked", "seconds"),
    [
        (timedelta(minutes=5), None, 300),
        (timedelta(minutes=5), 60, 60),
        (timedelta(days=90), None, LONGEST_TTL_SECONDS),
        (timedelta(seconds=-1), None, 0),
        (None, None, None),
    ],
)
def test_a_message_is_kept_no_longer_than_it_is_worth_something(
    message: Message, left: timedelta | None, asked: int | None, seconds: int | None
) -> None:
    payload = {"title": "a"} if asked is None else {"title": "a", "ttlSeconds": asked}
    message = replace(message, payload=payload, expires_at=None if left is None else NOW + left)

    ends_at = apns_headers(message, "t", NOW)["apns-expiration"]

    assert seconds_to_live(message, NOW) == seconds
    usual = LONGEST_TTL_SECONDS if seconds is None else seconds
    assert ends_at == (str(int(NOW.timestamp()) + usual) if usual else "0")
