"""Attempts of accounts at each other's campaigns, for ``test_tenants.py``."""

from __future__ import annotations

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.web.tenants import SMS, Attempt, Tenant, Tenants

_ROWS = {"Content-Type": "text/csv", "Upload-Complete": "?1"}


def _campaign_of(tenants: Tenants, victim: Tenant) -> str:
    """The address of a campaign of the victim's that could be started, with a secret in its name and rows."""
    api = tenants.api(victim)
    notification = {"type": "sms", "payload": SMS["payload"]}
    made = api.post("/api/campaigns", json={"name": victim.secret, "notification": notification})
    address = f"/api/campaigns/{made.json['campaignId']}"
    rows = f"phone,{victim.secret}\n+447700900123,x\nnone,x\n"
    assert api.patch(f"{address}/rows", data=rows, headers=_ROWS).json["rejected"] == 1
    return address


def _create_campaign(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """A campaign is its maker's, whatever the body says of anybody else."""
    notification = {"type": "sms", "payload": SMS["payload"]}
    pushed_in = api.post("/api/campaigns", json={"name": "x", "notification": notification, "account": victim.account})
    assert pushed_in.status_code == 422
    return [pushed_in]


def _list_campaigns(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """A list has one's own campaigns alone."""
    _campaign_of(tenants, victim)
    answer = api.get("/api/campaigns")
    assert answer.json == {"items": [], "next": None}
    return [answer]


def _at_the_campaign(method: str, path: str = "") -> Attempt:
    """Another's campaign is not found, and stays as it is."""

    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        address = _campaign_of(tenants, victim)
        answer = api.open(f"{address}{path}", method=method, headers=_ROWS)
        assert (answer.status_code, answer.json["code"]) == (404, "campaign_not_found")
        assert tenants.api(victim).get(address).json["status"] == "ready"
        return [answer]

    return attempt


#: Each operation → what somebody else does with it.
CAMPAIGN_ATTEMPTS: dict[tuple[str, str], Attempt] = {
    ("GET", "/api/campaigns"): _list_campaigns,
    ("POST", "/api/campaigns"): _create_campaign,
    ("GET", "/api/campaigns/<campaign_id>"): _at_the_campaign("GET"),
    ("GET", "/api/campaigns/<campaign_id>/rows"): _at_the_campaign("GET", "/rows"),
    ("PATCH", "/api/campaigns/<campaign_id>/rows"): _at_the_campaign("PATCH", "/rows"),
    ("GET", "/api/campaigns/<campaign_id>/rejected"): _at_the_campaign("GET", "/rejected"),
    ("POST", "/api/campaigns/<campaign_id>/start"): _at_the_campaign("POST", "/start"),
    ("POST", "/api/campaigns/<campaign_id>/approve"): _at_the_campaign("POST", "/approve"),
    ("POST", "/api/campaigns/<campaign_id>/pause"): _at_the_campaign("POST", "/pause"),
    ("POST", "/api/campaigns/<campaign_id>/resume"): _at_the_campaign("POST", "/resume"),
    ("POST", "/api/campaigns/<campaign_id>/cancel"): _at_the_campaign("POST", "/cancel"),
}
