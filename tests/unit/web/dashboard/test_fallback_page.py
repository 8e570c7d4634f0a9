"""The page of a fallback: its steps and what happened, to those who may see it."""

from __future__ import annotations

from datetime import timedelta

from tests.factories import NOW, PAYLOADS, RECIPIENTS, make_job
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment
from wavecom.core.audit import AuditAction
from wavecom.core.fallback import FallbackEntry, FallbackEvent, FallbackStatus, NewFallback, Step
from wavecom.core.job import FallbackStep
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

ID = "019ceba1-0000-7000-8000-000000000001"


def test_it_leads_to_the_steps_and_says_why_each_began(environment: DashboardEnvironment, browser: Browser) -> None:
    push = Step(
        type=Channel.PUSH, to=RECIPIENTS[Channel.PUSH], payload=PAYLOADS[Channel.PUSH], wait=timedelta(seconds=30)
    )
    sms = Step(type=Channel.SMS, to=RECIPIENTS[Channel.SMS], payload=PAYLOADS[Channel.SMS])
    job = make_job(type=Channel.PUSH, status=Status.FAILED, parent=FallbackStep(ID, 1))
    environment.put(job)
    fallback = NewFallback(client="acme", steps=(push, sms)).accepted(ID, NOW)
    environment.fallbacks.add(fallback)
    entry = FallbackEntry(NOW, FallbackEvent.STEP_BEGUN, 2, "step 1: it failed: <rejected>")
    steps = fallback.with_step(1, job_id=job.job_id)
    environment.fallbacks.write(fallback.changed(NOW, steps=steps, begun=2, logs=(*fallback.logs, entry)))

    page = browser.get(f"/notifications/{ID}")

    assert page.status_code == 200
    assert f'href="/notifications/{job.job_id}"' in page.text
    assert "step 1: it failed: &lt;rejected&gt;" in page.text
    assert str(RECIPIENTS[Channel.SMS]["phone"]) not in page.text
    assert f'href="/notifications/{ID}"' in browser.get(f"/notifications/{job.job_id}").text


def test_an_operator_cancels_it_and_is_noted(environment: DashboardEnvironment, browser: Browser) -> None:
    push = Step(
        type=Channel.PUSH, to=RECIPIENTS[Channel.PUSH], payload=PAYLOADS[Channel.PUSH], wait=timedelta(seconds=30)
    )
    sms = Step(type=Channel.SMS, to=RECIPIENTS[Channel.SMS], payload=PAYLOADS[Channel.SMS])
    environment.fallbacks.add(NewFallback(client="acme", steps=(push, sms)).accepted(ID, NOW))
    assert f'href="/notifications/{ID}/cancel"' in browser.get(f"/notifications/{ID}").text
    assert "Cancel this fallback?" in browser.get(f"/notifications/{ID}/cancel").text

    answer = browser.post(f"/notifications/{ID}/cancel", {})

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/notifications/{ID}")
    found = environment.fallbacks.get(ID)
    assert found is not None
    assert (found.status, found.cancelled_by) == (FallbackStatus.CANCELLED, "operator")
    [entry] = environment.audit.operations.values()
    assert (entry.action, entry.operator, entry.first_id) == (AuditAction.CANCEL, "operator", ID)
    assert f'href="/notifications/{ID}/cancel"' not in browser.get(f"/notifications/{ID}").text
    assert browser.get(f"/notifications/{ID}/cancel").status_code == 409


def test_one_that_there_is_not_is_not_found(browser: Browser) -> None:
    assert browser.get(f"/notifications/{ID}").status_code == 404
    assert browser.get("/notifications/nonsense").status_code == 404
