"""The status page keeps itself up to date."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.pages.window import BrowserWindow
from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


def test_the_status_page_keeps_itself_up_to_date_until_it_is_paused(
    window: BrowserWindow, environment: DashboardEnvironment
) -> None:
    window.page.clock.install()
    page = window.log_in()
    delivered = page.get_by_role("region", name="In the last hour").get_by_role("listitem").filter(has_text="Delivered")
    page.get_by_text("The same as a table").click()
    page.locator("h1").click()

    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 7)
    page.clock.run_for(5_000)
    expect(delivered).to_contain_text("207")
    expect(page.get_by_role("table", name=re.compile("^Settled"))).to_be_visible()

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Updates paused")).to_be_visible()
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 1)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    assert asked == []

    page.get_by_role("button", name="Resume").click()
    page.clock.run_for(100)
    expect(delivered).to_contain_text("208")


def test_what_somebody_is_reading_with_the_keyboard_is_not_replaced(
    window: BrowserWindow, environment: DashboardEnvironment
) -> None:
    window.page.clock.install()
    page = window.log_in()
    queued = page.get_by_role("link", name=re.compile("^Queued"))
    queued.focus()

    environment.put(*(make_job(status=Status.QUEUED) for _ in range(4)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(20_000)
    expect(queued).to_be_focused()
    # The browser fetches the page's icon when it likes.
    assert [url for url in asked if not url.endswith("/icon.svg")] == []

    page.locator("main").focus()
    page.clock.run_for(5_000)
    expect(queued).to_contain_text("8")


def test_when_the_session_has_ended_the_page_asks_for_the_login(window: BrowserWindow) -> None:
    window.page.clock.install()
    page = window.log_in()

    page.context.clear_cookies()
    page.clock.run_for(5_000)

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_when_the_server_is_gone_the_page_says_so_and_recovers(window: BrowserWindow) -> None:
    window.page.clock.install()
    page = window.log_in()

    page.context.set_offline(True)
    page.clock.run_for(5_000)
    expect(page.get_by_text("Not updating: no answer")).to_be_visible()
    page.context.set_offline(False)
    page.clock.run_for(5_000)

    expect(page.get_by_text("Updates by itself")).to_be_visible()


def test_the_overview_is_sent_what_changes(window: BrowserWindow, environment: DashboardEnvironment) -> None:
    window.log_in()
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    with window.page.expect_request(re.compile("/overview/stream")):
        page = window.open("/overview")

    environment.audit_entries.entries.append(
        {"entryId": "e-2", "action": "cancel", "operator": "grace", "startedAt": NOW}
    )
    environment.clock.advance(10)

    expect(page.get_by_role("region", name="What people did last")).to_contain_text("grace")
    expect(page.get_by_text("Updates by itself")).to_be_visible()
    assert [url for url in asked if "/overview/live" in url] == []

    page.get_by_role("button", name="Pause").click()
    environment.audit_entries.entries.append(
        {"entryId": "e-3", "action": "cancel", "operator": "alan", "startedAt": NOW}
    )
    environment.clock.advance(10)
    page.wait_for_timeout(3_000)
    expect(page.get_by_role("region", name="What people did last")).not_to_contain_text("alan")
    page.get_by_role("button", name="Resume").click()
    page.locator("main").focus()
    expect(page.get_by_role("region", name="What people did last")).to_contain_text("alan")


def test_where_no_stream_gets_through_the_overview_asks_again_and_again(window: BrowserWindow) -> None:
    window.page.route("**/overview/stream*", lambda route: route.fulfill(status=503))
    window.log_in()
    with window.page.expect_response(re.compile("/overview/live")) as answered:
        page = window.open("/overview")

    assert answered.value.status == 200
    expect(page.get_by_text("Updates by itself")).to_be_visible()
