"""Whatever is sent, the answer is one of the documented ones, and what is accepted can be read back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.bodies import good_notifications
from tests.unit.web.conftest import WebEnvironment, make_environment

NAMES = [
    *("type", "to", "payload", "metadata", "maxAttempts", "priority", "sendAt", "expiresAt", "ttlSeconds"),
    *("onUnknownOutcome", "email", "name", "phone", "platform", "token", "subscription", "endpoint", "keys", "p256dh"),
    *("auth", "subject", "text", "html", "from", "replyTo", "headers", "attachments", "filename", "contentType"),
    *("content", "senderId", "title", "body", "data", "badge", "_schema", "", "a/b~c", "__proto__", "$oid"),
]
WORDS = st.sampled_from(
    ["email", "sms", "push", "fcm", "webpush", "high", "stop", "amina@example.com", "+447700900123", "QUJD", "{}", "%s"]
)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
) | (WORDS | st.text(max_size=20))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
)
BODIES = [entry["body"] for entry in good_notifications()]


@st.composite
def spoiled_bodies(draw: st.DrawFn) -> Any:
    """A good body with some of its parts replaced, added or taken away."""
    body = orjson.loads(orjson.dumps(draw(st.sampled_from(BODIES))))
    for _ in range(draw(st.integers(1, 4))):
        place: Any = body
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys)) if keys and draw(st.integers(0, 4)) else None
            if key is not None and isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            break
        if isinstance(place, list):
            place.append(draw(VALUES))
        elif key is None:
            place[draw(st.sampled_from(NAMES))] = draw(VALUES)
        elif draw(st.booleans()):
            place[key] = draw(VALUES)
        else:
            del place[key]
    return body


@pytest.fixture(scope="module")
def open_environment() -> WebEnvironment:
    return make_environment()


def _check(environment: WebEnvironment, body: Any) -> None:
    client = environment.client()
    answer = client.post("/api/notifications", data=orjson.dumps(body), content_type="application/json")

    assert answer.status_code in {202, 413, 422}, answer.text
    if answer.status_code == 422:
        assert answer.json["errors"]
        assert all(error["message"] and error["code"] for error in answer.json["errors"])
    if answer.status_code == 202:
        kept = client.get(answer.headers["Location"])
        assert kept.status_code == 200
        assert kept.json["type"] == body["type"]


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(VALUES)
def test_any_json_gets_a_documented_answer(open_environment: WebEnvironment, body: Any) -> None:
    _check(open_environment, body)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled_bodies())
def test_any_spoiled_body_gets_a_documented_answer(open_environment: WebEnvironment, body: Any) -> None:
    _check(open_environment, body)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_bytes_get_a_documented_answer(open_environment: WebEnvironment, body: bytes) -> None:
    answer = open_environment.client().post("/api/notifications", data=body, content_type="application/json")

    assert answer.status_code in {202, 400, 413, 422}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["status", "type", "limit", "cursor", "recipient", "createdSince", "provider", "x", ""]),
            st.text(max_size=30) | WORDS | st.integers().map(str),
        ),
        max_size=4,
    )
)
def test_any_query_gets_a_documented_answer(open_environment: WebEnvironment, query: list[tuple[str, str]]) -> None:
    answer = open_environment.client().get("/api/notifications", query_string=query)

    assert answer.status_code in {200, 422}, answer.text


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=40), st.sampled_from(["GET", "POST", "DELETE", "HEAD"]))
def test_any_path_gets_a_documented_answer(open_environment: WebEnvironment, path: str, method: str) -> None:
    answer = open_environment.client().open(f"/api/notifications/{path}", method=method)

    assert answer.status_code in {200, 308, 400, 404, 405, 415}
