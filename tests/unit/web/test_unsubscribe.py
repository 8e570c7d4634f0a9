"""Mails with a link, and what the link leads to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.core.lanes import Channel
from wavecom.core.suppressions import SuppressionFilter, SuppressionScope, SuppressionSource, recipient_digest
from wavecom.settings import Settings

MAIL: dict[str, Any] = {
    "type": "email",
    "to": {"email": "amina@example.com"},
    "payload": {"subject": "News", "text": "Spring is here.", "unsubscribe": True},
}


@pytest.fixture
def public() -> WebEnvironment:
    return make_environment(
        Settings(
            secret_key="a secret for tests only",
            public_url="https://notify.example",
            unsubscribe_keys=("another secret for tests",),
        )
    )


def _sent(environment: WebEnvironment, body: dict[str, Any] = MAIL) -> dict[str, Any]:
    answer = environment.client().post("/api/notifications", json=body)
    assert answer.status_code == 202, answer.json
    job = environment.jobs.get(answer.json["jobId"])
    assert job is not None
    return dict(job.payload)


def _path(payload: dict[str, Any]) -> str:
    link: str = payload["headers"]["List-Unsubscribe"]
    assert link.startswith("<https://notify.example/unsubscribe/")
    return link.removeprefix("<https://notify.example").removesuffix(">")


def _is_suppressed(environment: WebEnvironment) -> bool:
    digest = recipient_digest("default", Channel.EMAIL, "amina@example.com")
    return digest in environment.suppressions.active([digest], environment.clock.now())


def _stranger(environment: WebEnvironment) -> FlaskClient:
    return environment.app.test_client(use_cookies=False)


def test_one_click_unsubscribes_from_marketing(public: WebEnvironment) -> None:
    payload = _sent(public)

    answer = _stranger(public).post(_path(payload), data={"List-Unsubscribe": "One-Click"})

    assert payload["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "unsubscribe" not in payload
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "Set-Cookie" not in answer.headers
    [entry] = public.suppressions.search(SuppressionFilter(), 10, None, public.clock.now()).entries
    assert (entry.account, entry.recipient, entry.source, entry.scope, entry.by) == (
        "default",
        "amina@example.com",
        SuppressionSource.UNSUBSCRIBE,
        SuppressionScope.MARKETING,
        "recipient",
    )


@pytest.mark.parametrize(
    "options",
    [
        {"data": b""},
        {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"},
        {"data": {"List-Unsubscribe": "One-Click"}, "content_type": "multipart/form-data"},
        {"data": b"\xff\x00", "content_type": "application/octet-stream"},
    ],
)
def test_any_body_of_a_post_will_do(public: WebEnvironment, options: dict[str, Any]) -> None:
    path = _path(_sent(public))

    assert _stranger(public).post(path, **options).status_code == 200
    assert _stranger(public).post(path, **options).status_code == 200
    assert _is_suppressed(public)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_whoever_opens_the_link_changes_nothing(public: WebEnvironment, method: str) -> None:
    answer = _stranger(public).open(_path(_sent(public)), method=method)

    assert answer.status_code == 200
    assert not _is_suppressed(public)


def test_the_page_has_a_button_and_nothing_about_anybody(public: WebEnvironment) -> None:
    answer = _stranger(public).get(_path(_sent(public)))

    assert '<form method="post">' in answer.text
    assert 'name="List-Unsubscribe" value="One-Click"' in answer.text
    assert "amina" not in answer.text
    assert "<script" not in answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("token", ["x", "A" * 60, "%00", "é", "A" * 9000])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_link_is_said_to_be_one(public: WebEnvironment, token: str, method: str) -> None:
    answer = _stranger(public).open(f"/unsubscribe/{token}", method=method)

    assert answer.status_code == 404
    assert public.suppressions.search(SuppressionFilter(), 10, None, public.clock.now()).entries == ()


def test_a_store_that_is_away_is_said_so_that_the_reader_tries_again(public: WebEnvironment) -> None:
    path = _path(_sent(public))
    public.suppressions.is_away = True

    answer = _stranger(public).post(path)

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


def test_batches_have_links_too_and_each_recipient_its_own(public: WebEnvironment) -> None:
    other = MAIL | {"to": {"email": "bela@example.com"}}

    answer = public.client().post("/api/notifications/batch", json={"notifications": [MAIL, other, MAIL]})

    jobs = [public.jobs.get(result["notification"]["jobId"]) for result in answer.json["results"]]
    links = [job.payload["headers"]["List-Unsubscribe"] for job in jobs if job is not None]
    assert (links[0] == links[2], links[0] == links[1]) == (True, False)


def test_the_same_request_again_is_the_same_request(public: WebEnvironment) -> None:
    headers = {"Idempotency-Key": "news-1"}

    first, second = (public.client().post("/api/notifications", json=MAIL, headers=headers) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json["jobId"] == second.json["jobId"]


@pytest.mark.parametrize("name", ["List-Unsubscribe", "list-unsubscribe-POST"])
def test_an_own_header_beside_it_is_refused(public: WebEnvironment, name: str) -> None:
    value = "<https://example.com/leave>" if name == "List-Unsubscribe" else "List-Unsubscribe=One-Click"
    body = MAIL | {"payload": MAIL["payload"] | {"headers": {name: value}}}

    answer = public.client().post("/api/notifications", json=body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [f"/payload/headers/{name}"]


def test_false_means_no_link_and_other_channels_have_none(public: WebEnvironment) -> None:
    plain = MAIL | {"payload": MAIL["payload"] | {"unsubscribe": False}}
    sms = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "x", "unsubscribe": True}}

    assert "headers" not in _sent(public, plain)
    assert public.client().post("/api/notifications", json=sms).status_code == 422


def test_without_a_public_address_it_is_refused_with_what_to_do(environment: WebEnvironment) -> None:
    api = environment.client()

    one = api.post("/api/notifications", json=MAIL)
    many = api.post("/api/notifications/batch", json={"notifications": [MAIL]})
    link = _stranger(environment).get("/unsubscribe/AAAA")

    assert one.status_code == 422
    assert [error["pointer"] for error in one.json["errors"]] == ["/payload/unsubscribe"]
    assert "WAVECOM_PUBLIC_URL" in one.json["errors"][0]["message"]
    assert many.status_code == 422
    assert link.status_code == 404


def test_without_a_key_of_the_settings_one_is_kept(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, secret_key="a secret for tests only", public_url="https://notify.example")
    path = _path(_sent(make_environment(settings)))

    another = make_environment(settings)

    assert _stranger(another).post(path).status_code == 200
    assert _is_suppressed(another)
    assert (tmp_path / "unsubscribe-key").stat().st_mode & 0o077 == 0
