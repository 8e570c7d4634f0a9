from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.factories import make_job_id
from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.core.callbacks import Callback, CallbackState, CallbackTry, DisabledReason
from wavecom.core.client_events import ClientEvent
from wavecom.core.lanes import Channel
from wavecom.core.roles import Role
from wavecom.core.states import Status

URL = "https://shop.example/wavecom"


def add(environment: DashboardEnvironment, **typed: str) -> tuple[Callback, str]:
    """A callback that an operator adds by the form, and the page that he sees then."""
    browser = environment.browser()
    browser.get("/callbacks/add")
    page = browser.post("/callbacks/add", {"client": "acme", "mode": "live", "url": URL, "name": "shop"} | typed)
    assert page.status_code == 200
    [callback] = environment.events.callbacks.of_accounts(None)
    return callback, page.text


def test_a_callback_is_added_and_its_secret_shown_once(environment: DashboardEnvironment) -> None:
    assert "There are no callbacks" in environment.browser().get("/callbacks").text

    callback, page = add(environment, event="notification.failed", channel="sms")

    assert (callback.account, callback.url) == ("acme", URL)
    assert str(callback.newest_secret) in page
    shown = environment.browser().get(f"/callbacks/{callback.callback_id}").text
    assert "whsec_" not in shown
    assert URL in shown
    assert callback.callback_id in environment.browser().get("/callbacks").text


def noted(environment: DashboardEnvironment) -> list[tuple[str, dict[str, object]]]:
    """What the audit has of callbacks, the first entry, of its making, left out."""
    return [(event.action.value, dict(event.details)) for event in environment.events.audit.events[1:]]


def test_address_name_and_filters_are_changed_and_noted(environment: DashboardEnvironment) -> None:
    callback, _ = add(environment, event="notification.failed", channel="sms")
    browser = environment.browser_as(Role.OPERATOR)
    address = f"/callbacks/{callback.callback_id}/edit"

    form = browser.get(address).text
    answer = browser.post(
        address, {"url": "https://new.example/s3cret", "event": ["notification.delivered", "notification.failed"]}
    )

    changed = environment.events.callbacks.get(callback.callback_id)
    assert f'value="{URL}"' in form
    assert re.findall(r'value="([^"]+)" checked', form) == ["notification.failed", "sms"]
    assert answer.status_code == 303
    assert changed is not None
    assert (changed.url, changed.name, changed.channels) == ("https://new.example/s3cret", "", frozenset())
    assert changed.statuses == {Status.DELIVERED, Status.FAILED}
    changes = ["channels", "name", "statuses", "url"]
    assert noted(environment) == [("change_callback", {"changed": changes, "origin": "https://new.example"})]
    [_, entry] = environment.events.audit.events
    assert (entry.client, entry.callback_id) == ("acme", callback.callback_id)
    assert entry.actor.startswith("user ")


def test_what_is_the_same_is_no_change(environment: DashboardEnvironment) -> None:
    callback, _ = add(environment)
    browser = environment.browser()
    address = f"/callbacks/{callback.callback_id}/edit"
    browser.get(address)

    browser.post(address, {"url": URL, "name": "shop"})

    assert environment.events.callbacks.get(callback.callback_id) == callback
    assert noted(environment) == []


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "http://shop.example/", "https://[::1]/", "ftp://x", ""])
def test_an_address_is_checked_as_that_of_a_new_one(environment: DashboardEnvironment, url: str) -> None:
    callback, _ = add(environment)
    browser = environment.browser()
    address = f"/callbacks/{callback.callback_id}/edit"
    browser.get(address)

    answer = browser.post(address, {"url": url, "name": "typed"})

    assert answer.status_code == 422
    assert 'value="typed"' in answer.text
    assert 'id="field-url-error"' in answer.text
    assert environment.events.callbacks.get(callback.callback_id) == callback
    assert noted(environment) == []


def test_a_viewer_changes_nothing(environment: DashboardEnvironment) -> None:
    callback, _ = add(environment)
    browser = environment.browser_as(Role.VIEWER)

    assert "/edit" not in browser.get(f"/callbacks/{callback.callback_id}").text
    assert browser.get(f"/callbacks/{callback.callback_id}/edit").status_code == 403


def test_what_is_wrong_stands_beside_its_field(environment: DashboardEnvironment) -> None:
    browser = environment.browser()
    browser.get("/callbacks/add")

    answer = browser.post("/callbacks/add", {"client": "no client!", "url": "https://10.0.0.1/"})

    assert answer.status_code == 422
    assert "public address" in answer.text
    assert "name of a client" in answer.text
    assert environment.events.callbacks.of_accounts(None) == []


def test_it_is_paused_tested_rotated_and_deleted(environment: DashboardEnvironment) -> None:
    callback, _ = add(environment)
    browser = environment.browser()
    address = f"/callbacks/{callback.callback_id}"

    def act(action: str) -> str:
        browser.get(address)
        return browser.post(f"{address}/change", {"action": action}).text

    def now() -> Callback | None:
        return environment.events.callbacks.get(callback.callback_id)

    act("pause")
    paused = now()
    assert paused is not None
    assert paused.state is CallbackState.PAUSED
    act("activate")
    act("test")
    assert "callback.test" in browser.get(address).text
    assert re.search(r"whsec_[A-Za-z0-9+/=]{44}", act("rotate"))
    act("delete")
    assert [action for action, _ in noted(environment)] == [
        "change_callback",
        "change_callback",
        "rotate_callback_secret",
        "delete_callback",
    ]
    assert now() is None
    assert browser.get(address).status_code == 404


def test_tries_are_shown_and_an_event_is_sent_again(environment: DashboardEnvironment) -> None:
    callback, _ = add(environment)
    event = environment.events.administration.test(callback.callback_id, None)
    failed = CallbackTry(environment.clock.now(), 84, 503, "http_503", "<b>deploying</b>")
    environment.events.deliveries.record([(replace(event, tried=1), failed)])
    browser = environment.browser()

    page = browser.get(f"/callbacks/{callback.callback_id}").text
    assert "http_503: &lt;b&gt;deploying" in page

    browser.post(f"/callbacks/{callback.callback_id}/change", {"action": "resend", "event": event.event_id})
    again = environment.events.deliveries.get(callback.callback_id, event.event_id)
    assert again is not None
    assert again.tried == 0


@pytest.mark.parametrize(("hours", "count"), [("1", 1), ("24", 2)])
def test_what_it_has_missed_is_sent_again(environment: DashboardEnvironment, hours: str, count: int) -> None:
    callback, _ = add(environment)
    for job_id in ("old", "new"):
        event = ClientEvent(
            job_id=make_job_id(),
            version=1,
            account=callback.account,
            channel=Channel.SMS,
            status=Status.DELIVERED,
            at=environment.clock.now(),
            attempts=1,
            published_at=environment.clock.now(),
        )
        environment.events.log.append(callback.account, [event])
        if job_id == "old":
            environment.clock.advance(7200)
    browser = environment.browser()

    browser.get(f"/callbacks/{callback.callback_id}")
    browser.post(f"/callbacks/{callback.callback_id}/change", {"action": "resend_missed", "hours": hours})

    assert len(environment.events.deliveries.search(callback.callback_id, 9)) == count
    assert f"{count} events" in browser.get(f"/callbacks/{callback.callback_id}").text


@pytest.mark.parametrize("hours", ["", "0", "169", "a", "9" * 5000])
def test_a_span_that_is_none_sends_nothing_again(environment: DashboardEnvironment, hours: str) -> None:
    callback, _ = add(environment)
    browser = environment.browser()
    browser.get(f"/callbacks/{callback.callback_id}")

    answer = browser.post(f"/callbacks/{callback.callback_id}/change", {"action": "resend_missed", "hours": hours})

    assert answer.status_code == 422


def test_a_disabled_one_says_why(environment: DashboardEnvironment) -> None:
    callback, _ = add(environment)
    environment.events.callbacks.change(
        callback.callback_id, {"state": CallbackState.DISABLED, "disabled_reason": DisabledReason.GONE}
    )

    page = environment.browser().get(f"/callbacks/{callback.callback_id}").text

    assert "410 Gone" in page
    assert "Let it go on" in page
