"""Incidents as an operator meets them at three in the morning: seen, decided and mended from the pages alone.

Everything is real but the provider: web process, workers, servers and the browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests import peers
from tests.e2e.pages.served import chromium
from tests.peers import HttpPeer
from tests.waiting import wait_until
from tests.web_process import WebProcess, workers
from wavecom.local.servers import PrivateRabbitMQ

PASSWORD = "q8Zt1vXc5LmR2nWy7KpHs0JdGbEuF4oTiBxMaC9rNhU="
CAMPAIGN = {"campaign": "spring"}
PROVIDERS = """
[providers.gateway]
type = "http"
url = "{url}"

[providers.reserve]
type = "http"
url = "{reserve}"

[routes]
email = ["gateway"]
sms = ["gateway"]
push = ["gateway", "reserve"]
"""
SENT, WAITING, CODES = 6, 25, 4


@pytest.fixture
def gateway() -> Iterator[HttpPeer]:
    """Refuses every message, until it is put right."""
    with HttpPeer(peers.reply(400, b'{"error": "unknown placeholder"}')) as peer:
        yield peer


@pytest.fixture
def reserve() -> Iterator[HttpPeer]:
    with HttpPeer(peers.reply(202, b'{"id": "r-1"}')) as peer:
        yield peer


@pytest.fixture
def web(
    tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str, gateway: HttpPeer, reserve: HttpPeer
) -> Iterator[WebProcess]:
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.format(url=gateway.url, reserve=reserve.url), encoding="utf-8")
    variables = {"WAVECOM_PROVIDERS": str(file), "WAVECOM_OPERATOR_PASSWORD": PASSWORD}
    with WebProcess(tmp_path, servers, variables=variables) as web, workers(tmp_path, servers, variables):
        yield web


@pytest.fixture
def page(web: WebProcess) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1200, "height": 900}, base_url=web.url).new_page()
        page.goto("/login")
        page.locator("input[name=secret]").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Status", timeout=20_000)
        yield page


class Application:
    """A client, which sends and looks what became of it."""

    def __init__(self, web: WebProcess) -> None:
        self._web = web

    def send(self, **fields: Any) -> str:
        body = {"type": "sms", "to": {"phone": "+12025550143"}, "payload": {"text": "{{ name }}"}} | fields
        answer = requests.post(
            f"{self._web.url}/api/notifications", json=body, headers=self._web.authorization, timeout=30
        )
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["jobId"]
        return job_id

    def statuses(self, job_ids: list[str]) -> set[str]:
        url, headers = f"{self._web.url}/api/notifications", self._web.authorization
        return {requests.get(f"{url}/{each}", headers=headers, timeout=30).json()["status"] for each in job_ids}


@pytest.mark.timeout(240)
def test_a_poisoned_campaign_is_found_its_rest_cancelled_and_what_it_took_along_started_again(
    web: WebProcess, page: Page, gateway: HttpPeer
) -> None:
    application = Application(web)
    mail = {"type": "email", "to": {"email": "amina@example.com"}, "payload": {"subject": "s", "text": "{{ name }}"}}
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    went = [application.send(**mail, metadata=CAMPAIGN) for _ in range(SENT)]
    waits = [application.send(**mail, metadata=CAMPAIGN, sendAt=later) for _ in range(WAITING)]
    codes = [application.send() for _ in range(CODES)]
    wait_until(lambda: application.statuses(went + codes) == {"failed"}, "the gateway refuses them")

    # What is wrong, and since when.
    page.get_by_role("link", name="Dead letters", exact=True).click()
    expect(page.get_by_text(f"{SENT + CODES} in all")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("cell", name="gateway")).to_be_visible()

    # What has not gone yet must not: first to see how many that is.
    page.goto("/notifications?metadataKey=campaign&metadataValue=spring")
    page.get_by_role("link", name="Cancel all that match").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Cancel {WAITING} that wait and match?")
    page.get_by_label("Why?").fill("placeholder not filled in")
    page.get_by_role("button", name="Dry run").click()
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("a dry run", timeout=20_000)
    expect(progress).to_contain_text("finished", timeout=20_000)
    assert application.statuses(waits) == {"scheduled"}
    page.goto("/notifications/cancel?metadataKey=campaign&metadataValue=spring")
    page.get_by_label("Why?").fill("placeholder not filled in")
    page.get_by_role("button", name="Cancel").click()
    expect(progress).to_contain_text("finished", timeout=30_000)
    assert application.statuses(waits) == {"cancelled"}

    # What failed along with it goes out again, once the gateway takes it.
    gateway.script[:] = [peers.reply(202, b'{"id": "m-1"}')]
    page.goto("/dead-letters?type=sms")
    page.get_by_role("link", name="Start all of these again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Start again {CODES} notifications?")
    page.get_by_label("Why?").fill("gateway repaired")
    page.get_by_role("button", name="Start again").click()
    expect(progress).to_contain_text("finished", timeout=30_000)
    wait_until(lambda: application.statuses(codes) <= {"sent", "delivered"}, "the codes go out")
    assert application.statuses(went) == {"failed"}

    # And tomorrow morning anybody can read who did what, and why.
    page.goto("/operations")
    listed = page.get_by_role("region", name="List")
    expect(listed).to_contain_text("placeholder not filled in")
    expect(listed).to_contain_text("gateway repaired")


@pytest.mark.timeout(240)
def test_a_provider_that_is_down_is_seen_paused_and_called_again_when_it_is_well(
    web: WebProcess, page: Page, gateway: HttpPeer, reserve: HttpPeer
) -> None:
    application = Application(web)
    gateway.script[:] = [peers.reply(503, b"down")]

    def send(count: int) -> list[str]:
        push = {"type": "push", "payload": {"title": "t"}}
        return [application.send(**push, to={"platform": "fcm", "token": f"token-{n}" * 8}) for n in range(count)]

    # Nobody has to act for what is sent: it goes by the other one.
    sent = send(30)
    wait_until(lambda: application.statuses(sent) <= {"sent", "delivered"}, "the reserve takes them")

    # What is wrong, and whose fault it is.
    page.get_by_role("link", name="Providers", exact=True).click()
    card = page.locator("section", has=page.get_by_role("heading", name="gateway"))

    def is_left_alone() -> bool:
        page.reload()
        return "Left alone" in card.inner_text() or "Being tried" in card.inner_text()

    wait_until(is_left_alone, "the page says that the gateway is left alone")

    # Its people ask for quiet: no probes for ten minutes.
    page.get_by_role("link", name="Pause gateway").click()
    expect(page.get_by_role("heading", name="What follows")).to_be_visible()
    page.get_by_label("For how many minutes?").fill("10")
    page.get_by_label("Why?").fill("they asked for quiet, ticket 4711")
    page.get_by_role("button", name="Pause").click()
    expect(card).to_contain_text("ticket 4711")
    before = len(gateway.requests)
    sent = send(10)
    wait_until(lambda: application.statuses(sent) <= {"sent", "delivered"}, "the reserve takes them")
    assert len(gateway.requests) - before <= 1

    # It is well again, earlier than thought.
    gateway.script[:] = [peers.reply(202, b'{"id": "g-1"}')]
    page.get_by_role("link", name="Resume gateway").click()
    page.get_by_label("Why?").fill("they say it is repaired")
    page.get_by_role("button", name="Resume").click()
    recovered = len(gateway.requests)

    def is_called_again() -> bool:
        send(2)
        return len(gateway.requests) > recovered + 3

    wait_until(is_called_again, "the gateway is called again")
    page.goto("/audit")
    expect(page.get_by_text("ticket 4711").first).to_be_visible()
    expect(page.get_by_text("they say it is repaired").first).to_be_visible()


@pytest.mark.timeout(300)
def test_while_rabbitmq_is_away_the_pages_say_what_is_true(
    web: WebProcess, page: Page, gateway: HttpPeer, rabbitmq: PrivateRabbitMQ
) -> None:
    application = Application(web)
    gateway.script[:] = [peers.reply(202, b'{"id": "g-1"}')]
    page.get_by_role("link", name="Overview", exact=True).click()
    away = page.get_by_text("RabbitMQ does not answer")
    expect(page.get_by_text("Updates by itself")).to_be_visible(timeout=20_000)
    expect(away).to_have_count(0, timeout=20_000)

    rabbitmq.kill()
    try:
        # Nobody has to ask for the page again.
        expect(away).to_be_visible(timeout=60_000)
        expect(page.get_by_text("What is accepted is safe.")).to_be_visible()
        sent = [application.send() for _ in range(5)]
        assert application.statuses(sent) == {"queued"}
    finally:
        rabbitmq.start()

    expect(away).to_have_count(0, timeout=90_000)
