"""``/api/campaigns``: a campaign from its first request to its last notification."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.accounts import Administrator, KeyScope
from wavecom.core.lanes import Priority
from wavecom.settings import Settings

NEW: dict[str, Any] = {
    "name": "Spring",
    "notification": {"type": "sms", "payload": {"text": "Hello"}, "ttlSeconds": 3600},
    "columns": {"Mobile": "to.phone", "Customer": "metadata.customer"},
}
ROWS = b"Mobile,Customer\n+447700900001,A\nnone,B\n+447700900003,C\n"
CSV = {"Content-Type": "text/csv", "Upload-Offset": "0", "Upload-Complete": "?1"}


def create(api: FlaskClient, **changes: Any) -> str:
    answer = api.post("/api/campaigns", json=NEW | changes)
    assert answer.status_code == 201, answer.text
    return f"/api/campaigns/{answer.json['campaignId']}"


def test_a_campaign_is_made_uploaded_started_and_told_of(environment: WebEnvironment, api: FlaskClient) -> None:
    path = create(api)
    uploaded = api.patch(f"{path}/rows", data=ROWS, headers=CSV)
    started = api.post(f"{path}/start")
    for _ in range(2):
        environment.campaigns.runner.round()
    environment.campaigns.runner.count_outcomes()

    assert uploaded.json == {"offset": len(ROWS), "complete": True, "rows": 3, "rejected": 1}
    assert uploaded.headers["Upload-Offset"] == str(len(ROWS))
    assert started.json["status"] == "running"
    told = api.get(path).json
    assert (told["status"], told["counts"]["byStatus"]) == ("finished", {"queued": 2})
    assert {name: told["counts"][name] for name in ("rows", "rejected", "waiting", "queued")} == {
        "rows": 3,
        "rejected": 1,
        "waiting": 0,
        "queued": 2,
    }
    jobs = environment.jobs.all()
    assert [(job.to["phone"], job.metadata["customer"]) for job in jobs] == [
        ("+447700900001", "A"),
        ("+447700900003", "C"),
    ]
    assert {(job.priority, (job.expires_at - job.created_at).total_seconds()) for job in jobs} == {
        (Priority.BULK, 3600.0)
    }
    assert api.get("/api/campaigns").json["items"] == [told]


def test_a_campaign_that_is_asked_for_again_is_made_once(api: FlaskClient) -> None:
    key = {"Idempotency-Key": "spring"}
    first = api.post("/api/campaigns", json=NEW, headers=key)
    path = f"/api/campaigns/{first.json['campaignId']}"
    api.patch(f"{path}/rows", data=ROWS, headers=CSV)

    again = api.post("/api/campaigns", json=NEW, headers=key)

    assert (again.status_code, again.json) == (201, api.get(path).json)
    other = api.post("/api/campaigns", json=NEW | {"name": "Autumn"}, headers=key)
    assert other.json["code"] == "idempotency_mismatch"
    assert len(api.get("/api/campaigns").json["items"]) == 1


def test_what_was_rejected_is_a_csv_with_line_column_and_reason(api: FlaskClient) -> None:
    path = create(api)
    api.patch(f"{path}/rows", data=ROWS, headers=CSV)

    answer = api.get(f"{path}/rejected")

    header, row = answer.text.splitlines()
    assert header == "row,line,field,code,message"
    assert row.startswith('2,3,Mobile,invalid,"must be a phone number in E.164 form')
    assert answer.mimetype == "text/csv"


def test_rows_come_in_parts_as_ndjson_and_in_gzip_and_offsets_count_what_is_decoded(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    path = create(api)
    lines = [orjson.dumps({"Mobile": f"+44770090000{number}"}) + b"\n" for number in range(3)]
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    first = api.patch(f"{path}/rows", data=gzip.compress(lines[0] + lines[1][:5]), headers=headers)

    assert first.json["offset"] == len(lines[0])
    assert api.head(f"{path}/rows").headers["Upload-Offset"] == str(len(lines[0]))
    rest = headers | {"Upload-Offset": str(len(lines[0])), "Upload-Complete": "?1"}
    last = api.patch(f"{path}/rows", data=gzip.compress(lines[1] + lines[2]), headers=rest)

    assert last.json == {"offset": sum(map(len, lines)), "complete": True, "rows": 3, "rejected": 0}


def test_another_offset_is_refused_with_the_one_that_is_next(api: FlaskClient) -> None:
    path = create(api)

    answer = api.patch(f"{path}/rows", data=ROWS, headers=CSV | {"Upload-Offset": "9"})

    assert (answer.status_code, answer.json["code"]) == (409, "upload_offset")
    assert answer.headers["Upload-Offset"] == "0"


@pytest.mark.parametrize(
    ("headers", "status", "place"),
    [
        ({"Upload-Offset": "-1"}, 422, {"header": "Upload-Offset"}),
        ({"Upload-Complete": "yes"}, 422, {"header": "Upload-Complete"}),
        ({"Content-Type": "text/plain"}, 415, None),
        ({"Content-Encoding": "br"}, 415, None),
    ],
)
def test_headers_that_can_t_be_meant_are_refused(
    api: FlaskClient, headers: dict[str, str], status: int, place: dict[str, str] | None
) -> None:
    path = create(api)

    answer = api.patch(f"{path}/rows", data=ROWS, headers=CSV | headers)

    assert answer.status_code == status
    assert place is None or answer.json["errors"][0].items() >= place.items()


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"notification": {"type": "fax"}}, "/notification/type"),
        ({"notification": {"type": "sms", "template": "none"}}, "/notification/template"),
        ({"notification": NEW["notification"] | {"priority": "high"}}, "/notification/priority"),
        ({"notification": NEW["notification"] | {"payload": {"text": "x" * 70_000}}}, "/notification"),
        ({"columns": {"Mobile": "phone"}}, "/columns/Mobile"),
        ({"columns": {"Mobile": "to.phone", "Phone": "to.phone"}}, "/columns/Phone"),
        ({"pace": {"rowsPerSecond": 5, "finishBy": "2026-03-14T18:00:00Z"}}, "/pace/finishBy"),
        ({"pace": {"finishBy": "2026-03-14T08:00:00Z"}}, "/pace/finishBy"),
        ({"sendWindow": {"from": "20:00", "to": "08:00"}, "timeZone": "UTC"}, "/sendWindow/to"),
        ({"sendWindow": {"from": "08:00", "to": "20:00"}, "timeZone": "Mars"}, "/timeZone"),
        ({"sendWindow": {"from": "08:00", "to": "20:00"}}, "/timeZone"),
    ],
)
def test_a_campaign_that_can_t_be_meant_is_refused_by_its_fields(
    api: FlaskClient, changes: dict[str, Any], pointer: str
) -> None:
    answer = api.post("/api/campaigns", json=NEW | changes)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json["errors"]] == [pointer]


def test_a_large_campaign_is_not_approved_by_who_started_it() -> None:
    environment = make_environment(Settings(secret_key="a secret for tests only", campaign_approval_rows=2))
    api = environment.client()
    path = create(api)
    api.patch(f"{path}/rows", data=ROWS, headers=CSV)
    started = api.post(f"{path}/start").json

    assert (started["status"], started["needsApproval"]) == ("awaitingApproval", True)
    assert api.post(f"{path}/approve").status_code == 403
    its_own = api.post("/api/keys", json={"name": "second", "scopes": ["manage"]}).json["key"]
    assert environment.client(its_own).post(f"{path}/approve").status_code == 403
    operator, keys = Administrator("operator"), environment.services.key_administration
    second = keys.create(
        operator,
        client=keys.list(operator)[0].client,
        name="third",
        scopes=frozenset({KeyScope.MANAGE}),
        is_live=True,
    ).key
    assert environment.client(second).post(f"{path}/approve").json["status"] == "running"
    assert [event.action.value for event in environment.campaigns.audit.events] == [
        "create_campaign",
        "upload_campaign_rows",
        "start_campaign",
        "approve_campaign",
    ]


def test_pause_resume_and_cancel_say_how_the_campaign_stands(api: FlaskClient) -> None:
    path = create(api)
    api.patch(f"{path}/rows", data=ROWS, headers=CSV)
    assert api.post(f"{path}/pause").json["code"] == "campaign_status"
    api.post(f"{path}/start")

    statuses = [api.post(f"{path}/{action}").json["status"] for action in ("pause", "resume", "cancel")]

    assert statuses == ["paused", "running", "cancelling"]


def test_nobody_elses_campaign_is_there(api: FlaskClient) -> None:
    for path in ("3f0a9b8c-7d6e-4f5a-8b4c-6d8e3f0a9b8c", "none"):
        answer = api.get(f"/api/campaigns/{path}")
        assert (answer.status_code, answer.json["code"]) == (404, "campaign_not_found")


def test_rows_may_name_recipients_whose_wishes_hold_when_their_turn_comes(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    for name in ("ada", "bob"):
        api.put(f"/api/recipients/{name}", json={"phone": "+447700900001", "timeZone": "Europe/Zurich"})
    path = create(api, columns={})
    rows = b"recipient\nada\nbob\nnobody\n"
    assert api.patch(f"{path}/rows", data=rows, headers=CSV).json["rejected"] == 1
    api.delete("/api/recipients/bob")
    api.post(f"{path}/start")
    environment.campaigns.runner.round()

    [job] = environment.jobs.all()
    assert (job.recipient_id, job.to) == ("ada", {"phone": "+447700900001"})
    assert [line.split(",")[0] for line in api.get(f"{path}/rejected").text.splitlines()] == ["row", "3", "2"]


@pytest.mark.parametrize(
    ("category", "codes"),
    [("offers", []), ("asked", ["conflict"]), ("mail", ["conflict"]), ("ofers", ["unknown_value"])],
)
def test_rows_of_a_category_that_is_not_for_them_are_rejected(
    environment: WebEnvironment, api: FlaskClient, category: str, codes: list[str]
) -> None:
    api.put("/api/categories/offers", json={"title": "Offers"})
    api.put("/api/categories/asked", json={"title": "Asked", "default": "opt_in"})
    api.put("/api/categories/mail", json={"title": "Mail", "channels": ["email"]})
    path = create(api, notification=NEW["notification"] | {"category": category}, columns={"Mobile": "to.phone"})

    api.patch(f"{path}/rows", data=b"Mobile\n+447700900001\n", headers=CSV)

    assert [line.split(",")[3] for line in api.get(f"{path}/rejected").text.splitlines()[1:]] == codes
