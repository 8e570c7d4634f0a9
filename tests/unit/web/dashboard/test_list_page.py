"""The list of notifications: what it shows, hides, filters and how it pages."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import CLIENT, KEY, PASSWORD, Browser, DashboardEnvironment
from wavecom.core.job import Job, JobError, JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import Cursor
from wavecom.core.states import Status


def ids(page: str) -> list[str]:
    """The notifications listed, in order."""
    return re.findall(r'href="/notifications/([0-9a-f-]{36})"', page)


def link(page: str, word: str) -> str | None:
    found = re.search(rf'<a class="button quiet" href="([^"]+)"[^>]*>{word}</a>', page)
    return html.unescape(found[1]) if found else None


def test_it_lists_the_newest_first(environment: DashboardEnvironment, browser: Browser) -> None:
    old, new = make_job(created_at=NOW), make_job(created_at=NOW + timedelta(seconds=1))
    environment.put(old, new)

    assert ids(browser.get("/notifications").text) == [new.job_id, old.job_id]


def test_it_shows_status_type_provider_attempts_and_error_in_words(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.put(make_job(status=Status.RETRYING, type=Channel.EMAIL, attempts=2, max_attempts=7))

    page = browser.get("/notifications").text

    row = page[page.index('<tbody role="rowgroup">') : page.index("</tbody>")]
    for words in ["Retrying", "E-mail", "sandbox", "2 of 7", "provider_unavailable", "14 Mar"]:
        assert words in row, words


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        (make_job(type=Channel.EMAIL), "a…@example.com"),
        (make_job(type=Channel.SMS), "+12…43"),
        (make_job(type=Channel.PUSH), "devi…"),
    ],
    ids=["email", "sms", "push"],
)
def test_recipients_are_shown_in_part(
    environment: DashboardEnvironment, browser: Browser, job: Job, shown: str
) -> None:
    environment.put(job)

    page = browser.get("/notifications").text

    assert shown in page
    for secret in ["amina", "Amina", "2025550143", "device-token"]:
        assert secret not in page


def test_a_key_lists_its_own_clients_notifications_only(environment: DashboardEnvironment) -> None:
    own, foreign = make_job(client="acme"), make_job(client="other")
    environment.put(own, foreign)

    assert ids(environment.browser(KEY).get("/notifications").text) == [own.job_id]
    assert set(ids(environment.browser().get("/notifications").text)) == {own.job_id, foreign.job_id}


WANTED = make_job(
    type=Channel.EMAIL,
    status=Status.FAILED,
    priority=Priority.HIGH,
    provider="mail",
    error=JobError("rejected", "no such mailbox", "mail"),
    created_at=NOW,
)
OTHERS = [
    make_job(type=Channel.SMS, status=Status.DELIVERED, provider="gateway", created_at=NOW - timedelta(hours=2)),
    make_job(type=Channel.PUSH, status=Status.QUEUED, priority=Priority.BULK, created_at=NOW + timedelta(hours=2)),
]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "failed"},
        {"status": "failed,cancelled"},
        {"type": "email"},
        {"priority": "high"},
        {"provider": "mail"},
        {"errorCode": "rejected"},
        {"recipient": "amina@example.com"},
        {"recipient": " amina@EXAMPLE.com "},
        {"createdSince": "NOW", "createdBefore": "LATER"},
        {"status": "failed", "type": "email", "provider": "mail", "errorCode": "rejected"},
    ],
    ids=str,
)
def test_filters_narrow_it(environment: DashboardEnvironment, browser: Browser, query: dict[str, str]) -> None:
    environment.put(WANTED, *OTHERS)
    times = {"NOW": f"{NOW:%Y-%m-%dT%H:%M:%S}", "LATER": f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M}"}

    page = browser.get("/notifications", query_string={name: times.get(value, value) for name, value in query.items()})

    assert ids(page.text) == [WANTED.job_id]


def test_filters_that_are_left_empty_do_not_count(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.put(WANTED)

    page = browser.get("/notifications?status=&type=&priority=&recipient=&provider=&errorCode=&createdSince=").text

    assert ids(page) == [WANTED.job_id]
    assert "set)" not in page


def test_filters_stay_in_their_form(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.put(WANTED)

    page = browser.get("/notifications?status=failed&provider=mail&createdSince=2020-01-02T03:04:05Z").text

    assert '<option value="failed" selected>' in page
    assert 'value="mail"' in page
    assert 'value="2020-01-02T03:04:05"' in page
    assert "(3 set)" in page


@pytest.mark.parametrize(
    ("query", "label", "message"),
    [
        ("status=failled", "Status", "did you mean failed?"),
        ("type=fax", "Type", "must be one of email, sms, push"),
        ("createdSince=yesterday", "From (UTC)", "RFC 3339"),
        ("createdSince=2026-01-02T00:00&createdBefore=2026-01-01T00:00", "Before (UTC)", "must be after"),
        ("cursor=nonsense", "", "cursor"),
    ],
)
def test_a_wrong_filter_is_named_beside_it_and_in_a_summary(
    environment: DashboardEnvironment, browser: Browser, query: str, label: str, message: str
) -> None:
    environment.put(WANTED)

    answer = browser.get(f"/notifications?{query}")

    assert answer.status_code == 422
    summary = re.search(r'role="alert".*?</ul>', answer.text, re.DOTALL)
    assert summary
    assert message in html.unescape(summary[0])
    if label:
        field = re.search(rf'<a href="#(field-\w+)">{re.escape(label)}</a>', summary[0])
        assert field
        assert f'id="{field[1]}"' in answer.text
        assert f'id="{field[1]}-error"' in answer.text
        assert f'aria-describedby="{field[1]}-error"' in answer.text


def test_pages_follow_each_other_without_gap_or_repetition(environment: DashboardEnvironment, browser: Browser) -> None:
    jobs = [make_job(created_at=NOW + timedelta(seconds=number // 3)) for number in range(120)]
    environment.put(*jobs, *OTHERS)
    seen: list[str] = []
    address: str | None = "/notifications?type=sms&status=queued"

    while address is not None:
        page = browser.get(address).text
        seen += ids(page)
        address = link(page, "Older")

    assert seen == [job.job_id for job in sorted(jobs, key=lambda job: (job.created_at, job.job_id), reverse=True)]


def test_later_pages_lead_back_to_the_first_with_the_filters_kept(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.put(*[make_job(created_at=NOW + timedelta(seconds=number)) for number in range(51)])

    first = browser.get("/notifications?type=sms").text
    older = link(first, "Older")
    assert older is not None
    second = browser.get(older).text

    assert link(first, "Newest") is None
    assert len(ids(second)) == 1
    assert link(second, "Newest") == "/notifications?type=sms"


def test_an_empty_list_says_how_to_fill_it(browser: Browser) -> None:
    page = browser.get("/notifications").text

    assert "No notification yet" in page
    assert 'href="/send"' in page


def test_a_list_that_matches_nothing_says_so(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.put(WANTED)

    page = browser.get("/notifications?provider=nobody").text

    assert "Nothing matches" in page
    assert "Clear the filters" in page


def test_a_search_that_was_given_up_goes_on_further_back(environment: DashboardEnvironment, browser: Browser) -> None:
    old = make_job(created_at=NOW)
    environment.put(old)
    environment.jobs.gives_up_at = Cursor(NOW + timedelta(seconds=1), JobId("00000000-0000-0000-0000-000000000000"))

    page = browser.get("/notifications?type=" + old.type).text

    assert ids(page) == []
    further = re.search(r'<a class="button" href="([^"]+)">Look further back</a>', page)
    assert further is not None
    assert ids(browser.get(html.unescape(further[1])).text) == [old.job_id]


# --- Finding one ------------------------------------------------------------------------------------------------------


def _found(browser: Browser, **query: str) -> list[str]:
    return ids(browser.get("/notifications", query_string=query).text)


@pytest.mark.parametrize("secret", [PASSWORD, KEY])
def test_one_is_found_by_its_id_and_by_its_idempotency_key(environment: DashboardEnvironment, secret: str) -> None:
    job, other = make_job(client=CLIENT, idempotency_key="order-42"), make_job(client=CLIENT)
    foreign = make_job(client="globex", idempotency_key="order-42")
    environment.put(job, other, foreign)
    browser = environment.browser(secret)

    assert _found(browser, jobId=job.job_id) == [job.job_id]
    assert _found(browser, jobId=f" {job.job_id.upper()} ") == [job.job_id]
    assert _found(browser, jobId=job.job_id, status="failed") == []
    assert _found(browser, idempotencyKey="order-42") == [job.job_id]
    assert _found(browser, idempotencyKey="order-4") == []
    assert _found(browser, jobId=foreign.job_id) == ([] if secret == KEY else [foreign.job_id])


def test_the_operator_finds_what_was_sent_from_these_pages_by_its_key_too(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    job = make_job(client="operator", idempotency_key="page:1")
    environment.put(job)

    assert _found(browser, idempotencyKey="page:1") == [job.job_id]


def test_an_id_that_is_none_is_said_beside_its_field(browser: Browser) -> None:
    answer = browser.get("/notifications?jobId=42")

    assert answer.status_code == 422
    assert 'id="field-jobId-error"' in answer.text


def test_some_are_found_by_their_metadata(environment: DashboardEnvironment, browser: Browser) -> None:
    job, other = make_job(metadata={"order": "A 42"}), make_job(metadata={"order": 7})
    environment.put(job, other)

    assert _found(browser, metadataKey="order", metadataValue="A 42") == [job.job_id]
    assert _found(browser, metadataKey="order", metadataValue="7") == [other.job_id]
    assert len(_found(browser, metadataKey="order")) == 2
    assert browser.get("/notifications?metadataValue=7").status_code == 422


@pytest.mark.parametrize(
    "typed",
    [
        "+447700900123",
        "+44 7700 900123",
        " +44 7700 900123 ",
        "+44-7700-900123",
        "+44 (0)7700 900123",
        "+44.7700.900123",
        "\u202d+44 7700 900123\u202c",
        "+44\u00a07700\u00a0900123",
    ],
)
def test_a_number_is_found_in_any_form_in_which_it_could_have_been_sent(
    environment: DashboardEnvironment, browser: Browser, typed: str
) -> None:
    job = make_job(type=Channel.SMS, to={"phone": "+447700900123"})
    environment.put(job, make_job(type=Channel.SMS, to={"phone": "+447700900124"}))

    assert _found(browser, recipient=typed) == [job.job_id]


@pytest.mark.parametrize("stored", ["Amina.Diallo@example.com", "amina.diallo@example.com"])
@pytest.mark.parametrize(
    "typed",
    ["Amina.Diallo@example.com", "amina.diallo@example.com", "AMINA.DIALLO@EXAMPLE.COM", " Amina.Diallo@Example.com "],
)
def test_an_address_is_found_in_any_case(
    environment: DashboardEnvironment, browser: Browser, stored: str, typed: str
) -> None:
    job = make_job(type=Channel.EMAIL, to={"email": stored})
    environment.put(job, make_job(type=Channel.EMAIL, to={"email": "amina.diallo@example.org"}))

    assert _found(browser, recipient=typed) == [job.job_id]


def test_an_address_with_a_domain_of_other_letters_is_found_as_it_is_written(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    job = make_job(type=Channel.EMAIL, to={"email": "info@xn--bcher-kva.example"})
    environment.put(job)

    assert _found(browser, recipient="Info@Bücher.example") == [job.job_id]


def test_live_test_and_clients_are_told_apart_by_a_badge_and_a_filter(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    live, test, other = make_job(client="acme"), make_job(client="acme:test"), make_job(client="globex")
    environment.put(live, test, other)

    page = browser.get("/notifications").text
    badges = {
        job_id: (client, mode)
        for job_id, client, mode in re.findall(
            r'href="/notifications/([0-9a-f-]{36})".*?class="account"><span>(\w+)</span><span class="badge[^>]*>(\w+)<',
            page,
            re.DOTALL,
        )
    }

    assert badges == {live.job_id: ("acme", "Live"), test.job_id: ("acme", "Test"), other.job_id: ("globex", "Live")}
    assert _found(browser, client="acme", mode="test") == [test.job_id]
    assert set(_found(browser, client="acme")) == {live.job_id, test.job_id}
    assert _found(browser, client="acme:test") == [test.job_id]
    assert set(_found(browser, mode="live")) == {live.job_id, other.job_id}


def test_a_key_cannot_look_at_others_by_the_operators_filters(environment: DashboardEnvironment) -> None:
    environment.put(make_job(client="globex"), make_job(client=f"{CLIENT}:test"))
    browser = environment.browser(KEY)

    assert _found(browser, client="globex") == []
    assert _found(browser, mode="test") == []
    assert "field-client" not in browser.get("/notifications").text
