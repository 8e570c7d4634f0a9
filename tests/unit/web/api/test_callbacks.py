from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.web.conftest import WebEnvironment, later
from wavecom.core.callbacks import MOST_CALLBACKS, CallbackState, CallbackTry, DeliveryState, DisabledReason

URL = "https://shop.example/wavecom"


def create(api: FlaskClient, **wanted: Any) -> dict[str, Any]:
    answer = api.post("/api/callbacks", json={"url": URL} | wanted)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json
    return created


def test_a_callback_is_created_with_a_secret_that_is_shown_once(api: FlaskClient) -> None:
    answer = api.post(
        "/api/callbacks",
        json={"url": URL, "name": "shop", "events": ["notification.failed"], "channels": ["sms", "push"]},
    )

    created = answer.json
    assert answer.status_code == 201
    assert created.pop("secret").startswith("whsec_")
    assert created["events"] == ["notification.failed"]
    assert created["channels"] == ["push", "sms"]
    assert api.get(answer.headers["Location"]).json == created
    assert api.get("/api/callbacks").json == {"items": [created]}


def test_creating_one_begins_the_recording_of_events(environment: WebEnvironment, api: FlaskClient) -> None:
    create(api)
    environment.events.accounts.refresh()

    assert "default" in environment.events.accounts.names


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({}, "/url"),
        ({"url": "http://shop.example/"}, "/url"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": "https://localhost/"}, "/url"),
        ({"url": "https://user:pass@shop.example/"}, "/url"),
        ({"url": URL, "events": ["notification.processing"]}, "/events/0"),
        ({"url": URL, "channels": ["fax"]}, "/channels/0"),
        ({"url": URL, "secret": "whsec_mine"}, "/secret"),
        ({"url": URL, "name": "n" * 101}, "/name"),
    ],
)
def test_what_is_wrong_is_named(api: FlaskClient, wanted: dict[str, Any], pointer: str) -> None:
    answer = api.post("/api/callbacks", json=wanted)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_there_is_a_limit_to_callbacks(api: FlaskClient) -> None:
    for _ in range(MOST_CALLBACKS):
        create(api)

    assert api.post("/api/callbacks", json={"url": URL}).status_code == 422


def test_a_change_leaves_the_rest_as_it_is(api: FlaskClient) -> None:
    created = create(api, name="shop", events=["notification.failed"])

    changed = api.patch(f"/api/callbacks/{created['callbackId']}", json={"state": "paused"}).json

    assert (changed["state"], changed["name"], changed["events"]) == ("paused", "shop", ["notification.failed"])
    refused = api.patch(f"/api/callbacks/{created['callbackId']}", json={"state": "disabled"})
    assert refused.status_code == 422
    inside = api.patch(f"/api/callbacks/{created['callbackId']}", json={"url": "https://192.168.0.1/"})
    assert inside.status_code == 422


def test_one_that_was_disabled_says_why_and_goes_on_when_it_is_set_active(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    callback_id = create(api)["callbackId"]
    environment.events.callbacks.change(
        callback_id,
        {
            "state": CallbackState.DISABLED,
            "disabled_reason": DisabledReason.FAILING,
            "disabled_at": later(),
            "failures": 80,
            "failing_since": later(-10),
        },
    )
    assert api.get(f"/api/callbacks/{callback_id}").json["disabledReason"] == "failing"

    back = api.patch(f"/api/callbacks/{callback_id}", json={"state": "active"}).json

    assert (back["state"], back["disabledReason"], back["failures"], back["failingSince"]) == ("active", None, 0, None)


def test_a_rotation_shows_a_new_secret(api: FlaskClient) -> None:
    created = create(api)

    rotated = api.post(f"/api/callbacks/{created['callbackId']}/rotate", json={"overlapSeconds": 60}).json

    assert rotated["secret"] not in {created["secret"], ""}
    assert api.post(f"/api/callbacks/{created['callbackId']}/rotate").status_code == 200
    too_long = api.post(f"/api/callbacks/{created['callbackId']}/rotate", json={"overlapSeconds": 10**7})
    assert too_long.status_code == 422


def test_tries_are_listed_and_a_delivery_is_sent_again(environment: WebEnvironment, api: FlaskClient) -> None:
    callback_id = create(api)["callbackId"]
    sent = api.post(f"/api/callbacks/{callback_id}/test")
    assert (sent.status_code, sent.json["type"]) == (202, "callback.test")
    delivery = environment.events.deliveries.get(callback_id, sent.json["eventId"])
    assert delivery is not None
    failed = CallbackTry(later(1), 84, 503, "http_503", "deploying")
    environment.events.deliveries.record([(replace(delivery, tried=1), failed)])

    [listed] = api.get(f"/api/callbacks/{callback_id}/deliveries?state=pending").json["items"]
    assert listed["tries"] == [
        {
            "at": "2026-03-14T09:26:54.589Z",
            "durationMs": 84,
            "status": 503,
            "fault": "http_503",
            "excerpt": "deploying",
        }
    ]
    again = api.post(f"/api/callbacks/{callback_id}/deliveries/{sent.json['eventId']}/resend")
    assert (again.status_code, again.json["state"]) == (202, DeliveryState.PENDING)
    unknown = api.post(f"/api/callbacks/{callback_id}/deliveries/unknown/resend")
    assert (unknown.status_code, unknown.json["code"]) == (404, "callback_not_found")


def test_a_deleted_callback_is_gone(api: FlaskClient) -> None:
    callback_id = create(api)["callbackId"]

    assert api.delete(f"/api/callbacks/{callback_id}").status_code == 204
    assert api.get(f"/api/callbacks/{callback_id}").status_code == 404
    assert api.get("/api/callbacks/no-id").status_code == 404


def test_all_deliveries_are_listed_page_by_page(environment: WebEnvironment, api: FlaskClient) -> None:
    callback_id = create(api)["callbackId"]
    sent = {api.post(f"/api/callbacks/{callback_id}/test").json["eventId"] for _ in range(5)}
    listed: list[str] = []
    query = "?limit=2"

    while items := api.get(f"/api/callbacks/{callback_id}/deliveries{query}").json["items"]:
        listed += [each["eventId"] for each in items]
        query = f"?limit=2&before={items[-1]['createdAt']}&beforeEvent={items[-1]['eventId']}"

    assert (len(listed), set(listed)) == (5, sent)
