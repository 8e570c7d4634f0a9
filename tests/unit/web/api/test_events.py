from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import make_job_id
from tests.unit.web.conftest import NOW, WebEnvironment, later
from wavecom.core.client_events import RECORDING_DELAY, ClientEvent
from wavecom.core.job import JobError, JobId
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

ACCOUNT = "default"
SMS = {"type": "sms", "to": {"phone": "+12025550143"}, "payload": {"text": "hello"}}


def happen(environment: WebEnvironment, count: int = 1, **overrides: Any) -> list[str]:
    events = []
    for _ in range(count):
        fields: dict[str, Any] = {
            "job_id": make_job_id(),
            "version": 1,
            "account": ACCOUNT,
            "channel": Channel.SMS,
            "status": Status.QUEUED,
            "at": NOW,
            "attempts": 0,
            "published_at": NOW,
        }
        events.append(ClientEvent(**(fields | overrides)))
    environment.events.log.append(overrides.get("account", ACCOUNT), events)
    return [event.event_id for event in events]


def ids(page: Any) -> list[str]:
    return [item["eventId"] for item in page["items"]]


def test_the_first_call_begins_the_recording(environment: WebEnvironment, api: FlaskClient) -> None:
    before = api.post("/api/notifications", json=SMS).json["jobId"]

    page = api.get("/api/events").json

    assert page["items"] == []
    assert page["next"] == "0"
    assert page["recordedSince"] == (NOW + RECORDING_DELAY).isoformat(timespec="milliseconds")[:-6] + "Z"
    environment.events.accounts.refresh()
    after = api.post("/api/notifications", json=SMS).json["jobId"]
    recorded = [environment.jobs.get(JobId(job_id)) for job_id in (before, after)]
    assert [job is not None and job.records_events for job in recorded] == [False, True]


def test_pages_follow_each_other_without_gap_and_double(environment: WebEnvironment, api: FlaskClient) -> None:
    happened = happen(environment, 5)
    read, after = [], None
    for _ in range(3):
        page = api.get("/api/events", query_string={"limit": 2} | ({"after": after} if after else {})).json
        read += ids(page)
        after = page["next"]
    assert read == happened
    assert not page["hasMore"]

    again = api.get(f"/api/events?after={after}").json
    assert (again["items"], again["next"]) == ([], after)

    later_on = happen(environment)
    assert ids(api.get(f"/api/events?after={after}").json) == later_on


def test_an_event_says_what_happened_and_holds_no_recipient(environment: WebEnvironment, api: FlaskClient) -> None:
    [event_id] = happen(
        environment,
        version=3,
        status=Status.FAILED,
        at=later(2),
        attempts=2,
        provider="fcm",
        error=JobError("recipient_gone", "http_404: UNREGISTERED", "fcm"),
        metadata={"order": "A-42"},
        idempotency_key="k",
    )

    [item] = api.get("/api/events").json["items"]

    assert item == {
        "eventId": event_id,
        "type": "notification.failed",
        "timestamp": "2026-03-14T09:26:55.589Z",
        "data": {
            "jobId": event_id.partition(".")[0],
            "version": 3,
            "channel": "sms",
            "status": "failed",
            "attempts": 2,
            "provider": "fcm",
            "error": {"code": "recipient_gone", "message": "http_404: UNREGISTERED", "provider": "fcm"},
            "nextAttemptAt": None,
            "idempotencyKey": "k",
            "parent": None,
            "metadata": {"order": "A-42"},
        },
    }


def test_the_events_of_one_notification(environment: WebEnvironment, api: FlaskClient) -> None:
    happen(environment)
    job_id = make_job_id()
    mine = happen(environment, job_id=job_id)

    assert ids(api.get(f"/api/events?jobId={job_id}").json) == mine


def test_who_was_away_too_long_is_told_and_loses_nothing_silently(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    happened = happen(environment, 5)
    environment.events.log.purge(ACCOUNT, 3)

    refused = api.get("/api/events?after=1")

    assert (refused.status_code, refused.json["code"]) == (410, "events_expired")
    assert "after=3" in refused.json["detail"]
    assert ids(api.get("/api/events?after=3").json) == happened[3:]
    assert ids(api.get("/api/events").json) == happened[3:]


def test_a_position_that_never_was_is_refused(environment: WebEnvironment, api: FlaskClient) -> None:
    happen(environment)

    assert api.get("/api/events?after=2").status_code == 410


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=01", "limit=0", "limit=1001", "jobId=7", "page=2"])
def test_a_bad_query_names_its_field(api: FlaskClient, query: str) -> None:
    answer = api.get(f"/api/events?{query}")

    assert answer.status_code == 422
    assert answer.json["errors"]
