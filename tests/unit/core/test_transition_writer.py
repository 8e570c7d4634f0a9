"""What follows a write: for every job that was written, once, in order; and nothing for the others."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import wavecom.core
from tests.factories import NOW, later, make_claim, make_job, make_try
from tests.fakes import CountingStats, FakeClock, RecordingObserver, RecordingPublisher, make_writer
from tests.memory_storage import MemoryJobRepository
from wavecom.core.engine import AttemptFinished, CancelRequested, DueReached, ReplayRequested, Transition, decide
from wavecom.core.job import DeliveryMessage, Job, Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import DeadLetter
from wavecom.core.states import Status
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import StoreError, UncertainWriteError


class Store(MemoryJobRepository):
    """Notes its writes in ``steps``. ``error`` is raised once: before the write, or after it when ``loses_answer``."""

    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps
        self.error: StoreError | None = None
        self.loses_answer = False

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        return self._write("write", lambda: super(Store, self).apply(transitions))

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        return self._write("insert", lambda: super(Store, self).insert(jobs))

    def _write(self, step: str, write: Callable[[], list[Any]]) -> list[Any]:
        error, self.error = self.error, None
        if error is not None and not self.loses_answer:
            raise error
        result = write()
        self.steps.append(step)
        if error is not None:
            raise error
        return result


class Stats(CountingStats):
    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps
        self.by_client: list[tuple[str, Channel, Status, int]] = []
        self.error: Exception | None = None

    def add(self, client: str, channel: Channel, status: Status, count: int = 1, *, is_new: bool = False) -> None:
        if self.error is not None:
            raise self.error
        super().add(client, channel, status, count, is_new=is_new)
        self.steps.append("count")
        self.by_client.append((client, channel, status, count))


class Publisher(RecordingPublisher):
    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps
        self.error: Exception | None = None

    def publish(self, delivery_messages: Sequence[DeliveryMessage]) -> list[bool]:
        if self.error is not None:
            raise self.error
        self.steps.append("publish")
        return super().publish(delivery_messages)

    def publish_dead_letters(self, letters: Sequence[DeadLetter]) -> list[bool]:
        if self.error is not None:
            raise self.error
        self.steps.append("publish dead letters")
        return super().publish_dead_letters(letters)


class Observer(RecordingObserver):
    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps

    def on_inserted(self, jobs: Sequence[Job], now: datetime) -> None:
        self.steps.append("observe")
        super().on_inserted(jobs, now)

    def on_moved(self, transitions: Sequence[Transition], now: datetime) -> None:
        self.steps.append("observe")
        super().on_moved(transitions, now)


class Environment:
    """A writer with everything around it, over the memory store."""

    def __init__(self, **others: Any) -> None:
        self.steps: list[str] = []
        self.jobs = Store(self.steps)
        self.stats = Stats(self.steps)
        self.publisher = Publisher(self.steps)
        self.observer = Observer(self.steps)
        self.writer: TransitionWriter = make_writer(
            self.jobs,
            FakeClock(later(60)),
            publisher=self.publisher,
            stats=self.stats,
            observers=[self.observer],
            **others,
        )

    def job(self, **fields: Any) -> Job:
        job = make_job(**fields)
        assert self.jobs.insert([job]) == [None]
        self.steps.clear()
        return job

    def read(self, job: Job) -> Job:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored


def done(transition: Transition | None) -> Transition:
    assert transition is not None
    return transition


def replaying(job: Job) -> Transition:
    return done(decide(job, ReplayRequested(expires_at=later(hours=72)), later(60)))


def cancelling(job: Job) -> Transition:
    return done(decide(job, CancelRequested(), later(60)))


def ending(job: Job, outcome: Outcome) -> Transition:
    assert job.claim is not None
    return done(decide(job, AttemptFinished(job.claim.token, (make_try(outcome),)), later(1)))


def being_delivered(environment: Environment, **fields: Any) -> Job:
    return environment.job(status=Status.PROCESSING, claim=make_claim(), **fields)


# --- Transitions ------------------------------------------------------------------------------------------------------


def test_the_job_is_written_then_counted_then_published_then_observed() -> None:
    environment = Environment()
    job = environment.job(status=Status.FAILED)

    environment.writer.write([replaying(job)])

    assert environment.steps == ["write", "count", "publish", "observe"]


def test_a_dead_letter_is_published_and_noted_before_observers_are_told() -> None:
    environment = Environment()
    job = being_delivered(environment)

    result = environment.writer.write([ending(job, Outcome.REJECTED)])

    assert environment.steps == ["write", "count", "publish dead letters", "write", "observe"]
    assert (result.is_written, result.dead_lettered) == ([True], 1)
    assert [letter.job_id for letter in environment.publisher.dead_letters] == [job.job_id]
    after = environment.read(job)
    assert (after.status, after.dead_lettered_at, after.due_at) == (Status.FAILED, later(60), None)


def test_a_dead_letter_that_is_not_confirmed_stays_due() -> None:
    environment = Environment()
    environment.publisher.is_up = False
    job = being_delivered(environment)

    result = environment.writer.write([ending(job, Outcome.REJECTED)])

    assert (result.is_written, result.dead_lettered) == ([True], 0)
    after = environment.read(job)
    assert after.dead_lettered_at is None
    assert after.due_at is not None


def test_many_are_counted_by_client_channel_and_status() -> None:
    environment = Environment()
    jobs = [
        environment.job(client="acme", type=Channel.SMS),
        environment.job(client="acme", type=Channel.SMS),
        environment.job(client="acme", type=Channel.PUSH),
        environment.job(client="globex", type=Channel.SMS),
    ]

    environment.writer.write([cancelling(job) for job in jobs])

    assert environment.stats.by_client == [
        ("acme", Channel.SMS, Status.CANCELLED, 2),
        ("acme", Channel.PUSH, Status.CANCELLED, 1),
        ("globex", Channel.SMS, Status.CANCELLED, 1),
    ]


def test_nothing_follows_what_lost_the_race() -> None:
    environment = Environment()
    lost, won = environment.job(status=Status.FAILED), environment.job(status=Status.FAILED)
    late, first = replaying(lost), replaying(won)
    assert environment.jobs.apply([replaying(lost)]) == [True]

    result = environment.writer.write([late, first])

    assert result.is_written == [False, True]
    assert environment.stats.counts == {Status.QUEUED: 1}
    assert [message.job_id for message in environment.publisher.delivery_messages] == [won.job_id]
    assert environment.observer.moved == [first]


def test_a_late_failure_leaves_no_dead_letter() -> None:
    environment = Environment()
    job = being_delivered(environment)
    late = ending(job, Outcome.REJECTED)
    assert environment.jobs.apply([ending(job, Outcome.ACCEPTED)]) == [True]

    result = environment.writer.write([late])

    assert result.is_written == [False]
    assert environment.publisher.dead_letters == []
    assert environment.observer.moved == []


def test_a_message_published_again_is_no_new_status() -> None:
    environment = Environment()
    job = environment.job(status=Status.QUEUED)

    result = environment.writer.write([done(decide(job, DueReached(), later(60)))])

    assert (result.is_written, result.published, result.unpublished) == ([True], 1, 0)
    assert environment.stats.counts == {}
    assert environment.observer.moved == []


def test_what_the_broker_does_not_confirm_is_counted_all_the_same() -> None:
    environment = Environment()
    environment.publisher.is_up = False
    job = environment.job(status=Status.FAILED)

    result = environment.writer.write([replaying(job)])

    assert (result.published, result.unpublished) == (0, 1)
    assert environment.stats.counts == {Status.QUEUED: 1}
    assert len(environment.observer.moved) == 1


def test_who_publishes_himself_gets_nothing_published() -> None:
    environment = Environment()
    job = being_delivered(environment)
    retry = ending(job, Outcome.UNAVAILABLE)
    assert retry.delivery_message is not None

    result = environment.writer.write([retry], is_publishing=False)

    assert (result.is_written, result.published, result.unpublished) == ([True], 0, 0)
    assert environment.publisher.delivery_messages == []
    assert environment.stats.counts == {Status.RETRYING: 1}


def test_the_write_itself_may_be_another_than_the_stores() -> None:
    environment = Environment()
    job = environment.job()
    transition = cancelling(job)

    result = environment.writer.write([transition], apply=lambda transitions: [False] * len(transitions))

    assert result.is_written == [False]
    assert environment.read(job) == job
    assert environment.steps == []


def test_nothing_to_write_asks_nobody() -> None:
    environment = Environment()

    assert environment.writer.write([]).is_written == ()
    assert environment.steps == []


@pytest.mark.parametrize("error", [StoreError("away"), UncertainWriteError("went away")])
def test_nothing_follows_a_write_that_was_not_answered(error: StoreError) -> None:
    environment = Environment()
    job = environment.job(status=Status.FAILED)
    environment.jobs.error = error

    with pytest.raises(type(error)):
        environment.writer.write([replaying(job)])

    assert environment.steps == []


def test_what_was_written_without_an_answer_is_followed_once_when_it_is_repeated() -> None:
    environment = Environment()
    job = environment.job(status=Status.FAILED)
    environment.jobs.error, environment.jobs.loses_answer = UncertainWriteError("went away"), True
    transition = replaying(job)

    with pytest.raises(UncertainWriteError):
        environment.writer.write([transition])
    result = environment.writer.write([transition])

    assert result.is_written == [True]
    assert environment.stats.counts == {Status.QUEUED: 1}
    assert len(environment.publisher.delivery_messages) == 1
    assert environment.observer.moved == [transition]


# --- What goes wrong afterwards ---------------------------------------------------------------------------------------


def test_an_observer_that_fails_changes_nothing_and_the_next_is_told() -> None:
    environment = Environment()
    second = RecordingObserver()
    writer = make_writer(environment.jobs, FakeClock(NOW), observers=[environment.observer, second])
    environment.observer.error = RuntimeError("a bug")
    job = environment.job()

    with capture_logs() as logs:
        result = writer.write([cancelling(job)])

    assert result.is_written == [True]
    assert len(second.moved) == 1
    assert [(entry["event"], entry["step"]) for entry in logs] == [("step_after_write_failed", "observe")]


def test_a_count_that_fails_keeps_nothing_from_being_published() -> None:
    environment = Environment()
    environment.stats.error = MemoryError()
    job = environment.job(status=Status.FAILED)

    with capture_logs():
        result = environment.writer.write([replaying(job)])

    assert (result.is_written, result.published) == ([True], 1)


def test_a_publisher_with_a_bug_fails_no_job_that_is_written() -> None:
    environment = Environment()
    environment.publisher.error = KeyError("a bug")
    replayed, failed = environment.job(status=Status.FAILED), being_delivered(environment)

    with capture_logs() as logs:
        result = environment.writer.write([replaying(replayed), ending(failed, Outcome.REJECTED)])

    assert result.is_written == [True, True]
    assert (result.published, result.unpublished, result.dead_lettered) == (0, 1, 0)
    assert len(environment.observer.moved) == 2
    assert [entry["step"] for entry in logs] == ["publish", "publish dead letters"]


# --- New jobs ---------------------------------------------------------------------------------------------------------


def test_new_jobs_are_stored_then_counted_then_published_then_observed() -> None:
    environment = Environment()
    queued, scheduled = make_job(), make_job(status=Status.SCHEDULED)

    results = environment.writer.insert([queued, scheduled])

    assert results == [None, None]
    assert environment.steps == ["insert", "count", "count", "publish", "observe"]
    assert environment.stats.counts == {Status.QUEUED: 1, Status.SCHEDULED: 1}
    assert environment.stats.new == 2
    assert [message.job_id for message in environment.publisher.delivery_messages] == [queued.job_id]
    assert environment.observer.inserted == [queued, scheduled]


def test_nothing_follows_for_a_job_that_was_there_before() -> None:
    environment = Environment()
    holder = environment.job(idempotency_key="invoice-1")
    repeated = make_job(idempotency_key="invoice-1")

    [existing] = environment.writer.insert([repeated])

    assert existing is not None
    assert existing.job_id == holder.job_id
    assert environment.steps == ["insert"]


def test_messages_of_new_jobs_go_to_the_publisher_for_them() -> None:
    accepted = RecordingPublisher()
    environment = Environment(accepted_publisher=accepted)

    environment.writer.insert([make_job()])

    assert len(accepted.delivery_messages) == 1
    assert environment.publisher.delivery_messages == []


def test_new_jobs_that_could_not_be_stored_are_followed_by_nothing() -> None:
    environment = Environment()
    environment.jobs.error = StoreError("away")

    with pytest.raises(StoreError):
        environment.writer.insert([make_job()])

    assert environment.steps == []


def test_a_publisher_with_a_bug_fails_no_job_that_is_stored() -> None:
    environment = Environment()
    environment.publisher.error = KeyError("a bug")

    with capture_logs() as logs:
        results = environment.writer.insert([make_job()])

    assert results == [None]
    assert len(environment.observer.inserted) == 1
    assert [entry["step"] for entry in logs] == ["publish"]


# --- One place --------------------------------------------------------------------------------------------------------

#: Repeats dead letters that the queue has lost; it writes no job.
REPEATS_LOST_DEAD_LETTERS = "reconciliation.py"
WRITER = {"transition_writer.py", "dead_letter_publishing.py"}


def test_nothing_else_in_the_core_counts_or_publishes() -> None:
    found: set[str] = set()
    for path in Path(wavecom.core.__file__).parent.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            owner = ast.unparse(node.value)
            is_count = node.attr == "add" and owner.endswith("stats")
            is_publication = node.attr.startswith("publish") and owner.endswith("publisher")
            if is_count or is_publication:
                found.add(path.name)

    assert found == WRITER | {REPEATS_LOST_DEAD_LETTERS}
