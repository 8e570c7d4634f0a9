"""The status pages in a real browser: services in memory; everything from the WSGI server to the pixels is real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.campaign_environment import csv_of, phones
from tests.e2e.pages.served import chromium, served
from tests.e2e.pages.window import CAMPAIGN_ID, FALLBACK_ID, LONG, OTHER, UNCONFIRMED, WIDE, BrowserWindow
from tests.factories import NOW, make_job
from tests.unit.web.dashboard.busy_servers import busy
from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.core.fallback import NewFallback, Step
from wavecom.core.lanes import Channel
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.roles import Role
from wavecom.core.states import Status

# The pages are quick; a machine that runs other tests beside them is not.
expect.set_options(timeout=20_000)


@pytest.fixture
def environment(tmp_path: Path) -> DashboardEnvironment:
    """Busy: every status of every channel, something in the outbox and in the counters."""
    environment = DashboardEnvironment(tmp_path)
    jobs = [
        make_job(status=status, type=channel, created_at=NOW - timedelta(minutes=number))
        for number, (status, channel) in enumerate((status, channel) for status in Status for channel in Channel)
    ]
    environment.put(LONG, UNCONFIRMED, OTHER, *jobs)
    for job in (LONG, *jobs[:5]):
        environment.deliver(job)
    environment.provider_statuses["sandbox"] = ProviderStatus(
        "sandbox",
        ProviderAvailability.LEFT_ALONE,
        NOW + timedelta(minutes=9),
        "r" * 200,
        "balance",
        "60 % of its weight: slow",
    )
    for number, status in enumerate(Status):
        environment.stats.add("acme", Channel.SMS, status, 10**number)
    busy(environment)
    steps = (
        Step(type=Channel.PUSH, to={"token": "t" * 200}, payload={"body": "x"}, wait=timedelta(seconds=30)),
        Step(type=Channel.SMS, to={"phone": "+447700900123"}, payload={"text": "x"}),
    )
    environment.fallbacks.add(NewFallback(client="acme", steps=steps).accepted(FALLBACK_ID, NOW))
    campaign = replace(environment.campaigns.create(name="W" * 100), campaign_id=CAMPAIGN_ID)
    environment.campaigns.store.add(campaign)
    environment.campaigns.upload(campaign, csv_of(*phones(3), "n" * 200))
    environment.user("ada", Role.VIEWER)
    environment.audit_entries.entries = [
        {"entryId": "e-1", "action": "replay", "operator": "o" * 200, "startedAt": NOW, "reason": "r" * 500}
    ]
    return environment


@pytest.fixture
def address(environment: DashboardEnvironment) -> Iterator[str]:
    with served(environment) as address:
        yield address


@pytest.fixture(scope="module", name="chromium")
def _chromium() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(chromium: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[BrowserWindow]:
    """A window; ``indirect`` parameters are options of its context. Nothing may go wrong in it unseen."""
    options: dict[str, Any] = {"viewport": WIDE} | getattr(request, "param", {})
    context: BrowserContext = chromium.new_context(**options)
    window = BrowserWindow(context.new_page(), address)
    window.page.set_default_timeout(15_000)
    window.page.on("console", window.note_console)
    window.page.on("pageerror", lambda error: window.errors.append(str(error)))
    context.on("request", window.note_request)
    yield window
    context.close()
    assert window.errors == []
    assert window.foreign == []
