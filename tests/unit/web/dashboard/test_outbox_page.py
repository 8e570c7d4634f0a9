"""What the sandbox delivered."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import KEY, Browser, DashboardEnvironment
from wavecom.core.job import Job
from wavecom.core.lanes import Channel


def ids(page: str) -> list[str]:
    return re.findall(r'href="/notifications/([0-9a-f-]{36})"', page)


def older(page: str) -> str | None:
    found = re.search(r'href="([^"]+)" rel="next"', page)
    return html.unescape(found[1]) if found else None


def delivered(environment: DashboardEnvironment, count: int, client: str = "acme") -> list[Job]:
    """Jobs of a client, newest first, all in the outbox."""
    jobs = [make_job(client=client, created_at=NOW + timedelta(seconds=number // 2)) for number in range(count)]
    environment.put(*jobs)
    for job in jobs:
        environment.deliver(job)
    return sorted(jobs, key=lambda job: (job.created_at, job.job_id), reverse=True)


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        (Channel.EMAIL, ["E-mail", "amina@example.com", "Payment received", "We have received 12.50 EUR."]),
        (Channel.SMS, ["SMS", "+12025550143", "Your one-time password is 493817", "BANK"]),
        (Channel.PUSH, ["Push", "device-token-1", "Parcel", "Your parcel arrives today", "1Z999"]),
    ],
)
def test_it_shows_what_the_recipient_would_have_got(
    environment: DashboardEnvironment, browser: Browser, channel: Channel, words: list[str]
) -> None:
    job = make_job(type=channel)
    environment.put(job)
    environment.deliver(job)

    page = browser.get("/outbox").text

    assert ids(page) == [job.job_id]
    for word in words:
        assert word in page, word


def test_a_repeated_hand_over_is_one_entry_that_says_so(environment: DashboardEnvironment, browser: Browser) -> None:
    job = make_job()
    environment.deliver(job)
    environment.deliver(job)

    page = browser.get("/outbox").text

    assert ids(page) == [job.job_id]
    assert "handed over 2 times" in page


def test_pages_follow_each_other_without_gap_or_repetition(environment: DashboardEnvironment, browser: Browser) -> None:
    jobs = delivered(environment, 45)
    seen: list[str] = []
    address: str | None = "/outbox"

    while address is not None:
        page = browser.get(address).text
        seen += ids(page)
        address = older(page)

    assert seen == [job.job_id for job in jobs]


def test_a_key_sees_its_own_clients_entries_only_on_full_pages(environment: DashboardEnvironment) -> None:
    delivered(environment, 30, client="other")
    own = delivered(environment, 25)
    browser = environment.browser(KEY)

    first = browser.get("/outbox").text
    address = older(first)
    assert address is not None
    second = browser.get(address).text

    assert ids(first) + ids(second) == [job.job_id for job in own]
    assert len(ids(first)) == 20


@pytest.mark.parametrize("cursor", ["x", "1", "1.", ".a", "99999999999999999.a", "-1.a", "1.a b", "1.%0a"])
def test_a_damaged_link_leads_to_no_page(browser: Browser, cursor: str) -> None:
    assert browser.get(f"/outbox?after={cursor}").status_code == 404


def test_an_empty_outbox_says_how_to_fill_it(browser: Browser) -> None:
    page = browser.get("/outbox").text

    assert "The sandbox has delivered nothing yet" in page
    assert 'href="/send"' in page


def test_behind_the_last_page_there_is_a_way_back(browser: Browser) -> None:
    page = browser.get("/outbox?after=1000.a").text

    assert "That was all" in page
    assert 'href="/outbox">Newest' in page
