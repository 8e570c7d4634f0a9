"""One notification: its facts, message and history."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import KEY, Browser, DashboardEnvironment
from wavecom.core.job import JobError, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

STORY = (
    LogEntry(NOW, "accepted"),
    LogEntry(
        NOW + timedelta(milliseconds=1500),
        "outcome_unknown",
        attempt=1,
        provider="mail",
        outcome="unknown",
        code="timeout",
        message="no answer within 5 s",
        latency_ms=5003.2,
        next_attempt_at=NOW + timedelta(seconds=10),
    ),
    LogEntry(NOW + timedelta(seconds=11), "something_new", attempt=2, provider="mail"),
)


def test_it_shows_the_whole_notification(environment: DashboardEnvironment, browser: Browser) -> None:
    job = make_job(
        type=Channel.EMAIL,
        status=Status.RETRYING,
        attempts=2,
        payload={
            "subject": "Payment received",
            "text": "We have received 12.50 EUR.\n\nYour bank",
            "html": "<p>We have <b>received</b> 12.50 EUR.</p>",
            "from": {"email": "bank@example.com", "name": "The Bank"},
            "replyTo": ["help@example.com", {"email": "desk@example.com", "name": "Desk"}],
            "calendar": {"method": "REQUEST", "content": "BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n"},
            "headers": {"X-Campaign": "receipts"},
            "attachments": [{"filename": "receipt.pdf", "contentType": "application/pdf", "content": "QUJDRA=="}],
        },
        metadata={"order": 1042, "vip": True},
        recipient_id="user-42",
        category="receipts-by-mail",
        error=JobError("provider_unavailable", "http_503: maintenance", "mail"),
    )
    environment.put(job)

    page = browser.get(f"/notifications/{job.job_id}").text

    for words in [
        job.job_id,
        "user-42",
        "receipts-by-mail",
        "amina@example.com",
        "Amina Haddad",
        "Retrying",
        "2 of 5",
        "provider_unavailable",
        "http_503: maintenance",
        "Payment received",
        "We have received 12.50 EUR.\n\nYour bank",
        "&lt;p&gt;We have &lt;b&gt;received&lt;/b&gt; 12.50 EUR.&lt;/p&gt;",
        "The Bank &lt;bank@example.com&gt;",
        "help@example.com, Desk &lt;desk@example.com&gt;",
        "<summary>Invitation (REQUEST)</summary>",
        "BEGIN:VCALENDAR\nMETHOD:REQUEST",
        "X-Campaign",
        "receipts",
        "receipt.pdf",
        "4 bytes, application/pdf",
        "1042",
        "Next attempt",
    ]:
        assert words in page, words
    assert "QUJDRA" not in page


def test_its_history_is_a_list_in_order_with_times_words_and_reasons(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    job = make_job(status=Status.RETRYING, logs=STORY)
    environment.put(job)

    page = browser.get(f"/notifications/{job.job_id}").text

    timeline = page[page.index('<ol class="timeline">') : page.index("</ol>")]
    assert re.findall(r"<h3>(.*?)</h3>", timeline) == [
        "Accepted by WaveCom",
        "No clear answer: it may have been sent",
        "Something new",
    ]
    second = timeline.split("<li")[2]
    for words in ["attempt 1", "mail", "unknown", "took 5.0 s", "timeout", "no answer within 5 s", "Next attempt"]:
        assert words in second, words
    assert f"{NOW + timedelta(milliseconds=1500):%H:%M:%S.%f}"[:-3] in second
    assert re.search(r'<time datetime="\d{4}-03-14T09:26:55\.089Z">', second)


def test_a_shortened_history_says_so(environment: DashboardEnvironment, browser: Browser) -> None:
    job = make_job(logs=STORY, log_count=70)
    environment.put(job)

    assert "The last 3 of 70 entries." in browser.get(f"/notifications/{job.job_id}").text


def test_it_warns_that_a_message_may_have_been_sent(environment: DashboardEnvironment, browser: Browser) -> None:
    unsure = make_job(status=Status.FAILED, may_have_been_sent=True)
    sure = make_job(status=Status.DELIVERED, may_have_been_sent=True)
    environment.put(unsure, sure)

    assert "It may have been sent." in browser.get(f"/notifications/{unsure.job_id}").text
    assert "It may have been sent." not in browser.get(f"/notifications/{sure.job_id}").text


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("status", Status)
def test_every_status_of_every_type_has_its_page(
    environment: DashboardEnvironment, browser: Browser, status: Status, channel: Channel
) -> None:
    job = make_job(status=status, type=channel)
    environment.put(job)

    assert browser.get(f"/notifications/{job.job_id}").status_code == 200
    assert browser.get(f"/notifications/{job.job_id.upper()}/live").status_code == 200


@pytest.mark.parametrize("job_id", ["019ceb00-0000-7000-8000-0000000000ff", "x", "%2e%2e", "' or 1=1", "ü" * 300])
def test_an_unknown_id_gets_a_page_that_says_so(browser: Browser, job_id: str) -> None:
    answer = browser.get(f"/notifications/{job_id}")

    assert answer.status_code == 404
    assert "There is no such notification" in answer.text


def test_another_clients_notification_is_not_there(environment: DashboardEnvironment) -> None:
    job = make_job(client="other")
    environment.put(job)

    assert environment.browser(KEY).get(f"/notifications/{job.job_id}").status_code == 404
    assert environment.browser(KEY).get(f"/notifications/{job.job_id}/live").status_code == 404
    assert environment.browser().get(f"/notifications/{job.job_id}").status_code == 200


def test_the_part_that_changes_is_sent_again_only_when_it_has(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    job = make_job()
    environment.put(job)

    first = browser.get(f"/notifications/{job.job_id}/live")
    same = browser.get(f"/notifications/{job.job_id}/live", headers={"If-None-Match": first.headers["ETag"]})

    assert "Queued" in first.text
    assert same.status_code == 304
