"""The counts of the last hour, and whether the servers are up."""

from __future__ import annotations

import html
import re
from datetime import timedelta

from tests.factories import make_job
from tests.unit.web.dashboard.environment import KEY, PASSWORD, TEST_KEY, Browser, DashboardEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.states import Status
from wavecom.web.dashboard.status import NOW, NOW_LIMIT


def counts(page: str) -> dict[str, str]:
    found = re.findall(r'<span class="label">.*?</svg>(.*?)</span>\s*<span class="value">(.*?)</span>', page, re.DOTALL)
    return {word: value.replace("\u202f", "") for word, value in found}


def test_the_root_leads_to_it(browser: Browser) -> None:
    assert browser.get("/").location == "/status"


def test_what_is_there_now_is_counted_among_the_notifications_and_not_among_events(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    for status in (Status.QUEUED, Status.RETRYING, Status.PROCESSING, Status.SCHEDULED, Status.SENT):
        environment.stats.add("acme", Channel.SMS, status, 323)
    environment.put(make_job(status=Status.QUEUED), make_job(status=Status.FAILED), make_job(status=Status.FAILED))

    found = counts(browser.get("/status").text)

    assert found["Queued"] == "1"
    assert (found["Retrying"], found["Processing"], found["Scheduled"], found["Sent"]) == ("0", "0", "0", "0")


def test_each_count_of_what_is_there_now_leads_to_the_list_of_just_those(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    for number, status in enumerate(NOW, 1):
        environment.put(*(make_job(status=status, client="acme") for _ in range(number)))
        environment.put(make_job(status=status, client="acme:test"))
        environment.stats.add("acme", Channel.SMS, status, 100)

    for secret, mode in ((PASSWORD, ""), (PASSWORD, "?mode=test"), (KEY, ""), (TEST_KEY, "")):
        viewer = environment.browser(secret)
        page = viewer.get(f"/status{mode}").text
        tiles = re.findall(
            r'<a href="([^"]+)">\s*<span class="label">.*?<span class="value">(\d+)</span>', page, re.DOTALL
        )

        listed = [
            len(re.findall(r'href="/notifications/[0-9a-f-]{36}"', viewer.get(html.unescape(href)).text))
            for href, _ in tiles
        ]

        assert [int(value) for _, value in tiles] == listed
        assert listed == ([1] * 7 if mode or secret == TEST_KEY else [1, 2, 3, 4, 5, 6, 7])


def test_a_backlog_is_not_counted_to_its_end(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.put(*(make_job(status=Status.QUEUED) for _ in range(NOW_LIMIT + 5)))

    assert counts(browser.get("/status").text)["Queued"] == "1000+"


def test_what_could_not_be_counted_in_time_is_no_zero_and_still_leads_to_its_list(
    environment: DashboardEnvironment,
) -> None:
    environment.jobs.is_slow_to_count = True

    page = environment.browser().get("/status").text

    assert counts(page)["Queued"] == "–"
    assert "status=queued" in page


def ended(page: str) -> dict[str, str]:
    """What the last hour's counts say."""
    return counts(page[page.index('id="ended-title"') :])


def test_it_counts_what_ended_in_the_last_hour(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 1234)
    environment.stats.add("other", Channel.PUSH, Status.FAILED, 2)

    page = browser.get("/status").text

    assert ended(page) == {"Delivered": "1234", "Failed": "2", "Expired": "0", "Cancelled": "0"}


def test_what_is_older_than_an_hour_does_not_count(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.stats.add("acme", Channel.SMS, Status.FAILED)
    environment.clock.advance(timedelta(minutes=59).total_seconds())
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED)

    before = ended(browser.get("/status").text)
    environment.clock.advance(60)
    after = ended(browser.get("/status").text)

    assert (before["Failed"], before["Delivered"]) == ("1", "1")
    assert (after["Failed"], after["Delivered"]) == ("0", "1")


def test_live_and_test_are_counted_apart_and_say_which_they_are(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 3)
    environment.stats.add("other", Channel.SMS, Status.DELIVERED, 4)
    environment.stats.add("acme:test", Channel.SMS, Status.DELIVERED, 50)

    shown = {}
    for name, page in {
        "operator": browser.get("/status").text,
        "operator, test": browser.get("/status?mode=test").text,
        "operator, test, refreshed": browser.get("/status/live?mode=test").text,
        "live key": environment.browser(KEY).get("/status").text,
        "test key": environment.browser(TEST_KEY).get("/status").text,
    }.items():
        title = page[page.index('id="counts-title"') :]
        badge = re.search(r'class="badge mode[^"]*">(\w+)<', title)
        assert badge is not None
        shown[name] = (ended(page)["Delivered"], badge[1])

    assert shown == {
        "operator": ("7", "Live"),
        "operator, test": ("50", "Test"),
        "operator, test, refreshed": ("50", "Test"),
        "live key": ("3", "Live"),
        "test key": ("50", "Test"),
    }


def test_the_operator_sees_each_client_with_a_badge_and_a_key_sees_no_others(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 3)
    environment.stats.add("acme:test", Channel.SMS, Status.FAILED, 50)
    environment.stats.add("globex", Channel.SMS, Status.DELIVERED, 4)
    environment.put(make_job(client="acme:test"), make_job(client="acme"), make_job(client="globex"))

    page = browser.get("/status").text
    table = page[page.index('id="accounts-title"') :]
    rows = re.findall(r'<a href="([^"]+)"><span class="account"><span>(\w+)</span><span[^>]*>(\w+)</span>', table)

    assert [(name, mode) for _, name, mode in rows] == [("acme", "Test"), ("globex", "Live"), ("acme", "Live")]
    for href, _, _ in rows:
        assert len(re.findall(r'href="/notifications/[0-9a-f-]{36}"', browser.get(html.unescape(href)).text)) == 1
    assert "globex" not in environment.browser(KEY).get("/status").text


def test_the_chart_is_also_a_table(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 30)
    environment.stats.add("acme", Channel.SMS, Status.FAILED, 1)
    environment.stats.add("acme", Channel.SMS, Status.EXPIRED, 2)

    page = browser.get("/status").text

    assert len(re.findall(r"<tr><td><time", page)) == 12
    assert '<td class="number">30</td><td class="number">3</td>' in page
    assert page.count('<rect class="one" x=') == 1
    assert page.count('<rect class="two" x=') == 1


def test_an_hour_without_notifications_says_what_to_do(browser: Browser) -> None:
    page = browser.get("/status").text

    assert "Nothing in the last hour" in page
    assert "Send a notification" in page


def test_it_says_which_server_is_away_in_words(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.down = {"redis"}

    page = browser.get("/status").text

    states = re.findall(r"<strong>(\w+)</strong>.*?</svg>(\w+)</span>", page, re.DOTALL)
    assert states == [("MongoDB", "Up"), ("RabbitMQ", "Up"), ("Redis", "Away")]


def test_without_the_store_it_still_shows_what_is_up(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.stats.is_up = False
    environment.down = {"mongodb"}

    answer = browser.get("/status")

    assert answer.status_code == 200
    assert "The figures can’t be read now" in answer.text
    assert "RabbitMQ" in answer.text


def test_the_part_that_changes_is_sent_again_only_when_it_has(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    first = browser.get("/status/live")
    same = browser.get("/status/live", headers={"If-None-Match": first.headers["ETag"]})
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED)

    other = browser.get("/status/live", headers={"If-None-Match": first.headers["ETag"]})

    assert "<html" not in first.text
    assert (same.status_code, same.text) == (304, "")
    assert other.status_code == 200
    assert ended(other.text)["Delivered"] == "1"


def test_the_operator_sees_how_the_providers_stand_and_a_key_does_not(environment: DashboardEnvironment) -> None:
    until = environment.clock.now() + timedelta(minutes=5)
    environment.provider_statuses["sandbox"] = ProviderStatus(
        "sandbox", ProviderAvailability.LEFT_ALONE, until, "http_402", "balance", "60 % of its weight: receipts slow"
    )

    operators, keys = (environment.browser(secret).get("/status").text for secret in (PASSWORD, KEY))

    for words in ("Left alone", "It refuses our account: balance", "http_402", "60 % of its weight: receipts slow"):
        assert words in operators
        assert words not in keys


def test_of_a_provider_that_is_well_nothing_is_said_but_that_it_is_in_use(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.provider_statuses["sandbox"] = ProviderStatus(
        "sandbox", ProviderAvailability.IN_USE, None, "3 probes", ""
    )

    page = browser.get("/status").text

    assert "In use" in page
    assert "3 probes" not in page
