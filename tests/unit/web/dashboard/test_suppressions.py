"""The pages of the suppression list."""

from __future__ import annotations

import pytest

from tests.unit.web.dashboard.environment import CLIENT, KEY, READ_ONLY_KEY, TEST_KEY, Browser, DashboardEnvironment
from wavecom.core.suppressions import Suppression, SuppressionFilter, SuppressionState

ADDRESS = "amina.haddad@example.com"


def _entries(environment: DashboardEnvironment) -> list[Suppression]:
    return list(environment.suppressions.search(SuppressionFilter(), 10, None, environment.clock.now()).entries)


def _added(environment: DashboardEnvironment, browser: Browser) -> Suppression:
    typed = {"client": CLIENT, "mode": "live", "type": "email", "recipient": ADDRESS, "scope": "all", "reason": "moved"}
    answer = browser.post("/suppressions/add", typed)
    assert answer.status_code == 303, answer.text
    [entry] = _entries(environment)
    return entry


def test_an_empty_list_says_what_comes_here(browser: Browser) -> None:
    assert "Nobody is suppressed" in browser.get("/suppressions").text


def test_the_operator_adds_finds_and_lifts(environment: DashboardEnvironment, browser: Browser) -> None:
    entry = _added(environment, browser)

    listed = browser.get("/suppressions").text
    found = browser.get(f"/suppressions?recipient={ADDRESS.upper()}&client={CLIENT}&state=active").text
    shown = browser.get(f"/suppressions/{entry.suppression_id}").text

    assert (entry.account, entry.by) == (CLIENT, "operator")
    assert ADDRESS not in listed
    assert "example.com" in listed
    assert entry.suppression_id in found
    assert ADDRESS in shown
    assert entry.suppression_id not in browser.get("/suppressions?state=lifted").text

    lifted = browser.post(f"/suppressions/{entry.suppression_id}/lift", {"reason": "asked again"})
    page = browser.get(lifted.location).text
    assert "Lifted. The recipient may be sent to again." in page
    assert "asked again" in page
    assert "Lift it" not in page
    assert [each.state(environment.clock.now()) for each in _entries(environment)] == [SuppressionState.LIFTED]


def test_a_lift_needs_a_reason(environment: DashboardEnvironment, browser: Browser) -> None:
    entry = _added(environment, browser)

    answer = browser.post(f"/suppressions/{entry.suppression_id}/lift", {"reason": " "})

    assert answer.status_code == 422
    assert "Say why" in answer.text
    assert [each.lifted_at for each in _entries(environment)] == [None]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"client": "acme", "type": "email", "recipient": "nobody"}, "Recipient"),
        ({"client": "acme", "type": "sms", "recipient": "07700"}, "Recipient"),
        ({"client": "a b", "type": "email", "recipient": ADDRESS}, "Client"),
        ({"client": "acme", "type": "email", "recipient": ADDRESS, "expiresAt": "2001-01-01T00:00"}, "Until"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    environment: DashboardEnvironment, browser: Browser, typed: dict[str, str], said: str
) -> None:
    answer = browser.post("/suppressions/add", typed)

    assert answer.status_code == 422
    assert f"{said}" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert _entries(environment) == []


def test_filters_that_cannot_be_used_are_named(browser: Browser) -> None:
    answer = browser.get("/suppressions?state=on")

    assert answer.status_code == 422
    assert "These filters can’t be used" in answer.text


def test_a_key_sees_and_adds_its_own_alone(environment: DashboardEnvironment, browser: Browser) -> None:
    entry = _added(environment, browser)
    own, test = environment.browser(KEY), environment.browser(TEST_KEY)

    test.post("/suppressions/add", {"client": CLIENT, "type": "sms", "recipient": "+447700900123"})

    assert own.get(f"/suppressions/{entry.suppression_id}").status_code == 200
    assert test.get(f"/suppressions/{entry.suppression_id}").status_code == 404
    assert test.post(f"/suppressions/{entry.suppression_id}/lift", {"reason": "x"}).status_code == 404
    assert entry.suppression_id not in test.get("/suppressions").text
    assert {each.account for each in _entries(environment)} == {CLIENT, f"{CLIENT}:test"}


def test_a_key_that_may_only_look_changes_nothing(environment: DashboardEnvironment, browser: Browser) -> None:
    entry = _added(environment, browser)
    reader = environment.browser(READ_ONLY_KEY)

    assert "Add a recipient" not in reader.get("/suppressions").text
    assert "Lift it" not in reader.get(f"/suppressions/{entry.suppression_id}").text
    assert reader.get("/suppressions/add").status_code == 403
    assert reader.post(f"/suppressions/{entry.suppression_id}/lift", {"reason": "x"}).status_code == 403
    assert [each.lifted_at for each in _entries(environment)] == [None]


def test_what_people_typed_is_shown_as_text(environment: DashboardEnvironment, browser: Browser) -> None:
    typed = {"client": CLIENT, "type": "push", "recipient": "<script>", "reason": "<b>bold</b>"}
    answer = browser.post("/suppressions/add", typed)

    page = browser.get(answer.location).text

    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page
