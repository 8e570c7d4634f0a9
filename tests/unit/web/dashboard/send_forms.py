"""Forms that are filled in, and what to read of the answers to them."""

from __future__ import annotations

import html
import re
from typing import Any

from werkzeug.test import TestResponse

from tests.unit.web.dashboard.environment import (
    DashboardEnvironment,
)
from wavecom.core.job import Job, JobId
from wavecom.core.ports import JobFilter

EMAIL = {"to_email": "amina@example.com", "subject": "Payment received", "text": "We have received 12.50 EUR."}


SMS = {"to_phone": "+447700900123", "text": "Your code is 493817"}


PUSH = {"to_token": "device-token-1", "title": "Parcel", "body": "It arrives today"}


VALID: dict[str, dict[str, Any]] = {"email": EMAIL, "sms": SMS, "push": PUSH}


def sent(environment: DashboardEnvironment, answer: TestResponse) -> Job:
    """The job that a form made."""
    assert answer.status_code == 303, problems(answer)
    job = environment.jobs.get(JobId(answer.location.rpartition("/")[2]))
    assert job is not None
    return job


def problems(answer: TestResponse) -> dict[str, str]:
    """Label → what the summary says about it."""
    summary = re.search(r'role="alert".*?</ul>', answer.text, re.DOTALL)
    items = re.findall(r"<li>(?:<a[^>]*>(.*?)</a> )?(.*?)</li>", summary[0], re.DOTALL) if summary else []
    return {html.unescape(label): html.unescape(message) for label, message in items}


def stored(environment: DashboardEnvironment) -> int:
    return len(environment.jobs.search(JobFilter(), 100).jobs)
