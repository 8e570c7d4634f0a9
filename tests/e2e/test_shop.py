"""``examples/shop`` beside ``wavecom run``, as its README says: an order, what is told of it, and who may tell it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.e2e.launched import Launched
from tests.e2e.pages.served import chromium
from tests.waiting import PATIENCE_SECONDS, wait_until
from wavecom.local.ports import free_ports

ROOT = Path(__file__).parents[2]
README = (ROOT / "examples" / "shop" / "README.md").read_text(encoding="utf-8")
NARROW = {"width": 320, "height": 640}
PATIENCE_MS = PATIENCE_SECONDS * 1000

pytestmark = pytest.mark.timeout(400)


class ShopProcess:
    """The shop as its README starts it, at a port of its own."""

    def __init__(self, launched: Launched, folder: Path) -> None:
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = launched.environment()
        self._output = folder / "shop.out"

    @property
    def output(self) -> str:
        """All that it has printed since its last start."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Until it follows what becomes of its messages."""
        [command] = re.findall(r"^\.venv/bin/python (-m examples\.shop)$", README, re.MULTILINE)
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command.split(), "--port", str(self.port)],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: f"Callbacks come to {self.url}/wavecom." in self.output, "the shop is up")

    def stop(self) -> None:
        """As a supervisor does it, or for good."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("shop")
    [set_, command] = re.findall(r"^(\w+=\S+) (make run)$", README, re.MULTILINE)[0]
    assert command == "make run"
    run = [sys.executable, "-m", "wavecom.cli", "run"]
    launched = Launched(run, folder / "home", folder, variables=dict([set_.split("=")]))
    try:
        launched.start()
        yield launched
    finally:
        launched.end()


@pytest.fixture(scope="module")
def shop(launched: Launched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopProcess]:
    shop = ShopProcess(launched, tmp_path_factory.mktemp("output"))
    shop.start()
    yield shop
    shop.stop()


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def message(page: Page, title: str) -> Any:
    return page.get_by_role("region", name=title)


def job_of(launched: Launched, page: Page, template: str) -> dict[str, Any]:
    """The notification that an order's page tells of."""
    key = f"{page.url.rsplit('/', 1)[1]}-{template}"
    [found] = launched.get(f"/api/notifications?idempotencyKey={key}").json()["items"]
    job: dict[str, Any] = launched.get(f"/api/notifications/{found['jobId']}").json()
    return job


def test_by_keyboard_on_a_phone_an_order_is_followed_until_it_is_delivered(
    launched: Launched, shop: ShopProcess, browser: Browser
) -> None:
    page = browser.new_page(viewport=NARROW)
    said: list[str] = []
    page.on("console", lambda each: said.append(each.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(shop.url)
    widths = [page.evaluate("document.documentElement.scrollWidth")]
    for label, typed in [
        ("Item", "Fountain"),
        ("Quantity", "3"),
        ("Your name", "Amina"),
        ("E-mail address or mobile number", "amina@example.com"),
        ("Language of our messages", "Deutsch"),
    ]:
        while not page.get_by_label(label).evaluate("each => each === document.activeElement"):
            page.keyboard.press("Tab")
        if label == "Quantity":
            page.keyboard.press("Control+A")
        page.keyboard.type(typed)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Send me news")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you, Amina")
    expect(message(page, "Order confirmed")).to_contain_text("Delivered", timeout=PATIENCE_MS)
    message(page, "Order confirmed").get_by_text("Each step").click()
    last = message(page, "Order confirmed").get_by_role("listitem").last
    # The page changes by itself, and what was opened stays open.
    expect(last).to_contain_text(re.compile("^Delivered, .* known by (callback and stream|stream and callback)$"))
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.get_by_role("button", name="The parcel has left").focus()
    page.keyboard.press("Enter")
    expect(message(page, "Parcel on its way")).to_contain_text("Delivered", timeout=PATIENCE_MS)

    assert widths == [NARROW["width"]] * 2
    assert said == []
    mail = job_of(launched, page, "shop-order-confirmed")
    assert mail["payload"]["subject"] == f"Danke für Ihre Bestellung {page.url.rsplit('/', 1)[1]}"
    assert re.search(r"3 × Fountain pen: CHF\s144\.00", mail["payload"]["text"])
    assert mail["metadata"] == {"order": page.url.rsplit("/", 1)[1]}
    assert (mail["to"], mail["category"]) == ({"email": "amina@example.com"}, "orders")
    known = launched.get(f"/api/recipients/{mail['recipientId']}").json()
    assert (known["preferences"], known["locale"]) == ({"news": {"email": True}}, "de-CH")
    assert job_of(launched, page, "shop-order-shipped")["template"]["locale"] == "de"
    page.close()


def test_without_a_script_it_works_as_well_and_a_bad_number_is_told(shop: ShopProcess, browser: Browser) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(shop.url)
    page.get_by_label("Your name").fill("Bo")
    page.get_by_label("E-mail address or mobile number").fill("+999 999 999 9")
    page.get_by_role("button", name="Order now").click()

    wait_until(lambda: look_again(page, "Cannot be sent (/phone"), "it is told")
    page.goto(shop.url)
    page.get_by_label("Your name").fill("Bo")
    page.get_by_label("E-mail address or mobile number").fill("+1 202 555 0199")
    page.get_by_role("button", name="Order now").click()
    wait_until(lambda: look_again(page, "To +1 202 555 0199: Delivered"), "it is delivered")
    page.close()


def look_again(page: Page, words: str) -> bool:
    """Whether the page says so, after one more look."""
    page.get_by_role("link", name="Look again").click()
    return words in message(page, "Order confirmed").inner_text()


def test_a_callback_that_wavecom_has_signed_is_taken_and_a_forged_one_is_refused(
    launched: Launched, shop: ShopProcess
) -> None:
    [callback] = launched.get("/api/callbacks").json()["items"]
    path = f"/api/callbacks/{callback['callbackId']}"

    tested = requests.post(
        f"{launched.url}{path}/test", headers={"Authorization": f"Bearer {launched.api_key}"}, timeout=30
    ).json()
    forged = requests.post(
        f"{shop.url}/wavecom",
        json={"type": "callback.test", "data": {}},
        headers={"webhook-id": tested["eventId"], "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
        timeout=30,
    )

    def answers() -> list[int]:
        return [
            each["status"]
            for delivery in launched.get(f"{path}/deliveries").json()["items"]
            if delivery["eventId"] == tested["eventId"]
            for each in delivery["tries"]
        ]

    assert wait_until(answers, "the test event was sent") == [204]
    assert forged.status_code == 401


def test_stopped_and_started_again_it_misses_nothing_and_sends_nothing_twice(
    launched: Launched, shop: ShopProcess
) -> None:
    form = {"item": "ink", "quantity": "1", "name": "Cy", "contact": "cy@example.com", "locale": "en"}
    page = requests.post(
        f"{shop.url}/orders", data=form | {"id": "0123456789abcdef"}, allow_redirects=False, timeout=30
    ).headers["Location"]
    shop.stop()
    assert "Stopped." in shop.output

    shop.start()

    wait_until(lambda: "known by stream" in requests.get(f"{shop.url}{page}", timeout=30).text, "it has caught up")
    wait_until(lambda: "Delivered</strong>" in requests.get(f"{shop.url}{page}", timeout=30).text, "it is delivered")
    sent = launched.get("/api/notifications?idempotencyKey=0123456789abcdef-shop-order-confirmed").json()["items"]
    assert len(sent) == 1
    assert len(launched.get("/api/callbacks").json()["items"]) == 1
    assert "shop-order-confirmed: as it is" in shop.output


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    environment = {**os.environ, "WAVECOM_HOME": str(tmp_path)}
    without_key = subprocess.run(
        [sys.executable, "-m", "examples.shop"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert without_key.returncode == 2
    assert "start WaveCom with `make run`" in without_key.stderr
