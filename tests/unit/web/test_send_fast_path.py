"""The short way answers as Flask's way does, to the letter, and takes nothing that is not its own."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.memory_storage import MemoryJobRepository
from tests.unit.web.conftest import KEY, NOW, World, make_world
from tests.unit.web.test_limits import LEFT_OVER, ScriptedQuotas
from wavecom.accounts import Scope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.core.quota import QuotaDecision
from wavecom.errors import RequestTimeoutError, StoreError
from wavecom.settings import Settings
from wavecom.web.request_middleware import HANDED_ON
from wavecom.web.send_fast_path import SendFastPath

PATH = "/api/notifications"
PLAIN = "application/json"
#: Means the same, and is none of the short way's business.
OTHERWISE = "application/json; charset=utf-8"
SMS = b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}'
READ_ONLY = "wc_live_" + "r" * 43

_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Away(MemoryJobRepository):
    """A store that can't be reached."""

    def insert(self, jobs: Any) -> Any:
        raise StoreError("away")


def _limited() -> World:
    settings = Settings(secret_key="a secret for tests", key_rate_per_second=10, key_daily_quota=5000)
    return make_world(settings, quotas=ScriptedQuotas(QuotaDecision(LEFT_OVER)))


def _without_room() -> World:
    quotas = ScriptedQuotas(QuotaDecision(LEFT_OVER, refused="rate", retry_after_seconds=7))
    return make_world(Settings(secret_key="a secret for tests", key_rate_per_second=10), quotas=quotas)


def _small() -> World:
    return make_world(Settings(secret_key="a secret for tests", max_body_bytes=100))


def _full() -> World:
    return make_world(Settings(secret_key="a secret for tests", max_requests_in_flight=1))


def _behind_a_proxy() -> World:
    return make_world(Settings(secret_key="a secret for tests", trusted_proxies=1))


def _for_other_sites() -> World:
    return make_world(Settings(secret_key="a secret for tests", cors_origins=("https://shop.example",)))


def _away() -> World:
    return make_world(jobs=Away(lambda: NOW))


def _with_reader() -> World:
    world = make_world()
    world.keys.add(
        KeyRecord(
            key_id="k2",
            hash=hash_of(READ_ONLY),
            client="acme",
            scopes=frozenset({Scope.READ}),
            is_live=True,
            created_at=NOW,
            name="reader",
            hint="rrrr",
        )
    )
    return world


REQUESTS: dict[str, tuple[Callable[[], World], bytes, dict[str, str]]] = {
    "a text message": (make_world, SMS, {}),
    "an e-mail": (
        make_world,
        b'{"type":"email","to":{"email":"a@example.com"},"payload":{"subject":"Hi","text":"Hello"},"priority":"bulk"}',
        {},
    ),
    "a push notification with an id of the caller's": (
        make_world,
        b'{"type":"push","to":{"platform":"fcm","token":"c3RhbmQtaW4tZm9yLWEtcmVnaXN0cmF0aW9uLXRva2Vu"},'
        b'"payload":{"title":"Parcel","body":"today"}}',
        {"X-Request-ID": "mine-1"},
    ),
    "one for later": (make_world, SMS[:-1] + b', "sendAt": "2026-03-15T09:00:00Z"}', {}),
    "a key": (make_world, SMS, {"Idempotency-Key": "order-1"}),
    "a key that is none": (make_world, SMS, {"Idempotency-Key": "\t"}),
    "behind TLS": (_behind_a_proxy, SMS, {"X-Forwarded-Proto": "https"}),
    "somebody who pretends to be behind TLS": (make_world, SMS, {"X-Forwarded-Proto": "https"}),
    "a key with limits": (_limited, SMS, {}),
    "no room under a limit": (_without_room, SMS, {}),
    "a site that others may use": (_for_other_sites, SMS, {}),
    "a store that is away": (_away, SMS, {}),
    "a body with faults": (make_world, b'{"type": "sms", "to": {}, "payload": {"text": ""}, "x": 1}', {}),
    "a body with faults and a bad key": (make_world, b'{"type": "sms"}', {"Idempotency-Key": "\t"}),
    "an unknown type": (make_world, b'{"type": "fax"}', {}),
    "no object": (make_world, b"[1]", {}),
    "no JSON": (make_world, b'{"type": ', {}),
    "no body": (make_world, b"", {}),
    "a body that is too deep": (make_world, b'{"a":' * 30 + b"1" + b"}" * 30, {}),
    "a body that is too long": (_small, SMS + b" " * 100, {}),
    "no key": (make_world, SMS, {"Authorization": ""}),
    "another kind of key": (make_world, SMS, {"Authorization": "Basic abc"}),
    "an unknown key": (make_world, SMS, {"Authorization": "Bearer " + KEY + "x"}),
    "a key that may only read": (_with_reader, SMS, {"Authorization": "Bearer " + READ_ONLY}),
}


def _post(world: World, body: bytes, headers: dict[str, str], content_type: str) -> TestResponse:
    return world.client().post(PATH, data=body, headers={"X-Request-ID": "same", **headers}, content_type=content_type)


def _told(answer: TestResponse) -> tuple[str, list[tuple[str, str]], str]:
    """Everything a client sees; ids, which are new each time, aside. The order of headers means nothing."""
    headers = sorted((name, _JOB_ID.sub("ID", value)) for name, value in answer.headers)
    return answer.status, headers, _JOB_ID.sub("ID", answer.text)


@pytest.mark.parametrize("name", REQUESTS)
def test_both_ways_answer_alike_and_keep_alike(name: str) -> None:
    make, body, headers = REQUESTS[name]
    short, long = make(), make()

    answers = [_post(short, body, headers, PLAIN), _post(long, body, headers, OTHERWISE)]

    assert _told(answers[0]) == _told(answers[1])
    assert len(short.publisher.delivery_messages) == len(long.publisher.delivery_messages)


def test_a_repetition_is_told_alike_on_both_ways() -> None:
    world = make_world(quotas=ScriptedQuotas())
    key = {"Idempotency-Key": "order-1"}
    first = _post(world, SMS, key, PLAIN)

    again = [_post(world, SMS, key, PLAIN), _post(world, SMS, key, OTHERWISE)]
    other = [_post(world, SMS[:-1] + b', "maxAttempts": 2}', key, each) for each in (PLAIN, OTHERWISE)]

    assert [each.headers["Idempotent-Replayed"] for each in again] == ["true", "true"]
    assert {each.data for each in again} == {first.data}
    assert _told(again[0]) == _told(again[1])
    assert [each.status_code for each in other] == [422, 422]
    assert _told(other[0]) == _told(other[1])
    assert len(world.publisher.delivery_messages) == 1


def test_with_all_places_taken_both_ways_refuse_before_they_read_anything() -> None:
    told = []
    for content_type in (PLAIN, OTHERWISE):
        world = _full()
        held = _Held(world)
        told.append(_told(held.refused_meanwhile(content_type)))

    assert told[0] == told[1]
    assert told[0][0].startswith("503")


class _Held:
    """A world whose only place is taken by a request that reads its body."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refused_meanwhile(self, content_type: str) -> TestResponse:
        answers = []
        world = self._world

        class Asking(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                answers.append(_post(world, SMS, {}, content_type))
                return super().read(size)

        taken = world.client().post(
            PATH,
            content_type=PLAIN,
            environ_overrides={"wsgi.input": Asking(SMS), "CONTENT_LENGTH": str(len(SMS))},
        )
        assert taken.status_code == 202
        assert _post(world, SMS, {}, content_type).status_code == 202
        return answers[0]


class _Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError("connection reset")


@pytest.mark.parametrize("stream", [io.BytesIO(SMS[:20]), _Broken()])
def test_a_client_that_hangs_up_within_its_body_is_no_bug_of_ours(stream: io.BytesIO) -> None:
    world = make_world()

    answer = world.client().post(
        PATH, content_type=PLAIN, environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": str(len(SMS))}
    )

    assert answer.status_code == 400
    assert world.publisher.delivery_messages == []


def test_a_bug_is_answered_where_all_are() -> None:
    class Odd(MemoryJobRepository):
        def insert(self, jobs: Any) -> Any:
            raise RuntimeError("odd")

    world = make_world(jobs=Odd(lambda: NOW))

    answer = _post(world, SMS, {}, PLAIN)

    assert (answer.status_code, answer.json["code"], answer.json["requestId"]) == (500, "internal_error", "same")
    assert answer.headers["X-Request-ID"] == "same"


class _Flask:
    """Stands behind the short way and counts what gets there."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        start_response("204 NO CONTENT", [])
        return ()


@pytest.mark.parametrize(
    ("path", "method", "environ"),
    [
        (PATH, "GET", {}),
        (PATH, "OPTIONS", {}),
        (PATH + "/", "POST", {}),
        (PATH + "/batch", "POST", {}),
        ("/", "GET", {}),
        (PATH, "POST", {"QUERY_STRING": "a=1"}),
        (PATH, "POST", {"SCRIPT_NAME": "/wavecom"}),
        (PATH, "POST", {"CONTENT_TYPE": "text/plain"}),
        (PATH, "POST", {"CONTENT_LENGTH": "+5"}),
        (PATH, "POST", {"CONTENT_LENGTH": "²"}),
        (PATH, "POST", {"CONTENT_LENGTH": "9" * 30}),
        (PATH, "POST", {"HTTP_ORIGIN": "https://shop.example"}),
        (PATH, "POST", {"HTTP_CONTENT_ENCODING": "gzip"}),
        (PATH, "POST", {"HTTP_TRANSFER_ENCODING": "chunked"}),
        (PATH, "POST", {"HTTP_HOST": "a/b"}),
    ],
)
def test_what_is_not_plain_is_flasks(path: str, method: str, environ: dict[str, str]) -> None:
    world = make_world()
    flask = _Flask()
    short = world.app.wsgi_app
    assert isinstance(short, SendFastPath)
    short._app = flask

    world.client().open(path, method=method, data=SMS, content_type=PLAIN, environ_overrides=environ)

    assert flask.paths == [path]


def test_what_is_plain_never_gets_to_flask() -> None:
    world = make_world()
    flask = _Flask()
    assert isinstance(world.app.wsgi_app, SendFastPath)
    world.app.wsgi_app._app = flask

    answer = _post(world, SMS, {"Idempotency-Key": "order-1"}, PLAIN)

    assert answer.status_code == 202
    assert flask.paths == []


def test_what_was_refused_before_it_came_here_is_not_accepted() -> None:
    world = make_world()

    answer = world.client().post(
        PATH,
        data=SMS,
        content_type=PLAIN,
        environ_overrides={HANDED_ON: RequestTimeoutError("The body did not arrive in time.")},
    )

    assert (answer.status_code, answer.json["code"]) == (408, "request_timeout")
    assert world.publisher.delivery_messages == []
