"""``examples/shop`` without WaveCom: what it takes, what it refuses, and what it keeps while WaveCom is away."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from flask.testing import FlaskClient
from standardwebhooks.webhooks import Webhook

from examples.shop.app import CONFIRMED, ITEMS, SHIPPED, create_app
from examples.shop.background import MESSAGES, Background
from examples.shop.client import EventsExpiredError, RefusedError, server_sent
from examples.shop.store import Store
from tests.fakes import FakeClock
from tests.operator_services import operator_services_with
from tests.template_environment import TemplateEnvironment
from wavecom.cli import main

SECRET = "whsec_" + b64encode(b"0123456789abcdef0123456789abcdef").decode()
FORM = {"item": "pen", "quantity": "2", "name": "Amina", "contact": "amina@example.com", "locale": "de-CH"}


class FakeWaveCom:
    """The shop's side of the API."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None
        self.stream: list[tuple[str, dict[str, Any] | None]] = []
        self.asked_from: list[str] = []
        self.known: str | None = "delivered"
        self.registered: list[tuple[str, dict[str, Any]]] = []
        self.categories: list[str] = []

    def categorize(self, name: str, fields: dict[str, Any]) -> None:
        self.categories.append(name)

    def register(self, recipient_id: str, fields: dict[str, Any]) -> None:
        self.registered.append((recipient_id, fields))

    def send(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append((key, body))
        if self.error is not None:
            raise self.error
        return {"jobId": f"job-{key}", "status": "queued"}

    def status(self, job_id: str) -> str | None:
        return self.known

    def callback(self, url: str, known_id: str | None) -> tuple[str, str | None]:
        if self.error is not None:
            raise self.error
        return "c-1", None if known_id == "c-1" else "whsec_new"

    def recorded_since(self) -> str:
        return datetime.now(UTC).isoformat()

    def newest_position(self) -> str:
        return "700"

    def events(self, position: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
        self.asked_from.append(position)
        if isinstance(self.error, EventsExpiredError):
            raise self.error
        yield from self.stream


class Shop:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "shop.sqlite")
        self.store.keep(secret=SECRET, position="1")
        self.wavecom = FakeWaveCom()
        self.background = Background(self.store, self.wavecom, "http://127.0.0.1:1/wavecom")  # type: ignore[arg-type]
        self.client: FlaskClient = create_app(self.store, lambda: None, "http://127.0.0.1:1").test_client()

    def order(self, **changes: str) -> str:
        """The page of an order from the form."""
        id = changes.pop("id", None) or re.findall(r'name="id" value="(\w+)"', self.client.get("/").text)[0]
        answer = self.client.post("/orders", data=FORM | {"id": id} | changes)
        assert answer.status_code == 303, answer.text
        return str(answer.location)

    def call_back(self, event: Mapping[str, Any], **changes: Any) -> int:
        """As WaveCom does it, but for ``changes`` to headers, the ``body`` or the time ``at``."""
        body = json.dumps(event)
        at = datetime.fromtimestamp(changes.pop("at", time.time()), UTC)
        headers = {
            "webhook-id": event["eventId"],
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(event["eventId"], at, body),
            "Content-Type": "application/json",
        }
        sent = changes.pop("body", body)
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        return self.client.post("/wavecom", data=sent, headers=headers).status_code


def event(page: str, version: int, status: str, template: str = CONFIRMED) -> dict[str, Any]:
    """What WaveCom tells of the message of an order."""
    data = {"jobId": "job-1", "version": version, "status": status, "error": None}
    return {
        "eventId": f"job-1.{version}",
        "type": f"notification.{status}",
        "timestamp": f"2026-03-14T09:26:5{version}.000Z",
        "data": {**data, "idempotencyKey": f"{page.split('/')[-1]}-{template}"},
    }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_its_templates_are_right_and_every_order_fills_them() -> None:
    services = operator_services_with(templates=TemplateEnvironment.over(FakeClock()).administration)
    command = ["templates", "push", str(MESSAGES), "--publish", "--client", "acme"]

    done, again = (CliRunner().invoke(main, command, obj=services) for _ in range(2))

    assert done.exit_code == 0, done.output
    assert {line.split(":")[0] for line in done.output.splitlines() if line.endswith("version 1 published")} == {
        "shop-layout",
        CONFIRMED,
        SHIPPED,
    }
    assert [line for line in again.output.splitlines() if line.endswith("as it is")] == again.output.splitlines()


@pytest.mark.parametrize("template", [CONFIRMED, SHIPPED])
def test_a_message_has_the_variables_that_its_template_declares(shop: Shop, template: str) -> None:
    page = shop.order()
    shop.client.post(f"{page}/ship")

    shop.background.send_waiting()

    [body] = [body for _, body in shop.wavecom.sent if body["template"] == template]
    declared = json.loads((MESSAGES / template / "template.json").read_text(encoding="utf-8"))["variables"]
    assert set(body["variables"]) == set(declared)
    assert (body["type"], body["category"], "customer" in body) == ("email", "orders", False)


@pytest.mark.parametrize(
    ("order", "address", "wanted"),
    [
        ({}, {"email": "amina@example.com"}, None),
        ({"news": "yes"}, {"email": "amina@example.com"}, {"news": {"email": True}}),
        ({"news": "yes", "contact": "+41 79 123 45 67"}, {"phone": "+41 79 123 45 67"}, {"news": {"sms": True}}),
    ],
)
def test_a_customer_is_registered_before_anything_is_sent_to_him(
    shop: Shop, order: dict[str, str], address: dict[str, str], wanted: Any
) -> None:
    shop.order(**order)

    shop.background.send_waiting()

    [(recipient_id, fields)] = shop.wavecom.registered
    [(_, body)] = shop.wavecom.sent
    assert body["to"] == {"recipient": recipient_id}
    assert address.items() <= fields.items()
    assert (fields["locale"], fields.get("preferences")) == ("de-CH", wanted)
    # An id stands in logs; an address must not.
    assert fields.get("email", fields.get("phone")) not in recipient_id


def test_what_the_shop_writes_is_told_once_it_is_connected(shop: Shop) -> None:
    shop.background.connect()

    assert shop.wavecom.categories == ["orders", "news"]


def test_a_message_waits_while_wavecom_is_away_and_goes_out_under_the_same_key(shop: Shop) -> None:
    page = shop.order(contact="+41 79 123 45 67")
    shop.wavecom.error = requests.ConnectionError()

    with pytest.raises(requests.ConnectionError):
        shop.background.send_waiting()
    assert "About to be sent" in shop.client.get(page).text
    shop.wavecom.error = None
    shop.background.send_waiting()
    shop.background.send_waiting()

    assert "On its way" in shop.client.get(page).text
    assert len(shop.wavecom.sent) == 2
    assert shop.wavecom.sent[0] == shop.wavecom.sent[1]


def test_a_message_that_wavecom_refuses_says_why_and_holds_up_no_other(shop: Shop) -> None:
    page = shop.order(contact="+999 999 999 999")
    shop.wavecom.error = RefusedError("/to/phone must be a phone number")

    shop.background.send_waiting()
    shop.wavecom.error = None
    other = shop.order()
    shop.background.send_waiting()

    assert "Cannot be sent</strong> (/to/phone must be a phone number)" in shop.client.get(page).text
    assert "On its way" in shop.client.get(other).text


def test_a_form_that_is_sent_twice_is_one_order_and_one_message(shop: Shop) -> None:
    first = shop.order(id="0123456789abcdef")

    assert shop.order(id="0123456789abcdef") == first
    assert [shop.client.post(f"{first}/ship").status_code for _ in range(2)] == [303, 303]
    shop.background.send_waiting()
    assert [body["template"] for _, body in shop.wavecom.sent] == [CONFIRMED, SHIPPED]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", " ", "Enter your name"),
        ("contact", "amina", "Enter an e-mail address"),
        ("item", "gun", "Choose one of the items"),
        ("quantity", "10", "Enter a number from 1 to 9"),
        ("locale", "tlh", "Choose one of the languages"),
    ],
)
def test_a_mistake_is_named_at_its_field_and_nothing_is_ordered(shop: Shop, field: str, value: str, words: str) -> None:
    answer = shop.client.post("/orders", data=FORM | {"id": "0123456789abcdef", field: value})

    assert answer.status_code == 422
    assert re.search(f'<p id="{field}-error" class="error">{words}', answer.text)
    assert re.search(f'id="{field}" name="{field}" required aria-invalid="true"', answer.text)
    assert shop.store.orders() == []


def test_no_other_site_can_have_something_ordered(shop: Shop) -> None:
    form = FORM | {"id": "0123456789abcdef"}

    assert shop.client.post("/orders", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert shop.client.get("/", headers={"Host": "rebound.example"}).status_code == 400
    assert shop.store.orders() == []


def test_what_a_customer_enters_is_text(shop: Shop) -> None:
    text = shop.client.get(shop.order(name="<b>A</b>")).text

    assert "&lt;b&gt;A&lt;/b&gt;" in text
    assert "<b>" not in text


def test_events_come_by_both_ways_twice_and_in_any_order(shop: Shop) -> None:
    page = shop.order()
    shop.background.send_waiting()
    delivered = event(page, 3, "delivered")

    assert [shop.call_back(delivered), shop.call_back(delivered)] == [204, 204]
    shop.wavecom.stream = [("5", delivered), ("6", event(page, 2, "sent")), ("7", None)]
    shop.background.follow()

    text = shop.client.get(f"{page}/status").text
    assert '<strong class="delivered">Delivered</strong>' in text
    assert re.findall(r"(\w+), <time.*known by (.+)</li>", text) == [
        ("Sent", "stream"),
        ("Delivered", "callback and stream"),
    ]
    assert shop.store.setting("position") == "7"


def test_an_event_may_be_quicker_than_the_answer_to_the_request(shop: Shop) -> None:
    page = shop.order()
    shop.call_back(event(page, 3, "delivered"))

    shop.store.accepted(f"{page.split('/')[-1]}-{CONFIRMED}", "job-1", "queued")

    assert "Delivered" in shop.client.get(page).text
    shop.background.send_waiting()
    assert shop.wavecom.sent == []


FORGED: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("another body", lambda body: {"body": body.replace("failed", "delivered")}),
    ("another id", lambda _: {"webhook_id": "job-1.4"}),
    ("another time", lambda _: {"webhook_timestamp": str(int(time.time()) - 60)}),
    ("no time", lambda _: {"webhook_timestamp": ""}),
    ("a time that is none", lambda _: {"webhook_timestamp": "²"}),
    ("overheard", lambda _: {"at": time.time() - 301}),
    ("of the future", lambda _: {"at": time.time() + 310}),
    ("another secret", lambda body: {"webhook_signature": f"v1,{b64encode(b'x' * 32).decode()}"}),
    ("no signature", lambda _: {"webhook_signature": ""}),
    ("a version that is unknown", lambda _: {"webhook_signature": "v9,AAAA"}),
    ("letters beyond ASCII", lambda _: {"webhook_signature": "v1,é"}),
]


@pytest.mark.parametrize("change", [each for _, each in FORGED], ids=[name for name, _ in FORGED])
def test_what_wavecom_has_not_signed_changes_nothing(shop: Shop, change: Callable[[str], dict[str, Any]]) -> None:
    page = shop.order()
    shop.background.send_waiting()
    forged = event(page, 3, "failed")

    assert shop.call_back(forged, **change(json.dumps(forged))) == 401

    assert "On its way" in shop.client.get(page).text


def test_without_a_secret_nobody_is_believed(shop: Shop) -> None:
    shop.store.keep(secret=None)

    assert shop.call_back(event("/orders/x", 1, "queued")) == 401


def test_while_a_secret_is_changed_one_of_two_signatures_is_enough(shop: Shop) -> None:
    test = {"eventId": "test_1", "type": "callback.test", "timestamp": "2026-03-14T09:27:02.000Z", "data": {}}
    right = Webhook(SECRET).sign("test_1", datetime.now(UTC), json.dumps(test))

    assert shop.call_back(test, webhook_signature=f"v1,AAAA {right}") == 204


def test_events_of_somebody_elses_messages_are_passed_over(shop: Shop) -> None:
    assert shop.call_back(event("/orders/ffffffffffffffff", 1, "queued")) == 204

    shop.wavecom.stream = [("9", event("/orders/ffffffffffffffff", 1, "queued"))]
    shop.background.follow()

    assert shop.store.setting("position") == "9"


def test_who_was_away_too_long_asks_how_things_stand_and_goes_on(shop: Shop) -> None:
    page = shop.order()
    shop.background.send_waiting()
    shop.wavecom.error = EventsExpiredError()
    shop.background.follow()

    shop.wavecom.error = None
    shop.background.follow()

    assert "Delivered" in shop.client.get(page).text
    assert shop.wavecom.asked_from == ["1", "700"]


def test_what_wavecom_knows_no_more_stays_as_it_was_and_the_shop_goes_on(shop: Shop) -> None:
    page = shop.order()
    shop.background.send_waiting()
    shop.store.keep(position=None)
    shop.wavecom.known = None

    shop.background.follow()

    assert "On its way" in shop.client.get(page).text
    assert shop.wavecom.asked_from == ["700"]


def test_where_callbacks_are_not_allowed_it_says_how_to_allow_them_and_goes_on(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.store.keep(position=None)
    shop.wavecom.error = RefusedError("/url must begin with https://")

    shop.background.connect()

    assert "WAVECOM_CALLBACK_PRIVATE_HOSTS=127.0.0.1" in capsys.readouterr().out
    assert shop.store.setting("position") == "700"


def test_the_secret_of_a_callback_that_it_knows_stays(shop: Shop) -> None:
    shop.background.connect()
    shop.background.connect()

    assert (shop.store.setting("callback"), shop.store.setting("secret")) == ("c-1", "whsec_new")


def test_a_stream_is_read_event_by_event_and_what_is_cut_off_is_none() -> None:
    lines = [b"retry: 2000", b"", b"id: 4", b"", b": nothing new", b"id: 5", b"event: x", b'data: {"a":', b"data: 1}"]

    assert list(server_sent([*lines, b"", b"id: 6", b'data: {"b"'])) == [("4", None), ("5", {"a": 1})]


def test_every_item_has_a_price_that_is_an_amount_of_money() -> None:
    assert all(re.fullmatch(r"\d+\.\d\d", str(price)) for _, price in ITEMS.values())
