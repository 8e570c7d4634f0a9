"""A submission with everything around it, over the memory store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.factories import NOW, PAYLOADS, RECIPIENTS, make_random_bytes
from tests.fakes import CountingStats, FakeClock, OneByOne, RecordingPublisher, make_writer
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from wavecom.core.batcher import MakeBatcher
from wavecom.core.engine import Policy
from wavecom.core.lanes import Channel
from wavecom.core.new_notification import JobMaker, NewNotification
from wavecom.core.quota import QuotaService
from wavecom.core.regions import Regions
from wavecom.core.routes import ChannelRoutes
from wavecom.core.submission import Submission


class SubmissionEnvironment:
    def __init__(
        self,
        batcher: MakeBatcher = OneByOne,
        quotas: QuotaService | None = None,
        jobs: MemoryJobRepository | None = None,
        routes: Mapping[Channel, ChannelRoutes] | None = None,
        region_rules: Regions | None = None,
    ) -> None:
        self.jobs = jobs or MemoryJobRepository()
        self.publisher = RecordingPublisher()
        self.stats = CountingStats()
        self.blobs = MemoryBlobStore()
        self.submission = Submission(
            jobs=self.jobs,
            writer=make_writer(self.jobs, FakeClock(NOW), publisher=self.publisher, stats=self.stats),
            blobs=self.blobs,
            clock=FakeClock(NOW),
            batcher=batcher,
            job_maker=JobMaker(Policy(), make_random_bytes, regions=region_rules),
            policy=Policy(),
            quotas=quotas,
            routes=routes,
        )


def new(**overrides: Any) -> NewNotification:
    values: dict[str, Any] = {
        "client": "bank",
        "type": Channel.SMS,
        "to": RECIPIENTS[Channel.SMS],
        "payload": PAYLOADS[Channel.SMS],
    }
    return NewNotification(**(values | overrides))
