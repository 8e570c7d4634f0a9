"""The status pages without a script."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.pages.window import PHONE, UNCONFIRMED, BrowserWindow
from tests.factories import make_job
from tests.unit.web.dashboard.environment import PASSWORD, DashboardEnvironment
from wavecom.core.states import Status


@pytest.mark.parametrize("window", [{"java_script_enabled": False}], indirect=True)
def test_without_a_script_everything_works(window: BrowserWindow) -> None:
    page = window.page
    window.open("/login")
    page.get_by_label("API key or password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Status")

    page.get_by_role("link", name="Send", exact=True).click()
    page.get_by_role("link", name="Push").click()
    page.get_by_label("Device token").fill("device-token-1")
    page.get_by_label("Title").fill("Parcel")
    page.get_by_role("button", name="Send Push").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Push notification")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.mark.parametrize("window", [{"java_script_enabled": False, "viewport": PHONE}], indirect=True)
def test_without_a_script_a_notification_is_cancelled_and_another_settled(
    window: BrowserWindow, environment: DashboardEnvironment
) -> None:
    page = window.page
    window.open("/login")
    page.get_by_label("API key or password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    waiting = make_job(status=Status.QUEUED)
    environment.put(waiting)

    window.open(f"/notifications/{waiting.job_id}")
    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cancel this notification?")
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_role("status")).to_contain_text("It will never be sent")
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("by operator")

    window.open(f"/notifications/{UNCONFIRMED.job_id}")
    page.get_by_role("link", name="Settle by hand…").click()
    page.get_by_label("It was delivered").check()
    page.get_by_label("How do you know?").fill("The gateway shows it.")
    page.get_by_role("button", name="Settle by hand").click()
    expect(page.get_by_role("region", name="Summary")).to_contain_text("Delivered")
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("The gateway shows it.")
