from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.template_environment import ORDER, VARIABLES, sms_source
from tests.unit.web.conftest import NOW, WebEnvironment, make_environment
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.settings import Settings

VERSIONS = "/api/templates/order/versions"
NAME = {"type": "text", "example": "Amina", "maxLength": 160}


def save(api: FlaskClient, **wanted: Any) -> Any:
    answer = api.post(VERSIONS, json=wanted or ORDER)
    assert answer.status_code == 201, answer.text
    return answer.json


def test_a_version_is_saved_read_and_listed(api: FlaskClient) -> None:
    answer = api.post(VERSIONS, json=ORDER | {"note": "first"})

    saved = answer.json
    assert answer.status_code == 201
    assert (saved["version"], saved["state"], saved["note"]) == (1, "draft", "first")
    assert saved["createdBy"].startswith("key ")
    assert {name: saved[name] for name in ORDER} == ORDER
    assert api.get(answer.headers["Location"]).json == saved
    [listed] = api.get(VERSIONS).json["items"]
    assert listed == {name: saved[name] for name in listed}
    assert api.get("/api/templates").json == {
        "items": [
            {
                "name": "order",
                "kind": "message",
                "current": None,
                "newest": 1,
                "state": "draft",
                "types": ["email", "push", "sms"],
                "locales": ["de", "en"],
                "updatedAt": saved["createdAt"],
            }
        ],
        "next": None,
    }


def pages_of(api: FlaskClient, address: str, name: str) -> list[list[Any]]:
    """What the pages of a list have in the field ``name``, from ``address`` on by its links."""
    found: list[list[Any]] = []
    link: str | None = address
    while link is not None:
        answer = api.get(link)
        found.append([each[name] for each in answer.json["items"]])
        link = answer.json["next"]
        assert answer.headers.get("Link") == (None if link is None else f'<{link}>; rel="next"')
    return found


def test_lists_come_in_pages(environment: WebEnvironment, api: FlaskClient) -> None:
    for name in ("order", "bill", "welcome"):
        for text in ("one", "two", "three"):
            environment.templates.publish("default", name, sms_source(text))
    environment.templates.publish("other", "code", sms_source("one"))

    assert pages_of(api, "/api/templates?limit=2", "name") == [["bill", "order"], ["welcome"]]
    assert pages_of(api, f"{VERSIONS}?limit=2", "version") == [[3, 2], [1]]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=A%20b", "cursor=", "colour=red"])
@pytest.mark.parametrize("path", ["/api/templates", VERSIONS])
def test_a_list_that_is_asked_for_wrongly_is_refused(api: FlaskClient, path: str, query: str) -> None:
    save(api)

    answer = api.get(f"{path}?{query}")

    assert answer.status_code == 422
    assert answer.json["errors"][0]["parameter"] == query.partition("=")[0]


def test_a_version_of_a_later_release_costs_the_lists_nothing(environment: WebEnvironment, api: FlaskClient) -> None:
    save(api)
    environment.templates.store.unreadable.add(("default", "order", 1))

    [template] = api.get("/api/templates").json["items"]
    [version] = api.get(VERSIONS).json["items"]
    read = api.get(f"{VERSIONS}/1")

    assert (template["kind"], version["kind"], version["version"]) == (None, None, 1)
    assert (read.status_code, read.json["code"]) == (404, "template_not_found")
    assert "Version 1 of 'order' can't be read by this release" in read.json["detail"]


def test_an_account_that_has_all_it_may_have_is_told_so() -> None:
    api = make_environment(Settings(secret_key="a secret for tests only", client_templates=1)).client()
    save(api)

    answer = api.post("/api/templates/bill/versions", json=ORDER)

    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "too_many")
    assert "WAVECOM_CLIENT_TEMPLATES" in answer.json["errors"][0]["message"]


def test_a_version_is_reviewed_published_and_sent(environment: WebEnvironment, api: FlaskClient) -> None:
    save(api)
    asked = api.post(f"{VERSIONS}/1/review").json
    published = api.post(f"{VERSIONS}/1/publish").json

    sent = api.post(
        "/api/notifications",
        json={"type": "sms", "to": {"phone": "+447700900123"}, "template": "order", "variables": VARIABLES},
    )

    assert (asked["state"], published["state"]) == ("review", "published")
    assert published["publishedBy"] == published["createdBy"]
    assert api.get("/api/templates").json["items"][0]["current"] == 1
    assert sent.status_code == 202
    assert [event.action.value for event in environment.templates.audit.events] == [
        "save_template",
        "ask_template_review",
        "publish_template",
    ]


def test_saving_the_same_again_is_no_new_version(api: FlaskClient) -> None:
    assert [save(api)["version"] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/contents", "required"),
        ({"contents": {"en": {"sms": {"text": "x"}}}, "text": "x"}, "/text", "unknown_field"),
        ({"contents": []}, "/contents", "wrong_type"),
        ({"kind": "page", "contents": {}}, "/kind", "unknown_value"),
        (sms_source("{{ nothing }}"), "/contents/en/sms/text", "invalid"),
        (sms_source("{{ name }}", name=NAME | {"type": "word"}), "/variables/name/type", "invalid"),
        ({"contents": {"en": {"sms": {"txt": "x"}}}}, "/contents/en/sms/txt", "unknown_field"),
        (sms_source("{{ name }}" * 20, name=NAME | {"example": "x" * 160}), "/contents/en/sms/text", "too_long"),
        ({"contents": {"en": {"email": {"html": "x"}}}}, "/contents/en/email/subject", "required"),
    ],
)
def test_what_is_wrong_is_named(api: FlaskClient, body: dict[str, Any], pointer: str, code: str) -> None:
    answer = api.post(VERSIONS, json=body)

    assert answer.status_code == 422, answer.text
    assert (pointer, code) in [(each["pointer"], each["code"]) for each in answer.json["errors"]]


def test_a_preview_shows_every_type_with_the_examples(api: FlaskClient) -> None:
    save(api)

    answer = api.post("/api/templates/order/preview").json

    assert answer["version"] == 1
    mail, push, sms = answer["items"]
    assert [each["type"] for each in (mail, push, sms)] == ["email", "push", "sms"]
    assert mail["payload"]["subject"] == "Your order, Amina"
    assert mail["sizeBytes"] == len(mail["payload"]["html"].encode())
    assert sms["sms"] == {"encoding": "GSM-7", "segments": 1}
    assert sms["smsLongest"] == {"encoding": "GSM-7", "segments": 1}


def test_a_preview_takes_values_a_type_a_locale_and_a_version(api: FlaskClient) -> None:
    save(api)
    save(api, **sms_source("newest"))

    answer = api.post(
        "/api/templates/order/preview", json={"version": 1, "type": "sms", "locale": "de-DE", "variables": VARIABLES}
    ).json

    [sms] = answer["items"]
    assert sms["locale"] == "de"
    assert sms["payload"]["text"] == "Bo & Co, Ihr Auftrag über 20,00 € kommt: https://shop.example/orders/43"


def test_a_preview_refuses_what_sending_would(api: FlaskClient) -> None:
    save(api)

    answer = api.post("/api/templates/order/preview", json={"type": "sms", "variables": {"name": "Bo"}})

    assert "/variables/total" in [each["pointer"] for each in answer.json["errors"]]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/templates/none/versions"),
        ("GET", "/api/templates/No/versions"),
        ("GET", "/api/templates/order/versions/9"),
        ("GET", "/api/templates/order/versions/x"),
        ("GET", "/api/templates/order/versions/99999999999999999999"),
        ("POST", "/api/templates/order/versions/9/publish"),
        ("POST", "/api/templates/order/versions/9/review"),
        ("POST", "/api/templates/none/preview"),
    ],
)
def test_what_there_is_not_is_said(api: FlaskClient, method: str, path: str) -> None:
    save(api)

    answer = api.open(path, method=method)

    assert (answer.status_code, answer.json["code"]) == (404, "template_not_found")


def test_where_a_second_person_is_asked_for_the_authors_key_is_refused_and_another_is_not() -> None:
    environment = make_environment(Settings(secret_key="a secret for tests only", template_review=True))
    environment.keys.add(
        KeyRecord(
            key_id="k-2",
            hash=hash_of("another"),
            client="default",
            scopes=frozenset(KeyScope),
            is_live=True,
            created_at=NOW,
        )
    )
    save(environment.client())

    refused = environment.client().post(f"{VERSIONS}/1/publish")
    published = environment.client("another").post(f"{VERSIONS}/1/publish")

    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert "somebody else publishes" in refused.json["detail"]
    assert (published.status_code, published.json["publishedBy"]) == (200, "key k-2")


def test_a_preview_says_what_a_text_message_costs_by_the_providers_of_its_routes(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    tables = ((name, price) for name, price in (("one", "0.02 to 0.05 EUR"), ("two", "0.0079 USD"), ("none", None)))
    lines = [
        f'[providers.{name}]\ntype = "sandbox"' + (f'\nsegment_price = "{price}"' if price else "")
        for name, price in tables
    ]
    path.write_text("\n".join([*lines, "[routes]", 'sms = ["one", "none"]', 'push = ["two"]']))
    environment = make_environment(Settings(secret_key="a secret for tests only", providers_file=path))
    api = environment.client()
    save(api, **sms_source("Hello {{ name }}", name=NAME | {"maxLength": 300}))

    [sms] = api.post("/api/templates/order/preview").json["items"]

    assert sms["cost"] == [{"currency": "EUR", "lowest": "0.02", "highest": "0.1"}]
