"""Errors as answers, and what every answer carries."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom import errors
from wavecom.errors import Problem, WaveComError
from wavecom.settings import Settings
from wavecom.web import problems, request_middleware

BODY = {"type", "title", "status", "detail", "code", "requestId"}


def _is_problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json.keys() - {"errors"} == BODY
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    assert answer.json["type"] == f"/docs/errors#{code}"
    assert answer.json["title"]
    assert len(answer.json["detail"]) > 15
    assert answer.json["requestId"] == answer.headers["X-Request-ID"]


# --- HTTP's own -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/nothing", "/api", "/api/notifications/a/b", "/nothing.php", "/%ff%00"])
def test_an_unknown_address_is_a_problem(path: str, api: FlaskClient) -> None:
    _is_problem(api.get(path), 404, "not_found")


def test_a_trailing_slash_is_another_address(api: FlaskClient) -> None:
    assert api.get("/api/notifications/").status_code == 404


@pytest.mark.parametrize("path", ["/api//notifications", "/api/notifications//batch", "/api//", "/docs//errors"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_slashes_too_many_lead_nowhere_else(path: str, method: str, api: FlaskClient) -> None:
    answer = api.open(path, method=method, headers={"Host": "elsewhere"})

    _is_problem(answer, 404, "not_found")
    assert "elsewhere" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/notifications", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/api/notifications/x", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/api/notifications/batch", {"OPTIONS", "POST"}),
        ("GET", "/api/notifications/replay", {"OPTIONS", "POST"}),
        ("BREW", "/api/notifications", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_says_which_are_right(method: str, path: str, allowed: set[str], api: FlaskClient) -> None:
    answer = api.open(path, method=method)

    _is_problem(answer, 405, "method_not_allowed")
    assert set(answer.allow) == allowed
    assert all(each in answer.json["detail"] for each in allowed)


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    environment = make_environment(Settings(max_body_bytes=2000, secret_key="a secret for tests"))

    answer = environment.client().post("/api/notifications", data=b" " * 2001, content_type="application/json")

    _is_problem(answer, 413, "body_too_large")
    assert "2000 bytes" in answer.json["detail"]


@pytest.mark.parametrize(("size", "status"), [(1999, 202), (2000, 413), (50_000, 413)])
def test_a_body_in_chunks_is_held_to_the_limit_too(size: int, status: int) -> None:
    environment = make_environment(Settings(max_body_bytes=2000, secret_key="a secret for tests"))
    body = b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}'.ljust(size)
    chunked = {"wsgi.input_terminated": True, "wsgi.input": io.BytesIO(body), "HTTP_TRANSFER_ENCODING": "chunked"}

    answer = environment.client().post("/api/notifications", content_type="application/json", environ_overrides=chunked)

    assert answer.status_code == status


def test_wrong_content_is_told_what_is_right(api: FlaskClient) -> None:
    answer = api.post("/api/notifications", data="a=b", content_type="application/x-www-form-urlencoded")

    _is_problem(answer, 415, "unsupported_media_type")
    assert answer.headers["Accept-Post"] == "application/json"


# --- Ours -----------------------------------------------------------------------------------------------------------


def _app_that_raises(environment: WebEnvironment, error: Exception) -> FlaskClient:
    def fail() -> str:
        raise error

    # Flask takes no new addresses after its first request; this one is before it.
    environment.app.add_url_rule("/fail", view_func=fail)
    return environment.client()


def test_a_bug_is_logged_but_answered_without_a_word_about_it() -> None:
    api = _app_that_raises(make_environment(), ZeroDivisionError("secret of mongodb.internal"))

    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = api.get("/fail?recipient=amina@example.com")

    _is_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    [line] = lines
    assert line.pop("exc_info")[0] is ZeroDivisionError
    assert line == {
        "event": "unhandled_error",
        "log_level": "error",
        "endpoint": "fail",
        "method": "GET",
        "request_id": answer.headers["X-Request-ID"],
    }


ERRORS: list[WaveComError] = [
    errors.ConflictError("The job has moved."),
    errors.TooLateToCancelError("A notification that is sent can't be cancelled any more."),
    errors.LostRaceError("job 7"),
    errors.BrokerError("amqp.internal"),
    errors.OverloadedError("full"),
    errors.UnavailableError("redis.internal"),
    errors.ConfigurationError([Problem("MONGODB_URI", "mongodb.internal")]),
    errors.RetryLater(3, "why"),
    errors.RequeueError("why"),
]


@pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ for error in ERRORS])
def test_each_error_has_its_answer(error: WaveComError) -> None:
    answer = _app_that_raises(make_environment(), error).get("/fail")

    _is_problem(answer, problems.PROBLEMS[type(error)].status, error.code)
    assert ("Retry-After" in answer.headers) == (answer.status_code == 503)
    assert ".internal" not in answer.text


def test_an_error_that_is_new_is_answered_like_its_parent() -> None:
    class BrandNewError(errors.ForbiddenError):
        code = "brand_new"

    answer = _app_that_raises(make_environment(), BrandNewError("This key may not do that.")).get("/fail")

    _is_problem(answer, 403, "brand_new")


def test_problems_name_places_in_body_query_and_headers() -> None:
    error = errors.InvalidRequestError(
        [Problem("/to/phone", "a"), Problem("", "b"), Problem("?limit", "c"), Problem("Idempotency-Key", "d", "x")]
    )

    answer = _app_that_raises(make_environment(), error).get("/fail")

    assert answer.json["errors"] == [
        {"pointer": "/to/phone", "message": "a", "code": "invalid"},
        {"pointer": "", "message": "b", "code": "invalid"},
        {"parameter": "limit", "message": "c", "code": "invalid"},
        {"header": "Idempotency-Key", "message": "d", "code": "x"},
    ]
    assert answer.json["detail"].startswith("4 fields")


# --- What every answer carries --------------------------------------------------------------------------------------

ANSWERS = [
    ("GET", "/api/notifications"),
    ("GET", "/api/notifications/x"),
    ("POST", "/api/notifications"),
    ("DELETE", "/api/notifications"),
    ("GET", "/nothing"),
    ("GET", "/healthz"),
    ("OPTIONS", "/api/notifications"),
]


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_every_answer_has_the_security_headers_and_an_id(method: str, path: str, api: FlaskClient) -> None:
    answer = api.open(path, method=method)

    for name, value in request_middleware.HEADERS.items():
        assert answer.headers.getlist(name) == [value]
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


@pytest.mark.parametrize("given", ["a", "order-42_x.7", "A" * 128])
def test_a_sane_request_id_is_taken(given: str, api: FlaskClient) -> None:
    answer = api.get("/healthz", headers={"X-Request-ID": given})

    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "A" * 129, "a b", "<script>", "a\tb", "ä"])
def test_a_strange_request_id_is_replaced(given: str, api: FlaskClient) -> None:
    answer = api.get("/healthz", headers={"X-Request-ID": given})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_ids_differ_from_request_to_request(api: FlaskClient) -> None:
    ids = {api.get("/healthz").headers["X-Request-ID"] for _ in range(5)}

    assert len(ids) == 5


def test_api_answers_set_no_cookie_and_vary_with_none(api: FlaskClient) -> None:
    answers = [api.get("/api/notifications"), api.post("/api/notifications", json={}), api.get("/healthz")]

    for answer in answers:
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers


@pytest.mark.parametrize(
    ("scheme", "forwarded", "is_told"),
    [("http", None, False), ("https", None, True), ("http", "https", True), ("http", "http", False)],
)
def test_browsers_are_held_to_tls_where_there_is_tls(scheme: str, forwarded: str | None, is_told: bool) -> None:
    api = make_environment(Settings(secret_key="a secret for tests", trusted_proxies=1)).client()
    headers = {} if forwarded is None else {"X-Forwarded-Proto": forwarded}

    answer = api.get("/api/notifications", headers=headers, base_url=f"{scheme}://wavecom.example")

    assert ("Strict-Transport-Security" in answer.headers) == is_told


def test_every_line_that_a_request_logs_names_the_request() -> None:
    api = _app_that_raises(make_environment(), errors.BrokerError("amqp.internal"))

    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = api.get("/fail", headers={"X-Request-ID": "order-42"})

    assert [(line["event"], line["request_id"]) for line in lines] == [("request_failed", "order-42")]
    assert answer.json["requestId"] == "order-42"


def test_a_request_leaves_nothing_of_its_id_behind(environment: WebEnvironment) -> None:
    environment.client().get("/api/notifications", headers={"X-Request-ID": "order-42"})

    assert "request_id" not in get_contextvars()


def test_json_of_the_app_is_strict_and_knows_no_bson(environment: WebEnvironment) -> None:
    app: Flask = environment.app

    assert app.json.loads('{"$oid": "65a000000000000000000000"}') == {"$oid": "65a000000000000000000000"}
    with pytest.raises(ValueError, match="JSON"):
        app.json.loads("NaN")
    with app.test_request_context():
        assert app.json.response({"a": 1}).get_json() == {"a": 1}
        assert app.json.dumps({"ä": [1]}) == '{"ä":[1]}'
