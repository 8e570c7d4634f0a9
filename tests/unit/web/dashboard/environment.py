"""The pages over services that live in memory: everything behind them is real except the servers."""

from __future__ import annotations

import html
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.test import TestResponse

from tests.campaign_environment import CampaignEnvironment
from tests.dead_letter_environment import bulk_runner_over, cancellation_over, dead_letters_over
from tests.event_environment import EventEnvironment
from tests.factories import NOW
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
    MemoryOutbox,
    MemoryReceiptCounts,
    MemorySessionAudit,
    MemorySessionStore,
    MemoryStats,
    MemoryStopRequests,
    MemorySuppressionStore,
    MemoryUserAudit,
    MemoryUserStore,
)
from tests.provider_administration import MemoryProviderAudit, provider_administration_over
from tests.receipt_environment import receipt_services_over
from tests.recipients import RecipientEnvironment
from tests.template_environment import TemplateEnvironment
from tests.upload_environment import uploads_over
from wavecom.accounts import KeyAdministration, KeyRing, KeyScope, hash_of
from wavecom.accounts.sessions import Sessions
from wavecom.accounts.sign_on import SignOn
from wavecom.accounts.users import UserCredentials, Users
from wavecom.core.acceptance import Acceptance
from wavecom.core.background_operations import BackgroundOperations
from wavecom.core.engine import Policy
from wavecom.core.job import Job, JobId
from wavecom.core.keys import KeyRecord
from wavecom.core.local_quota import LocalQuotas
from wavecom.core.new_notification import JobMaker
from wavecom.core.operations import Operations
from wavecom.core.overview import Overview
from wavecom.core.ports import Cursor, Interval, JobFilter, Page
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.quota import Limits
from wavecom.core.roles import Role
from wavecom.core.sessions import SessionStore
from wavecom.core.stats import Counts
from wavecom.core.submission import Submission
from wavecom.core.suppression_list import SuppressionList
from wavecom.errors import StoreError
from wavecom.services.shared import segment_prices_of, served_by
from wavecom.services.web import WebServices
from wavecom.settings import Settings
from wavecom.web import create_app

PASSWORD = "correct horse battery staple"
KEY = "wc_live_" + "k" * 43
READ_ONLY_KEY = "wc_live_" + "r" * 43
TEST_KEY = "wc_test_" + "t" * 43
SEND_ONLY_KEY = "wc_live_" + "s" * 43
CLIENT = "acme"


class Keys(MemoryKeyStore):
    """A key store whose server can be taken away."""

    is_up = True

    def find(self, key_hash: str) -> KeyRecord | None:
        if not self.is_up:
            raise StoreError("mongodb.internal:27017 does not answer")
        return super().find(key_hash)

    def find_by_id(self, key_id: str) -> KeyRecord | None:
        if not self.is_up:
            raise StoreError("mongodb.internal:27017 does not answer")
        return super().find_by_id(key_id)


def key_store(now: datetime) -> Keys:
    """Four keys of one client, with different rights."""
    store = Keys()
    rights = {
        KEY: frozenset(KeyScope),
        READ_ONLY_KEY: frozenset({KeyScope.READ}),
        SEND_ONLY_KEY: frozenset({KeyScope.SEND}),
        TEST_KEY: frozenset(KeyScope),
    }
    for key, scopes in rights.items():
        store.add(
            KeyRecord(
                key_id=f"id-{key[8:10]}",
                hash=hash_of(key),
                client=CLIENT,
                scopes=scopes,
                is_live=key != TEST_KEY,
                created_at=now,
            )
        )
    return store


class CompiledTemplates(BytecodeCache):
    """Compiles each template once for all tests, not once for each app."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._code.get(bucket.key):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


TEMPLATES = CompiledTemplates()


class Counters(MemoryStats):
    """Counters whose server can be taken away."""

    is_up = True

    def series(
        self,
        since: datetime,
        before: datetime,
        step: Interval,
        client: str | None = None,
        *,
        is_test: bool | None = None,
    ) -> dict[datetime, Counts]:
        if not self.is_up:
            raise StoreError("away")
        return super().series(since, before, step, client, is_test=is_test)


class Jobs(MemoryJobRepository):
    """A repository whose server can be taken away, and which gives a search up (once) when told where."""

    is_up = True
    gives_up_at: Cursor | None = None
    is_slow_to_count = False

    def count(self, where: JobFilter, limit: int) -> int | None:
        self._check()
        return None if self.is_slow_to_count else super().count(where, limit)

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        self._check()
        return super().insert(jobs)

    def get(self, job_id: JobId, client: str | None = None) -> Job | None:
        self._check()
        return super().get(job_id, client)

    def search(self, where: JobFilter, limit: int, after: Cursor | None = None) -> Page:
        self._check()
        if self.gives_up_at is not None:
            rest, self.gives_up_at = self.gives_up_at, None
            return Page((), rest)
        return super().search(where, limit, after)

    def _check(self) -> None:
        if not self.is_up:
            raise StoreError("mongodb.internal:27017 does not answer")


class DashboardEnvironment:
    """The services, the app over them, and what tests ask of both."""

    def __init__(
        self,
        home: Path,
        *,
        session_store: SessionStore | None = None,
        sign_on: Callable[[Users, FakeClock], SignOn] | None = None,
        **settings: Any,
    ) -> None:
        self.settings = Settings(home=home, **{"operator_password": PASSWORD, "secret_key": "s" * 32} | settings)
        self.clock = FakeClock(NOW)
        self.jobs = Jobs(self.clock.now)
        self.stats = Counters(self.clock.now)
        self.keys = key_store(self.clock.now())
        self.key_ring = KeyRing(self.keys, self.clock)
        self.publisher = RecordingPublisher()
        self.outbox = MemoryOutbox()
        self.down: set[str] = set()
        #: What workers say of the providers.
        self.provider_statuses: dict[str, ProviderStatus] = {}
        self.audit = MemoryAuditLog()
        #: What the audit's readers are shown.
        self.audit_entries = MemoryAuditReader()
        self.measurements = MemoryMeasurementStore()
        self.stop_requests = MemoryStopRequests()
        self.receipt_counts = MemoryReceiptCounts()
        self.provider_audit = MemoryProviderAudit()
        #: What the servers are found to say.
        self.overview = Overview(at=self.clock.now())
        self.overview_reads = 0
        self.session_audit = MemorySessionAudit()
        self.sessions = Sessions(
            store=session_store or MemorySessionStore(),
            keys=self.keys,
            audit=self.session_audit,
            clock=self.clock,
            new_id=lambda: uuid.uuid4().hex,
            idle=timedelta(minutes=self.settings.session_idle_minutes),
            lifetime=timedelta(hours=self.settings.session_hours),
        )
        self.user_audit = MemoryUserAudit()
        self.users = Users(
            store=MemoryUserStore(),
            audit=self.user_audit,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            new_id=lambda: uuid.uuid4().hex,
            secret=lambda: b"s" * 32,
        )
        usual = Limits(self.settings.key_rate_per_second, self.settings.key_daily_quota)
        quotas = LocalQuotas(lambda: self.clock.now().timestamp())
        self.fallbacks = MemoryFallbackStore()
        writer = make_writer(self.jobs, self.clock, publisher=self.publisher, stats=self.stats)
        self.suppressions = MemorySuppressionStore()
        self.events = EventEnvironment.over(self.settings, self.clock)
        uploads, named_files = uploads_over(self.clock, settings=self.settings)
        self.recipients = RecipientEnvironment.over(self.clock)
        self.campaigns = CampaignEnvironment(self.clock, jobs=self.jobs, recipients=self.recipients)
        submission = Submission(
            jobs=self.jobs,
            writer=writer,
            blobs=MemoryBlobStore(),
            clock=self.clock,
            batcher=OneByOne,
            job_maker=JobMaker(Policy(), os.urandom, event_accounts=self.events.accounts),
            routes=served_by(self.settings),
            policy=Policy(),
            quotas=quotas,
        )
        self.templates = TemplateEnvironment.over(self.clock, self.settings)
        acceptance = Acceptance(submission, quotas, usual, named_files, self.recipients.rules)
        self.services = WebServices(
            settings=self.settings,
            clock=self.clock,
            jobs=self.jobs,
            submission=submission,
            acceptance=acceptance,
            fallbacks=fallbacks_over(self.fallbacks, self.jobs, writer, acceptance, submission, self.clock),
            operations=Operations(jobs=self.jobs, writer=writer, clock=self.clock, policy=Policy()),
            dead_letters=dead_letters_over(
                self.jobs,
                MemoryDeadLetterRepository(self.jobs),
                writer,
                bulk_runner_over(self.audit, self.clock),
                self.audit,
                self.clock,
            ),
            cancellation=cancellation_over(
                self.jobs, writer, bulk_runner_over(self.audit, self.clock), self.audit, self.clock
            ),
            stats=self.stats,
            keys=self.key_ring,
            key_administration=KeyAdministration(
                store=self.keys,
                audit=MemoryKeyAudit(),
                clock=self.clock,
                new_id=lambda: uuid.uuid4().hex,
                on_ended=self._on_key_ended,
            ),
            sessions=self.sessions,
            users=self.users,
            sign_on=sign_on(self.users, self.clock) if sign_on else None,
            outbox=self.outbox,
            providers=provider_administration_over(
                self.settings, self.clock, statuses=self.provider_statuses, audit=self.provider_audit
            ),
            suppressions=SuppressionList(self.suppressions, self.clock),
            receipts=receipt_services_over(self.jobs, writer, self.clock),
            events=self.events.reader,
            callbacks=self.events.administration,
            uploads=uploads,
            campaigns=self.campaigns.administration,
            campaign_uploads=self.campaigns.uploads,
            recipients=self.recipients.administration,
            templates=self.templates.renderer,
            template_administration=self.templates.administration,
            segment_prices=segment_prices_of(self.settings),
            audit=self.audit_entries,
            measurements=self.measurements,
            stop_requests=self.stop_requests,
            background=BackgroundOperations(self.stop_requests),
            receipt_counts=self.receipt_counts,
            read_overview=self._read_overview,
            unsubscribe_links=None,
            checks={name: partial(self._check, name) for name in ("mongodb", "rabbitmq", "redis")},
        )
        self.app = create_app(self.settings, self.services)
        self.app.jinja_env.bytecode_cache = TEMPLATES

    def _on_key_ended(self, record: KeyRecord) -> None:
        self.key_ring.forget(record)
        self.sessions.end_with_key(record)

    def _read_overview(self) -> Overview:
        self.overview_reads += 1
        return self.overview

    def _check(self, name: str) -> None:
        if name in self.down:
            raise StoreError(f"{name} is away")

    def put(self, *jobs: Job) -> None:
        """Store jobs as they are."""
        self.jobs.insert(jobs)

    def deliver(self, job: Job, *, at: datetime | None = None) -> None:
        """Put what the sandbox would have delivered for ``job`` into the outbox."""
        self.outbox.append(
            {
                "jobId": job.job_id,
                "deliveryKey": job.delivery_key,
                "provider": "sandbox",
                "type": job.type.value,
                "to": dict(job.to),
                "payload": dict(job.payload),
                "metadata": dict(job.metadata),
                "attempt": 1,
                "at": at or job.created_at,
            }
        )

    def user(self, name: str, role: Role, *, has_second_factor: bool = False) -> UserCredentials:
        """Make a user of the pages."""
        return self.users.add(name, role, by="ada@ops", has_second_factor=has_second_factor)

    def browser_as(self, role: Role) -> Browser:
        """A browser in which a user of this role has signed in."""
        name = f"some-{role}"
        made = self.user(name, role)
        browser = Browser(self.app.test_client())
        browser.get("/login?with=user")
        assert browser.post("/login?with=user", {"name": name, "secret": made.password}).status_code == 303
        browser.get("/notifications")
        return browser

    def browser(self, secret: str | None = PASSWORD) -> Browser:
        """A browser that is logged in with ``secret``; None: not at all."""
        browser = Browser(self.app.test_client())
        if secret is not None:
            browser.log_in(secret)
        return browser


class Browser:
    """Flask's test client that fills in forms: it sends the CSRF token of the page that it last saw."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.token = ""

    def get(self, path: str, **options: Any) -> TestResponse:
        return self._seen(self.client.get(path, **options))

    def post(self, path: str, data: Mapping[str, Any], **options: Any) -> TestResponse:
        return self._seen(self.client.post(path, data={"csrf_token": self.token, **data}, **options))

    def log_in(self, secret: str) -> TestResponse:
        self.get("/login")
        answer = self.post("/login", {"secret": secret})
        if answer.status_code == 303:
            self.get("/notifications")
        return answer

    def send(self, channel: str, **typed: Any) -> TestResponse:
        """Open the form of a channel, fill in some fields, and send it; the rest stays as it was on the page."""
        page = self.get(f"/send?type={channel}").text
        return self.post(f"/send?type={channel}", controls(page) | typed)

    def _seen(self, answer: TestResponse) -> TestResponse:
        if found := re.search(r'name="csrf_token" value="([^"]+)"', answer.text):
            self.token = found[1]
        return answer


def text_of(page: str) -> str:
    """What a page says, without its markup; numbers without the thin spaces between their thousands."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u202f", "")
    return re.sub(r"\s+", " ", text)


def controls(page: str) -> dict[str, str]:
    """Name → value of the controls of a page's forms, as a browser would send them."""
    found = _Controls()
    found.feed(page)
    return found.values


class _Controls(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "input" and given.get("type") != "file":
            self.values[name] = given.get("value", "")
        elif tag == "textarea":
            self._textarea = name
            self.values[name] = ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and (self._select not in self.values or "selected" in given):
            self.values[self._select] = given["value"]

    def handle_data(self, data: str) -> None:
        if self._textarea:
            # The first line break after the tag belongs to the tag (HTML, section 13.1.2.5).
            self.values[self._textarea] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = ""
        elif tag == "select":
            self._select = ""
