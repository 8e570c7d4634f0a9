"""Who may do what."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import make_job, make_job_id
from tests.template_environment import ORDER
from tests.unit.web.conftest import KEY, NOW, WebEnvironment, make_environment
from wavecom.accounts import KeyRing, KeyScope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.errors import StoreError

SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}


def _add_key(environment: WebEnvironment, key: str, **fields: Any) -> None:
    usual: dict[str, Any] = {
        "key_id": "another",
        "hash": hash_of(key),
        "client": "default",
        "scopes": frozenset(KeyScope),
        "is_live": True,
        "created_at": NOW,
    }
    environment.keys.add(KeyRecord(**(usual | fields)))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic d2F2ZWNvbTpzZWNyZXQ=",
        KEY,
        "Bearer wc_live_unknown",
        f"Bearer {KEY}x",
        f"Bearer {KEY.upper()}",
        "Bearer " + "x" * 10_000,
        "Bearer \xff\xfe",
    ],
)
def test_a_call_without_a_known_key_is_refused(header: str | None, environment: WebEnvironment) -> None:
    headers = {} if header is None else {"Authorization": header}

    answer = environment.client(None).post("/api/notifications", json=SMS, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="wavecom"'
    assert environment.jobs.search(JobFilter(), 1).jobs == ()


def test_the_scheme_may_be_in_any_case(environment: WebEnvironment) -> None:
    answer = environment.client(None).get("/api/notifications", headers={"Authorization": f"bearer  {KEY} "})

    assert answer.status_code == 200


def test_nothing_of_a_strangers_body_is_read(environment: WebEnvironment) -> None:
    answer = environment.client(None).post("/api/notifications", data=b"not JSON", content_type="text/plain")

    assert answer.status_code == 401


CALLS = [
    ("POST", "/api/notifications", KeyScope.SEND),
    ("POST", "/api/notifications/batch", KeyScope.SEND),
    ("GET", "/api/notifications", KeyScope.READ),
    ("GET", "/api/notifications/{job_id}", KeyScope.READ),
    ("POST", "/api/notifications/{job_id}/cancel", KeyScope.MANAGE),
    ("POST", "/api/notifications/{job_id}/retry", KeyScope.MANAGE),
    ("POST", "/api/notifications/{job_id}/settle", KeyScope.MANAGE),
    ("POST", "/api/notifications/replay", KeyScope.MANAGE),
    ("POST", "/api/notifications/cancel", KeyScope.MANAGE),
    ("POST", "/api/keys", KeyScope.ADMIN),
    ("GET", "/api/keys", KeyScope.ADMIN),
    ("POST", "/api/keys/{key_id}/rotate", KeyScope.ADMIN),
    ("POST", "/api/keys/{key_id}/revoke", KeyScope.ADMIN),
    ("GET", "/api/providers", KeyScope.ADMIN),
    ("PATCH", "/api/providers/{name}", KeyScope.ADMIN),
    ("POST", "/api/suppressions", KeyScope.MANAGE),
    ("GET", "/api/suppressions", KeyScope.READ),
    ("GET", "/api/suppressions/export", KeyScope.READ),
    ("POST", "/api/suppressions/import", KeyScope.MANAGE),
    ("GET", "/api/suppressions/{suppression_id}", KeyScope.READ),
    ("DELETE", "/api/suppressions/{suppression_id}", KeyScope.MANAGE),
    ("GET", "/api/stats", KeyScope.READ),
    ("GET", "/api/events", KeyScope.READ),
    ("GET", "/api/events/stream", KeyScope.READ),
    ("POST", "/api/callbacks", KeyScope.MANAGE),
    ("GET", "/api/callbacks", KeyScope.READ),
    ("GET", "/api/callbacks/{callback_id}", KeyScope.READ),
    ("PATCH", "/api/callbacks/{callback_id}", KeyScope.MANAGE),
    ("DELETE", "/api/callbacks/{callback_id}", KeyScope.MANAGE),
    ("POST", "/api/callbacks/{callback_id}/rotate", KeyScope.MANAGE),
    ("POST", "/api/callbacks/{callback_id}/test", KeyScope.MANAGE),
    ("GET", "/api/callbacks/{callback_id}/deliveries", KeyScope.READ),
    ("POST", "/api/callbacks/{callback_id}/deliveries/{event_id}/resend", KeyScope.MANAGE),
    ("POST", "/api/callbacks/{callback_id}/resend", KeyScope.MANAGE),
    ("GET", "/api/contact", KeyScope.ADMIN),
    ("PUT", "/api/contact", KeyScope.ADMIN),
    ("POST", "/api/files", KeyScope.SEND),
    ("GET", "/api/files", KeyScope.READ),
    ("GET", "/api/files/{file_id}", KeyScope.READ),
    ("DELETE", "/api/files/{file_id}", KeyScope.SEND),
    ("GET", "/api/recipients", KeyScope.RECIPIENTS),
    ("POST", "/api/recipients", KeyScope.RECIPIENTS),
    ("GET", "/api/recipients/{recipient_id}", KeyScope.RECIPIENTS),
    ("PUT", "/api/recipients/{recipient_id}", KeyScope.RECIPIENTS),
    ("PATCH", "/api/recipients/{recipient_id}", KeyScope.RECIPIENTS),
    ("DELETE", "/api/recipients/{recipient_id}", KeyScope.RECIPIENTS),
    ("POST", "/api/recipients/{recipient_id}/push-tokens", KeyScope.RECIPIENTS),
    ("GET", "/api/categories", KeyScope.READ),
    ("GET", "/api/categories/{category}", KeyScope.READ),
    ("PUT", "/api/categories/{category}", KeyScope.MANAGE),
    ("DELETE", "/api/categories/{category}", KeyScope.MANAGE),
    ("GET", "/api/preference-page", KeyScope.READ),
    ("PUT", "/api/preference-page", KeyScope.MANAGE),
    ("GET", "/api/campaigns", KeyScope.READ),
    ("POST", "/api/campaigns", KeyScope.SEND),
    ("GET", "/api/campaigns/{campaign_id}", KeyScope.READ),
    ("GET", "/api/campaigns/{campaign_id}/rows", KeyScope.READ),
    ("PATCH", "/api/campaigns/{campaign_id}/rows", KeyScope.SEND),
    ("GET", "/api/campaigns/{campaign_id}/rejected", KeyScope.READ),
    ("POST", "/api/campaigns/{campaign_id}/start", KeyScope.SEND),
    ("POST", "/api/campaigns/{campaign_id}/approve", KeyScope.MANAGE),
    ("POST", "/api/campaigns/{campaign_id}/pause", KeyScope.SEND),
    ("POST", "/api/campaigns/{campaign_id}/resume", KeyScope.SEND),
    ("POST", "/api/campaigns/{campaign_id}/cancel", KeyScope.SEND),
    ("GET", "/api/templates", KeyScope.READ),
    ("GET", "/api/templates/{template}/versions", KeyScope.READ),
    ("POST", "/api/templates/{template}/versions", KeyScope.MANAGE),
    ("GET", "/api/templates/{template}/versions/{version}", KeyScope.READ),
    ("POST", "/api/templates/{template}/versions/{version}/review", KeyScope.MANAGE),
    ("POST", "/api/templates/{template}/versions/{version}/publish", KeyScope.MANAGE),
    ("POST", "/api/templates/{template}/preview", KeyScope.READ),
]
SUPPRESSION = {"type": "sms", "recipient": "+447700900123", "reason": "asked"}
CALLBACK = {"url": "https://shop.example/hooks"}
CAMPAIGN = {"name": "Spring", "notification": {"type": "sms", "payload": {"text": "Hello"}}}
BODIES: dict[str, Any] = {
    "/api/notifications": SMS,
    "/api/notifications/batch": {"notifications": [SMS]},
    "/api/notifications/{job_id}/settle": {"outcome": "delivered", "reason": "looked it up"},
    "/api/notifications/replay": {"type": "sms", "dryRun": True},
    "/api/notifications/cancel": {"type": "sms", "dryRun": True},
    "/api/keys": {"name": "new", "scopes": ["admin"]},
    "/api/keys/{key_id}/rotate": {},
    "/api/providers/{name}": {"pausedUntil": None, "reason": "over"},
    "/api/suppressions": SUPPRESSION,
    "/api/suppressions/import": "type,recipient\r\nsms,+447700900123\r\n",
    "/api/contact": {"email": "platform@shop.example"},
    "/api/files": "a,b\r\n",
    "/api/recipients": {"recipients": [{"recipientId": "user-42"}]},
    "/api/recipients/{recipient_id}": {"locale": "de"},
    "/api/recipients/{recipient_id}/push-tokens": {"platform": "fcm", "token": "t"},
    "/api/categories/{category}": {"title": "News"},
    "/api/preference-page": {"name": "Acme"},
    "/api/campaigns": CAMPAIGN,
    "/api/campaigns/{campaign_id}/rows": "phone\n+447700900123\n",
    "/api/callbacks": CALLBACK,
    "/api/templates/{template}/versions": ORDER,
    "/api/callbacks/{callback_id}": {"state": "paused"},
    "/api/callbacks/{callback_id}/rotate": {"overlapSeconds": 60},
    "/api/callbacks/{callback_id}/resend": {"since": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"},
}
QUERIES = {
    "/api/suppressions/{suppression_id}": {"reason": "asked again"},
    "/api/files": {"filename": "prices.csv"},
}


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_each_call_needs_a_key_with_its_scope(
    method: str, path: str, scope: KeyScope, environment: WebEnvironment
) -> None:
    statuses = {"retry": Status.FAILED, "settle": Status.UNCONFIRMED}
    job = make_job(client="default", status=statuses.get(path.rsplit("/", 1)[-1], Status.QUEUED))
    environment.jobs.insert([job])
    _add_key(environment, "a key without the scope", scopes=frozenset(KeyScope) - {scope})
    _add_key(environment, "a key with just the scope", scopes=frozenset({scope}))
    _add_key(environment, "a key to change", key_id="to-change", scopes=frozenset({KeyScope.ADMIN}))
    suppression = environment.client().post("/api/suppressions", json=SUPPRESSION).json["suppressionId"]
    callback = environment.client().post("/api/callbacks", json=CALLBACK).json["callbackId"]
    event = environment.client().post(f"/api/callbacks/{callback}/test").json["eventId"]
    environment.templates.publish("default", "order", ORDER)
    campaign = environment.client().post("/api/campaigns", json=CAMPAIGN).json["campaignId"]
    file = environment.services.uploads.upload("default", b"a", "a.txt", "text/plain", timedelta(days=1))
    environment.client().put("/api/recipients/user-42", json={})
    environment.client().put("/api/categories/news", json={"title": "News"})
    call: dict[str, Any] = {"method": method}
    if method in {"POST", "PATCH", "PUT"} and path in BODIES:
        body = BODIES[path]
        call |= {"data": body, "content_type": "text/csv"} if isinstance(body, str) else {"json": body}
    call["query_string"] = QUERIES.get(path) if method in {"DELETE", "POST"} else None
    path = path.format(
        job_id=job.job_id,
        key_id="to-change",
        name="sandbox",
        suppression_id=suppression,
        callback_id=callback,
        event_id=event,
        campaign_id=campaign,
        file_id=file.file_id,
        recipient_id="user-42",
        category="news",
        template="order",
        version=1,
    )

    unknown = [environment.client(key).open(path, **call) for key in (None, "a key that nobody has made")]
    refused = environment.client("a key without the scope").open(path, **call)
    let_through = environment.client("a key with just the scope").open(path, **call)

    assert [(each.status_code, each.json["code"]) for each in unknown] == [(401, "unauthenticated")] * 2
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert scope in refused.json["detail"]
    # Here is no providers file, so who may change providers is told that there is none of this name; and the campaign
    # has no rows yet.
    told = {"provider_not_found", "campaign_status"}
    assert let_through.status_code in {200, 201, 202, 204} or let_through.json["code"] in told


def test_the_table_of_calls_above_has_every_address_of_the_api(environment: WebEnvironment) -> None:
    rules = {
        (method, str(rule).replace("string:", "").replace("<", "{").replace(">", "}"))
        for rule in environment.app.url_map.iter_rules()
        if str(rule).startswith("/api/") and str(rule) != "/api/openapi.json"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert rules == {(method, path) for method, path, _ in CALLS}


def test_what_a_test_key_sends_is_kept_apart_from_what_live_keys_of_its_client_send(
    environment: WebEnvironment,
) -> None:
    _add_key(environment, "wc_test_key", is_live=False)
    headers = {"Idempotency-Key": "1"}
    live = environment.client().post("/api/notifications", json=SMS, headers=headers)

    test = environment.client("wc_test_key").post("/api/notifications", json=SMS, headers=headers)

    assert test.status_code == 202
    assert test.json["jobId"] != live.json["jobId"]
    assert {job.client for job in environment.jobs.search(JobFilter(), 9).jobs} == {"default", "default:test"}
    assert [message.lane.is_test for message in environment.publisher.delivery_messages] == [False, True]


def test_two_clients_see_nothing_of_each_other(environment: WebEnvironment) -> None:
    _add_key(environment, "the other's key", client="other")
    mine = environment.client().post("/api/notifications", json=SMS, headers={"Idempotency-Key": "1"})

    theirs = environment.client("the other's key").post(
        "/api/notifications", json=SMS, headers={"Idempotency-Key": "1"}
    )

    assert theirs.json["jobId"] != mine.json["jobId"]
    assert "Idempotent-Replayed" not in theirs.headers
    assert environment.client("the other's key").get(mine.headers["Location"]).status_code == 404
    items = environment.client("the other's key").get("/api/notifications").json["items"]
    assert [item["jobId"] for item in items] == [theirs.json["jobId"]]


def test_a_key_that_has_ended_is_refused(environment: WebEnvironment) -> None:
    _add_key(environment, "an old key", expires_at=NOW)

    assert environment.client("an old key").get("/api/notifications").status_code == 401


class _AwayKeyStore:
    def find(self, key_hash: str) -> KeyRecord | None:
        raise StoreError("away")

    def add(self, record: KeyRecord) -> None:
        raise StoreError("away")

    def find_by_id(self, key_id: str) -> KeyRecord | None:
        raise StoreError("away")

    def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        raise StoreError("away")

    def retire(self, key_id: str, at: datetime, replaced_by: str) -> bool:
        raise StoreError("away")

    def of_client(self, client: str | None) -> list[KeyRecord]:
        raise StoreError("away")


def test_when_keys_cannot_be_looked_up_the_answer_is_not_available(environment: WebEnvironment) -> None:
    api: FlaskClient = make_environment(keys=KeyRing(_AwayKeyStore(), environment.clock)).client()

    answer = api.get(f"/api/notifications/{make_job_id()}")

    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
