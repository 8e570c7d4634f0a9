"""A notification's message once more, to another address: a notification of its own, with a reason in the audit."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment, text_of
from wavecom.core.audit import AuditAction
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import JobFilter
from wavecom.core.roles import Role
from wavecom.core.states import Status
from wavecom.web.dashboard.send_elsewhere import origin_of

MAIL = make_job(
    client="acme",
    type=Channel.EMAIL,
    status=Status.FAILED,
    priority=Priority.HIGH,
    to={"email": "amina@example.com", "name": "Amina"},
    payload={"subject": "Your contract", "text": "It is attached to nothing."},
    metadata={"order": "A-42"},
    created_at=NOW,
)


def sent(environment: DashboardEnvironment, origin: Job) -> list[Job]:
    found = environment.jobs.search(JobFilter(), 100).jobs
    whole = [environment.jobs.get(job.job_id) for job in found if job.job_id != origin.job_id]
    return [job for job in whole if job is not None]


def send(browser: Browser, job: Job, **typed: str) -> tuple[int, str]:
    page = browser.get(f"/notifications/{job.job_id}/elsewhere").text
    [form_id] = re.findall(r'name="form_id" value="([^"]+)"', page)
    data = {"address": "amina@work.example", "reason": "she wrote to us", "form_id": form_id} | typed
    answer = browser.post(f"/notifications/{job.job_id}/elsewhere", data)
    return answer.status_code, answer.location or answer.text


def test_its_message_goes_to_the_other_address_as_a_notification_of_the_same_client(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.put(MAIL)

    status, location = send(browser, MAIL)

    assert status == 303
    [new] = sent(environment, MAIL)
    assert location.endswith(new.job_id)
    assert new.to == {"email": "amina@work.example"}
    assert (new.client, new.payload, new.metadata) == ("acme", MAIL.payload, MAIL.metadata)
    assert (new.priority, new.status, new.created_by) == (Priority.HIGH, Status.QUEUED, "operator")
    assert environment.jobs.get(MAIL.job_id) == MAIL
    # It remembers where it came from, and says so.
    assert f'href="/notifications/{MAIL.job_id}"' in browser.get(location).text


def test_the_audit_says_who_and_why_and_names_both_but_no_address(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.put(MAIL)

    send(browser, MAIL)

    operation = environment.audit.only()
    [new] = sent(environment, MAIL)
    assert (operation.action, operation.operator) == (AuditAction.SEND_ELSEWHERE, "operator")
    assert operation.filters == {"jobs": MAIL.job_id, "reason": "she wrote to us"}
    assert (operation.first_id, operation.last_id) == (MAIL.job_id, new.job_id)
    assert "work.example" not in repr(operation)


def test_it_has_as_many_attempts_and_as_long_to_live(environment: DashboardEnvironment, browser: Browser) -> None:
    password = replace(MAIL, max_attempts=2, expires_at=MAIL.created_at + timedelta(minutes=5))
    environment.put(password)

    send(browser, password)

    [new] = sent(environment, password)
    assert (new.max_attempts, new.expires_at - new.created_at) == (2, timedelta(minutes=5))


def test_the_first_recipients_link_to_unsubscribe_does_not_go_along(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    headers = {"List-Unsubscribe": "<https://shop.example/amina>", "X-Order": "A-42"}
    mail = replace(MAIL, payload={**MAIL.payload, "headers": headers})
    environment.put(mail)

    send(browser, mail)

    [new] = sent(environment, mail)
    assert new.payload["headers"] == {"X-Order": "A-42"}


def test_the_same_form_with_another_address_is_refused_in_words(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.put(MAIL)
    send(browser, MAIL, form_id="0123456789abcdef")

    status, page = send(browser, MAIL, form_id="0123456789abcdef", address="amina@home.example")

    assert status == 409
    assert "sent before, to another address" in text_of(page)
    [new] = sent(environment, MAIL)
    assert "@" not in str(new.fingerprint)


@pytest.mark.parametrize("key", ["elsewhere:../../x:0123456789abcdef", "elsewhere:", "elsewhere:x"])
def test_a_clients_key_that_only_looks_like_ours_leads_nowhere(key: str) -> None:
    assert origin_of(replace(MAIL, idempotency_key=key)) is None


def test_a_form_that_is_sent_twice_sends_once(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.put(MAIL)

    _, first = send(browser, MAIL, form_id="0123456789abcdef")
    _, second = send(browser, MAIL, form_id="0123456789abcdef")

    assert first == second
    assert len(sent(environment, MAIL)) == 1


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"address": "amina"}, "The address"),
        ({"address": ""}, "The address"),
        ({"reason": " "}, "Say why"),
        ({"form_id": "../x"}, "Open it again"),
    ],
)
def test_what_is_wrong_is_said_and_sends_nothing(
    environment: DashboardEnvironment, browser: Browser, typed: dict[str, str], says: str
) -> None:
    environment.put(MAIL)

    status, page = send(browser, MAIL, **typed)

    assert status == 422
    assert says in text_of(page)
    assert sent(environment, MAIL) == []


@pytest.mark.parametrize(
    "job",
    [
        make_job(type=Channel.PUSH, to={"platform": "fcm", "token": "t" * 40}, payload={"title": "t"}),
        replace(MAIL, payload={"subject": "s", "text": "t", "attachments": [{"filename": "a.pdf", "content": "QUJD"}]}),
    ],
)
def test_what_can_not_go_elsewhere_is_not_offered(
    environment: DashboardEnvironment, browser: Browser, job: Job
) -> None:
    environment.put(job)

    assert "elsewhere" not in browser.get(f"/notifications/{job.job_id}").text
    assert browser.get(f"/notifications/{job.job_id}/elsewhere").status_code == 409


def test_a_viewer_is_not_offered_it(environment: DashboardEnvironment) -> None:
    environment.put(MAIL)
    viewer = environment.browser_as(Role.VIEWER)

    assert "elsewhere" not in viewer.get(f"/notifications/{MAIL.job_id}").text
    assert viewer.get(f"/notifications/{MAIL.job_id}/elsewhere").status_code == 403
