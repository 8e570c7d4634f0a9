"""The status pages by keyboard alone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.pages.window import BrowserWindow, focused, tab_to
from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.core.lanes import Channel


def test_an_sms_is_sent_by_keyboard_alone(window: BrowserWindow, environment: DashboardEnvironment) -> None:
    page = window.log_in()

    tab_to(page, "Send")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Send a notification")
    tab_to(page, "SMS")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="SMS")).to_have_attribute("aria-current", "page")
    tab_to(page, "Phone number")
    page.keyboard.type("+447700900123")
    tab_to(page, "Text")
    page.keyboard.type("Your code is 493817")
    tab_to(page, "Delivery options")
    page.keyboard.press("Enter")
    tab_to(page, "Priority")
    page.keyboard.type("High")
    tab_to(page, "Send SMS")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("SMS notification")
    expect(page.get_by_role("status")).to_contain_text("Accepted")
    expect(page.get_by_role("region", name="Message").get_by_role("group", name="Text")).to_have_text(
        "Your code is 493817"
    )
    expect(page.get_by_role("region", name="Summary")).to_contain_text("High")
    expect(page.get_by_role("region", name="Timeline").get_by_role("listitem")).to_contain_text("Accepted by WaveCom")

    tab_to(page, "Notifications")
    page.keyboard.press("Enter")
    row = page.get_by_role("row", name=re.compile(r"\+44…23"))
    expect(row).to_contain_text("Queued")
    assert [message.lane.channel for message in environment.publisher.delivery_messages] == [Channel.SMS]


def test_a_recipient_is_suppressed_and_lifted_by_keyboard_alone(window: BrowserWindow) -> None:
    page = window.log_in()

    tab_to(page, "Suppressions")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Suppressions")
    tab_to(page, "Add a recipient")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Send a recipient nothing more")
    tab_to(page, "Skip to content")
    page.keyboard.press("Enter")
    tab_to(page, "Client")
    page.keyboard.type("acme")
    tab_to(page, "Recipient")
    page.keyboard.type("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Recipient")
    page.get_by_role("textbox", name="Recipient").fill("amina.haddad@example.com")
    tab_to(page, "Add")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("In force")
    expect(page.get_by_role("region", name="Entry")).to_contain_text("amina.haddad@example.com")
    tab_to(page, "Why?")
    page.keyboard.type("asked again")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Lifted")
    expect(page.get_by_role("region", name="History").get_by_role("row")).to_have_count(3)


def test_the_first_tab_offers_to_skip_to_the_content(window: BrowserWindow) -> None:
    page = window.log_in()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_whoever_has_the_focus_is_marked(window: BrowserWindow) -> None:
    page = window.log_in()
    window.open("/send?type=push")
    styles: dict[str, str] = {}

    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement !== document.body"):
        styles[focused(page)] = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        page.keyboard.press("Tab")

    assert len(styles) > 15
    assert set(styles.values()) == {"solid"}


def test_mistakes_are_announced_and_lead_to_their_fields(window: BrowserWindow) -> None:
    page = window.log_in()
    window.open("/send?type=email")
    tab_to(page, "Name")
    page.keyboard.type("Amina")
    page.keyboard.press("Enter")

    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("3 things need to be put right")
    expect(summary).to_be_focused()
    assert page.title().startswith("Error:")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    address = page.get_by_label("E-mail address")
    expect(address).to_be_focused()
    expect(address).to_have_accessible_description(re.compile("is missing", re.IGNORECASE))
    expect(page.get_by_label("Name", exact=False).first).to_have_value("Amina")


def test_an_email_with_a_file_is_sent(window: BrowserWindow) -> None:
    page = window.log_in()
    window.open("/send?type=email")

    page.get_by_label("E-mail address").fill("amina@example.com")
    page.get_by_label("Subject").fill("Your receipt")
    page.get_by_label("Text", exact=True).fill("Dear Amina,\n\nhere it is. 🧾\n\nمصرفك")
    page.get_by_label("Attachments").set_input_files(
        {"name": "quittance n° 7.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-" + b"\0" * 50_000}
    )
    page.get_by_role("button", name="Send E-mail").click()

    message = page.get_by_role("region", name="Message")
    expect(message).to_contain_text("quittance n° 7.pdf")
    expect(message).to_contain_text("50 KB, application/pdf")
    expect(message.get_by_role("group", name="Text")).to_have_text("Dear Amina,\n\nhere it is. 🧾\n\nمصرفك")
