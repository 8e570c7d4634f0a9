from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.template_environment import ORDER, VARIABLES, sms_source
from tests.unit.web.conftest import KEY, WebEnvironment
from tests.unit.web.rsgi_client import flask_threads, scope_of, serve
from wavecom.core.job import TemplateUse
from wavecom.web.app import WaveComFlask

SMS: dict[str, Any] = {
    "type": "sms",
    "to": {"phone": "+447700900123"},
    "template": "order",
    "variables": VARIABLES,
}
MAIL = SMS | {"type": "email", "to": {"email": "bo@example.com"}}
TEXT = "Bo & Co, your order of €20.00 is on its way: https://shop.example/orders/43"


@pytest.fixture
def api(environment: WebEnvironment) -> FlaskClient:
    environment.templates.publish("default", "order", ORDER)
    return environment.client()


def pointers(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(each["pointer"], each["code"]) for each in answer.json["errors"]]


def test_a_notification_is_written_by_a_template_and_remembers_it(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    answer = api.post("/api/notifications", json=SMS)

    job = environment.jobs.get(answer.json["jobId"])
    read = api.get(answer.headers["Location"]).json
    assert answer.status_code == 202
    assert (answer.json["segments"], answer.json["encoding"]) == (1, "GSM-7")
    assert job is not None
    assert (job.payload, job.template) == ({"text": TEXT}, TemplateUse("order", 1, "en"))
    assert read["template"] == {"name": "order", "version": 1, "locale": "en"}
    assert read["payload"] == {"text": TEXT}


def test_one_with_a_payload_says_that_no_template_wrote_it(api: FlaskClient) -> None:
    answer = api.post("/api/notifications", json={"type": "sms", "to": SMS["to"], "payload": {"text": "Hello"}})

    assert api.get(answer.headers["Location"]).json["template"] is None


def test_locale_and_version_are_chosen(environment: WebEnvironment, api: FlaskClient) -> None:
    environment.templates.publish("default", "order", sms_source("newer", name={"type": "text", "example": "x"}))

    answer = api.post("/api/notifications", json=SMS | {"locale": "de-AT", "version": 1})

    read = api.get(answer.headers["Location"]).json
    assert read["template"] == {"name": "order", "version": 1, "locale": "de"}
    assert read["payload"]["text"].startswith("Bo & Co, Ihr Auftrag über € 20,00 kommt")


def test_what_the_template_does_not_give_stands_in_the_payload(environment: WebEnvironment, api: FlaskClient) -> None:
    file = {"filename": "bill.txt", "contentType": "text/plain", "content": "SGVsbG8="}

    answer = api.post("/api/notifications", json=MAIL | {"payload": {"attachments": [file]}})

    job = environment.jobs.get(answer.json["jobId"])
    assert job is not None
    assert set(job.payload) == {"subject", "html", "text", "attachments"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"template": "bill"}, [("/template", "unknown_value")]),
        ({"template": "No name"}, [("/template", "unknown_value")]),
        ({"version": 9}, [("/version", "unknown_value")]),
        ({"version": "1"}, [("/version", "wrong_type")]),
        ({"locale": "german"}, [("/locale", "invalid")]),
        ({"variables": []}, [("/variables", "wrong_type")]),
        (
            {"variables": VARIABLES | {"total": 20, "color": "red"}},
            [("/variables/color", "unknown_field"), ("/variables/total", "wrong_type")],
        ),
        ({"payload": {"text": "mine"}}, [("/payload/text", "conflict")]),
        ({"payload": "mine"}, [("/payload", "wrong_type")]),
        ({"payload": {"color": "red"}}, [("/payload/color", "unknown_field")]),
        ({"to": {"phone": "12"}, "version": 9}, [("/version", "unknown_value"), ("/to/phone", "invalid")]),
        ({"colour": "red"}, [("/colour", "unknown_field")]),
        ({"type": "fax"}, [("/type", "unknown_value")]),
        ({"type": ["sms"]}, [("/type", "wrong_type")]),
        ({"type": {}}, [("/type", "wrong_type")]),
    ],
)
def test_what_is_wrong_is_named(api: FlaskClient, changes: dict[str, Any], wrong: list[tuple[str, str]]) -> None:
    assert set(wrong) <= set(pointers(api.post("/api/notifications", json=SMS | changes)))


@pytest.mark.parametrize("field", ["version", "locale", "variables"])
def test_what_belongs_to_a_template_needs_one(api: FlaskClient, field: str) -> None:
    plain = {"type": "sms", "to": SMS["to"], "payload": {"text": "Hello"}}
    value = {"version": 1, "locale": "de", "variables": {}}[field]

    assert ("/template", "required") in pointers(api.post("/api/notifications", json=plain | {field: value}))


def test_a_text_that_gets_too_long_is_refused_as_any_other(environment: WebEnvironment, api: FlaskClient) -> None:
    name = {"type": "text", "example": "x", "maxLength": 5000}
    environment.templates.publish("default", "long", sms_source("{{ name }}", name=name))

    answer = api.post("/api/notifications", json=SMS | {"template": "long", "variables": {"name": "x" * 1601}})

    assert pointers(answer) == [("/payload/text", "too_long")]


def test_a_repetition_has_the_first_answer_though_a_newer_version_says_something_else(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    headers = {"Idempotency-Key": "order-43"}
    first = api.post("/api/notifications", json=SMS, headers=headers)
    environment.templates.publish("default", "order", sms_source("{{ other }}", other={"type": "text", "example": "x"}))

    again = api.post("/api/notifications", json=SMS, headers=headers)
    other = api.post("/api/notifications", json=SMS | {"locale": "de"}, headers=headers)

    assert (again.status_code, again.data) == (202, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    # The newer version does not take these variables; this request is no repetition, and so it is told.
    assert other.status_code == 422


def test_the_same_key_with_other_variables_is_refused(environment: WebEnvironment, api: FlaskClient) -> None:
    headers = {"Idempotency-Key": "order-43"}
    api.post("/api/notifications", json=SMS, headers=headers)

    other = api.post("/api/notifications", json=SMS | {"variables": VARIABLES | {"count": 2}}, headers=headers)

    assert other.json["code"] == "idempotency_mismatch"


def test_a_batch_is_written_item_by_item(environment: WebEnvironment, api: FlaskClient) -> None:
    items = [
        SMS | {"idempotencyKey": "a"},
        SMS | {"variables": {}},
        MAIL | {"locale": "de"},
        {"type": "sms", "to": SMS["to"], "payload": {"text": "plain"}},
    ]

    answer = api.post("/api/notifications/batch", json={"notifications": items})
    environment.templates.publish("default", "order", sms_source("{{ other }}", other={"type": "text", "example": "x"}))
    again = api.post("/api/notifications/batch", json={"notifications": items[:1]})

    results = answer.json["results"]
    assert [each["status"] for each in results] == [202, 422, 202, 202]
    assert results[1]["problem"]["errors"][0]["pointer"] == "/variables/name"
    assert again.json["results"][0]["notification"]["jobId"] == results[0]["notification"]["jobId"]
    assert again.json["results"][0]["replayed"]


def test_a_batch_whose_templates_write_too_much_is_refused_whole(environment: WebEnvironment, api: FlaskClient) -> None:
    mail = {"subject": "x", "html": "<p>" + "x" * 260_000 + "</p>"}
    environment.templates.publish("default", "long", {"contents": {"en": {"email": mail}}})
    item = {"type": "email", "to": MAIL["to"], "template": "long"}

    answer = api.post("/api/notifications/batch", json={"notifications": [item] * 100})

    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")
    assert "for the first 65 items" in answer.json["detail"]


def fast(environment: WebEnvironment, **changes: Any) -> Any:
    """What comes of the request by the way that plain ones go."""
    body = json.dumps(SMS | changes).encode()
    headers = {
        "Host": "localhost",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    assert isinstance(environment.app, WaveComFlask)
    [answer] = serve(environment.app.rsgi, [(scope_of("POST", "/api/notifications", headers), body)])
    return answer


def test_what_is_compiled_goes_the_fast_path_and_says_the_same(environment: WebEnvironment, api: FlaskClient) -> None:
    by_flask = flask_threads(environment.app)

    answers = [fast(environment) for _ in range(3)]

    jobs = [environment.jobs.get(answer.json["jobId"]) for answer in answers]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len(by_flask) == 1, "the first has it read and compiled"
    assert [(job.payload, job.template) for job in jobs if job] == [({"text": TEXT}, TemplateUse("order", 1, "en"))] * 3


@pytest.mark.parametrize(
    "changes", [{"variables": {}}, {"locale": "de"}, {"version": 9}, {"payload": {"text": "mine"}}], ids=str
)
def test_what_is_wrong_or_new_is_left_to_the_usual_way(
    environment: WebEnvironment, api: FlaskClient, changes: dict[str, Any]
) -> None:
    by_flask = flask_threads(environment.app)
    fast(environment)
    by_flask.clear()

    answer = fast(environment, **changes)

    assert by_flask == ["api"]
    assert answer.status_code == (202 if "locale" in changes else 422)


def test_a_version_is_looked_for_anew_by_the_usual_way(environment: WebEnvironment, api: FlaskClient) -> None:
    by_flask = flask_threads(environment.app)
    fast(environment)
    by_flask.clear()
    environment.clock.advance(2)

    fast(environment)
    fast(environment)

    assert by_flask == ["api"]


def test_a_template_that_takes_long_holds_up_no_plain_notification(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    tags = {"type": "list", "items": {"type": "text"}, "example": ["x"], "maxItems": 300}
    environment.templates.publish("default", "long", sms_source("{% for t in tags %}{{ t }}{% endfor %}", tags=tags))
    by_flask = flask_threads(environment.app)

    for _ in range(3):
        assert fast(environment, template="long", variables={"tags": ["a"]}).status_code == 202

    assert by_flask == ["api"] * 3


def test_a_test_key_has_templates_of_its_own(environment: WebEnvironment, api: FlaskClient) -> None:
    made = api.post("/api/keys", json={"name": "test", "scopes": ["send"], "mode": "test"})
    key = made.json["key"]

    before = environment.client(key).post("/api/notifications", json=SMS)
    environment.templates.publish("default:test", "order", ORDER)
    after = environment.client(key).post("/api/notifications", json=SMS)

    assert pointers(before) == [("/template", "unknown_value")]
    job = environment.jobs.get(after.json["jobId"])
    assert job is not None
    assert (job.client, job.payload["text"]) == ("default:test", TEXT)
