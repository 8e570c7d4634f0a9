"""Attachments that are stored apart from their job."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from tests.factories import NOW
from tests.fakes import FakeClock
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from tests.unit.core.delivery.environment import FILE, MAIL, DeliveryEnvironment, mail_apart
from wavecom.core.attachment_check import ATTACHMENT_MISSING, AttachmentCheck
from wavecom.core.attachments import keep_until, names_in
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import Claim, Job, JobId
from wavecom.core.ports import TEST_SANDBOX, Permit
from wavecom.core.states import Status
from wavecom.errors import RetryLater, StoreError


@pytest.mark.parametrize("client", ["acme", "acme:test"])
def test_the_provider_gets_attachments_as_they_were_sent(client: str) -> None:
    environment = DeliveryEnvironment()
    job = mail_apart(environment, client=client)

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    [message] = [*environment.providers["first"].messages, *environment.sandbox.messages]
    assert message.payload == MAIL | {"attachments": [FILE]}


def test_a_job_whose_attachment_is_gone_fails_for_good_and_says_so() -> None:
    environment = DeliveryEnvironment()
    job = mail_apart(environment)
    environment.blobs.purge(NOW + timedelta(days=2))

    after = environment.deliver(job)

    assert (after.status, after.attempts) == (Status.FAILED, 1)
    assert after.error is not None
    assert (after.error.code, after.error.provider) == ("rejected", None)
    assert after.error.message.startswith("attachment_missing")
    assert environment.providers["first"].messages == []
    assert environment.route.released == [None], "no provider is to blame"


def test_whether_attachments_are_there_is_asked_once_for_all_jobs_and_not_without_need() -> None:
    asked: list[set[str]] = []

    class AskedBlobs(MemoryBlobStore):
        def missing(self, names: Collection[str]) -> set[str]:
            asked.append(set(names))
            return super().missing(names)

    environment = DeliveryEnvironment(blobs=AskedBlobs())
    mails = [mail_apart(environment) for _ in range(2)]
    others = [environment.job(), environment.job()]

    environment.delivery.claim([job.job_id for job in others])
    environment.delivery.claim([job.job_id for job in (*mails, *others)])

    assert asked == [names_in(mails[0].payload)]


def test_a_claim_that_found_the_file_gone_says_nothing_of_the_next_one() -> None:
    environment = DeliveryEnvironment()
    job = mail_apart(environment)
    environment.blobs.purge(NOW + timedelta(days=2))
    check = AttachmentCheck(environment.blobs)
    first, second = (replace(job, claim=Claim(token, "worker-1", NOW)) for token in ("one", "two"))

    check.prepare([first])

    assert check.check(first) is ATTACHMENT_MISSING
    assert check.check(second) is None


def test_a_file_that_is_gone_only_when_it_is_read_fails_the_job_too() -> None:
    environment = DeliveryEnvironment()
    job = mail_apart(environment)
    environment.blobs.missing = lambda _names: set()  # type: ignore[method-assign]
    environment.blobs.purge(NOW + timedelta(days=2))

    after = environment.deliver(job)

    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.message.startswith("attachment_missing")


def test_a_store_that_is_away_for_an_attachment_uses_up_no_attempt() -> None:
    environment = DeliveryEnvironment()
    job = mail_apart(environment)

    def away(*_: object) -> dict[str, bytes]:
        raise StoreError("away")

    environment.blobs.get = away  # type: ignore[method-assign]

    after = environment.deliver(job)

    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert after.due_at is not None
    assert environment.providers["first"].messages == []


class BlobsWithABug(MemoryBlobStore):
    """A store that trips over whatever is asked for."""

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        raise ValueError("a bug")


def test_a_job_that_meets_a_bug_gives_its_permit_back() -> None:
    environment = DeliveryEnvironment()
    job = mail_apart(environment)
    environment.blobs.get = BlobsWithABug().get  # type: ignore[method-assign]

    with pytest.raises(RetryLater), capture_logs() as logs:
        environment.deliver(job)

    assert environment.route.released == [None]
    assert environment.providers["first"].messages == []
    assert (environment.read(job).status, environment.read(job).attempts) == (Status.RETRYING, 1)
    assert [entry["event"] for entry in logs] == ["attempt_failed"]


class HesitatesAndTrips(MemoryJobRepository):
    """A store that takes as long for a claim as the lease lasts, and trips over whatever is to be written then."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._own_clock = clock
        self.granted = 0

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: datetime) -> dict[JobId, Job]:
        granted = super().claim(job_ids, claim, now)
        self._own_clock.advance(25)
        self.granted += len(granted)
        return granted

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        if transitions and self.granted:
            raise ValueError("a bug")
        return super().apply(transitions)


@pytest.mark.parametrize(("client", "permit"), [("acme", "first"), ("acme:test", TEST_SANDBOX)])
def test_a_lease_that_can_not_be_renewed_for_a_bug_gives_the_permit_back(client: str, permit: str) -> None:
    clock = FakeClock(NOW + timedelta(seconds=1))
    store = HesitatesAndTrips(clock)
    environment = DeliveryEnvironment(jobs=store, clock=clock)
    job = environment.job(client=client)

    with pytest.raises(ValueError, match="a bug"):
        environment.delivery.deliver(job.job_id, Permit(permit))

    assert store.granted == 1
    assert environment.route.released == [None]


def test_a_late_delivery_keeps_the_file_for_as_long_as_its_job() -> None:
    environment = DeliveryEnvironment()
    job = mail_apart(environment)

    environment.deliver(job)
    environment.blobs.purge(keep_until(job.expires_at, Policy()) - timedelta(seconds=1))

    assert environment.blobs.get(names_in(job.payload), NOW)
