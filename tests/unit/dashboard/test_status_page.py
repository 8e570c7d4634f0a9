"""The counts of the last hour, and whether the servers are up."""

from __future__ import annotations

import re
from datetime import timedelta

from tests.unit.dashboard.world import KEY, Browser, World
from wavecom.core.job import Channel
from wavecom.core.states import Status
from wavecom.web.dashboard.words import STATUSES


def counts(page: str) -> dict[str, str]:
    found = re.findall(r'<span class="label">.*?</svg>(.*?)</span>\s*<span class="value">(.*?)</span>', page, re.DOTALL)
    return {word: value.replace("\u202f", "") for word, value in found}


def test_the_root_leads_to_it(browser: Browser) -> None:
    assert browser.get("/").location == "/status"


def test_it_counts_each_status_over_the_last_hour(world: World, browser: Browser) -> None:
    world.stats.add("acme", Channel.SMS, Status.DELIVERED, 1234)
    world.stats.add("other", Channel.PUSH, Status.FAILED, 2)

    page = browser.get("/status").text

    found = counts(page)
    assert list(found) == [look.word for status, look in STATUSES.items() if status is not Status.PROCESSING]
    assert found["Delivered"] == "1234"
    assert found["Failed"] == "2"
    assert found["Queued"] == "0"


def test_what_is_older_than_an_hour_does_not_count(world: World, browser: Browser) -> None:
    world.stats.add("acme", Channel.SMS, Status.FAILED)
    world.clock.advance(timedelta(minutes=59).total_seconds())
    world.stats.add("acme", Channel.SMS, Status.DELIVERED)

    before = counts(browser.get("/status").text)
    world.clock.advance(60)
    after = counts(browser.get("/status").text)

    assert (before["Failed"], before["Delivered"]) == ("1", "1")
    assert (after["Failed"], after["Delivered"]) == ("0", "1")


def test_a_key_counts_its_own_clients_notifications_only(world: World) -> None:
    world.stats.add("acme", Channel.SMS, Status.DELIVERED, 3)
    world.stats.add("other", Channel.SMS, Status.DELIVERED, 4)

    assert counts(world.browser(KEY).get("/status").text)["Delivered"] == "3"
    assert counts(world.browser().get("/status").text)["Delivered"] == "7"


def test_each_count_leads_to_its_list(world: World, browser: Browser) -> None:
    world.stats.add("acme", Channel.SMS, Status.FAILED)

    page = browser.get("/status").text

    assert 'href="/notifications?status=failed"' in page
    assert browser.get("/notifications?status=failed").status_code == 200


def test_the_chart_is_also_a_table(world: World, browser: Browser) -> None:
    world.stats.add("acme", Channel.SMS, Status.DELIVERED, 30)
    world.stats.add("acme", Channel.SMS, Status.FAILED, 1)
    world.stats.add("acme", Channel.SMS, Status.EXPIRED, 2)

    page = browser.get("/status").text

    assert len(re.findall(r"<tr><td><time", page)) == 12
    assert '<td class="number">30</td><td class="number">3</td>' in page
    assert page.count('<rect class="one" x=') == 1
    assert page.count('<rect class="two" x=') == 1


def test_an_hour_without_notifications_says_what_to_do(browser: Browser) -> None:
    page = browser.get("/status").text

    assert "Nothing in the last hour" in page
    assert "Send a notification" in page


def test_it_says_which_server_is_away_in_words(world: World, browser: Browser) -> None:
    world.down = {"redis"}

    page = browser.get("/status").text

    states = re.findall(r"<strong>(\w+)</strong>.*?</svg>(\w+)</span>", page, re.DOTALL)
    assert states == [("MongoDB", "Up"), ("RabbitMQ", "Up"), ("Redis", "Away")]


def test_without_the_store_it_still_shows_what_is_up(world: World, browser: Browser) -> None:
    world.stats.is_up = False
    world.down = {"mongodb"}

    answer = browser.get("/status")

    assert answer.status_code == 200
    assert "The figures can’t be read now" in answer.text
    assert "RabbitMQ" in answer.text


def test_the_part_that_changes_is_sent_again_only_when_it_has(world: World, browser: Browser) -> None:
    first = browser.get("/status/live")
    same = browser.get("/status/live", headers={"If-None-Match": first.headers["ETag"]})
    world.stats.add("acme", Channel.SMS, Status.DELIVERED)

    other = browser.get("/status/live", headers={"If-None-Match": first.headers["ETag"]})

    assert "<html" not in first.text
    assert (same.status_code, same.text) == (304, "")
    assert other.status_code == 200
    assert counts(other.text)["Delivered"] == "1"
