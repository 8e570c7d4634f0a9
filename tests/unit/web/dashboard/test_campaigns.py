"""The pages of campaigns: made of a file, looked at, decided about."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from tests.campaign_environment import BOB, CampaignEnvironment, csv_of, new_campaign, phones
from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.core.campaigns.model import Campaign, CampaignStatus
from wavecom.core.roles import Role

FORM: dict[str, Any] = {
    "client": "acme",
    "mode": "live",
    "name": "Spring <b>",
    "type": "sms",
    "payload": '{"text": "Hello"}',
    "rowsPerSecond": "5",
}


def only(campaigns: CampaignEnvironment) -> Campaign:
    [campaign] = campaigns.administration.newest(None, 9)
    return campaign


def made(campaigns: CampaignEnvironment, rows: int = 3) -> str:
    campaign = campaigns.administration.create(BOB, new_campaign(name="Spring <b>"))
    campaigns.upload(campaign, csv_of(*phones(rows), "none"))
    return f"/campaigns/{campaign.campaign_id}"


def test_a_campaign_is_made_of_a_file_and_waits_to_be_started(environment: DashboardEnvironment) -> None:
    browser = environment.browser()
    rows = b"phone\n+447700900001\nnone\n"
    answer = browser.post("/campaigns/add", FORM | {"rows": (BytesIO(rows), "people.csv")})

    assert answer.status_code == 303
    campaign = only(environment.campaigns)
    assert (campaign.account, campaign.status, campaign.upload.rows, campaign.rejected) == (
        "acme",
        CampaignStatus.READY,
        2,
        1,
    )
    page = browser.get(answer.location).text
    assert "Spring &lt;b&gt;" in page
    assert "Ready to start" in page
    assert "Why, as CSV" in page


def test_what_is_wrong_stands_beside_its_field_and_leaves_no_campaign_behind(environment: DashboardEnvironment) -> None:
    wrong = FORM | {"payload": "{", "client": "no client!"}
    browser = environment.browser()

    assert "must be the name of a client" in browser.post("/campaigns/add", wrong).text
    assert "must be JSON" in browser.post("/campaigns/add", wrong | {"client": "acme"}).text
    missing = browser.post("/campaigns/add", FORM)
    assert (missing.status_code, "choose a file" in missing.text) == (422, True)
    assert only(environment.campaigns).status is CampaignStatus.CANCELLED


def test_of_two_files_none_is_taken_in_silence(environment: DashboardEnvironment) -> None:
    rows = [(BytesIO(b"phone\n+447700900001\n"), f"{name}.csv") for name in ("one", "two")]

    answer = environment.browser().post("/campaigns/add", FORM | {"rows": rows})

    assert (answer.status_code, "must be one file" in answer.text) == (422, True)
    assert only(environment.campaigns).status is CampaignStatus.CANCELLED


def test_it_is_started_paused_resumed_and_cancelled_from_its_page(environment: DashboardEnvironment) -> None:
    path = made(environment.campaigns)
    browser = environment.browser()

    for action, word in (
        ("start", "Running"),
        ("pause", "Paused"),
        ("resume", "Running"),
        ("cancel", "Being cancelled"),
    ):
        assert f'value="{action}"' in browser.get(path).text
        browser.post(f"{path}/change", {"action": action})
        assert word in browser.get(f"{path}/live").text


def test_progress_and_outcome_stand_on_the_page_and_in_the_list(environment: DashboardEnvironment) -> None:
    path = made(environment.campaigns)
    browser = environment.browser()
    browser.post(f"{path}/change", {"action": "start"})
    environment.campaigns.runner.round()
    environment.campaigns.runner.count_outcomes()

    text = re.sub(r"<[^>]+>|\s+", " ", browser.get(f"{path}/live").text)
    assert re.search(r"Rows\s+4 .*Rejected\s+1 .*Sent on\s+3 .*Waiting\s+0 .*Queued\s+3", text)
    assert "Spring &lt;b&gt;" in browser.get("/campaigns").text


def test_the_reasons_are_a_download(environment: DashboardEnvironment) -> None:
    answer = environment.browser().get(f"{made(environment.campaigns)}/export")

    assert answer.text.splitlines()[1].startswith("4,5,phone,invalid,")
    assert "attachment" in answer.headers["Content-Disposition"]


def test_who_only_looks_has_no_buttons(environment: DashboardEnvironment) -> None:
    path = made(environment.campaigns)
    browser = environment.browser_as(Role.VIEWER)

    assert "<button name" not in browser.get(path).text
    assert browser.post(f"{path}/change", {"action": "start"}).status_code == 403
