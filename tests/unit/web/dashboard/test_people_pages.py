"""The pages for people who run WaveCom: overview, workers and queues, clients, settings, audit."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.busy_servers import busy
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment, text_of
from wavecom.accounts import Administrator
from wavecom.core.job import JobError
from wavecom.core.lanes import Channel
from wavecom.core.overview import Overview, QueueOverview, WorkerOverview
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.roles import Permission, Role
from wavecom.core.states import Status
from wavecom.settings import Settings
from wavecom.web.dashboard.overview import NOW_SECONDS, RANGES
from wavecom.web.dashboard.routes import ROUTES
from wavecom.web.dashboard.settings_list import rows_of

ADDRESSES = ("/overview", "/overview?range=day", "/overview?range=week", "/overview?range=month", "/system", "/clients")


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_page_opens_with_everything_and_with_nothing(
    environment: DashboardEnvironment, browser: Browser, address: str
) -> None:
    empty = browser.get(address).status_code
    busy(environment)
    environment.clock.advance(600)

    assert (empty, browser.get(address).status_code) == (200, 200)


def test_the_overview_says_what_is_late_since_when_and_whose_fault(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    busy(environment)

    page = text_of(browser.get("/overview").text)

    assert "Redis does not answer" in page
    assert "Nothing moves in notifications.email.bulk" in page
    assert "SMS 17 18 0.5" in page or "SMS 17 19 0.5" in page
    assert "41 wait for somebody to decide" in page
    assert "never at this pace" in page


def test_each_figure_leads_to_the_list_behind_it(environment: DashboardEnvironment, browser: Browser) -> None:
    busy(environment)

    links = {
        html.unescape(each) for each in re.findall(r'href="(/notifications\?[^"]+)"', browser.get("/overview").text)
    }

    assert "/notifications?type=sms&status=failed&mode=live" in links
    assert "/notifications?type=sms&priority=high&status=queued&mode=live" in links
    assert all(browser.get(link).status_code == 200 for link in links)


def test_test_accounts_are_no_part_of_the_charts(environment: DashboardEnvironment, browser: Browser) -> None:
    busy(environment)

    page = text_of(browser.get("/overview?range=day").text)

    assert "1200" in page
    assert "7777" not in page


def test_a_hundred_pages_ask_the_servers_once(environment: DashboardEnvironment, browser: Browser) -> None:
    for _ in range(100):
        browser.get("/overview/live")
    environment.clock.advance(NOW_SECONDS)
    browser.get("/overview/live")

    assert environment.overview_reads == 2


def test_while_the_store_is_away_the_rest_is_shown(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.overview = Overview(at=NOW, away=["MongoDB"], dead_letters=3)
    environment.stats.is_up = False

    answer = browser.get("/overview")

    assert answer.status_code == 200
    assert "MongoDB does not answer" in text_of(answer.text)


@pytest.mark.parametrize("name", RANGES)
def test_every_range_ends_with_the_step_that_is_under_way(name: str) -> None:
    chosen = RANGES[name]
    for now in (
        NOW,
        NOW.replace(hour=0, minute=0, second=0, microsecond=0),
        NOW.replace(hour=23, minute=59, second=59),
    ):
        since = chosen.begin(now)

        assert since + chosen.step * (chosen.count - 1) <= now < since + chosen.step * chosen.count


# --- workers, clients -------------------------------------------------------------------------------------------------


def test_workers_and_queues_say_what_is_wrong(environment: DashboardEnvironment, browser: Browser) -> None:
    busy(environment)
    environment.down.add("redis")

    page = text_of(browser.get("/system").text)

    assert "a thread hangs" in page
    assert "Redis Away" in page
    assert "Its list of tasks stays empty" in page


def test_clients_are_shown_with_keys_and_use_today(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.stats.add("acme", Channel.SMS, Status.QUEUED, 60, is_new=True)
    environment.stats.add("acme", Channel.SMS, Status.SCHEDULED, 40, is_new=True)
    # The scheduled ones become due, and some are started again: none of them is accepted twice.
    environment.stats.add("acme", Channel.SMS, Status.QUEUED, 40)
    environment.stats.add("acme", Channel.SMS, Status.QUEUED, 7)
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 90)
    environment.stats.add("acme:test", Channel.SMS, Status.QUEUED, 5, is_new=True)

    page = browser.get("/clients").text

    assert "100 accepted today" in text_of(page)
    assert "5 accepted today" in text_of(page)
    assert "id-kk" in page
    assert "k" * 43 not in page


# --- settings ---------------------------------------------------------------------------------------------------------

CANARY = "c4nary-Zq8WzXr1LbV6nKc9HsYp2JdGaEuR7f"


def test_no_secret_stands_on_the_page_of_settings(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "WAVECOM_HOME": str(tmp_path),
            "WAVECOM_API_KEY": f"k{CANARY}",
            "WAVECOM_OPERATOR_PASSWORD": f"o{CANARY}",
            "WAVECOM_FLOWER_PASSWORD": f"f{CANARY}",
            "WAVECOM_SECRET_KEY": f"s{CANARY}",
            "WAVECOM_UNSUBSCRIBE_KEYS": f"u{CANARY}",
            "AMQP_URL": f"amqp://ada:{CANARY}@one:5672/,amqp://ada:{CANARY}@two:5672/".replace(",amqp", ";amqp"),
            "REDIS_URL": f"redis://:{CANARY}@redis:6379/0",
            "MONGODB_URI": f"mongodb://ada:{CANARY}@a,b/wavecom?tlsCertificateKeyFilePassword={CANARY}",
        }
    )

    rows = rows_of(settings)

    assert CANARY not in str(rows)
    shown = {row.name: row for row in rows}
    assert shown["api key"].value == "set, hidden"
    assert shown["api key"].source == "WAVECOM_API_KEY"
    assert "one:5672" in shown["amqp url"].value
    assert (shown["session hours"].value, shown["session hours"].source) == ("12", "")


def test_the_page_of_settings_shows_no_secret_of_its_own_app(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    page = browser.get("/settings").text

    assert environment.settings.secret_key is not None
    assert environment.settings.secret_key not in page
    assert "correct horse" not in page
    assert "WAVECOM_SESSION_HOURS" in page


# --- audit ------------------------------------------------------------------------------------------------------------


def _entries(environment: DashboardEnvironment, count: int) -> None:
    environment.audit_entries.entries = [
        {
            "entryId": f"e-{999 - number}",
            "action": "pause_provider" if number % 2 else "replay",
            "operator": "user ada" if number % 3 else "bob@ops",
            # Many at a time: of those a page may end in the middle.
            "startedAt": NOW - timedelta(seconds=number // 7),
            "reason": f"because {number} <b>",
            "filters": {"provider": "gateway"},
        }
        for number in range(count)
    ]


def test_the_audit_is_read_page_by_page_and_every_entry_once(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    _entries(environment, 120)
    address, found = "/audit", []

    while address:
        page = browser.get(address).text
        found += re.findall(r"because (\d+) &lt;b&gt;", page)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        address = html.unescape(older[1]) if older else ""

    assert [int(each) for each in found] == list(range(120))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("action=replay", 6),
        ("operator=user+ada", 7),
        ("action=replay&operator=bob%40ops", 2),
        ("since=2999-01-01T00:00", 0),
        ("before=2000-01-01T00:00", 0),
        ("since=nonsense", 11),
    ],
)
def test_it_is_filtered_and_exported_alike(
    environment: DashboardEnvironment, browser: Browser, query: str, count: int
) -> None:
    _entries(environment, 11)

    page = browser.get(f"/audit?{query}")
    export = browser.get(f"/audit/export?{query}")

    assert len(re.findall("because", page.text)) == count
    lines = [json.loads(line) for line in export.text.splitlines()]
    assert len(lines) == count
    assert export.mimetype == "application/x-ndjson"
    assert "attachment" in export.headers["Content-Disposition"]
    assert all(line["filters"] == {"provider": "gateway"} for line in lines)


# --- attacks ----------------------------------------------------------------------------------------------------------

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_no_text_of_others_is_ever_markup(environment: DashboardEnvironment, browser: Browser) -> None:
    """Whatever a client, a provider, a worker or an operator has written, on every page that shows it."""
    busy(environment)
    environment.audit_entries.entries = [
        {"entryId": EVIL, "action": EVIL, "operator": EVIL, "startedAt": NOW, "reason": EVIL, "filters": {EVIL: EVIL}}
    ]
    status = ProviderStatus("sandbox", ProviderAvailability.LEFT_ALONE, NOW, EVIL, EVIL, EVIL)
    environment.provider_statuses["sandbox"] = status
    environment.overview = replace(
        environment.overview,
        providers=[status],
        workers=[WorkerOverview(EVIL, EVIL, 9.0)],
        stalled=[EVIL],
        away=[EVIL],
        queues=[QueueOverview(EVIL, 1, 1, 1.0)],
    )
    environment.services.key_administration.create(
        Administrator("ops"), client="acme", name=EVIL, scopes=frozenset({"read"}), is_live=True
    )
    environment.put(
        make_job(status=Status.FAILED, error=JobError(EVIL, EVIL, EVIL), provider=EVIL, dead_lettered_at=NOW)
    )
    environment.user("ada", Role.VIEWER)
    pages = [
        route.path
        for route in ROUTES
        if route.get is not None and "<" not in route.path and route.get is not Permission.OWN_PASSWORD
    ]

    for path in [
        *pages,
        "/providers/sandbox/pause",
        "/dead-letters/again",
        f"/dead-letters?errorCode={quote(EVIL)}",
        f"/notifications/cancel?metadataKey={quote(EVIL)}",
    ]:
        answer = browser.get(path, follow_redirects=True)
        # Without a filter, which is refused with the filters that there are.
        assert answer.status_code == (422 if path == "/notifications/cancel" else 200), path
        if answer.mimetype == "text/html":
            assert "<script>alert" not in answer.text, path
            assert "<img src=x" not in answer.text, path


def test_every_page_may_be_framed_by_nobody_and_runs_nothing_inline(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    for route in ROUTES:
        if route.get is None or "<" in route.path:
            continue
        answer = browser.get(route.path)
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy, route.path
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=|style=\"", answer.text), route.path
