"""Campaigns over memory: everything real but the servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from tests.factories import make_random_bytes
from tests.fakes import FakeClock, OneByOne, RecordingPublisher, make_writer
from tests.memory_storage import (
    MemoryBlobStore,
    MemoryCampaignAudit,
    MemoryCampaignStore,
    MemoryJobRepository,
    MemoryOutcomeCounter,
)
from tests.recipients import RecipientEnvironment
from tests.upload_environment import uploads_over
from wavecom.core.acceptance import Acceptance
from wavecom.core.actor import Actor
from wavecom.core.campaigns.administration import CampaignAdministration, NewCampaign
from wavecom.core.campaigns.lane_room import LaneRoom
from wavecom.core.campaigns.model import Campaign, CampaignStore, RowFormat, UploadState
from wavecom.core.campaigns.pacing import Pace
from wavecom.core.campaigns.runner import CampaignRunner
from wavecom.core.campaigns.uploading import CampaignUploads
from wavecom.core.engine import Policy
from wavecom.core.lanes import Channel, LaneQueue
from wavecom.core.new_notification import JobMaker, NewNotification
from wavecom.core.ports import Clock
from wavecom.core.quota import UNLIMITED, QuotaService, UnlimitedQuotas
from wavecom.core.submission import Submission
from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.templates.variables import Variable
from wavecom.errors import InvalidRequestError, Problem

ADA = Actor(client="acme", name="key ada", budget="ada")
BOB = Actor(client="acme", name="key bob", budget="bob")


def new_campaign(**overrides: Any) -> NewCampaign:
    """A campaign of text messages."""
    fields: dict[str, Any] = {
        "name": "Spring",
        "channel": Channel.SMS,
        "notification": {"type": "sms", "payload": {"text": "Hello"}, "priority": "bulk"},
        "columns": {},
        "pace": Pace(),
    }
    return NewCampaign(**(fields | overrides))


def check(body: Mapping[str, Any]) -> NewNotification:
    """Stands for the API's schema: a number must begin with +."""
    phone = body.get("to", {}).get("phone", "")
    if not phone.startswith("+"):
        raise InvalidRequestError([Problem("/to/phone", "must begin with +", "invalid")])
    return NewNotification(client="acme", type=Channel.SMS, to=body["to"], payload=body["payload"])


def csv_of(*phones: str) -> bytes:
    """Rows with one column."""
    return b"phone\n" + b"".join(f"{phone}\n".encode() for phone in phones)


def phones(count: int) -> list[str]:
    """As many different numbers."""
    return [f"+4477009{number:05}" for number in range(count)]


class CampaignEnvironment:
    """What a test can look at and turn."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        jobs: MemoryJobRepository | None = None,
        store: CampaignStore | None = None,
        quotas: QuotaService | None = None,
        approval_rows: int | None = None,
        variables: Mapping[str, Variable] | None = None,
        templates: TemplateAdministration | None = None,
        recipients: RecipientEnvironment | None = None,
    ) -> None:
        self.fake_clock = FakeClock()
        self.clock: Clock = clock or self.fake_clock
        self.jobs = jobs or MemoryJobRepository(self.clock.now)
        self.publisher = RecordingPublisher()
        self.store: CampaignStore = store or MemoryCampaignStore()
        self.audit = MemoryCampaignAudit()
        #: What waits in the lane's queue; None: the broker is away.
        self.depth: int | None = 0
        #: Names of keys that may not be used any more.
        self.ended: set[str] = set()
        writer = make_writer(self.jobs, self.clock, publisher=self.publisher)
        submission = Submission(
            jobs=self.jobs,
            writer=writer,
            blobs=MemoryBlobStore(),
            clock=self.clock,
            batcher=OneByOne,
            job_maker=JobMaker(Policy(), make_random_bytes),
            policy=Policy(),
        )
        _, named_files = uploads_over(self.clock)
        self.recipients = recipients or RecipientEnvironment.over(self.clock)
        self.acceptance = Acceptance(
            submission, quotas or UnlimitedQuotas(), UNLIMITED, named_files, self.recipients.rules
        )
        self._writer = writer
        self.counter = MemoryOutcomeCounter(self.all_jobs)
        self.administration = CampaignAdministration(
            store=self.store,
            audit=self.audit,
            clock=self.clock,
            new_id=lambda: str(UUID(bytes=make_random_bytes(16))),
            current_version=(lambda _account, _name: 1) if templates is None else templates.current,
            has_version=lambda _account, _name, version: version < 99,
            approval_rows=approval_rows,
        )

        def find_variables(account: str, name: str, version: int) -> Mapping[str, Variable]:
            return (variables or {}) if templates is None else templates.get(account, name, version).source.variables

        self.uploads = CampaignUploads(store=self.store, clock=self.clock, find_variables=find_variables)
        self.room = LaneRoom(self._depth, self.clock.monotonic, seconds=60)
        self.runner = self.new_runner()

    def all_jobs(self) -> list[Any]:
        """Every job there is."""
        return list(self.jobs.all())

    def new_runner(self, token: str = "runner-1") -> CampaignRunner:
        """Another runner, as after a restart where it has another token."""
        return CampaignRunner(
            store=self.store,
            acceptance=self.acceptance,
            jobs=self.jobs,
            writer=self._writer,
            room=self.room,
            counter=self.counter,
            find_recipients=self.recipients.administration.find,
            find_actor=self.find_actor,
            clock=self.clock,
            policy=Policy(),
            token=token,
        )

    def find_actor(self, campaign: Campaign) -> Actor | None:
        """Who started it, unless that is a key in ``ended``."""
        name = campaign.started_by or campaign.created_by
        actor = Actor(client=campaign.account, name=name, budget=campaign.budget, limits=campaign.limits)
        return None if name in self.ended else actor

    def _depth(self, _queue: LaneQueue) -> int | None:
        return self.depth

    def create(self, **overrides: Any) -> Campaign:
        """A campaign of ADA's that waits for its rows."""
        return self.administration.create(ADA, new_campaign(**overrides))

    def upload(
        self,
        campaign: Campaign,
        *parts: bytes,
        offset: int = 0,
        is_last: bool = True,
        format_: RowFormat = RowFormat.CSV,
    ) -> UploadState:
        """Upload these rows as one request."""
        known = self.administration.get(campaign.campaign_id, None)
        return self.uploads.receive(known, offset, iter(parts), format_, check, is_last=is_last)

    def started(self, rows: int = 3, **overrides: Any) -> Campaign:
        """A campaign with so many rows that runs."""
        campaign = self.create(**overrides)
        self.upload(campaign, csv_of(*phones(rows)))
        return self.administration.start(ADA, campaign.campaign_id, "acme")

    def now(self, campaign: Campaign) -> Campaign:
        """The campaign as it is stored."""
        return self.administration.get(campaign.campaign_id, None)

    def run_to_end(self, campaign: Campaign, rounds: int = 50) -> Campaign:
        """Rounds of the runner until the campaign has ended."""
        for _ in range(rounds):
            if self.now(campaign).finished_at is not None:
                break
            self.runner.round()
            self.fake_clock.advance(1)
        return self.now(campaign)
