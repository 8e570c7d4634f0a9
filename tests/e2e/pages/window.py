"""One person's window, and what is shown in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from playwright.sync_api import ConsoleMessage, Page, Request, expect

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import PASSWORD
from wavecom.core.job import JobError, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

PHONE = {"width": 360, "height": 740}
WIDE = {"width": 1200, "height": 800}
LONG = make_job(
    type=Channel.EMAIL,
    status=Status.RETRYING,
    to={"email": "a" * 60 + "@" + "example." * 20 + "com", "name": "W" * 200},
    payload={
        "subject": "Supercalifragilistic" * 20,
        "text": "x" * 3000,
        "html": "<p>" + "y" * 3000,
        "headers": {"X-" + "H" * 70: "v" * 900},
        "attachments": [{"filename": "f" * 250 + ".pdf", "contentType": "application/pdf", "content": "QUJD"}],
    },
    metadata={"k" * 64: "m" * 2000},
    provider="p" * 60,
    error=JobError("provider_unavailable", "e" * 500, "gateway"),
    logs=(
        LogEntry(NOW, "accepted"),
        LogEntry(NOW, "unavailable", 1, "p" * 60, "unavailable", "c" * 60, "m" * 500, 12.0, NOW + timedelta(hours=1)),
    ),
)
UNCONFIRMED = make_job(client="acme:test", status=Status.UNCONFIRMED, may_have_been_sent=True)
#: A text message, which may go to another number.
OTHER = make_job(status=Status.QUEUED)
#: Over two channels, of which the first has begun; and one message for many.
FALLBACK_ID = "019ceba1-0000-7000-8000-000000000001"
CAMPAIGN_ID = "019ceba1-0000-7000-8000-000000000002"
PATHS = [
    "/status",
    "/notifications",
    "/notifications?status=failed&createdSince=2020-01-01T00:00",
    f"/notifications/{LONG.job_id}",
    f"/notifications/{UNCONFIRMED.job_id}",
    f"/notifications/{UNCONFIRMED.job_id}/settle",
    f"/notifications/{UNCONFIRMED.job_id}/retry",
    "/sessions",
    "/suppressions",
    "/suppressions/add",
    "/callbacks",
    "/callbacks/add",
    "/campaigns",
    "/campaigns/add",
    f"/campaigns/{CAMPAIGN_ID}",
    f"/notifications/{FALLBACK_ID}",
    f"/notifications/{FALLBACK_ID}/cancel",
    "/outbox",
    "/send?type=email",
    "/send?type=sms",
    "/send?type=push",
    f"/notifications/{LONG.job_id}/preview",
    "/notifications/cancel?type=sms",
    "/notifications/cancel",
    f"/notifications/{OTHER.job_id}/elsewhere",
    "/overview",
    "/overview?range=month",
    "/providers",
    "/providers/sandbox/pause",
    "/providers/sandbox/weight",
    "/dead-letters",
    "/dead-letters/again",
    "/operations",
    "/system",
    "/clients",
    "/settings",
    "/audit",
    "/users",
]


@dataclass
class BrowserWindow:
    """One person's window, and everything that must not happen in it."""

    page: Page
    base: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def log_in(self) -> Page:
        self.open("/login")
        # The field has the focus by itself, but not before the page has been drawn: what is typed earlier goes nowhere.
        expect(self.page.locator("input[autofocus]")).to_be_focused()
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Status")
        return self.page

    def note_console(self, message: ConsoleMessage) -> None:
        # The browser itself notes every answer of 4xx there; those the tests look at.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def note_request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.base}/"):
            self.foreign.append(request.url)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control or link called ``name`` has the focus, as somebody without a mouse does."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page).startswith(name):
            return
    raise AssertionError(f"{name} can't be reached by keyboard")


def focused(page: Page) -> str:
    found: str = page.evaluate(
        """() => {
            const each = document.activeElement;
            return (each.labels?.[0]?.textContent ?? each.textContent).trim();
        }"""
    )
    return found
