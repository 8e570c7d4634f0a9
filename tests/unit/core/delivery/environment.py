"""A delivery with everything around it, over the memory store."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from tests.factories import NOW, make_job
from tests.fakes import (
    CountingStats,
    FakeClock,
    FixedRoute,
    NeverStopping,
    OneByOne,
    RecordingObserver,
    RecordingPublisher,
    ScriptedProvider,
    make_writer,
)
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from wavecom.core.attachment_check import AttachmentCheck
from wavecom.core.attachments import BlobStore, detach
from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.delivery import Delivery, RetryBounds
from wavecom.core.engine import Policy
from wavecom.core.files import ByteBudget
from wavecom.core.job import CallResult, Job, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.pauses import DestinationPauses, ProviderPauses
from wavecom.core.ports import TEST_SANDBOX, Message, OnResult, Permit
from wavecom.core.preflights import Preflight
from wavecom.errors import StoreError


class DeliveryEnvironment:
    """A delivery with everything around it, over the memory store."""

    def __init__(
        self,
        *providers: ScriptedProvider,
        floors: dict[str, float] | None = None,
        sandbox: ScriptedProvider | None = None,
        lag_seconds: float = 0,
        observers: Sequence[RecordingObserver] = (),
        jobs: MemoryJobRepository | None = None,
        clock: FakeClock | None = None,
        blobs: BlobStore | None = None,
        budget: ByteBudget | None = None,
        on_called: Callable[[Sequence[CallResult]], None] = lambda _calls: None,
        preflights: Sequence[Preflight] = (),
        on_rejected_recipients: Callable[[Sequence[tuple[Job, CallResult]]], None] = lambda _rejections: None,
    ) -> None:
        self.clock = clock or FakeClock(NOW + timedelta(seconds=1))
        self.jobs = jobs or MemoryJobRepository()
        self.providers = {provider.name: provider for provider in providers or (ScriptedProvider("first"),)}
        self.sandbox = sandbox or ScriptedProvider(TEST_SANDBOX)
        self.route = FixedRoute(*self.providers)
        self.publisher = RecordingPublisher()
        self.stats = CountingStats()
        self.patience = NeverStopping(self.clock)
        tokens = itertools.count(1)
        self.blobs = blobs or MemoryBlobStore()
        writer = make_writer(self.jobs, self.clock, publisher=self.publisher, stats=self.stats, observers=observers)
        self.is_store_older = False
        self.delivery = Delivery(
            jobs=self.jobs,
            writer=writer,
            blobs=self.blobs,
            route=self.route,
            providers=self.providers,
            sandbox=self.sandbox,
            clock=self.clock,
            batcher=OneByOne,
            policy=Policy(),
            worker="worker-1",
            stopping=self.patience,
            jitter=lambda: 0.5,
            attachment_budget=budget,
            on_called=on_called,
            new_token=lambda: f"token-{next(tokens)}",
            retry_bounds={name: RetryBounds(floor_seconds=floor) for name, floor in (floors or {}).items()},
            lag_since=lambda _moment: lag_seconds,
            preflights=[
                *preflights,
                AttachmentCheck(self.blobs),
                ProviderPauses(self.route),
                DestinationPauses(self.route),
            ],
            on_rejected_recipients=on_rejected_recipients,
            require_current=self._require_current,
        )

    def _require_current(self) -> None:
        if self.is_store_older:
            raise StoreError("an older copy")

    def job(self, **overrides: Any) -> Job:
        job = make_job(**overrides)
        assert self.jobs.insert([job]) == [None]
        return job

    def deliver(self, job: Job) -> Job:
        permit = self.route.reserve(job.lane)
        assert isinstance(permit, Permit)
        try:
            self.delivery.deliver(job.job_id, permit)
        finally:
            assert self.route.out == 0, "a permit was not given back"
        return self.read(job)

    def read(self, job: Job) -> Job:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored


class AsyncScriptedProvider(ScriptedProvider):
    """Answers when it is told to."""

    def __init__(self, name: str, *answers: ProviderResult, bug: Exception | None = None) -> None:
        super().__init__(name, *answers)
        self.bug = bug
        self.started: list[tuple[Message, OnResult]] = []

    def start(self, message: Message, on_result: OnResult) -> bool:
        self.started.append((message, on_result))
        return True

    def answer(self) -> None:
        for message, on_result in self.started:
            on_result(self.bug or self.send(message))


def begin(environment: DeliveryEnvironment, job: Job) -> tuple[bool, list[AttemptResult | PartialAttempt | Exception]]:
    permit = environment.route.reserve(job.lane)
    assert isinstance(permit, Permit)
    [claimed] = environment.delivery.claim([job.job_id])
    assert claimed is not None
    heard: list[AttemptResult | PartialAttempt | Exception] = []
    is_begun = environment.delivery.attempts.begin(claimed, permit, heard.append)
    if not is_begun:
        environment.route.release(permit, None)
    return is_begun, heard


MAIL = {"subject": "Invoice", "text": "Attached."}
FILE = {"filename": "a.pdf", "contentType": "application/pdf", "content": b64encode(b"a" * 100_000).decode()}


def mail_apart(environment: DeliveryEnvironment, *, client: str = "acme") -> Job:
    payload, blobs = detach(MAIL | {"attachments": [FILE]})
    environment.blobs.put(blobs, NOW + timedelta(days=1))
    return environment.job(type=Channel.EMAIL, payload=payload, client=client)
