"""The fast path answers as Flask does, to the letter, and takes nothing that is not its own."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Response

from tests.memory_storage import MemoryJobRepository
from tests.unit.web.conftest import KEY, NOW, WebEnvironment, make_environment
from tests.unit.web.rsgi_client import Connection, flask_threads, scope_of, serve
from tests.unit.web.test_limits import LEFT_OVER, ScriptedQuotas
from wavecom.accounts import KeyScope, hash_of
from wavecom.batching import GroupCommit
from wavecom.core.keys import KeyRecord
from wavecom.core.lanes import Priority
from wavecom.core.quota import QuotaDecision
from wavecom.errors import RequestTimeoutError, StoreError
from wavecom.settings import Settings
from wavecom.web import send_fast_path
from wavecom.web.app import WaveComFlask
from wavecom.web.request_middleware import HANDED_ON
from wavecom.web.rsgi import RsgiApplication

PATH = "/api/notifications"
PLAIN = "application/json"
#: Means the same, and is none of the fast path's business.
OTHERWISE = "application/json; charset=utf-8"
SMS = b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}'
READ_ONLY = "wc_live_" + "r" * 43

_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Away(MemoryJobRepository):
    """A store that can't be reached."""

    def insert(self, jobs: Any) -> Any:
        raise StoreError("away")


def _limited() -> WebEnvironment:
    settings = Settings(secret_key="a secret for tests", key_rate_per_second=10, key_daily_quota=5000)
    return make_environment(settings, quotas=ScriptedQuotas(QuotaDecision(LEFT_OVER)))


def _without_room() -> WebEnvironment:
    quotas = ScriptedQuotas(QuotaDecision(LEFT_OVER, refused="rate", retry_after_seconds=7))
    return make_environment(Settings(secret_key="a secret for tests", key_rate_per_second=10), quotas=quotas)


def _small() -> WebEnvironment:
    return make_environment(Settings(secret_key="a secret for tests", max_body_bytes=100))


def _behind_a_proxy() -> WebEnvironment:
    return make_environment(Settings(secret_key="a secret for tests", trusted_proxies=1))


def _for_other_sites() -> WebEnvironment:
    return make_environment(Settings(secret_key="a secret for tests", cors_origins=("https://shop.example",)))


def _away() -> WebEnvironment:
    return make_environment(jobs=Away(lambda: NOW))


def _with_reader() -> WebEnvironment:
    environment = make_environment()
    environment.keys.add(
        KeyRecord(
            key_id="k2",
            hash=hash_of(READ_ONLY),
            client="acme",
            scopes=frozenset({KeyScope.READ}),
            is_live=True,
            created_at=NOW,
            name="reader",
            hint="rrrr",
        )
    )
    return environment


REQUESTS: dict[str, tuple[Callable[[], WebEnvironment], bytes, dict[str, str]]] = {
    "a text message": (make_environment, SMS, {}),
    "an e-mail": (
        make_environment,
        b'{"type":"email","to":{"email":"a@example.com"},"payload":{"subject":"Hi","text":"Hello"},"priority":"bulk"}',
        {},
    ),
    "a push notification with an id of the caller's": (
        make_environment,
        b'{"type":"push","to":{"platform":"fcm","token":"c3RhbmQtaW4tZm9yLWEtcmVnaXN0cmF0aW9uLXRva2Vu"},'
        b'"payload":{"title":"Parcel","body":"today"}}',
        {"X-Request-ID": "mine-1"},
    ),
    "one for later": (make_environment, SMS[:-1] + b', "sendAt": "2026-03-15T09:00:00Z"}', {}),
    "a key": (make_environment, SMS, {"Idempotency-Key": "order-1"}),
    "a key that is none": (make_environment, SMS, {"Idempotency-Key": "\t"}),
    "behind TLS": (_behind_a_proxy, SMS, {"X-Forwarded-Proto": "https"}),
    "somebody who pretends to be behind TLS": (make_environment, SMS, {"X-Forwarded-Proto": "https"}),
    "a key with limits": (_limited, SMS, {}),
    "no room under a limit": (_without_room, SMS, {}),
    "a site that others may use": (_for_other_sites, SMS, {}),
    "a store that is away": (_away, SMS, {}),
    "a body with faults": (make_environment, b'{"type": "sms", "to": {}, "payload": {"text": ""}, "x": 1}', {}),
    "a body with faults and a bad key": (make_environment, b'{"type": "sms"}', {"Idempotency-Key": "\t"}),
    "an unknown type": (make_environment, b'{"type": "fax"}', {}),
    "no object": (make_environment, b"[1]", {}),
    "no JSON": (make_environment, b'{"type": ', {}),
    "no body": (make_environment, b"", {}),
    "a body that is too deep": (make_environment, b'{"a":' * 30 + b"1" + b"}" * 30, {}),
    "a body that is too long": (_small, SMS + b" " * 100, {}),
    "no key": (make_environment, SMS, {"Authorization": ""}),
    "another kind of key": (make_environment, SMS, {"Authorization": "Basic abc"}),
    "an unknown key": (make_environment, SMS, {"Authorization": "Bearer " + KEY + "x"}),
    "a key that may only read": (_with_reader, SMS, {"Authorization": "Bearer " + READ_ONLY}),
}


def _scope(headers: Mapping[str, str], content_type: str, body: bytes, *more: tuple[str, str]) -> Any:
    own = {
        "Host": "localhost",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "X-Request-ID": "same",
    }
    return scope_of("POST", PATH, [*(own | headers).items(), *more])


def _rsgi(environment: WebEnvironment) -> RsgiApplication:
    assert isinstance(environment.app, WaveComFlask)
    return environment.app.rsgi


def _post(environment: WebEnvironment, body: bytes, headers: Mapping[str, str], content_type: str) -> Connection:
    [answer] = serve(_rsgi(environment), [(_scope(headers, content_type, body), body)])
    return answer


def _told(answer: Connection) -> tuple[int, list[tuple[str, str]], str]:
    """Everything a client sees; ids, which are new each time, aside. The order of headers means nothing."""
    headers = sorted((name, _JOB_ID.sub("ID", value)) for name, value in answer.headers)
    return answer.status_code, headers, _JOB_ID.sub("ID", answer.text)


@pytest.mark.parametrize("name", REQUESTS)
def test_both_ways_answer_alike_and_keep_alike(name: str) -> None:
    make, body, headers = REQUESTS[name]
    fast, slow = make(), make()
    by_flask = flask_threads(fast.app)

    answers = [_post(fast, body, headers, PLAIN), _post(slow, body, headers, OTHERWISE)]

    assert _told(answers[0]) == _told(answers[1])
    assert len(fast.publisher.delivery_messages) == len(slow.publisher.delivery_messages)
    assert bool(by_flask) == (answers[0].status_code != 202), "what is accepted does without Flask, the rest is Flask's"


def test_a_repetition_is_told_alike_on_both_ways() -> None:
    environment = make_environment(quotas=ScriptedQuotas())
    key = {"Idempotency-Key": "order-1"}
    first = _post(environment, SMS, key, PLAIN)

    again = [_post(environment, SMS, key, PLAIN), _post(environment, SMS, key, OTHERWISE)]
    other = [_post(environment, SMS[:-1] + b', "maxAttempts": 2}', key, each) for each in (PLAIN, OTHERWISE)]

    assert [each.headers["Idempotent-Replayed"] for each in again] == ["true", "true"]
    assert {each.data for each in again} == {first.data}
    assert _told(again[0]) == _told(again[1])
    assert [each.status_code for each in other] == [422, 422]
    assert _told(other[0]) == _told(other[1])
    assert len(environment.publisher.delivery_messages) == 1


class _Awaiting(MemoryJobRepository):
    """A store that is done when ``is_over`` is set."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.is_over = threading.Event()

    def insert(self, jobs: Any) -> Any:
        assert self.is_over.wait(30)
        return super().insert(jobs)


def _taken() -> tuple[WebEnvironment, _Awaiting]:
    """With a single place, which the first request holds for as long as the store lets it wait."""
    jobs = _Awaiting()
    settings = Settings(secret_key="a secret for tests", max_requests_in_flight=1)
    return make_environment(settings, jobs=jobs, batcher=GroupCommit), jobs


@pytest.mark.parametrize("content_type", [PLAIN, OTHERWISE])
def test_what_waits_for_the_group_commit_is_in_flight_and_others_are_refused(content_type: str) -> None:
    environment, jobs = _taken()
    by_flask = flask_threads(environment.app)

    @environment.app.after_request
    def end(response: Response) -> Response:
        jobs.is_over.set()
        return response

    requests = [(_scope({}, PLAIN, SMS), SMS), (_scope({}, content_type, SMS), SMS)]
    answers = serve(_rsgi(environment), requests)

    assert [each.status_code for each in answers] == [202, 503]
    assert by_flask == ["refusals"], "who is refused takes no thread of the API"
    # The place is free again.
    assert _post(environment, SMS, {}, PLAIN).status_code == 202


@pytest.mark.parametrize("content_type", [PLAIN, OTHERWISE])
def test_a_place_is_free_again_whatever_became_of_its_request(content_type: str) -> None:
    environment = make_environment(
        Settings(secret_key="a secret for tests", max_requests_in_flight=1), quotas=ScriptedQuotas()
    )
    key = {"Idempotency-Key": "order-1"}

    bodies = [SMS, SMS, SMS[:-1] + b', "maxAttempts": 2}', b"[1]", SMS]
    answers = [_post(environment, body, key if index < 3 else {}, content_type) for index, body in enumerate(bodies)]

    assert [each.status_code for each in answers] == [202, 202, 422, 422, 202]


def test_what_is_refused_in_a_batch_costs_none_of_the_others_anything() -> None:
    environment = make_environment(quotas=ScriptedQuotas())
    requests = [
        (_scope({"Idempotency-Key": "\t"}, PLAIN, SMS), SMS),
        (_scope({}, PLAIN, SMS), SMS),
        (_scope({}, PLAIN, b"[1]"), b"[1]"),
        (_scope({"Idempotency-Key": "order-1"}, PLAIN, SMS), SMS),
        (_scope({}, PLAIN, _WITH_A_FILE), _WITH_A_FILE),
        (_scope({}, PLAIN, SMS), SMS),
    ]

    answers = serve(_rsgi(environment), requests)

    assert [each.status_code for each in answers] == [422, 202, 422, 202, 202, 202]
    assert len(environment.publisher.delivery_messages) == 4


def test_many_that_come_at_one_time_are_stored_each_for_itself() -> None:
    environment = make_environment(batcher=GroupCommit)
    bodies = [SMS[:-1] + f', "metadata": {{"n": "{number}"}}}}'.encode() for number in range(40)]

    answers = serve(_rsgi(environment), [(_scope({}, PLAIN, body), body) for body in bodies])

    for number, answer in enumerate(answers):
        assert answer.status_code == 202
        job = environment.jobs.get(answer.json["jobId"], "default")
        assert job is not None
        assert job.metadata == {"n": str(number)}
    assert len(environment.publisher.delivery_messages) == 40


def test_only_a_body_with_high_priority_waits_for_no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    urgent: list[bool] = []

    class Noting(GroupCommit[Any, Any]):
        def enqueue(self, item: Any, on_done: Any, *, is_urgent: bool = False) -> None:
            urgent.append(is_urgent)
            super().enqueue(item, on_done, is_urgent=is_urgent)

    monkeypatch.setattr(send_fast_path, "GroupCommit", Noting)
    bodies = [SMS, *(SMS[:-1] + f', "priority": "{priority}"}}'.encode() for priority in Priority)]

    answers = serve(_rsgi(make_environment()), [(_scope({}, PLAIN, body), body) for body in bodies])

    assert [answer.status_code for answer in answers] == [202] * 4
    assert sorted(urgent) == [False, False, False, True]


class _Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError("connection reset")


@pytest.mark.parametrize("stream", [io.BytesIO(SMS[:20]), _Broken()])
def test_a_client_that_hangs_up_within_its_body_is_no_bug_of_ours(stream: io.BytesIO) -> None:
    environment = make_environment()

    answer = environment.client().post(
        PATH, content_type=PLAIN, environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": str(len(SMS))}
    )

    assert answer.status_code == 400
    assert environment.publisher.delivery_messages == []


def test_a_bug_is_answered_where_all_are() -> None:
    class Odd(MemoryJobRepository):
        def insert(self, jobs: Any) -> Any:
            raise RuntimeError("odd")

    environment = make_environment(jobs=Odd(lambda: NOW))

    answer = _post(environment, SMS, {}, PLAIN)

    assert (answer.status_code, answer.json["code"], answer.json["requestId"]) == (500, "internal_error", "same")
    assert answer.headers["X-Request-ID"] == "same"


#: More than the event loop parses at once.
_LONG = SMS + b" " * 20_000
_WITH_A_FILE = json.dumps(
    {
        "type": "email",
        "to": {"email": "a@example.com"},
        "payload": {
            "subject": "Hi",
            "text": "Hello",
            "attachments": [{"filename": "a.txt", "contentType": "text/plain", "content": "SGVsbG8="}],
        },
    }
).encode()


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body"),
    [
        ("POST", PATH + "/batch", "", {}, SMS),
        ("POST", PATH + "/", "", {}, SMS),
        ("POST", "/" + PATH, "", {}, SMS),
        ("PUT", PATH, "", {}, SMS),
        ("POST", PATH, "a=1", {}, SMS),
        ("POST", PATH, "", {"Content-Type": "text/plain"}, SMS),
        ("POST", PATH, "", {"Origin": "https://shop.example"}, SMS),
        ("POST", PATH, "", {"Content-Encoding": "gzip"}, SMS),
        ("POST", PATH, "", {"Transfer-Encoding": "chunked"}, SMS),
        ("POST", PATH, "", {"Host": "a/b"}, SMS),
        ("POST", PATH, "", {"Host": "elsewhere.example"}, SMS),
        ("POST", PATH, "", {}, _LONG),
        ("POST", PATH, "", {}, _WITH_A_FILE),
    ],
)
def test_what_is_not_plain_is_flasks(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
    environment = make_environment()
    by_flask = flask_threads(environment.app)
    scope = _scope(headers, PLAIN, body)
    scope.method, scope.path, scope.query_string = method, path, query

    serve(_rsgi(environment), [(scope, body)])

    assert by_flask == ["api"]


def test_with_fast_paths_switched_off_everything_is_flasks() -> None:
    environment = make_environment(Settings(secret_key="a secret for tests", fast_paths=False))
    by_flask = flask_threads(environment.app)

    answer = _post(environment, SMS, {}, PLAIN)

    assert answer.status_code == 202
    assert by_flask == ["api"]


def test_what_was_refused_before_it_came_here_is_not_accepted() -> None:
    environment = make_environment()
    scope = _scope({}, PLAIN, SMS, ("Idempotency-Key", "order-1"), ("Idempotency-Key", "order-2"))

    [answer] = serve(_rsgi(environment), [(scope, SMS)])

    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert environment.publisher.delivery_messages == []


def test_an_error_that_is_handed_on_is_answered_by_flask() -> None:
    environment = make_environment()

    answer = environment.client().post(
        PATH,
        data=SMS,
        content_type=PLAIN,
        environ_overrides={HANDED_ON: RequestTimeoutError("The body did not arrive in time.")},
    )

    assert (answer.status_code, answer.json["code"]) == (408, "request_timeout")
    assert environment.publisher.delivery_messages == []
