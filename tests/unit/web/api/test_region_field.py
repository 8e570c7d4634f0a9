"""The field ``region``: given, or by the rules of the providers file; refused where there is no such region."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.settings import Settings

PROVIDERS = """\
[regions]
default = "eu"
[regions.eu]
[regions.us]
country = "US"
[providers.box]
type = "sandbox"
[routes]
sms = ["box"]
"""
SMS = {"type": "sms", "to": {"phone": "+12125550123"}, "payload": {"text": "Hello"}}


@pytest.fixture
def with_regions(tmp_path: Path) -> WebEnvironment:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS)
    return make_environment(Settings(secret_key="a secret for tests only", providers_file=file))


@pytest.mark.parametrize(("asked", "region"), [({}, "us"), ({"region": "eu"}, "eu")])
def test_a_notification_says_where_it_is_delivered(
    with_regions: WebEnvironment, asked: dict[str, str], region: str
) -> None:
    api = with_regions.client()

    accepted = api.post("/api/notifications", json=SMS | asked)

    assert accepted.status_code == 202
    assert api.get(f"/api/notifications/{accepted.json['jobId']}").json["region"] == region
    [message] = with_regions.publisher.delivery_messages
    assert message.lane.region == region


def test_a_region_that_there_is_not_is_refused_with_those_there_are(with_regions: WebEnvironment) -> None:
    answer = with_regions.client().post("/api/notifications", json=SMS | {"region": "mars"})

    [wrong] = answer.json["errors"]
    assert (answer.status_code, wrong["pointer"], wrong["code"]) == (422, "/region", "unknown_value")
    assert "eu, us" in wrong["message"]


def test_without_regions_none_may_be_named_and_none_is_told(environment: WebEnvironment) -> None:
    api = environment.client()
    refused = api.post("/api/notifications", json=SMS | {"region": "eu"})
    accepted = api.post("/api/notifications", json=SMS)

    assert [error["pointer"] for error in refused.json["errors"]] == ["/region"]
    assert "no regions" in refused.json["errors"][0]["message"]
    assert api.get(f"/api/notifications/{accepted.json['jobId']}").json["region"] is None
