"""The providers page, and its levers: what follows is told first, a reason is asked for, and it is written down."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment, text_of
from wavecom.core.measurements import Measured, MeasuredKey
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.provider_control import ProviderAction
from wavecom.core.receipt_counts import CountKey, ReceiptCounts
from wavecom.core.roles import Role

FILE = """
[providers.alpha]
type = "sandbox"
[providers.beta]
type = "sandbox"
rate_per_second = 300
[providers.alone]
type = "sandbox"

[routes]
sms = [{ provider = "alpha", weight = 3 }, { provider = "beta", weight = 1 }]
email = ["alone"]
"""


@pytest.fixture
def environment(tmp_path: Path) -> DashboardEnvironment:
    path = tmp_path / "providers.toml"
    path.write_text(FILE)
    environment = DashboardEnvironment(tmp_path, providers_file=path)
    # 60 seconds of the minute that is over, and nothing of the one that has begun.
    now = environment.clock.now()
    environment.clock.advance(60 - now.second - now.microsecond / 1_000_000)
    at = environment.clock.now() - timedelta(seconds=30)
    environment.measurements.add(
        at,
        {
            MeasuredKey(Measured.CALLS, ("alpha", "accepted")): {0.1: 74_000},
            MeasuredKey(Measured.CALLS, ("alpha", "unavailable")): {5.0: 400},
            MeasuredKey(Measured.CALLS, ("beta", "accepted")): {0.1: 6_000},
        },
    )
    environment.receipt_counts.add(
        [(CountKey(at.replace(second=0), "alpha", "GB"), ReceiptCounts(sent=10, good=7, delay_seconds=14))]
    )
    return environment


def test_each_provider_is_shown_with_its_figures(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.provider_statuses["alpha"] = ProviderStatus(
        "alpha", ProviderAvailability.LEFT_ALONE, environment.clock.now(), "half of its calls failed", "balance"
    )

    page = text_of(browser.get("/providers").text)

    assert "Left alone" in page
    assert "half of its calls failed" in page
    assert "It refuses our account: balance" in page
    assert "Calls a second 1240, no limit" in page
    assert "of at most 300" in page
    assert "room for 200 more" in page
    assert "70 % of 10 reported" in page
    assert "accepted 1233, unavailable 6.7" in page


def test_without_redis_the_page_has_the_rest(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.receipt_counts.is_up = False

    answer = browser.get("/providers")

    assert answer.status_code == 200
    assert "Receipts, 15 minutes" not in answer.text


def test_what_a_pause_moves_is_told_with_the_limit_it_breaks(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    page = text_of(browser.get("/providers/alpha/pause").text)

    assert "up to 1240/s will move to beta, which gets 1340/s then, and whose limit is 300/s." in page
    assert "That is over its limit" in page


def test_where_nobody_else_is_there_it_says_so(environment: DashboardEnvironment, browser: Browser) -> None:
    at = environment.clock.now() - timedelta(seconds=30)
    environment.measurements.add(at, {MeasuredKey(Measured.CALLS, ("alone", "accepted")): {0.1: 1_200}})

    assert "nobody else is there. Up to 20/s wait" in text_of(browser.get("/providers/alone/pause").text)


def test_a_lower_weight_is_previewed_before_it_is_set(environment: DashboardEnvironment, browser: Browser) -> None:
    page = text_of(browser.get("/providers/alpha/weight?weight=1&preview=1").text)

    assert "up to 570/s will move to beta" in page
    assert environment.provider_audit.events == []


@pytest.mark.parametrize(
    ("lever", "typed", "action"),
    [
        ("pause", {"minutes": "15"}, ProviderAction.PAUSE),
        ("drain", {}, ProviderAction.WEIGH),
        ("weight", {"weight": "7"}, ProviderAction.WEIGH),
        ("weight", {"weight": ""}, ProviderAction.WEIGH),
        ("resume", {}, ProviderAction.REOPEN),
    ],
)
def test_each_lever_does_what_it_says_and_is_written_down(
    environment: DashboardEnvironment, lever: str, typed: dict[str, str], action: ProviderAction
) -> None:
    browser = environment.browser_as(Role.OPERATOR)
    browser.get(f"/providers/alpha/{lever}")

    answer = browser.post(f"/providers/alpha/{lever}", typed | {"reason": "incident 7"})

    assert answer.status_code == 303
    [event] = environment.provider_audit.events
    assert (event.action, event.actor, event.reason) == (action, "user some-operator", "incident 7")
    [view] = [each for each in environment.services.providers.all() if each.name == "alpha"]
    assert view.override is not None
    if lever == "pause":
        assert view.override.paused_until == environment.clock.now() + timedelta(minutes=15)
    if lever in {"drain", "weight"}:
        assert (
            view.override.weight == {"drain": 0, "weight": int(typed["weight"]) if typed.get("weight") else None}[lever]
        )
    assert "incident 7" in browser.get("/providers").text


@pytest.mark.parametrize(
    ("path", "typed", "says"),
    [
        ("alpha/pause", {"minutes": "15", "reason": ""}, "Say why"),
        ("alpha/pause", {"minutes": "0", "reason": "x"}, "from 1 to 1440"),
        ("alpha/pause", {"minutes": "many", "reason": "x"}, "from 1 to 1440"),
        ("alpha/pause", {"minutes": "9" * 5000, "reason": "x"}, "from 1 to 1440"),
        ("alpha/weight", {"weight": "-1", "reason": "x"}, "from 0 to 1000"),
        ("alpha/weight", {"weight": "9" * 5000, "reason": "x"}, "from 0 to 1000"),
        ("alone/weight", {"weight": "1", "reason": "x"}, "shares no step"),
        ("alpha/drain", {"reason": "two\nlines"}, "Say why"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_and_not_done(
    environment: DashboardEnvironment, browser: Browser, path: str, typed: dict[str, str], says: str
) -> None:
    answer = browser.post(f"/providers/{path}", typed)

    assert answer.status_code == 422
    assert says in answer.text
    assert environment.provider_audit.events == []


@pytest.mark.parametrize("path", ["nobody/pause", "alpha/explode", "alpha/__class__"])
def test_what_is_not_there_is_not_found(browser: Browser, path: str) -> None:
    assert browser.get(f"/providers/{path}").status_code == 404
    assert browser.post(f"/providers/{path}", {"reason": "x"}).status_code == 404


def test_without_its_audit_entry_nothing_is_done(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.provider_audit.is_up = False

    answer = browser.post("/providers/alpha/pause", {"minutes": "15", "reason": "x"})

    assert answer.status_code == 503
    assert {view.override for view in environment.services.providers.all()} == {None}
