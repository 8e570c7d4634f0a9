"""The status pages in a real browser: by keyboard alone, on a phone, without a script, in light and dark.

The services behind them live in memory; everything from the WSGI server to the pixels is real.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.factories import NOW, make_job
from tests.unit.dashboard.environment import PASSWORD, DashboardEnvironment
from wavecom.core.job import JobError, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

# The pages are quick; a machine that runs other tests beside them is not.
expect.set_options(timeout=20_000)

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
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
PATHS = [
    "/status",
    "/notifications",
    "/notifications?status=failed&createdSince=2020-01-01T00:00",
    f"/notifications/{LONG.job_id}",
    f"/notifications/{UNCONFIRMED.job_id}",
    f"/notifications/{UNCONFIRMED.job_id}/settle",
    f"/notifications/{UNCONFIRMED.job_id}/retry",
    "/sessions",
    "/outbox",
    "/send?type=email",
    "/send?type=sms",
    "/send?type=push",
]


class QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: the tests see every answer anyway."""


def in_one_piece(app: Any) -> Any:
    """``app``, each answer read whole: werkzeug's server leaves a file open when the browser has gone meanwhile."""

    def answer(environ: Any, start_response: Any) -> list[bytes]:
        body = app(environ, start_response)
        try:
            return [b"".join(body)]
        finally:
            if hasattr(body, "close"):
                body.close()

    return answer


@dataclass
class Visitor:
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


@pytest.fixture
def environment(tmp_path: Path) -> DashboardEnvironment:
    """Busy: every status of every channel, something in the outbox and in the counters."""
    environment = DashboardEnvironment(tmp_path)
    jobs = [
        make_job(status=status, type=channel, created_at=NOW - timedelta(minutes=number))
        for number, (status, channel) in enumerate((status, channel) for status in Status for channel in Channel)
    ]
    environment.put(LONG, UNCONFIRMED, *jobs)
    for job in (LONG, *jobs[:5]):
        environment.deliver(job)
    for number, status in enumerate(Status):
        environment.stats.add("acme", Channel.SMS, status, 10**number)
    return environment


@pytest.fixture
def address(environment: DashboardEnvironment) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, in_one_piece(environment.app), threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("There is no chromium for the browser tests. `make test` installs it: apt-get install chromium")
    with sync_playwright() as playwright:
        flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """A window; ``indirect`` parameters are options of its context. Nothing may go wrong in it unseen."""
    options: dict[str, Any] = {"viewport": WIDE} | getattr(request, "param", {})
    context: BrowserContext = chromium.new_context(**options)
    visitor = Visitor(context.new_page(), address)
    visitor.page.set_default_timeout(15_000)
    visitor.page.on("console", visitor.note_console)
    visitor.page.on("pageerror", lambda error: visitor.errors.append(str(error)))
    context.on("request", visitor.note_request)
    yield visitor
    context.close()
    assert visitor.errors == []
    assert visitor.foreign == []


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


def test_an_sms_is_sent_by_keyboard_alone(visitor: Visitor, environment: DashboardEnvironment) -> None:
    page = visitor.log_in()

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
    expect(page.get_by_role("region", name="Message").get_by_role("region", name="Text")).to_have_text(
        "Your code is 493817"
    )
    expect(page.get_by_role("region", name="Summary")).to_contain_text("High")
    expect(page.get_by_role("region", name="Timeline").get_by_role("listitem")).to_contain_text("Accepted by WaveCom")

    tab_to(page, "Notifications")
    page.keyboard.press("Enter")
    row = page.get_by_role("row", name=re.compile(r"\+44…23"))
    expect(row).to_contain_text("Queued")
    assert [message.lane.channel for message in environment.publisher.delivery_messages] == [Channel.SMS]


def test_the_first_tab_offers_to_skip_to_the_content(visitor: Visitor) -> None:
    page = visitor.log_in()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_whoever_has_the_focus_is_marked(visitor: Visitor) -> None:
    page = visitor.log_in()
    visitor.open("/send?type=push")
    styles: dict[str, str] = {}

    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement !== document.body"):
        styles[focused(page)] = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        page.keyboard.press("Tab")

    assert len(styles) > 15
    assert set(styles.values()) == {"solid"}


def test_mistakes_are_announced_and_lead_to_their_fields(visitor: Visitor) -> None:
    page = visitor.log_in()
    visitor.open("/send?type=email")
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


def test_an_email_with_a_file_is_sent(visitor: Visitor) -> None:
    page = visitor.log_in()
    visitor.open("/send?type=email")

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
    expect(message.get_by_role("region", name="Text")).to_have_text("Dear Amina,\n\nhere it is. 🧾\n\nمصرفك")


@pytest.mark.parametrize("visitor", [{"viewport": PHONE}], indirect=True)
def test_on_a_phone_no_page_is_wider_than_the_screen(visitor: Visitor) -> None:
    visitor.open("/login")
    widths = {"/login": visitor.page.evaluate("document.documentElement.scrollWidth")}
    page = visitor.log_in()

    for path in [*PATHS, "/no/such/page"]:
        visitor.open(path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        widths[path] = page.evaluate("document.documentElement.scrollWidth")
    visitor.open("/send?type=push")
    page.get_by_role("button", name="Send Push").click()
    expect(page.get_by_role("alert")).to_be_visible()
    widths["with mistakes"] = page.evaluate("document.documentElement.scrollWidth")

    assert {path: width for path, width in widths.items() if width > PHONE["width"]} == {}


@pytest.mark.parametrize("visitor", [{"viewport": PHONE}], indirect=True)
def test_on_a_phone_a_row_of_the_list_names_its_cells(visitor: Visitor) -> None:
    page = visitor.log_in()
    visitor.open("/notifications?status=delivered&type=sms")

    cell = page.get_by_role("cell", name="Delivered")

    expect(cell).to_be_visible()
    assert "Status" in cell.evaluate("each => getComputedStyle(each, '::before').content")


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False}], indirect=True)
def test_without_a_script_everything_works(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/login")
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


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False, "viewport": PHONE}], indirect=True)
def test_without_a_script_a_notification_is_cancelled_and_another_settled(
    visitor: Visitor, environment: DashboardEnvironment
) -> None:
    page = visitor.page
    visitor.open("/login")
    page.get_by_label("API key or password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    waiting = make_job(status=Status.QUEUED)
    environment.put(waiting)

    visitor.open(f"/notifications/{waiting.job_id}")
    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cancel this notification?")
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_role("status")).to_contain_text("It will never be sent")
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("by operator")

    visitor.open(f"/notifications/{UNCONFIRMED.job_id}")
    page.get_by_role("link", name="Settle by hand…").click()
    page.get_by_label("It was delivered").check()
    page.get_by_label("How do you know?").fill("The gateway shows it.")
    page.get_by_role("button", name="Settle by hand").click()
    expect(page.get_by_role("region", name="Summary")).to_contain_text("Delivered")
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("The gateway shows it.")


@pytest.mark.parametrize("visitor", [{"viewport": PHONE, "color_scheme": "dark"}], indirect=True)
def test_on_a_phone_one_gets_to_the_sessions_and_sees_which_is_this(visitor: Visitor) -> None:
    page = visitor.log_in()

    page.get_by_role("link", name="Sessions").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    expect(page.get_by_text("This one")).to_be_visible()


def test_the_status_page_keeps_itself_up_to_date_until_it_is_paused(
    visitor: Visitor, environment: DashboardEnvironment
) -> None:
    visitor.page.clock.install()
    page = visitor.log_in()
    delivered = page.get_by_role("region", name="In the last hour").get_by_role("listitem").filter(has_text="Delivered")
    page.get_by_text("The same as a table").click()
    page.locator("h1").click()

    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 7)
    page.clock.run_for(5_000)
    expect(delivered).to_contain_text("007")
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
    expect(delivered).to_contain_text("008")


def test_what_somebody_is_reading_with_the_keyboard_is_not_replaced(
    visitor: Visitor, environment: DashboardEnvironment
) -> None:
    visitor.page.clock.install()
    page = visitor.log_in()
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
    expect(queued).to_contain_text("7")


def test_when_the_session_has_ended_the_page_asks_for_the_login(visitor: Visitor) -> None:
    visitor.page.clock.install()
    page = visitor.log_in()

    page.context.clear_cookies()
    page.clock.run_for(5_000)

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_when_the_server_is_gone_the_page_says_so_and_recovers(visitor: Visitor) -> None:
    visitor.page.clock.install()
    page = visitor.log_in()

    page.context.set_offline(True)
    page.clock.run_for(5_000)
    expect(page.get_by_text("Not updating: no answer")).to_be_visible()
    page.context.set_offline(False)
    page.clock.run_for(5_000)

    expect(page.get_by_text("Updates by itself")).to_be_visible()


#: What a page must have for those who can't see it.
STRUCTURE = """() => {
    const faults = [];
    const count = (selector, wanted) => {
        const found = document.querySelectorAll(selector).length;
        if (found !== wanted) faults.push(`${found} × ${selector}`);
    };
    count("h1", 1); count("main", 1); count("header", 1); count("footer", 1); count("html[lang]", 1);
    for (const nav of document.querySelectorAll("nav")) if (!nav.getAttribute("aria-label")) faults.push("nav");
    for (const table of document.querySelectorAll("table")) {
        if (!table.caption) faults.push("table without caption");
        if (!table.querySelector("th[scope]")) faults.push("table without headings");
    }
    for (const each of document.querySelectorAll("input:not([type=hidden]):not([hidden]), select, textarea"))
        if (!each.labels.length) faults.push(`${each.name} has no label`);
    for (const each of document.querySelectorAll("a, button"))
        if (!each.textContent.trim()) faults.push(`${each.outerHTML} has no name`);
    for (const each of document.querySelectorAll("img")) if (each.alt === null) faults.push("img without alt");
    const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
    for (const id of ids) if (ids.filter((other) => other === id).length > 1) faults.push(`#${id} twice`);
    for (const each of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
        for (const id of (each.getAttribute("aria-describedby") ?? each.getAttribute("aria-labelledby")).split(" "))
            if (!document.getElementById(id)) faults.push(`#${id} is referred to`);
    let level = 0;
    for (const each of document.querySelectorAll("h1, h2, h3, h4")) {
        const own = Number(each.tagName[1]);
        if (own > level + 1) faults.push(`${each.tagName} ${each.textContent} after H${level}`);
        level = own;
    }
    return faults;
}"""


def test_every_page_is_built_for_those_who_cannot_see_it(visitor: Visitor) -> None:
    visitor.open("/login")
    faults = {"/login": visitor.page.evaluate(STRUCTURE)}
    page = visitor.log_in()

    for path in [*PATHS, "/no/such/page"]:
        visitor.open(path)
        faults[path] = page.evaluate(STRUCTURE)

    assert {path: found for path, found in faults.items() if found} == {}


#: Texts whose contrast to what is behind them is below WCAG 2.2 AA (1.4.3): 4.5, or 3 for large ones.
CONTRAST = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b]
        .map((each) => each / 255)
        .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
        .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (each) => {
        for (; each; each = each.parentElement) {
            const colour = parse(getComputedStyle(each).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const faults = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let looked = 0;
    while (walker.nextNode()) {
        const each = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !each.checkVisibility()) continue;
        looked += 1;
        const style = getComputedStyle(each);
        const [high, low] = [light(parse(style.color)), light(behind(each))].sort((one, two) => two - one);
        const ratio = (high + 0.05) / (low + 0.05);
        const size = parseFloat(style.fontSize);
        const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        if (ratio < (isLarge ? 3 : 4.5)) faults.push(`${walker.currentNode.data.trim()} ${ratio.toFixed(2)}`);
    }
    return [looked, faults];
}"""


def test_the_api_can_be_tried_in_a_page_of_our_own(visitor: Visitor) -> None:
    page = visitor.open("/docs")

    # Whatever it loads from elsewhere, or its own security policy refuses, the visitor notes.
    expect(page.locator("#operations-notifications-sendNotification")).to_be_visible()
    page.locator("#operations-notifications-sendNotification .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("401")
    expect(page.locator(".live-responses-table")).to_contain_text("There is no API key.")
    expect(page.locator(".errors-wrapper")).to_have_count(0)


@pytest.mark.parametrize("visitor", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_every_text_can_be_read_in_light_and_dark(visitor: Visitor) -> None:
    page = visitor.log_in()
    faults: dict[str, list[str]] = {}

    for path in [*PATHS, "/no/such/page"]:
        visitor.open(path)
        looked, faults[path] = page.evaluate(CONTRAST)
        assert looked > 10
    visitor.open("/send?type=sms")
    page.get_by_role("button", name="Send SMS").click()
    expect(page.get_by_role("alert")).to_be_visible()
    _, faults["with mistakes"] = page.evaluate(CONTRAST)

    assert {path: found for path, found in faults.items() if found} == {}
