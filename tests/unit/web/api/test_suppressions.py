"""``/api/suppressions`` over HTTP; what entries do is ``tests/unit/core/test_suppression_check.py``."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.web.conftest import WebEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.suppression_list import PAGE_SIZE
from wavecom.core.suppressions import recipient_digest

NEW: dict[str, Any] = {"type": "email", "recipient": "Amina@Example.com", "reason": "asked by phone"}
PATH = "/api/suppressions"


def _is_suppressed(environment: WebEnvironment, channel: Channel, recipient: str, account: str = "default") -> bool:
    digest = recipient_digest(account, channel, recipient)
    return digest in environment.suppressions.active([digest], environment.clock.now())


def _import(api: FlaskClient, rows: str | bytes, content_type: str = "text/csv") -> Any:
    return api.post(f"{PATH}/import", data=rows, content_type=content_type)


def test_a_recipient_is_suppressed_read_and_lifted(environment: WebEnvironment, api: FlaskClient) -> None:
    added = api.post(PATH, json=NEW)

    assert added.status_code == 201
    assert added.headers["Location"] == f"{PATH}/{added.json['suppressionId']}"
    assert {name: added.json[name] for name in ("type", "recipient", "source", "scope", "state", "reason")} == {
        "type": "email",
        "recipient": "amina@example.com",
        "source": "manual",
        "scope": "all",
        "state": "active",
        "reason": "asked by phone",
    }
    assert _is_suppressed(environment, Channel.EMAIL, "amina@example.com")
    assert api.get(added.headers["Location"]).json == added.json

    lifted = api.delete(f"{added.headers['Location']}?reason=asked+again")
    assert (lifted.status_code, lifted.json["state"]) == (200, "lifted")
    assert [(event["action"], event["reason"]) for event in lifted.json["history"]] == [
        ("added", "asked by phone"),
        ("lifted", "asked again"),
    ]
    assert not _is_suppressed(environment, Channel.EMAIL, "amina@example.com")
    assert api.delete(added.headers["Location"]).json == lifted.json


def test_the_same_again_is_answered_200_and_makes_no_second_entry(api: FlaskClient) -> None:
    first = api.post(PATH, json=NEW)

    second = api.post(PATH, json=NEW | {"recipient": "amina@EXAMPLE.com"})

    assert (second.status_code, second.json) == (200, first.json)
    assert len(api.get(PATH).json["items"]) == 1


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        ({"type": "sms", "recipient": "+44 7700 900123"}, "+447700900123"),
        ({"type": "push", "recipient": "Device-Token:1"}, "Device-Token:1"),
        ({"type": "email", "recipient": "amina@bücher.example"}, "amina@xn--bcher-kva.example"),
    ],
)
def test_recipients_are_kept_in_the_form_in_which_they_are_sent_to(
    environment: WebEnvironment, api: FlaskClient, wanted: dict[str, str], stored: str
) -> None:
    added = api.post(PATH, json=wanted)
    sent = {
        "sms": {"to": {"phone": wanted["recipient"]}, "payload": {"text": "x"}},
        "push": {"to": {"platform": "fcm", "token": wanted["recipient"]}, "payload": {"body": "x"}},
        "email": {"to": {"email": wanted["recipient"]}, "payload": {"subject": "x", "text": "x"}},
    }[wanted["type"]]
    job_id = api.post("/api/notifications", json={"type": wanted["type"], **sent}).json["jobId"]

    assert (added.status_code, added.json["recipient"]) == (201, stored)
    to = environment.jobs.get(job_id).to  # type: ignore[union-attr]
    assert stored in {to.get("email"), to.get("phone"), to.get("token")}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"recipient": "amina@example.com"}, "/type"),
        ({"type": "email"}, "/recipient"),
        ({"type": "email", "recipient": "+447700900123"}, "/recipient"),
        ({"type": "sms", "recipient": "07700"}, "/recipient"),
        ({"type": "push", "recipient": ""}, "/recipient"),
        (NEW | {"scope": "some"}, "/scope"),
        (NEW | {"expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
        (NEW | {"reason": "x" * 501}, "/reason"),
        (NEW | {"channel": "email"}, "/channel"),
        (NEW | {"account": "other"}, "/account"),
    ],
)
def test_a_wrong_body_is_refused_with_its_field(api: FlaskClient, body: dict[str, Any], pointer: str) -> None:
    answer = api.post(PATH, json=body)

    assert answer.status_code == 422
    assert pointer in {error["pointer"] for error in answer.json["errors"]}
    assert api.get(PATH).json["items"] == []


def test_lists_are_narrowed_and_paged(api: FlaskClient) -> None:
    for number in range(5):
        api.post(PATH, json={"type": "sms", "recipient": f"+44770090012{number}", "scope": "marketing"})
    lifted = api.post(PATH, json=NEW).json
    api.delete(f"{PATH}/{lifted['suppressionId']}")

    first = api.get(f"{PATH}?state=active&type=sms&limit=3")
    second = api.get(first.json["next"])

    assert first.headers["Link"] == f'<{first.json["next"]}>; rel="next"'
    assert (len(first.json["items"]), len(second.json["items"]), second.json["next"]) == (3, 2, None)
    assert [item["recipient"] for item in api.get(f"{PATH}?recipient=AMINA@example.com").json["items"]] == [
        "amina@example.com"
    ]
    assert [item["state"] for item in api.get(f"{PATH}?state=lifted").json["items"]] == ["lifted"]
    assert [item["recipient"] for item in api.get(f"{PATH}?recipient=+44 7700 900123").json["items"]] == [
        "+447700900123"
    ]


@pytest.mark.parametrize("query", ["state=on", "cursor=x", "limit=0", "limit=10001", "since=2026-01-01T00:00:00Z"])
def test_a_wrong_query_is_refused(api: FlaskClient, query: str) -> None:
    assert api.get(f"{PATH}?{query}").status_code == 422


def test_rows_of_csv_are_added_and_bad_ones_named(environment: WebEnvironment, api: FlaskClient) -> None:
    rows = (
        "\ufeffreason,recipient,TYPE,type,expiresAt\r\n"
        "moved,+44 7700 900123,x,sms,\r\n"
        '"a, b\nc",Amina@example.com,x,email,2030-01-01T00:00:00Z\r\n'
        ",,,,\r\n"
        ",nobody,x,email,\r\n"
        ",cleo@example.com,x,fax,\r\n"
        ",dora@example.com,x,email,,one,more\r\n"
        ",dora@example.com,x,email\r\n"
    )

    answer = _import(api, rows)

    assert answer.status_code == 200, answer.json
    assert (answer.json["added"], answer.json["unchanged"], answer.json["refused"]) == (2, 0, 4)
    assert [(error["line"], error["field"]) for error in answer.json["errors"]] == [
        (4, "reason"),
        (6, "recipient"),
        (7, "type"),
        (8, ""),
    ]
    assert _is_suppressed(environment, Channel.SMS, "+447700900123")
    assert _is_suppressed(environment, Channel.EMAIL, "dora@example.com")


def test_an_import_weakens_nothing(environment: WebEnvironment, api: FlaskClient) -> None:
    end = {"expiresAt": "2030-01-01T00:00:00Z"}
    added = api.post(PATH, json={"type": "email", "recipient": "amina@example.com", "reason": "by phone"} | end)

    narrower = "type,recipient,scope,state\nemail,amina@example.com,marketing,active\n"
    assert _import(api, narrower).json["unchanged"] == 1
    assert _import(api, "type,recipient\nemail,amina@example.com\n").json["unchanged"] == 1
    kept = api.get(f"{PATH}/{added.json['suppressionId']}").json
    assert (kept["scope"], kept["reason"], kept["expiresAt"]) == ("all", "by phone", "2030-01-01T00:00:00.000Z")

    rows = "type,recipient,scope,expiresAt\nemail,amina@example.com,,\nemail,amina@example.com,marketing,\n"
    _import(api, rows)
    wider = api.get(f"{PATH}/{added.json['suppressionId']}").json
    assert (wider["scope"], wider["reason"], wider["expiresAt"]) == ("all", "by phone", None)


def test_an_import_may_be_repeated(api: FlaskClient) -> None:
    rows = "type,recipient\n" + "".join(f"email,person{number}@example.com\n" for number in range(2500))

    first, second = _import(api, rows), _import(api, rows)

    assert (first.json["added"], first.json["unchanged"]) == (2500, 0)
    assert (second.json["added"], second.json["unchanged"]) == (0, 2500)


@pytest.mark.parametrize(
    ("rows", "content_type", "status"),
    [
        ("type,recipient\n", "application/json", 415),
        ("", "text/csv", 422),
        ("recipient\nx@example.com\n", "text/csv", 422),
        ("type,type,recipient\n", "text/csv", 422),
        ('type,recipient\nemail,"x@example.com\n', "text/csv", 422),
        (b"type,recipient\nemail,\xff@example.com\n", "text/csv", 422),
    ],
)
def test_what_is_no_such_csv_is_refused_whole(
    api: FlaskClient, rows: str | bytes, content_type: str, status: int
) -> None:
    answer = _import(api, rows, content_type)

    assert answer.status_code == status
    assert api.get(PATH).json["items"] == []


def test_what_is_exported_can_be_imported_elsewhere(environment: WebEnvironment, api: FlaskClient) -> None:
    for number in range(7):
        api.post(PATH, json={"type": "sms", "recipient": f"+44770090012{number}", "scope": "marketing"})
    api.post(PATH, json=NEW | {"reason": '=HYPERLINK("x"), "quoted"'})

    answer = api.get(f"{PATH}/export")

    assert (answer.status_code, answer.mimetype, answer.headers["Cache-Control"]) == (200, "text/csv", "no-store")
    table = answer.text
    assert len(table.splitlines()) == 9
    assert ",=" not in table
    assert ',"=' not in table
    test_key = api.post("/api/keys", json={"name": "test", "mode": "test", "scopes": ["manage"]}).json["key"]
    assert _import(environment.client(test_key), table).json["added"] == 8
    assert _is_suppressed(environment, Channel.SMS, "+447700900126", "default:test")


def test_an_export_is_one_answer_however_long(api: FlaskClient) -> None:
    count = 2 * PAGE_SIZE + 5
    _import(api, "type,recipient\n" + "".join(f"email,person{number}@example.com\n" for number in range(count)))

    whole = api.get(f"{PATH}/export").text.splitlines()
    narrowed = api.get(f"{PATH}/export?recipient=person7@example.com").text.splitlines()

    assert len(whole) == len(set(whole)) == count + 1
    assert len(narrowed) == 2
    assert api.get(f"{PATH}/export?limit=3").status_code == 422


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@sum(1)",
        "\uff1d1+1",
        "\uff0b1",
        "'=1+1",
        "''-1",
        "+441",
        "'quoted'",
        "-",
    ],
)
def test_no_exported_value_is_a_formula_and_each_is_imported_as_it_was(
    environment: WebEnvironment, api: FlaskClient, formula: str
) -> None:
    api.post(PATH, json={"type": "push", "recipient": f"{formula}token", "reason": formula})
    table = api.get(f"{PATH}/export").text
    test_key = api.post("/api/keys", json={"name": "test", "mode": "test", "scopes": ["manage", "read"]}).json["key"]
    other_list = environment.client(test_key)

    imported = _import(other_list, table).json

    values = [value for row in csv.reader(table.splitlines()) for value in row]
    assert [value for value in values if value[:1] in set("=+-@\uff1d\uff0b") and not value[1:].isdecimal()] == []
    assert imported["added"] == 1
    [entry] = other_list.get(PATH).json["items"]
    assert (entry["recipient"], entry["reason"]) == (f"{formula}token", formula)


def test_a_phone_number_is_exported_as_it_is(api: FlaskClient) -> None:
    api.post(PATH, json={"type": "sms", "recipient": "+447700900123"})

    assert ",+447700900123," in api.get(f"{PATH}/export").text


def test_what_was_lifted_is_not_in_force_where_the_export_is_imported(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    lifted = api.post(PATH, json=NEW).json["suppressionId"]
    api.delete(f"{PATH}/{lifted}")
    table = api.get(f"{PATH}/export").text
    test_key = api.post("/api/keys", json={"name": "test", "mode": "test", "scopes": ["manage"]}).json["key"]

    answer = _import(environment.client(test_key), table).json

    assert (answer["added"], answer["unchanged"], answer["refused"]) == (0, 1, 0)
    assert not _is_suppressed(environment, Channel.EMAIL, NEW["recipient"].lower(), "default:test")


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        (["read"], "GET", "", 200),
        (["read"], "GET", "/export", 200),
        (["read"], "POST", "", 403),
        (["read"], "POST", "/import", 403),
        (["send", "read"], "DELETE", "/019cebab-8995-7000-8000-000000000001", 403),
        (["manage"], "GET", "", 403),
        (["manage"], "GET", "/019cebab-8995-7000-8000-000000000001", 403),
        (["manage"], "DELETE", "/019cebab-8995-7000-8000-000000000001", 404),
        (["read"], "GET", "/019cebab-8995-7000-8000-000000000001", 404),
        (["read"], "GET", "/x", 404),
    ],
)
def test_each_call_needs_its_scope(
    environment: WebEnvironment, api: FlaskClient, scopes: list[str], method: str, path: str, status: int
) -> None:
    key = api.post("/api/keys", json={"name": "lesser", "scopes": scopes}).json["key"]

    answer = environment.client(key).open(f"{PATH}{path}", method=method, json=NEW if method == "POST" else None)

    assert answer.status_code == status


def test_a_store_that_is_away_is_said(environment: WebEnvironment, api: FlaskClient) -> None:
    environment.suppressions.is_away = True

    assert api.post(PATH, json=NEW).status_code == 503
    assert _import(api, "type,recipient\nemail,x@example.com\n").status_code == 503
