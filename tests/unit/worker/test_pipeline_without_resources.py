"""A fault at every step between "taken from the inbox" and "recorded": each message ends, and nothing stays taken.

The pipeline with the real core over the memory store. The parts around it keep their contracts, and raise where a
machine that has run out of descriptors, memory or threads raises.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import NOW, make_answer, make_job
from tests.fakes import (
    CountingStats,
    FixedRoute,
    NeverStopping,
    OneByOne,
    ScriptedProvider,
    make_writer,
)
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from tests.unit.worker.test_pipeline import start
from tests.waiting import wait_until
from wavecom.core.delivery import Delivery
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import CallResult, Claim, Job, JobId, Outcome, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message, NotBegunError, OnResult, Permit, Refusal
from wavecom.core.states import Status
from wavecom.core.windows import Windows
from wavecom.errors import RetryLater
from wavecom.worker.pipeline import DeliveryPipeline, Disposition, InFlightMessage

SHORTAGES: dict[str, Callable[[], Exception]] = {
    "descriptors": lambda: OSError(errno.EMFILE, "Too many open files"),
    "memory": MemoryError,
    "threads": lambda: RuntimeError("can't start new thread"),
}


class Faults:
    """Raises at one step, so many times."""

    def __init__(self, step: str = "", error: Callable[[], Exception] = MemoryError, times: int = 1) -> None:
        self.step, self.error, self.left = step, error, times
        self.met = 0

    def check(self, step: str) -> None:
        if step == self.step and self.left > 0:
            self.left -= 1
            self.met += 1
            raise self.error()


class Clock:
    """Stands still, so that deadlines and leases are not what ends anything here."""

    def now(self) -> datetime:
        return NOW + timedelta(seconds=1)

    def monotonic(self) -> float:
        return time.monotonic()


class Store(MemoryJobRepository):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: datetime) -> dict[JobId, Job]:
        self.faults.check("before the claim")
        granted = super().claim(job_ids, claim, now)
        self.faults.check("after the claim was made")
        return granted

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        if transitions:
            self.faults.check("before the record")
        written = super().apply(transitions)
        if transitions:
            self.faults.check("after the record was made")
        return written


class Blobs(MemoryBlobStore):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        self.faults.check("attachments")
        return super().get(names, purge_at)


class Route(FixedRoute):
    def __init__(self, faults: Faults, *providers: str) -> None:
        super().__init__(*providers)
        self.faults = faults

    def reserve_next(self, job: Job, tried: Collection[str], *, prefer: str | None = None) -> Permit | Refusal | None:
        if tried:
            self.faults.check("the next permit")
        return super().reserve_next(job, tried, prefer=prefer)

    def charge(self, permit: Permit, extra_cost: int) -> None:
        self.faults.check("charge")
        super().charge(permit, extra_cost)

    def release(self, permit: Permit, outcome: CallResult | None) -> None:
        super().release(permit, outcome)
        self.faults.check("release")


class BlockingScriptedProvider(ScriptedProvider):
    """Needs a thread; honest: it raises where it can't begin, with nothing sent."""

    def __init__(self, name: str, faults: Faults, *answers: Any) -> None:
        super().__init__(name, *answers)
        self.faults = faults

    def send(self, message: Message) -> Any:
        self.faults.check("send")
        return super().send(message)


class AsyncScriptedProvider(BlockingScriptedProvider):
    """Needs none: another thread answers."""

    def start(self, message: Message, on_result: OnResult) -> bool:
        self.faults.check("start")
        answer = super().send(message)
        threading.Thread(target=on_result, args=(answer,), daemon=True).start()
        return True


class Stats(CountingStats):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    def add(self, client: str, channel: Channel, status: Status, count: int = 1, *, is_new: bool = False) -> None:
        self.faults.check("counting")
        super().add(client, channel, status, count, is_new=is_new)


class Harness:
    def __init__(
        self,
        faults: Faults,
        *,
        is_async: bool = True,
        first_is_unavailable: bool = False,
        kind: type[BlockingScriptedProvider] | None = None,
    ) -> None:
        self.faults = faults
        kind = kind or (AsyncScriptedProvider if is_async else BlockingScriptedProvider)
        first = [make_answer(Outcome.UNAVAILABLE)] if first_is_unavailable else []
        self.providers = {"first": kind("first", faults, *first), "second": kind("second", faults)}
        self.jobs = Store(faults)
        self.route = Route(faults, "first", "second")
        self.blobs = Blobs(faults)
        self.ends: list[tuple[int, Disposition]] = []
        self.retried: list[JobId] = []
        tokens = iter(range(1_000_000))
        self.delivery = Delivery(
            jobs=self.jobs,
            writer=make_writer(self.jobs, Clock(), stats=Stats(faults)),
            blobs=self.blobs,
            route=self.route,
            providers=self.providers,
            sandbox=ScriptedProvider("sandbox:test"),
            clock=Clock(),
            batcher=OneByOne,
            policy=Policy(),
            worker="worker",
            stopping=NeverStopping(None),  # type: ignore[arg-type]
            jitter=lambda: 0.5,
            new_token=lambda: f"token-{next(tokens)}",
        )
        begin = self.delivery.activity.begin

        def note(call: object) -> None:
            faults.check("noting the call")
            begin(call)

        self.delivery.activity.begin = note  # type: ignore[method-assign]
        self.pipeline = DeliveryPipeline(
            self.delivery,
            self.delivery.attempts,
            threads=4,
            release=lambda permit: self.route.release(permit, None),
            retry=self._retry,
            on_end=self._on_end,
            on_freed=lambda: faults.check("a freed permit"),
            sleep=lambda _seconds: None,
            windows=Windows(accept=0, claim=0, record=0),
            spawn=self._spawn("a caller"),
            spawn_stage=self._spawn("a stage"),
        )

    def _spawn(self, step: str) -> Callable[[Callable[[], None], str], threading.Thread]:
        def spawn(work: Callable[[], None], name: str) -> threading.Thread:
            self.faults.check(step)
            return start(work, name)

        return spawn

    def _retry(self, message: InFlightMessage, _retry: RetryLater) -> None:
        self.faults.check("the retry's message")
        self.retried.append(message.job_id)

    def _on_end(self, ends: Sequence[tuple[InFlightMessage, Disposition]]) -> None:
        self.faults.check("the end")
        self.ends += [(message.tag, end) for message, end in ends]

    def job(self, **fields: Any) -> Job:
        job = make_job(on_unknown_outcome=UnknownOutcomePolicy.STOP, **fields)
        assert self.jobs.insert([job]) == [None]
        return job

    def offer(self, job: Job, tag: int) -> bool:
        permit = self.route.reserve(job.lane)
        assert isinstance(permit, Permit)
        return self.pipeline.offer(InFlightMessage(job.job_id, "notifications.sms.normal", permit, None, tag))

    def status(self, job: Job) -> Status:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored.status

    def sends(self) -> int:
        return sum(len(provider.messages) for provider in self.providers.values())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


BEFORE_ANY_CALL = [
    "before the claim",
    "after the claim was made",
    "noting the call",
    "charge",
    "a freed permit",
    "a caller",
    "a stage",
]
AFTER_THE_CALL = ["release", "before the record", "after the record was made", "counting", "the end"]


@pytest.mark.parametrize("shortage", SHORTAGES)
@pytest.mark.parametrize("is_async", [False, True], ids=["waited for", "not waited for"])
@pytest.mark.parametrize("step", [*BEFORE_ANY_CALL, "send", "start", *AFTER_THE_CALL])
def test_a_shortage_that_passes_loses_no_message_no_permit_and_no_truth(
    step: str, is_async: bool, shortage: str
) -> None:
    faults = Faults(step, SHORTAGES[shortage])
    harness = Harness(faults, is_async=is_async)
    job = harness.job()

    while not harness.offer(job, 1):
        assert harness.route.out == 0
    # Another message comes, as it does: what could not be reported is reported with it.
    other = harness.job()
    while not harness.offer(other, 2):
        pass
    wait_until(lambda: harness.pipeline.in_flight == 0 and {tag for tag, _ in harness.ends} == {1, 2})
    wait_until(lambda: harness.route.out == 0)

    assert sorted(tag for tag, _ in harness.ends) == [1, 2]
    assert harness.delivery.activity.running == 0
    assert harness.pipeline.claimed == 0
    for each in (job, other):
        sends = sum(m.job_id == each.job_id for provider in harness.providers.values() for m in provider.messages)
        # Delivered by one send; or not sent, and parked for the sweep without an attempt. Never in doubt unsent.
        expected = {1: Status.DELIVERED, 0: Status.RETRYING}[sends]
        assert harness.status(each) is expected
        stored = harness.jobs.get(each.job_id)
        assert stored is not None
        assert (stored.attempts, stored.may_have_been_sent) == (sends, False)


@pytest.mark.parametrize("shortage", SHORTAGES)
@pytest.mark.parametrize(
    ("step", "is_async"),
    [
        ("before the claim", False),
        ("before the claim", True),
        ("charge", False),
        ("send", False),
        ("a caller", False),
        ("a stage", False),
    ],
)
def test_a_shortage_that_lasts_sends_nothing_and_takes_nothing(step: str, is_async: bool, shortage: str) -> None:
    faults = Faults(step, SHORTAGES[shortage], times=1_000_000)
    harness = Harness(faults, is_async=is_async)
    job = harness.job()

    is_taken = harness.offer(job, 1)
    if is_taken:
        wait_until(lambda: harness.pipeline.in_flight == 0)

    assert harness.sends() == 0
    assert harness.route.out == 0
    assert harness.delivery.activity.running == 0
    assert harness.pipeline.claimed == 0
    assert harness.status(job) in {Status.QUEUED, Status.RETRYING}
    assert len(harness.ends) == (1 if is_taken else 0)


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_call_that_can_not_be_begun_is_made_by_the_next_provider_with_a_thread(shortage: str) -> None:
    harness = Harness(Faults("start", SHORTAGES[shortage], times=1_000_000), is_async=True)
    job = harness.job()

    assert harness.offer(job, 1)
    wait_until(lambda: harness.pipeline.in_flight == 0)

    assert harness.status(job) is Status.DELIVERED
    assert [len(provider.messages) for provider in harness.providers.values()] == [0, 1]
    assert (harness.route.out, harness.ends) == (0, [(1, Disposition.ACK)])


@pytest.mark.parametrize("shortage", SHORTAGES)
@pytest.mark.parametrize("is_async", [False, True], ids=["waited for", "not waited for"])
def test_the_next_permit_that_can_not_be_had_ends_the_attempt_with_what_is_known(is_async: bool, shortage: str) -> None:
    harness = Harness(Faults("the next permit", SHORTAGES[shortage]), is_async=is_async, first_is_unavailable=True)
    job = harness.job()

    assert harness.offer(job, 1)
    wait_until(lambda: harness.pipeline.in_flight == 0)

    assert harness.status(job) is Status.RETRYING
    stored = harness.jobs.get(job.job_id)
    assert stored is not None
    assert (stored.attempts, stored.may_have_been_sent) == (1, False)
    assert (harness.route.out, harness.retried) == (0, [job.job_id])


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_retry_whose_message_can_not_be_published_is_the_sweep_s(shortage: str) -> None:
    harness = Harness(Faults("the retry's message", SHORTAGES[shortage]), is_async=False)
    for provider in harness.providers.values():
        provider.answers = [make_answer(Outcome.UNAVAILABLE)]
    job = harness.job()

    assert harness.offer(job, 1)
    wait_until(lambda: harness.pipeline.in_flight == 0)

    assert harness.ends == [(1, Disposition.ACK)]
    assert harness.status(job) is Status.RETRYING


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_result_that_can_not_be_recorded_for_long_gives_its_message_back(shortage: str) -> None:
    harness = Harness(Faults("before the record", SHORTAGES[shortage], times=1_000_000), is_async=True)
    job = harness.job()

    assert harness.offer(job, 1)
    wait_until(lambda: harness.pipeline.in_flight == 0)

    assert harness.ends == [(1, Disposition.REQUEUE)]
    assert harness.route.out == 0
    assert harness.pipeline.claimed == 0


@pytest.mark.parametrize("is_async", [False, True], ids=["waited for", "not waited for"])
@pytest.mark.parametrize("policy", UnknownOutcomePolicy)
def test_a_bug_in_the_middle_of_a_call_is_an_unknown_outcome(is_async: bool, policy: UnknownOutcomePolicy) -> None:
    harness = Harness(Faults("send", lambda: KeyError("a bug")), is_async=False)
    job = make_job(on_unknown_outcome=policy)
    harness.jobs.insert([job])

    assert harness.offer(job, 1)
    wait_until(lambda: harness.pipeline.in_flight == 0)

    expected = Status.UNCONFIRMED if policy is UnknownOutcomePolicy.STOP else Status.RETRYING
    assert harness.status(job) is expected
    assert harness.route.released == [None], "a bug of ours says nothing about the provider"


@pytest.mark.parametrize("policy", UnknownOutcomePolicy)
def test_a_bug_before_a_call_is_an_attempt_that_sent_nothing(policy: UnknownOutcomePolicy) -> None:
    def bug() -> Exception:
        error = NotBegunError()
        error.__cause__ = KeyError("a bug")
        return error

    harness = Harness(Faults("send", bug, times=2), is_async=False)
    job = make_job(on_unknown_outcome=policy)
    harness.jobs.insert([job])

    with capture_logs():
        assert harness.offer(job, 1)
        wait_until(lambda: harness.pipeline.in_flight == 0)

    stored = harness.jobs.get(job.job_id)
    assert stored is not None
    assert (stored.status, stored.attempts, stored.may_have_been_sent) == (Status.RETRYING, 1, False)
    assert [entry.message for entry in stored.logs if entry.code == "not_begun"] == ["KeyError before the call"] * 2


def test_a_provider_that_answers_and_raises_afterwards_has_answered() -> None:
    class Odd(AsyncScriptedProvider):
        def start(self, message: Message, on_result: OnResult) -> bool:
            on_result(make_answer())
            raise MemoryError

    harness = Harness(Faults(), kind=Odd)
    job = harness.job()

    assert harness.offer(job, 1)
    wait_until(lambda: harness.pipeline.in_flight == 0)

    assert harness.status(job) is Status.DELIVERED
    assert (harness.route.out, harness.ends) == (0, [(1, Disposition.ACK)])
