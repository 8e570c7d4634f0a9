"""A web app over memory: everything real but the servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.campaign_environment import CampaignEnvironment
from tests.dead_letter_environment import bulk_runner_over, cancellation_over, dead_letters_over
from tests.event_environment import EventEnvironment
from tests.factories import make_random_bytes
from tests.fakes import FakeClock, OneByOne, RecordingPublisher, make_writer
from tests.fallback_environment import fallbacks_over
from tests.memory_storage import (
    MemoryAuditLog,
    MemoryAuditReader,
    MemoryBlobStore,
    MemoryDeadLetterRepository,
    MemoryFallbackStore,
    MemoryJobRepository,
    MemoryKeyAudit,
    MemoryKeyStore,
    MemoryMeasurementStore,
    MemoryPendingReceipts,
    MemoryReceiptCounts,
    MemorySessionAudit,
    MemorySessionStore,
    MemoryStats,
    MemoryStopRequests,
    MemorySuppressionStore,
    MemoryUnreadableRequests,
    MemoryUserAudit,
    MemoryUserStore,
)
from tests.provider_administration import provider_administration_over
from tests.receipt_environment import receipt_services_over
from tests.recipients import RecipientEnvironment
from tests.template_environment import TemplateEnvironment
from tests.upload_environment import uploads_over
from wavecom.accounts import KeyAdministration, KeyRing
from wavecom.accounts.sessions import Sessions
from wavecom.accounts.users import Users
from wavecom.core.acceptance import Acceptance
from wavecom.core.background_operations import BackgroundOperations
from wavecom.core.batcher import MakeBatcher
from wavecom.core.engine import Policy
from wavecom.core.fallback_following import FallbackObserver
from wavecom.core.new_notification import JobMaker
from wavecom.core.operations import Operations
from wavecom.core.overview import Overview
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.quota import Limits, QuotaService, UnlimitedQuotas
from wavecom.core.submission import Submission
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.traces import TraceSampler
from wavecom.providers.receipts import Readers
from wavecom.services.shared import regions_of, segment_prices_of, served_by
from wavecom.services.suppressions import feedback_of, unsubscribe_links_of
from wavecom.services.web import WebServices
from wavecom.settings import Settings
from wavecom.web import create_app

#: The time of these tests. Their own, because the corpora have dates in them.
NOW = datetime(2026, 3, 14, 9, 26, 53, 589_000, tzinfo=UTC)
KEY = "wc_live_" + "k" * 43


def later(seconds: float = 0, **units: float) -> datetime:
    """``NOW`` plus seconds and any units of ``timedelta``."""
    return NOW + timedelta(seconds=seconds, **units)


@dataclass
class WebEnvironment:
    """What a test can look at and turn."""

    clock: FakeClock
    jobs: MemoryJobRepository
    publisher: RecordingPublisher
    audit: MemoryAuditLog
    stats: MemoryStats
    keys: MemoryKeyStore
    key_audit: MemoryKeyAudit
    suppressions: MemorySuppressionStore
    services: WebServices
    app: Flask
    events: EventEnvironment
    pending: MemoryPendingReceipts
    unreadable: MemoryUnreadableRequests
    templates: TemplateEnvironment
    blobs: MemoryBlobStore
    recipients: RecipientEnvironment
    campaigns: CampaignEnvironment
    fallbacks: MemoryFallbackStore

    def client(self, key: str | None = KEY) -> FlaskClient:
        """A caller with ``key``."""
        client = self.app.test_client()
        if key is not None:
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return client


def make_environment(
    settings: Settings | None = None,
    *,
    jobs: MemoryJobRepository | None = None,
    keys: KeyRing | None = None,
    checks: Mapping[str, Callable[[], None]] | None = None,
    quotas: QuotaService | None = None,
    batcher: MakeBatcher = OneByOne,
    readers: Readers | None = None,
    statuses: Mapping[str, ProviderStatus] | None = None,
    confirm: Callable[[str, str], object] = lambda _name, _url: None,
) -> WebEnvironment:
    """An app at ``NOW`` with one key, ``KEY``, that may do everything."""
    settings = settings or Settings(secret_key="a secret for tests only")
    clock = FakeClock(NOW)
    jobs = jobs or MemoryJobRepository(clock.now)
    publisher = RecordingPublisher()
    key_store = MemoryKeyStore()
    key_audit = MemoryKeyAudit()
    suppressions = MemorySuppressionStore()
    if keys is None:
        keys = KeyRing(key_store, clock)
        keys.ensure_first_key(KEY)
    pending, unreadable = MemoryPendingReceipts(), MemoryUnreadableRequests()
    stats = MemoryStats(clock.now)
    audit = MemoryAuditLog()
    fallbacks = MemoryFallbackStore()
    writer = make_writer(jobs, clock, publisher=publisher, stats=stats, move_observers=[FallbackObserver(fallbacks)])
    unsubscribe_links = unsubscribe_links_of(settings)
    events = EventEnvironment.over(settings, clock)
    suppression_list = SuppressionList(suppressions, clock)
    templates = TemplateEnvironment.over(clock, settings)
    blobs = MemoryBlobStore()
    uploads, named_files = uploads_over(clock, blobs, settings)
    recipients = RecipientEnvironment.over(clock, suppression_list)
    submission = Submission(
        jobs=jobs,
        writer=writer,
        blobs=blobs,
        clock=clock,
        batcher=batcher,
        job_maker=JobMaker(
            Policy(),
            make_random_bytes,
            unsubscribe_links=unsubscribe_links,
            regions=regions_of(settings),
            event_accounts=events.accounts,
            # No notification by chance: those that callers trace.
            traces=None if settings.traces_url is None else TraceSampler(0, make_random_bytes),
        ),
        routes=served_by(settings),
        policy=Policy(),
        quotas=quotas,
    )
    campaigns = CampaignEnvironment(
        clock,
        jobs=jobs,
        templates=templates.administration,
        approval_rows=settings.campaign_approval_rows,
        recipients=recipients,
    )
    usual = Limits(settings.key_rate_per_second, settings.key_daily_quota)
    acceptance = Acceptance(submission, quotas or UnlimitedQuotas(), usual, named_files, recipients.rules)
    services = WebServices(
        settings=settings,
        clock=clock,
        jobs=jobs,
        submission=submission,
        operations=Operations(jobs=jobs, writer=writer, clock=clock, policy=Policy()),
        dead_letters=dead_letters_over(
            jobs, MemoryDeadLetterRepository(jobs), writer, bulk_runner_over(audit, clock), audit, clock
        ),
        cancellation=cancellation_over(jobs, writer, bulk_runner_over(audit, clock), audit, clock),
        stats=stats,
        keys=keys,
        acceptance=acceptance,
        fallbacks=fallbacks_over(fallbacks, jobs, writer, acceptance, submission, clock, events.accounts),
        key_administration=KeyAdministration(
            store=key_store,
            audit=key_audit,
            clock=clock,
            new_id=lambda: make_random_bytes(16).hex(),
            on_ended=keys.forget,
            usual=usual,
        ),
        sessions=Sessions(
            store=MemorySessionStore(),
            keys=key_store,
            audit=MemorySessionAudit(),
            clock=clock,
            new_id=lambda: make_random_bytes(16).hex(),
            idle=timedelta(minutes=settings.session_idle_minutes),
            lifetime=timedelta(hours=settings.session_hours),
        ),
        users=Users(
            store=MemoryUserStore(),
            audit=MemoryUserAudit(),
            clock=clock,
            monotonic=clock.monotonic,
            new_id=lambda: make_random_bytes(16).hex(),
            secret=lambda: b"a secret for tests only",
        ),
        sign_on=None,
        outbox=cast(Any, None),
        providers=provider_administration_over(settings, clock, statuses=statuses),
        suppressions=suppression_list,
        events=events.reader,
        callbacks=events.administration,
        uploads=uploads,
        recipients=recipients.administration,
        campaigns=campaigns.administration,
        campaign_uploads=campaigns.uploads,
        templates=templates.renderer,
        template_administration=templates.administration,
        segment_prices=segment_prices_of(settings),
        receipts=receipt_services_over(
            jobs,
            writer,
            clock,
            readers=readers,
            pending=pending,
            unreadable=unreadable,
            confirm=confirm,
            feedback=feedback_of(settings, suppression_list, jobs, key_store, owners={}),
        ),
        audit=MemoryAuditReader(),
        measurements=MemoryMeasurementStore(),
        stop_requests=MemoryStopRequests(),
        background=BackgroundOperations(MemoryStopRequests()),
        receipt_counts=MemoryReceiptCounts(),
        read_overview=lambda: Overview(at=clock.now()),
        unsubscribe_links=unsubscribe_links,
        checks=checks or {},
    )
    app = create_app(settings, services)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return WebEnvironment(
        clock,
        jobs,
        publisher,
        audit,
        stats,
        key_store,
        key_audit,
        suppressions,
        services,
        app,
        events,
        pending,
        unreadable,
        templates,
        blobs,
        recipients,
        campaigns,
        fallbacks,
    )


@pytest.fixture
def environment() -> WebEnvironment:
    """The usual one, new for each test."""
    return make_environment()


@pytest.fixture(scope="module")
def shared_environment() -> WebEnvironment:
    """One for all tests of a module; for those that leave nothing behind, or nothing that the others look at."""
    return make_environment()


@pytest.fixture
def api(environment: WebEnvironment) -> FlaskClient:
    """A caller who may do everything."""
    return environment.client()
