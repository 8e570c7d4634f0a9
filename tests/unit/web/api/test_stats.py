"""``GET /api/stats``."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.unit.web.conftest import WebEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


def test_counts_are_told_for_every_step_by_status_and_type(environment: WebEnvironment, api: FlaskClient) -> None:
    environment.stats.add("default", Channel.SMS, Status.QUEUED, 3)
    environment.stats.add("default", Channel.EMAIL, Status.QUEUED)
    environment.clock.advance(120)
    environment.stats.add("default", Channel.SMS, Status.DELIVERED, 2)

    answer = api.get("/api/stats?step=minute&since=2026-03-14T09:26:00Z&until=2026-03-14T09:29:00Z")

    assert answer.status_code == 200
    body = answer.json
    assert (body["since"], body["until"], body["step"]) == (
        "2026-03-14T09:26:00.000Z",
        "2026-03-14T09:29:00.000Z",
        "minute",
    )
    assert [point["at"] for point in body["points"]] == [f"2026-03-14T09:2{minute}:00.000Z" for minute in (6, 7, 8)]
    assert [point["counts"]["queued"] for point in body["points"]] == [4, 0, 0]
    assert [point["counts"]["delivered"] for point in body["points"]] == [0, 0, 2]
    assert (body["totals"]["queued"], body["totals"]["delivered"], body["totals"]["failed"]) == (4, 2, 0)
    assert {name: counts["queued"] for name, counts in body["byType"].items()} == {"email": 1, "sms": 3, "push": 0}
    assert set(body["totals"]) == set(Status) - {Status.PROCESSING}


def test_a_type_leaves_out_the_others(environment: WebEnvironment, api: FlaskClient) -> None:
    environment.stats.add("default", Channel.SMS, Status.QUEUED, 3)
    environment.stats.add("default", Channel.EMAIL, Status.QUEUED)

    body = api.get("/api/stats?type=email").json

    assert body["totals"]["queued"] == body["points"][-1]["counts"]["queued"] == 1


def test_nobody_elses_notifications_are_counted(environment: WebEnvironment, api: FlaskClient) -> None:
    environment.stats.add("somebody else", Channel.SMS, Status.QUEUED)
    environment.stats.add("default:test", Channel.SMS, Status.QUEUED)

    assert api.get("/api/stats").json["totals"]["queued"] == 0


@pytest.mark.parametrize(("query", "points"), [("", 25), ("?step=minute", 61), ("?step=day", 31)])
def test_without_times_it_is_the_last_while_the_running_step_included(
    query: str, points: int, environment: WebEnvironment, api: FlaskClient
) -> None:
    environment.stats.add("default", Channel.SMS, Status.QUEUED)

    body = api.get(f"/api/stats{query}").json

    assert len(body["points"]) == points
    assert body["points"][-1]["counts"]["queued"] == 1


BAD_QUERIES = [
    ("step=week", {"step": "unknown_value"}),
    ("step=hour&step=day", {"step": "duplicate"}),
    ("type=fax", {"type": "unknown_value"}),
    ("since=yesterday", {"since": "invalid"}),
    ("since=2026-03-15T00:00:00Z", {"until": "out_of_range"}),
    ("step=minute&since=2026-03-13T09:26:53Z", {"step": "out_of_range"}),
    ("since=0001-01-01T00:00:00Z", {"step": "out_of_range"}),
    ("until=0001-01-01T00:00:00Z", {"until": "out_of_range"}),
    ("until=9999-12-31T23:59:59Z&since=9999-12-31T23:00:00Z", {"until": "out_of_range"}),
    ("interval=day", {"interval": "unknown_field"}),
]


@pytest.mark.parametrize(("query", "expected"), BAD_QUERIES)
def test_a_wrong_query_is_refused(query: str, expected: dict[str, str], api: FlaskClient) -> None:
    answer = api.get(f"/api/stats?{query}")

    assert answer.status_code == 422
    assert {error["parameter"]: error["code"] for error in answer.json["errors"]} == expected
