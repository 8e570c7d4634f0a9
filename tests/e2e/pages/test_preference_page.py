"""The page on which a recipient chooses, in a real browser: on a phone, by keyboard, without a script, read aloud."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.accessibility_rules import faults_of
from tests.e2e.pages.served import served_app
from tests.e2e.pages.window import PHONE
from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.settings import Settings


@pytest.fixture
def public() -> WebEnvironment:
    """Somebody is registered, and has three kinds of messages to choose among."""
    environment = make_environment(
        Settings(
            secret_key="a secret for tests only",
            public_url="http://127.0.0.1",
            unsubscribe_keys=("another secret for tests",),
        )
    )
    api = environment.client()
    api.put("/api/recipients/user-42", json={"email": "amina@example.com", "phone": "+447700900123"})
    api.put("/api/categories/events", json={"title": "Events near you", "default": "opt_in"})
    api.put("/api/categories/legal", json={"title": "Your contract", "isRequired": True})
    api.put("/api/categories/news", json={"title": "News", "description": "Once a week at most. " * 5})
    api.put("/api/preference-page", json={"name": "Harbour Bank", "color": "#0f4c81", "logoText": "HARBOUR"})
    return environment


def _recipient(environment: WebEnvironment) -> Any:
    return environment.client().get("/api/recipients/user-42").json


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_recipient_chooses_by_keyboard_on_a_phone(
    chromium: Browser, public: WebEnvironment, color_scheme: Any
) -> None:
    path = urlsplit(_recipient(public)["preferencesUrl"]).path
    with served_app(public.app) as address:
        page = chromium.new_page(viewport=PHONE, color_scheme=color_scheme)
        errors: list[str] = []
        page.on("console", lambda each: errors.append(each.text))
        page.goto(f"{address}{path}")
        faults = faults_of(page)
        width = page.evaluate("document.documentElement.scrollWidth")

        page.keyboard.press("Tab")
        expect(page.get_by_role("group", name="Events near you").get_by_label("E-mail")).to_be_focused()
        page.keyboard.press("Space")
        for _ in range(4):
            page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Save what I chose")).to_be_focused()
        page.keyboard.press("Enter")

        expect(page.get_by_role("status")).to_contain_text("Saved")
        assert (faults, faults_of(page), errors) == ([], [], [])
        page.close()
    assert width <= PHONE["width"]
    assert _recipient(public)["preferences"] == {
        "events": {"email": True, "sms": False},
        "news": {"email": True, "sms": True},
    }


def test_one_click_without_a_script_stops_everything(chromium: Browser, public: WebEnvironment) -> None:
    path = urlsplit(_recipient(public)["preferencesUrl"]).path
    with served_app(public.app) as address:
        page = chromium.new_context(java_script_enabled=False).new_page()
        page.goto(f"{address}{path}")

        page.get_by_role("button", name="Stop everything").click()

        expect(page.get_by_role("status")).to_contain_text("Stopped")
        expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)
        page.context.close()
    assert _recipient(public)["isStopped"]
