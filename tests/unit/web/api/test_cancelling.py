"""Many notifications that wait are cancelled by a filter: a client's own alone."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.web.api.stored_jobs import status_of, store
from tests.unit.web.conftest import WebEnvironment, later
from wavecom.core.audit import AuditAction
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import Status

CANCEL = "/api/notifications/cancel"
SPRING = {"campaign": "spring"}


def test_what_waits_and_matches_all_filters_is_cancelled_and_nothing_else(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    meant = [
        store(environment, status=status, metadata=SPRING, priority=Priority.BULK, created_at=later(-60))
        for status in (Status.QUEUED, Status.SCHEDULED, Status.RETRYING)
    ]
    usual: dict[str, Any] = {
        "status": Status.QUEUED,
        "metadata": SPRING,
        "priority": Priority.BULK,
        "created_at": later(-60),
    }
    others = [
        store(environment, **usual | difference)
        for difference in (
            {"metadata": {"campaign": "autumn"}},
            {"type": Channel.EMAIL},
            {"priority": Priority.HIGH},
            {"status": Status.DELIVERED},
            {"created_at": later(-600)},
            {"created_at": later(-1)},
            {"client": "somebody else"},
            {"client": "default:test"},
        )
    ]
    filters = {
        "metadataKey": "campaign",
        "metadataValue": "spring",
        "type": "sms",
        "priority": "bulk",
        "createdSince": later(-120).isoformat(),
        "createdBefore": later(-30).isoformat(),
    }

    answer = api.post(CANCEL, json=filters | {"reason": "wrong price"})

    assert answer.status_code == 202
    assert answer.json == {"auditId": "run-1", "cancelled": 3, "left": 0, "next": None}
    assert {status_of(environment, job) for job in meant} == {Status.CANCELLED}
    assert [environment.jobs.get(job.job_id) for job in others] == others
    entry = environment.audit.only()
    assert (entry.action, entry.done) == (AuditAction.CANCEL, 3)
    assert entry.operator.startswith("key ")
    assert (entry.filters["client"], entry.filters["reason"]) == ("default", "wrong price")
    [*_, line] = environment.jobs.get(meant[0].job_id).logs  # type: ignore[union-attr]
    assert (line.event, line.by) == ("cancelled", entry.operator)


def test_a_dry_run_counts_and_shows_some_and_changes_nothing(environment: WebEnvironment, api: FlaskClient) -> None:
    jobs = [store(environment, created_at=later(-number)) for number in range(1, 13)]
    store(environment, client="somebody else")

    answer = api.post(CANCEL, json={"type": "sms", "dryRun": True, "limit": 5})

    assert answer.status_code == 200
    assert (answer.json["count"], answer.json["isAtLeast"]) == (12, False)
    assert [item["jobId"] for item in answer.json["sample"]] == [job.job_id for job in jobs[:10]]
    assert [environment.jobs.get(job.job_id) for job in jobs] == jobs
    assert environment.audit.operations == {}


def test_a_call_does_so_many_and_says_how_to_go_on(environment: WebEnvironment, api: FlaskClient) -> None:
    jobs = [store(environment, created_at=later(-number)) for number in range(1, 8)]
    body: dict[str, Any] | None = {"type": "sms", "limit": 3, "reason": "a mistake"}
    answers = []

    while body is not None:
        answers.append(api.post(CANCEL, json=body))
        assert answers[-1].status_code == 202
        if len(answers) == 1:
            fresh = store(environment, created_at=later(0))
        body = answers[-1].json["next"]

    assert [answer.json["cancelled"] for answer in answers] == [3, 3, 1]
    assert {status_of(environment, job) for job in jobs} == {Status.CANCELLED}
    assert status_of(environment, fresh) is Status.QUEUED, "what is accepted meanwhile is left"
    assert {each.filters["reason"] for each in environment.audit.operations.values()} == {"a mistake"}


def test_what_may_have_been_sent_is_left_and_counted(environment: WebEnvironment, api: FlaskClient) -> None:
    doubtful = store(environment, status=Status.RETRYING, may_have_been_sent=True, created_at=later(-1))

    answer = api.post(CANCEL, json={"status": ["retrying"]})

    assert (answer.json["cancelled"], answer.json["left"]) == (0, 1)
    assert status_of(environment, doubtful) is Status.RETRYING


def test_many_in_doubt_do_not_hide_those_behind_them(environment: WebEnvironment, api: FlaskClient) -> None:
    for number in range(1, 6):
        store(environment, status=Status.RETRYING, may_have_been_sent=True, created_at=later(-number))
    waiting = store(environment, created_at=later(-60))
    body: dict[str, Any] | None = {"type": "sms", "limit": 2}
    calls = 0

    while body is not None and calls < 10:
        body = api.post(CANCEL, json=body).json["next"]
        calls += 1

    assert calls <= 4
    assert status_of(environment, waiting) is Status.CANCELLED


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"reason": "all of it"}, ""),
        ({"dryRun": True, "limit": 5}, ""),
        ({"status": ["sent"]}, "/status/0"),
        ({"status": "queued"}, "/status"),
        ({"status": []}, "/status"),
        ({"type": "fax"}, "/type"),
        ({"metadataValue": "spring"}, "/metadataKey"),
        ({"metadataKey": "n", "metadataValue": 7}, "/metadataValue"),
        ({"createdSince": "2026-03-14T09:00:00Z", "createdBefore": "2026-03-14T08:00:00Z"}, "/createdBefore"),
        ({"createdSince": "yesterday"}, "/createdSince"),
        ({"type": "sms", "limit": 0}, "/limit"),
        ({"type": "sms", "limit": 1001}, "/limit"),
        ({"type": "sms", "cursor": "x" * 38}, "/cursor"),
        ({"type": "sms", "cursor": 7}, "/cursor"),
        ({"recipient": "+447700900123"}, "/recipient"),
        ({"jobId": "019cebab-8995-7000-8000-000000000001"}, "/jobId"),
        ({"type": "sms", "client": "somebody else"}, "/client"),
        ({"type": None}, "/type"),
    ],
)
def test_a_wrong_body_cancels_nothing_and_names_what_is_wrong(
    environment: WebEnvironment, api: FlaskClient, body: dict[str, Any], pointer: str
) -> None:
    job = store(environment)

    answer = api.post(CANCEL, json=body)

    assert answer.status_code == 422
    assert pointer in {error["pointer"] for error in answer.json["errors"]}
    assert environment.jobs.get(job.job_id) == job
    assert environment.audit.operations == {}
