"""What a page weighs, whatever it has to show: at most 100 KB with stylesheet, script and icon, before compression."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.busy_servers import busy
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment
from wavecom.core.job import JobError
from wavecom.core.lanes import Channel
from wavecom.core.roles import Role
from wavecom.core.states import Status
from wavecom.web.dashboard import __file__ as package
from wavecom.web.dashboard.routes import ROUTES

MOST_BYTES = 100_000
STATIC = sum(path.stat().st_size for path in (Path(package).parent / "static").iterdir())
PAGES = [
    route.path for route in ROUTES if route.get is not None and "<" not in route.path and route.path != "/audit/export"
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """In a deployment in which there is more of everything than a page shows."""
    environment = DashboardEnvironment(tmp_path_factory.mktemp("home"))
    statuses = list(Status)
    jobs = [
        make_job(
            status=statuses[number % len(statuses)],
            type=list(Channel)[number % 3],
            created_at=NOW - timedelta(minutes=number),
            metadata={"order": f"A-{number}", "campaign": "a campaign with a long name"},
            provider="a-provider-with-a-long-name",
            error=JobError("provider_unavailable", "http_503: " + "Service Unavailable " * 10, "gateway"),
        )
        for number in range(300)
    ]
    environment.put(*jobs)
    for job in jobs:
        environment.deliver(job)
    busy(environment)
    for number in range(100):
        environment.user(f"user-{number}", Role.VIEWER)
        environment.sessions.open(f"user user-{number}", password_mark="m", address="2001:db8::1", browser="b" * 200)
    environment.audit_entries.entries = [
        {"entryId": f"e-{number}", "action": "replay", "operator": "ada@ops", "startedAt": NOW, "reason": "r" * 200}
        for number in range(300)
    ]
    return environment.browser()


@pytest.mark.parametrize("path", PAGES)
def test_no_page_weighs_more_than_a_slow_line_brings_in_a_second(browser: Browser, path: str) -> None:
    answer = browser.get(path + "?type=sms" if path == "/notifications/cancel" else path)

    assert answer.status_code in {200, 302, 303, 403}
    assert len(answer.data) + STATIC <= MOST_BYTES, len(answer.data)
