"""Notifications that name a recipient, or a category: what becomes of them when they are accepted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.template_environment import sms_source
from tests.unit.web.conftest import KEY, NOW, WebEnvironment, later
from tests.unit.web.rsgi_client import scope_of, serve
from wavecom.core.job import Job, JobId
from wavecom.core.states import Status
from wavecom.web.api.representation import rfc3339
from wavecom.web.app import WaveComFlask

#: 09:26 UTC of a Saturday.
BODY: dict[str, Any] = {"type": "sms", "to": {"recipient": "user-42"}, "payload": {"text": "Hello"}}
AMINA: dict[str, Any] = {"phone": "+447700900123", "email": "amina@example.com", "timeZone": "Europe/Zurich"}


@pytest.fixture(autouse=True)
def amina(api: FlaskClient) -> None:
    assert api.put("/api/recipients/user-42", json=AMINA).status_code == 201


def send(api: FlaskClient, body: dict[str, Any] = BODY, **changes: Any) -> TestResponse:
    key = changes.pop("key", None)
    return api.post("/api/notifications", json=body | changes, headers={"Idempotency-Key": key} if key else {})


def job_of(environment: WebEnvironment, answer: TestResponse) -> Job:
    assert answer.status_code == 202, answer.text
    job = environment.jobs.get(JobId(answer.json["jobId"]))
    assert job is not None
    return job


def errors_of(answer: TestResponse) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(each["pointer"], each["code"]) for each in answer.json["errors"]]


def test_the_job_has_the_address_and_the_id(api: FlaskClient, environment: WebEnvironment) -> None:
    sms = job_of(environment, send(api))
    mail = job_of(environment, send(api, type="email", payload={"subject": "Hi", "text": "Hello"}))

    assert (sms.to, sms.recipient_id, sms.status) == ({"phone": "+447700900123"}, "user-42", Status.QUEUED)
    assert (mail.to, mail.recipient_id) == ({"email": "amina@example.com"}, "user-42")
    shown = api.get(f"/api/notifications/{sms.job_id}").json
    assert (shown["recipientId"], shown["category"], shown["heldUntil"]) == ("user-42", None, None)


def test_a_push_message_goes_to_the_device_that_was_seen_last(api: FlaskClient, environment: WebEnvironment) -> None:
    for token in ("phone", "tablet"):
        environment.clock.advance(1)
        api.post("/api/recipients/user-42/push-tokens", json={"platform": "fcm", "token": token})

    job = job_of(environment, send(api, type="push", payload={"title": "Hi"}))

    assert job.to == {"platform": "fcm", "token": "tablet"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"to": {"recipient": "nobody"}}, ("/to/recipient", "unknown_value")),
        ({"to": {"recipient": "a@b.example"}}, ("/to/recipient", "invalid")),
        ({"to": {"recipient": 42}}, ("/to/recipient", "invalid")),
        ({"type": "push", "payload": {"title": "x"}}, ("/to/recipient", "not_allowed")),
        ({"to": {"recipient": "user-42", "phone": "+447700900124"}}, ("/to/phone", "conflict")),
        ({"payload": {}}, ("/payload/text", "required")),
        ({"category": "nothing"}, ("/category", "unknown_value")),
    ],
)
def test_what_is_wrong_is_named(api: FlaskClient, changes: dict[str, Any], wrong: tuple[str, str]) -> None:
    assert errors_of(send(api, **changes)) == [wrong]


def test_all_that_is_wrong_is_named_at_once(api: FlaskClient) -> None:
    answer = send(api, to={"recipient": "nobody"}, payload={}, maxAttempts=0)

    assert {pointer for pointer, _ in errors_of(answer)} == {"/to/recipient", "/payload/text", "/maxAttempts"}


def test_a_repetition_has_the_first_answer_whatever_became_of_the_recipient(
    api: FlaskClient, environment: WebEnvironment
) -> None:
    first = send(api, key="once")
    api.patch("/api/recipients/user-42", json={"phone": "+447700900199"})
    moved = send(api, key="once")
    api.delete("/api/recipients/user-42")
    gone = send(api, key="once")

    assert (moved.json, gone.json) == (first.json, first.json)
    assert moved.headers["Idempotent-Replayed"] == gone.headers["Idempotent-Replayed"] == "true"


def test_a_template_has_the_locale_of_the_recipient(api: FlaskClient, environment: WebEnvironment) -> None:
    source = sms_source("Hello") | {"contents": {"en": {"sms": {"text": "Hello"}}, "de": {"sms": {"text": "Hallo"}}}}
    api.post("/api/templates/hi/versions", json=source)
    api.post("/api/templates/hi/versions/1/publish")
    api.patch("/api/recipients/user-42", json={"locale": "de-CH"})
    body = {"type": "sms", "to": {"recipient": "user-42"}, "template": "hi"}

    own = job_of(environment, send(api, body, key="k"))
    told = job_of(environment, send(api, body, locale="en"))

    assert (own.payload, own.template and own.template.locale, own.recipient_id) == ({"text": "Hallo"}, "de", "user-42")
    assert told.payload == {"text": "Hello"}
    assert send(api, body, key="k").json["jobId"] == own.job_id


def test_what_comes_in_quiet_hours_starts_when_they_are_over(api: FlaskClient, environment: WebEnvironment) -> None:
    api.patch("/api/recipients/user-42", json={"quietHours": {"from": "10:00", "to": "12:00"}})

    answer = send(api, key="k")
    urgent = job_of(environment, send(api, priority="high"))

    eleven = NOW.replace(hour=11, minute=0, second=0, microsecond=0)
    job = job_of(environment, answer)
    assert (answer.json["status"], answer.json["heldUntil"]) == ("scheduled", rfc3339(eleven))
    assert (job.status, job.due_at, job.send_at, job.held_until) == (Status.SCHEDULED, eleven, None, eleven)
    assert [(each.event, each.code, each.next_attempt_at) for each in job.logs] == [
        ("accepted", None, None),
        ("held", "quiet_hours", eleven),
    ]
    assert send(api, key="k").json == answer.json
    assert (urgent.status, urgent.held_until) == (Status.QUEUED, None)


def test_hours_are_asked_of_the_time_at_which_it_is_to_be_sent(api: FlaskClient, environment: WebEnvironment) -> None:
    api.put("/api/categories/news", json={"title": "News", "windows": [{"from": "10:00", "to": "11:00"}]})

    now = job_of(environment, send(api, category="news"))
    later_today = job_of(environment, send(api, category="news", sendAt=rfc3339(later(7200))))

    # It is 10:26 in Zurich.
    assert (now.status, now.category) == (Status.QUEUED, "news")
    tomorrow = later(86_400).replace(hour=9, minute=0, second=0, microsecond=0)
    assert (later_today.held_until, later_today.logs[-1].code) == (tomorrow, "send_window")


def test_a_category_says_by_what_and_to_whom_it_goes(api: FlaskClient) -> None:
    api.put("/api/categories/mail", json={"title": "Mail", "channels": ["email"]})
    api.put("/api/categories/asked", json={"title": "Asked", "default": "opt_in"})
    api.put("/api/categories/sure", json={"title": "Sure", "needsVerified": True})
    plain = BODY | {"to": {"phone": "+447700900123"}}

    assert errors_of(send(api, category="mail")) == [("/category", "conflict")]
    assert errors_of(send(api, plain, category="asked")) == [("/category", "conflict")]
    assert errors_of(send(api, plain, category="sure")) == [("/category", "conflict")]
    assert errors_of(send(api, category="sure")) == [("/to/recipient", "not_allowed")]
    api.patch(
        "/api/recipients/user-42",
        json={"phone": api.get("/api/recipients/user-42").json["phone"], "isPhoneVerified": True},
    )
    assert send(api, category="sure").status_code == 202


def test_what_the_recipient_does_not_want_is_accepted_and_ends_where_it_would_be_delivered(
    api: FlaskClient, environment: WebEnvironment
) -> None:
    api.put("/api/categories/asked", json={"title": "Asked", "default": "opt_in"})

    job = job_of(environment, send(api, category="asked"))

    assert (job.status, job.held_until) == (Status.QUEUED, None)


def test_a_batch_looks_all_its_recipients_up_at_once(api: FlaskClient, environment: WebEnvironment) -> None:
    api.put("/api/recipients/user-43", json={"phone": "+447700900143"})
    api.put("/api/categories/news", json={"title": "News"})
    names = ["user-42", "user-43", "nobody", "user-42"]
    items = [BODY | {"to": {"recipient": name}, "category": "news"} for name in names]
    before = environment.recipients.store.reads, environment.recipients.categories.reads

    answer = api.post(
        "/api/notifications/batch", json={"notifications": [*items, BODY | {"to": {"phone": "+447700900144"}}]}
    )

    reads = environment.recipients.store.reads - before[0], environment.recipients.categories.reads - before[1]
    assert reads == (1, 1)
    results = answer.json["results"]
    assert [each["status"] for each in results] == [202, 202, 422, 202, 202]
    assert results[2]["problem"]["errors"][0]["pointer"] == "/to/recipient"
    jobs = [environment.jobs.get(JobId(each["notification"]["jobId"])) for each in results if each["status"] == 202]
    assert [job and job.recipient_id for job in jobs] == ["user-42", "user-43", "user-42", None]


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({}, 202, '"scheduled"'),
        ({"to": {"phone": "+447700900123"}, "category": "shut"}, 202, '"scheduled"'),
        ({"to": {"phone": "+447700900123"}, "category": "nothing"}, 422, '"/category"'),
        ({"to": {"recipient": "nobody"}}, 422, '"/to/recipient"'),
    ],
)
def test_the_fast_path_passes_nobody_by(
    api: FlaskClient, environment: WebEnvironment, changes: dict[str, Any], status: int, told: str
) -> None:
    api.put("/api/categories/shut", json={"title": "Shut", "windows": [{"from": "20:00", "to": "21:00"}]})
    api.patch("/api/recipients/user-42", json={"quietHours": {"from": "10:00", "to": "12:00"}})
    body = orjson.dumps(BODY | changes)
    headers = {
        "Host": "localhost",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }

    assert isinstance(environment.app, WaveComFlask)
    [answer] = serve(environment.app.rsgi, [(scope_of("POST", "/api/notifications", headers), body)])

    assert (answer.status_code, told in answer.text) == (status, True)


def test_who_names_neither_is_not_looked_up(api: FlaskClient, environment: WebEnvironment) -> None:
    before = environment.recipients.store.reads, environment.recipients.categories.reads

    send(api, BODY | {"to": {"phone": "+447700900123"}})

    assert (environment.recipients.store.reads, environment.recipients.categories.reads) == before
