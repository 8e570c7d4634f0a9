"""``/api/recipients`` and ``/api/categories``."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.recipients import make_category
from tests.unit.web.conftest import NOW, WebEnvironment, later
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.core.lanes import Channel
from wavecom.core.suppressions import NewSuppression, SuppressionSource, recipient_digest, reported_by_provider
from wavecom.web.api.representation import rfc3339

PATH = "/api/recipients"
AMINA: dict[str, Any] = {
    "email": "Amina@EXAMPLE.com",
    "isEmailVerified": True,
    "phone": "+44 7700 900123",
    "pushTokens": [
        {"platform": "fcm", "token": "old", "seenAt": "2026-03-01T00:00:00Z"},
        {"platform": "fcm", "token": "new"},
    ],
    "locale": "de_ch",
    "timeZone": "Europe/Zurich",
    "quietHours": {"from": "22:00", "to": "07:00"},
    "preferences": {"news": {"sms": False, "email": True}},
}
WEEKLY: dict[str, Any] = {
    "title": "News",
    "description": "Once a week.",
    "default": "opt_in",
    "channels": ["email", "push"],
    "quietHours": {"from": "21:00", "to": "00:00"},
    "windows": [{"from": "09:00", "to": "24:00"}, {"days": ["sat"], "from": "10:00", "to": "12:00"}],
    "timeZone": "Asia/Kathmandu",
    "frequencyCap": {"count": 1, "seconds": 604_800},
}


@pytest.fixture(autouse=True)
def categories(environment: WebEnvironment) -> None:
    for name in ("news", "bills"):
        environment.recipients.categories.put(make_category(name, account="default"))


def test_a_recipient_is_kept_in_the_form_that_is_sent_to(api: FlaskClient) -> None:
    made = api.put(f"{PATH}/user-42", json=AMINA)

    assert (made.status_code, made.headers["Location"]) == (201, f"{PATH}/user-42")
    assert api.get(f"{PATH}/user-42").json == made.json
    assert made.json == {
        "recipientId": "user-42",
        "email": "Amina@example.com",
        "isEmailVerified": True,
        "phone": "+447700900123",
        "isPhoneVerified": False,
        "pushTokens": [
            {"platform": "fcm", "token": "new", "seenAt": rfc3339(NOW)},
            {"platform": "fcm", "token": "old", "seenAt": "2026-03-01T00:00:00.000Z"},
        ],
        "locale": "de-CH",
        "timeZone": "Europe/Zurich",
        "quietHours": {"from": "22:00", "to": "07:00"},
        "preferences": {"news": {"email": True, "sms": False}},
        "isStopped": False,
        "preferencesUrl": None,
        "createdAt": rfc3339(NOW),
        "updatedAt": rfc3339(NOW),
    }


def test_to_say_all_anew_takes_back_no_choice(api: FlaskClient, environment: WebEnvironment) -> None:
    api.put(f"{PATH}/user-42", json=AMINA)
    assert api.put(f"{PATH}/user-42", json={"email": "b@example.com"}).json["preferences"] == AMINA["preferences"]
    environment.recipients.administration.stop("default", "user-42")
    environment.clock.advance(60)

    again = api.put(f"{PATH}/user-42", json={"email": "b@example.com", "preferences": {"bills": {"sms": True}}})

    assert again.status_code == 200
    assert (again.json["phone"], again.json["quietHours"]) == (None, None)
    # The devices are registered by apps, not by the list.
    assert [each["token"] for each in again.json["pushTokens"]] == ["new", "old"]
    assert api.put(f"{PATH}/user-42", json={"pushTokens": []}).json["pushTokens"] == []
    assert (again.json["isEmailVerified"], again.json["isStopped"]) == (False, True)
    assert again.json["preferences"] == {"news": {"sms": False}, "bills": {"sms": True}}
    assert (again.json["createdAt"], again.json["updatedAt"]) == (rfc3339(NOW), rfc3339(later(60)))


def test_what_is_named_is_changed_and_the_rest_stays(api: FlaskClient) -> None:
    api.put(f"{PATH}/user-42", json=AMINA)

    changed = api.patch(f"{PATH}/user-42", json={"quietHours": None, "preferences": {"news": {"push": False}}}).json
    moved = api.patch(f"{PATH}/user-42", json={"email": "new@example.com"}).json
    stopped = api.patch(f"{PATH}/user-42", json={"isStopped": True}).json

    assert (changed["quietHours"], changed["phone"], changed["isEmailVerified"]) == (None, "+447700900123", True)
    assert changed["preferences"] == {"news": {"email": True, "sms": False, "push": False}}
    # A new address is nobody's yet.
    assert moved["isEmailVerified"] is False
    assert (stopped["isStopped"], stopped["preferences"]) == (True, {"news": {"sms": False, "push": False}})


def test_a_push_token_that_is_seen_again_comes_first(api: FlaskClient, environment: WebEnvironment) -> None:
    api.put(f"{PATH}/user-42", json={})
    for number in range(21):
        environment.clock.advance(1)
        answer = api.post(f"{PATH}/user-42/push-tokens", json={"platform": "fcm", "token": f"t{number}"})
    environment.clock.advance(1)
    answer = api.post(f"{PATH}/user-42/push-tokens", json={"platform": "fcm", "token": "t5"})

    tokens = [each["token"] for each in answer.json["pushTokens"]]
    assert (len(tokens), tokens[:3], tokens[-1]) == (20, ["t5", "t20", "t19"], "t1")


def test_a_recipient_is_forgotten(api: FlaskClient) -> None:
    api.put(f"{PATH}/user-42", json=AMINA)

    assert api.delete(f"{PATH}/user-42").status_code == 204

    for answer in (api.get(f"{PATH}/user-42"), api.delete(f"{PATH}/user-42"), api.patch(f"{PATH}/user-42", json={})):
        assert (answer.status_code, answer.json["code"]) == (404, "recipient_not_found")


def test_who_is_deleted_and_registered_again_has_refused_what_he_had_refused(api: FlaskClient) -> None:
    api.put(f"{PATH}/user-42", json=AMINA)
    api.put(f"{PATH}/user-43", json={"isStopped": True})
    for name in ("user-42", "user-43"):
        assert api.delete(f"{PATH}/{name}").status_code == 204
    assert api.get(PATH).json["items"] == []

    many = [{"recipientId": "user-42", "email": "b@example.com"}, {"recipientId": "user-43"}]
    assert api.post(PATH, json={"recipients": many}).json == {"created": 2, "updated": 0}

    again = api.get(f"{PATH}/user-42").json
    assert (again["preferences"], again["phone"], again["pushTokens"]) == ({"news": {"sms": False}}, None, [])
    assert api.get(f"{PATH}/user-43").json["isStopped"] is True


def test_a_device_is_of_who_registered_it_last(api: FlaskClient, environment: WebEnvironment) -> None:
    tokens = [{"platform": "fcm", "token": "shared"}, {"platform": "fcm", "token": "own"}]
    api.put(f"{PATH}/ada", json={"pushTokens": tokens})
    environment.clock.advance(60)

    api.put(f"{PATH}/bela", json={"pushTokens": tokens[:1]})
    assert [each["token"] for each in api.get(f"{PATH}/ada").json["pushTokens"]] == ["own"]
    api.post(f"{PATH}/ada/push-tokens", json=tokens[0])
    assert api.get(f"{PATH}/bela").json["pushTokens"] == []
    # Of one list the last, and nobody loses it.
    many = [{"recipientId": name, "pushTokens": tokens[:1]} for name in ("cleo", "dana")]
    api.post(PATH, json={"recipients": many})
    assert [len(api.get(f"{PATH}/{name}").json["pushTokens"]) for name in ("ada", "cleo", "dana")] == [1, 0, 1]


def test_a_device_that_was_gone_and_is_registered_again_is_sent_to(
    api: FlaskClient, environment: WebEnvironment
) -> None:
    def gone() -> NewSuppression:
        return reported_by_provider(
            "fcm",
            SuppressionSource.GONE,
            account="default",
            channel=Channel.PUSH,
            recipient="phone",
            code="UNREGISTERED",
            job_id=None,
            event_id=str(environment.clock.now()),
            happened_at=environment.clock.now(),
        )

    def is_suppressed() -> bool:
        digest = recipient_digest("default", Channel.PUSH, "phone")
        return bool(environment.suppressions.active([digest], environment.clock.now()))

    api.put(f"{PATH}/user-42", json={})
    environment.services.suppressions.add([gone()])
    environment.clock.advance(60)

    stale = {"platform": "fcm", "token": "phone", "seenAt": "2026-03-01T00:00:00Z"}
    api.put(f"{PATH}/user-42", json={"pushTokens": [stale]})
    assert is_suppressed()
    api.post(f"{PATH}/user-42/push-tokens", json={"platform": "fcm", "token": "phone"})
    assert not is_suppressed()
    environment.clock.advance(60)
    environment.services.suppressions.add([gone()])
    assert is_suppressed()


def test_many_are_registered_at_once_and_listed_in_pages(api: FlaskClient) -> None:
    many = [{"recipientId": f"user-{number:03}", "email": f"u{number}@example.com"} for number in range(60)]

    first = api.post(PATH, json={"recipients": many})
    second = api.post(PATH, json={"recipients": [*many[:2], {"recipientId": "zoe"}]})

    assert (first.json, second.json) == ({"created": 60, "updated": 0}, {"created": 1, "updated": 2})
    page = api.get(f"{PATH}?limit=50").json
    rest = api.get(page["next"]).json
    assert [each["recipientId"] for each in page["items"] + rest["items"]] == [f"user-{n:03}" for n in range(60)] + [
        "zoe"
    ]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"email": "amina"}, "/email", "invalid"),
        ({"timeZone": "Europe/Atlantis"}, "/timeZone", "invalid"),
        ({"quietHours": {"from": "22:00", "to": "22:00"}}, "/quietHours/to", "invalid"),
        ({"quietHours": {"from": "10pm", "to": "07:00"}}, "/quietHours/from", "invalid"),
        ({"quietHours": {"from": "22:00"}}, "/quietHours/to", "required"),
        ({"preferences": {"News!": {"sms": True}}}, "/preferences/News!", "invalid"),
        ({"preferences": {"news": {"fax": True}}}, "/preferences/news", "wrong_type"),
        ({"pushTokens": [{"platform": "fcm"}]}, "/pushTokens/0/token", "required"),
        ({"email": None, "isEmailVerified": True}, "/isEmailVerified", "conflict"),
        ({"isEmailVerified": True}, "/isEmailVerified", "conflict"),
        ({"email": "b@example.com", "isPhoneVerified": True}, "/isPhoneVerified", "conflict"),
        ({"language": "de"}, "/language", "unknown_field"),
    ],
)
def test_what_is_wrong_is_named(api: FlaskClient, body: dict[str, Any], pointer: str, code: str) -> None:
    answer = api.put(f"{PATH}/user-42", json=body)

    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json["errors"]] == [(pointer, code)]


def test_of_many_none_is_kept_where_one_is_wrong(api: FlaskClient) -> None:
    twice = api.post(PATH, json={"recipients": [{"recipientId": "a"}, {"recipientId": "a"}]})
    wrong = api.post(PATH, json={"recipients": [{"recipientId": "a"}, {"recipientId": "amina@example.com"}]})

    assert [each["pointer"] for each in twice.json["errors"]] == ["/recipients/1/recipientId"]
    assert [each["pointer"] for each in wrong.json["errors"]] == ["/recipients/1/recipientId"]
    assert api.get(PATH).json["items"] == []
    assert api.put(f"{PATH}/amina@example.com", json={}).status_code == 422
    # An id stands in logs, and a telephone number must not.
    for number, status in (("447700900123", 422), ("4477009001234567", 201), ("123456789", 201), ("c-4477009001", 201)):
        assert api.put(f"{PATH}/{number}", json={}).status_code == status


def test_to_see_recipients_takes_a_scope_of_its_own(environment: WebEnvironment) -> None:
    scopes = frozenset(KeyScope) - {KeyScope.RECIPIENTS}
    key = KeyRecord(key_id="k", hash=hash_of("another"), client="default", scopes=scopes, is_live=True, created_at=NOW)
    environment.keys.add(key)

    assert environment.client("another").get(f"{PATH}/user-42").status_code == 403


def test_a_category_is_kept_as_it_was_described(api: FlaskClient) -> None:
    made = api.put("/api/categories/weekly", json=WEEKLY)

    assert (made.status_code, made.headers["Location"]) == (201, "/api/categories/weekly")
    assert made.json == WEEKLY | {
        "name": "weekly",
        "isRequired": False,
        "needsVerified": False,
        "obeysQuietHours": True,
        "quietHours": {"from": "21:00", "to": "24:00"},
        "windows": [
            {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "09:00", "to": "24:00"},
            WEEKLY["windows"][1],
        ],
    }
    assert api.get("/api/categories/weekly").json == made.json
    assert made.json in api.get("/api/categories").json["items"]
    assert api.put("/api/categories/weekly", json={"title": "News"}).status_code == 200
    assert api.delete("/api/categories/weekly").status_code == 204
    assert api.get("/api/categories/weekly").json["code"] == "category_not_found"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/title"),
        (WEEKLY | {"isRequired": True}, "/default"),
        (WEEKLY | {"windows": [{"from": "22:00", "to": "02:00"}]}, "/windows/0/to"),
        (WEEKLY | {"windows": [{"days": ["someday"], "from": "09:00", "to": "18:00"}]}, "/windows/0/days"),
        (WEEKLY | {"frequencyCap": {"count": 0, "seconds": 60}}, "/frequencyCap/count"),
        # Longer than notifications are kept, which is what is counted.
        (WEEKLY | {"frequencyCap": {"count": 1, "seconds": 30 * 86_400}}, "/frequencyCap/seconds"),
        (WEEKLY | {"channels": []}, "/channels"),
    ],
)
def test_what_is_wrong_with_a_category_is_named(api: FlaskClient, body: dict[str, Any], pointer: str) -> None:
    answer = api.put("/api/categories/weekly", json=body)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json["errors"]] == [pointer]


def test_who_changed_a_category_stands_in_the_audit(api: FlaskClient, environment: WebEnvironment) -> None:
    api.put("/api/categories/weekly", json={"title": "News", "isRequired": True})
    api.delete("/api/categories/weekly")
    assert api.delete("/api/categories/weekly").status_code == 404
    api.put("/api/preference-page", json={"name": "Harbour Bank"})

    told = [
        (each.action.value, each.client, each.details.get("category")) for each in environment.recipients.audit.events
    ]
    assert told[-3:] == [
        ("set_category", "default", "weekly"),
        ("delete_category", "default", "weekly"),
        ("set_preference_page", "default", None),
    ]
    assert environment.recipients.audit.events[-1].actor.startswith("key ")


def test_choices_are_of_categories_that_there_are(api: FlaskClient) -> None:
    wrong = {"preferences": {"nwes": {"sms": False}, "news": {"sms": False}}}
    for answer in (api.put(f"{PATH}/a", json=wrong), api.patch(f"{PATH}/a", json=wrong)):
        assert [(each["pointer"], each["code"]) for each in answer.json["errors"]] == [
            ("/preferences/nwes", "unknown_value")
        ]
    many = [{"recipientId": "a", "preferences": {"news": {"sms": False}}}, {"recipientId": "b", **wrong}]
    assert [each["pointer"] for each in api.post(PATH, json={"recipients": many}).json["errors"]] == [
        "/recipients/1/preferences/nwes"
    ]
    assert api.get(PATH).json["items"] == []


def test_there_are_not_too_many_categories(api: FlaskClient) -> None:
    for number in range(98):
        assert api.put(f"/api/categories/c{number}", json={"title": "x"}).status_code == 201

    assert api.put("/api/categories/more", json={"title": "x"}).json["errors"][0]["code"] == "too_many"
    assert api.put("/api/categories/c7", json={"title": "y"}).status_code == 200
    assert api.put("/api/categories/No!", json={"title": "y"}).status_code == 422


def test_the_page_looks_as_its_client_says(api: FlaskClient) -> None:
    assert api.get("/api/preference-page").json == {"name": "", "color": "#1d4ed8", "logoText": ""}

    api.put("/api/preference-page", json={"name": "Harbour Bank", "color": "#0F4C81"})

    assert api.get("/api/preference-page").json == {"name": "Harbour Bank", "color": "#0f4c81", "logoText": ""}
    assert api.put("/api/preference-page", json={"name": "x", "color": "red"}).status_code == 422


@pytest.mark.parametrize(("color", "status"), [("#ffffff", 422), ("#ffcc00", 422), ("#767676", 200), ("#1d4ed8", 200)])
def test_white_text_can_be_read_on_the_color_of_the_page(api: FlaskClient, color: str, status: int) -> None:
    assert api.put("/api/preference-page", json={"name": "x", "color": color}).status_code == status
