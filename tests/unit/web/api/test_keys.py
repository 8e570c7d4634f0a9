"""``/api/keys`` over HTTP; who may do what to whose is ``tests/unit/accounts/test_administration.py``."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import make_job
from tests.unit.web.conftest import KEY, WebEnvironment, later
from wavecom.accounts import KeyScope

NEW: dict[str, Any] = {"name": "backend", "scopes": ["send", "read"]}


def created(api: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = api.post("/api/keys", json=NEW | fields)
    assert answer.status_code == 201, answer.json
    body: dict[str, Any] = answer.json
    return body


def test_a_new_key_is_shown_once_and_works(environment: WebEnvironment, api: FlaskClient) -> None:
    answer = api.post("/api/keys", json=NEW)

    key = answer.json["key"]
    [maker] = [record for record in environment.keys.of_client(None) if record.name == "first key"]
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert key.startswith("wc_live_")
    assert answer.json | {"key": "", "keyId": ""} == {
        "key": "",
        "keyId": "",
        "name": "backend",
        "mode": "live",
        "scopes": ["send", "read"],
        "hint": key[-4:],
        "status": "active",
        "createdAt": "2026-03-14T09:26:53.589Z",
        "expiresAt": None,
        "revokedAt": None,
        "replacedBy": None,
        "sharesLimitsWith": maker.key_id,
    }
    assert environment.client(key).get("/api/notifications").status_code == 200
    assert key not in api.get("/api/keys").text


def test_a_test_key_is_made_when_it_is_asked_for_and_by_test_keys(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    test = created(api, mode="test", scopes=["admin", "send"])

    made_by_it = created(environment.client(test["key"]), scopes=["send"])

    assert test["key"].startswith("wc_test_")
    assert made_by_it["mode"] == "test"
    refused = environment.client(test["key"]).post("/api/keys", json=NEW | {"mode": "live", "scopes": ["send"]})
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")


def test_a_key_gives_no_more_than_it_has(environment: WebEnvironment, api: FlaskClient) -> None:
    lesser = created(api, scopes=["admin"])["key"]

    answer = environment.client(lesser).post("/api/keys", json=NEW)

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert "read and send" in answer.json["detail"]


def test_a_key_ends_when_it_was_said_to(environment: WebEnvironment, api: FlaskClient) -> None:
    made = created(api, expiresAt="2026-03-15T00:00:00+01:00")

    environment.clock.advance(24 * 3600)

    assert made["expiresAt"] == "2026-03-14T23:00:00.000Z"
    assert environment.client(made["key"]).get("/api/notifications").status_code == 401
    statuses = {item["keyId"]: item["status"] for item in api.get("/api/keys").json["items"]}
    assert statuses[made["keyId"]] == "expired"


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"name": ""}, "/name", "empty"),
        ({"name": "x" * 101}, "/name", "too_long"),
        ({"name": "a\nb"}, "/name", "control_character"),
        ({"scopes": []}, "/scopes", "empty"),
        ({"scopes": "send"}, "/scopes", "wrong_type"),
        ({"scopes": ["write"]}, "/scopes/0", "unknown_value"),
        ({"scopes": ["send"] * 6}, "/scopes", "too_many"),
        ({"mode": "production"}, "/mode", "unknown_value"),
        ({"expiresAt": "2026-03-14T00:00:00Z"}, "/expiresAt", "out_of_range"),
        ({"expiresAt": "2126-03-14T00:00:00Z"}, "/expiresAt", "out_of_range"),
        ({"client": "globex"}, "/client", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(api: FlaskClient, fields: dict[str, Any], pointer: str, code: str) -> None:
    answer = api.post("/api/keys", json=NEW | fields)

    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json["errors"]] == [(pointer, code)]


def test_a_rotated_key_works_beside_the_new_one_for_a_day(environment: WebEnvironment, api: FlaskClient) -> None:
    old = created(api)

    answer = api.post(f"/api/keys/{old['keyId']}/rotate", json={})

    new = answer.json
    assert answer.status_code == 201
    assert (new["name"], new["scopes"], new["mode"]) == (old["name"], old["scopes"], old["mode"])
    assert environment.client(old["key"]).get("/api/notifications").status_code == 200
    listed = {item["keyId"]: item for item in api.get("/api/keys").json["items"]}
    assert listed[old["keyId"]]["replacedBy"] == new["keyId"]
    assert listed[old["keyId"]]["expiresAt"] == later(hours=24).isoformat(timespec="milliseconds")[:-6] + "Z"
    again = api.post(f"/api/keys/{old['keyId']}/rotate", json={})
    assert (again.status_code, again.json["code"]) == (409, "key_ended")


def test_a_key_is_rotated_without_a_body_too(api: FlaskClient) -> None:
    old = created(api)

    answer = api.post(f"/api/keys/{old['keyId']}/rotate")

    assert (answer.status_code, answer.json["name"]) == (201, old["name"])


def test_a_rotation_that_has_a_body_must_declare_it(api: FlaskClient) -> None:
    path = f"/api/keys/{created(api)['keyId']}/rotate"

    whole = api.post(path, data="overlapSeconds=60")
    in_chunks = api.post(path, input_stream=io.BytesIO(b"{}"), headers={"Transfer-Encoding": "chunked"})

    assert (whole.status_code, in_chunks.status_code) == (415, 415)


@pytest.mark.parametrize("seconds", [-1, 0.5, "60", 30 * 86_400 + 1])
def test_an_overlap_is_whole_seconds_up_to_thirty_days(api: FlaskClient, seconds: object) -> None:
    answer = api.post(f"/api/keys/{created(api)['keyId']}/rotate", json={"overlapSeconds": seconds})

    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/overlapSeconds")


def test_without_an_overlap_the_old_key_ends_at_once(environment: WebEnvironment, api: FlaskClient) -> None:
    old = created(api)
    assert environment.client(old["key"]).get("/api/notifications").status_code == 200

    api.post(f"/api/keys/{old['keyId']}/rotate", json={"overlapSeconds": 0})

    assert environment.client(old["key"]).get("/api/notifications").status_code == 401


def test_a_revoked_key_is_refused_and_what_it_sent_stays(environment: WebEnvironment, api: FlaskClient) -> None:
    made = created(api)
    job = make_job(client="default")
    environment.jobs.insert([job])
    environment.client(made["key"]).get("/api/notifications")

    first = api.post(f"/api/keys/{made['keyId']}/revoke")
    second = api.post(f"/api/keys/{made['keyId']}/revoke")

    assert (first.status_code, first.json["status"]) == (200, "revoked")
    assert second.json == first.json
    assert environment.client(made["key"]).get("/api/notifications").status_code == 401
    assert environment.jobs.get(job.job_id) is not None


@pytest.mark.parametrize("key_id", ["unknown", "..", "%00", "x" * 500])
@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_a_key_that_is_not_there_is_not_found(api: FlaskClient, key_id: str, action: str) -> None:
    answer = api.post(f"/api/keys/{key_id}/{action}", json={})

    assert answer.status_code == 404
    assert answer.json["code"] in {"key_not_found", "not_found"}


def test_the_list_is_complete_and_says_nothing_of_hashes(api: FlaskClient, environment: WebEnvironment) -> None:
    made = [created(api, name=f"key {number}") for number in range(3)]

    answer = api.get("/api/keys")

    assert {item["keyId"] for item in answer.json["items"]} >= {each["keyId"] for each in made}
    assert len(answer.json["items"]) == 4
    assert not any(record.hash in answer.text for record in environment.keys.of_client(None))
    assert KEY not in answer.text


def test_the_audit_knows_which_key_did_it(environment: WebEnvironment, api: FlaskClient) -> None:
    made = created(api)

    [event] = environment.key_audit.events.values()

    [first] = [record for record in environment.keys.of_client("default") if record.name == "first key"]
    assert (event.key_id, event.actor) == (made["keyId"], f"key {first.key_id}")
    assert event.details["scopes"] == sorted([KeyScope.SEND, KeyScope.READ])
