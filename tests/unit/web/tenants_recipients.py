"""Accounts that try to get at each other's recipients and categories."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.web.tenants import SMS, Attempt, Tenant, Tenants

_RECIPIENT = "/api/recipients/theirs"
_CATEGORY = "/api/categories/theirs"


def _recipient_of(tenants: Tenants, victim: Tenant) -> Any:
    """A recipient `theirs` of the victim's, with a secret in the address; as the victim sees it."""
    body = {"email": f"{victim.secret.lower()}@b.example", "preferences": {victim.secret.lower(): {"email": True}}}
    owner = tenants.api(victim)
    assert owner.put(f"/api/categories/{victim.secret.lower()}", json={"title": "x"}).status_code in {200, 201}
    assert owner.put(_RECIPIENT, json=body).status_code in {200, 201}
    return owner.get(_RECIPIENT).json


def _category_of(tenants: Tenants, victim: Tenant) -> Any:
    owner = tenants.api(victim)
    assert owner.put(_CATEGORY, json={"title": victim.secret}).status_code in {200, 201}
    return owner.get(_CATEGORY).json


def list_recipients(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """The list has nobody but one's own."""
    _recipient_of(tenants, victim)
    answers = [api.get("/api/recipients"), api.get("/api/recipients?cursor=a")]
    assert [answer.json["items"] for answer in answers] == [[], []]
    return answers


def register_recipients(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """The same id is another person."""
    before = _recipient_of(tenants, victim)
    answer = api.post("/api/recipients", json={"recipients": [{"recipientId": "theirs", "locale": "de"}]})
    assert answer.json == {"created": 1, "updated": 0}
    assert tenants.api(victim).get(_RECIPIENT).json == before
    return [answer]


def at_the_recipient(method: str, path: str = "", body: Any = None, *, answered: int = 404) -> Attempt:
    """Somebody else's id is unknown, or one's own new one; and nothing can be sent there."""

    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        before = _recipient_of(tenants, victim)
        sent = api.post("/api/notifications", json=SMS | {"to": {"recipient": "theirs"}})
        answer = api.open(_RECIPIENT + path, method=method, json=body)
        assert (answer.status_code, sent.status_code) == (answered, 422)
        assert answered < 400 or answer.json["code"] == "recipient_not_found"
        assert tenants.api(victim).get(_RECIPIENT).json == before
        return [answer, sent]

    return attempt


def list_categories(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """The list has none but one's own."""
    _category_of(tenants, victim)
    answer = api.get("/api/categories")
    assert answer.json == {"items": []}
    return [answer]


def at_the_category(method: str, body: Any = None, *, answered: int = 404) -> Attempt:
    """Somebody else's name is unknown, or one's own new one."""

    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        before = _category_of(tenants, victim)
        sent = api.post("/api/notifications", json=SMS | {"category": "theirs"})
        answer = api.open(_CATEGORY, method=method, json=body)
        assert (answer.status_code, sent.status_code) == (answered, 422)
        assert answered < 400 or answer.json["code"] == "category_not_found"
        assert tenants.api(victim).get(_CATEGORY).json == before
        return [answer, sent]

    return attempt


def page_of(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """Whoever asks, and whatever he sets, means his own page."""
    theirs = {"name": victim.secret, "color": "#112233", "logoText": "L"}
    assert tenants.api(victim).put("/api/preference-page", json=theirs).status_code == 200
    answers = [api.get("/api/preference-page"), api.put("/api/preference-page", json={"name": "mine"})]
    assert tenants.api(victim).get("/api/preference-page").json == theirs
    return answers


#: Each operation → how somebody tries to get at another's things through it.
AT_RECIPIENTS: dict[tuple[str, str], Attempt] = {
    ("GET", "/api/recipients"): list_recipients,
    ("POST", "/api/recipients"): register_recipients,
    ("GET", "/api/recipients/<string:recipient_id>"): at_the_recipient("GET"),
    ("PUT", "/api/recipients/<string:recipient_id>"): at_the_recipient("PUT", body={"locale": "de"}, answered=201),
    ("PATCH", "/api/recipients/<string:recipient_id>"): at_the_recipient("PATCH", body={"locale": "de"}),
    ("DELETE", "/api/recipients/<string:recipient_id>"): at_the_recipient("DELETE"),
    ("POST", "/api/recipients/<string:recipient_id>/push-tokens"): at_the_recipient(
        "POST", "/push-tokens", {"platform": "fcm", "token": "t"}
    ),
    ("GET", "/api/categories"): list_categories,
    ("GET", "/api/categories/<string:category>"): at_the_category("GET"),
    ("PUT", "/api/categories/<string:category>"): at_the_category("PUT", {"title": "Mine"}, answered=201),
    ("DELETE", "/api/categories/<string:category>"): at_the_category("DELETE"),
    ("GET", "/api/preference-page"): page_of,
    ("PUT", "/api/preference-page"): page_of,
}
