"""Events from the job that they were written with to the log that clients read; the log's contract for both stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pymongo import monitoring
from pymongo.database import Database

from tests.factories import NOW, later, make_claim, make_job, make_job_id, make_try
from tests.fakes import FakeClock
from tests.memory_storage import MemoryEventAccountStore, MemoryEventLog
from wavecom.core.client_events import (
    RECORDING_DELAY,
    ClientEvent,
    EventAccounts,
    EventAccountStore,
    EventLog,
)
from wavecom.core.engine import AttemptFinished, CancelRequested, DueReached, Event, Transition, decide
from wavecom.core.event_publication import EventPublication
from wavecom.core.job import Job, JobError, Outcome, Reason, Trace
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.storage.mongo.client_events import MongoEventAccountStore, MongoEventLog, MongoRecordedEvents
from wavecom.storage.mongo.jobs import MongoJobRepository

Documents = Database[dict[str, Any]]

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def make_event(version: int = 1, **overrides: Any) -> ClientEvent:
    fields: dict[str, Any] = {
        "job_id": make_job_id(),
        "version": version,
        "account": "acme",
        "channel": Channel.SMS,
        "status": Status.QUEUED,
        "at": NOW,
        "attempts": 0,
        "published_at": NOW,
    }
    return ClientEvent(**(fields | overrides))


def ids(events: Any) -> list[str]:
    return [event.event_id for event in events]


class _Finds(monitoring.CommandListener):
    """Notes what is looked for in ``events``."""

    commands: ClassVar[list[dict[str, Any]]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command.get("find") == "events":
            self.commands.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


monitoring.register(_Finds())


@pytest.fixture
def find_commands() -> list[dict[str, Any]]:
    """Every ``find`` in ``events``, as it is sent."""
    return _Finds.commands


@pytest.fixture(params=["memory", "mongo"])
def log(request: pytest.FixtureRequest) -> EventLog:
    if request.param == "memory":
        return MemoryEventLog()
    return MongoEventLog(request.getfixturevalue("indexed_database"))


def test_where_logs_end_is_told_of_many_accounts_at_once(log: EventLog) -> None:
    for account, count in (("acme", 3), ("globex", 1)):
        log.append(account, [make_event(account=account) for _ in range(count)])

    assert log.last_positions({"acme", "globex", "nobody"}) == {"acme": 3, "globex": 1}
    assert log.last_positions({"globex"}) == {"globex": 1}


@pytest.fixture(params=["memory", "mongo"])
def accounts(request: pytest.FixtureRequest) -> EventAccountStore:
    if request.param == "memory":
        return MemoryEventAccountStore()
    return MongoEventAccountStore(request.getfixturevalue("indexed_database"))


# --- the log ----------------------------------------------------------------------------------------------------------


def test_an_event_comes_back_as_it_was_appended(log: EventLog) -> None:
    event = make_event(
        status=Status.RETRYING,
        attempts=2,
        provider="gateway",
        error=JobError("provider_unavailable", "http_503", "gateway"),
        next_attempt_at=later(4),
        idempotency_key="order-42",
        metadata={"$ref": "A-42", "a.b": 1, "paid": True},
        trace=TRACE,
    )

    log.append("acme", [event])

    [found] = log.after("acme", 0, 10)
    assert found == replace(event, position=1)
    assert log.by_ids([event.event_id, "another"]) == {event.event_id: found}


def test_positions_count_from_one_in_each_account(log: EventLog) -> None:
    mine, theirs = [make_event() for _ in range(3)], [make_event(account="globex") for _ in range(2)]

    log.append("acme", mine[:2])
    log.append("globex", theirs)
    log.append("acme", mine[2:])

    assert [event.position for event in log.after("acme", 0, 10)] == [1, 2, 3]
    assert ids(log.after("acme", 0, 10)) == ids(mine)
    assert ids(log.after("globex", 1, 10)) == ids(theirs[1:])
    assert log.bounds("acme") == (1, 3)


def test_what_is_there_already_is_not_added_again(log: EventLog) -> None:
    events = [make_event() for _ in range(4)]
    log.append("acme", events[:2])

    log.append("acme", events)
    log.append("acme", events)

    assert ids(log.after("acme", 0, 10)) == ids(events)
    assert [event.position for event in log.after("acme", 0, 10)] == [1, 2, 3, 4]


def test_many_that_append_at_once_leave_no_gap_and_no_double(log: EventLog) -> None:
    groups = [[make_event() for _ in range(20)] for _ in range(6)]

    with ThreadPoolExecutor(12) as threads:
        # Each group by two, as when a publisher was taken for dead.
        list(threads.map(lambda group: log.append("acme", group), [*groups, *groups]))

    found = log.after("acme", 0, 1000)
    assert [event.position for event in found] == list(range(1, 121))
    assert sorted(ids(found)) == sorted(event_id for group in groups for event_id in ids(group))


def test_a_page_is_limited_and_may_be_of_one_job(log: EventLog) -> None:
    job = make_job_id()
    events = [make_event(), make_event(1, job_id=job), make_event(), make_event(2, job_id=job)]
    log.append("acme", events)

    assert ids(log.after("acme", 1, 2)) == ids(events[1:3])
    assert ids(log.after("acme", 0, 10, job)) == [f"{job}.1", f"{job}.2"]
    assert ids(log.after("globex", 0, 10, job)) == []


def test_events_since_a_time_are_those_published_since(log: EventLog) -> None:
    old, new = make_event(), make_event(published_at=later(60))
    log.append("acme", [old, new])

    assert ids(log.after("acme", 0, 10, since=later(1))) == ids([new])


def test_events_since_a_time_are_found_in_a_long_log_that_is_a_little_out_of_order(
    indexed_database: Documents, find_commands: list[dict[str, Any]]
) -> None:
    events = [make_event(published_at=later(number - (number % 7) * 5)) for number in range(3_000)]
    log = MongoEventLog(indexed_database)
    log.append("acme", events)
    # What stood at the beginning is gone, as after days.
    indexed_database["events"].delete_many({"position": {"$lte": 400}})

    for seconds in (-100, 0, 399, 1_500, 2_990, 5_000):
        since = later(seconds)
        find_commands.clear()
        found = log.after("acme", 0, 3_000, since=since)

        assert ids(found) == [each.event_id for each in events[400:] if each.published_at >= since]
        # Nothing is read from the beginning on: at most what is near, and a minute of disorder.
        assert find_commands[-1]["filter"]["position"]["$gt"] >= min(max(0, seconds - 600), 2_300)


def test_an_empty_log_has_its_bounds_before_one(log: EventLog) -> None:
    assert log.bounds("nobody") == (1, 0)


def test_a_log_whose_events_are_all_purged_goes_on_counting(indexed_database: Documents) -> None:
    log = MongoEventLog(indexed_database)
    log.append("acme", [make_event() for _ in range(3)])

    indexed_database["events"].delete_many({})
    log.append("acme", [make_event()])

    assert log.bounds("acme") == (4, 4)


# --- who uses events --------------------------------------------------------------------------------------------------


def test_an_account_is_recorded_from_its_first_use_on(accounts: EventAccountStore) -> None:
    first = accounts.recorded_since("acme", NOW)

    assert first == NOW + RECORDING_DELAY
    assert accounts.recorded_since("acme", later(3600)) == first
    assert accounts.all() == {"acme"}


def test_a_log_alone_makes_nobody_an_account_that_uses_events(indexed_database: Documents) -> None:
    MongoEventLog(indexed_database).append("acme", [make_event()])

    assert MongoEventAccountStore(indexed_database).all() == frozenset()


def test_until_somebody_could_look_every_account_has_events(accounts: EventAccountStore) -> None:
    known = EventAccounts(accounts)
    assert "acme" in known.names

    known.refresh()
    assert "acme" not in known.names

    accounts.recorded_since("acme", NOW)
    known.refresh()
    assert "acme" in known.names


# --- from the job to the log ------------------------------------------------------------------------------------------


@pytest.fixture
def jobs(indexed_database: Documents) -> MongoJobRepository:
    return MongoJobRepository(indexed_database["jobs"], system_now=lambda: NOW)


class Published:
    """What publication makes of the jobs of one database."""

    def __init__(self, database: Documents) -> None:
        self.log = MongoEventLog(database)
        self.recorded = MongoRecordedEvents(database)
        self.clock = FakeClock(later(3600))
        self.publication = EventPublication(recorded=self.recorded, log=self.log, subscribers=[], clock=self.clock)

    def run(self) -> list[ClientEvent]:
        self.publication.run()
        return list(self.log.after("acme", 0, 1000))


@pytest.fixture
def published(indexed_database: Documents) -> Published:
    return Published(indexed_database)


def _decided(job: Job, event: Event, at: Any = NOW) -> Transition:
    transition = decide(job, event, at)
    assert transition is not None
    return transition


def _claimed(jobs: MongoJobRepository, *stored: Job) -> list[Job]:
    granted = jobs.claim([job.job_id for job in stored], make_claim(), NOW)
    return [granted[job.job_id] for job in stored]


def _record(job: Job, **answer: Any) -> Transition:
    assert job.claim is not None
    return _decided(job, AttemptFinished(job.claim.token, (make_try(**answer),)), later(1))


def test_a_job_that_records_events_has_one_for_each_status_that_its_client_sees(
    jobs: MongoJobRepository, published: Published
) -> None:
    job = make_job(records_events=True, metadata={"order": "A-42"}, idempotency_key="k", fingerprint="f", trace=TRACE)
    jobs.insert([job])
    [claimed] = _claimed(jobs, job)
    jobs.apply([_record(claimed, outcome=Outcome.REJECTED, reason=Reason.RECIPIENT_GONE, code="http_410")])

    accepted, failed = published.run()

    assert (accepted.type, accepted.version, accepted.at) == ("notification.queued", 1, NOW)
    assert (failed.type, failed.version, failed.at, failed.attempts) == ("notification.failed", 2, later(1), 1)
    assert failed.error is not None
    assert failed.error.code == "recipient_gone"
    assert (failed.metadata, failed.idempotency_key) == ({"order": "A-42"}, "k")
    assert {accepted.trace, failed.trace} == {TRACE}


def test_a_job_that_records_none_has_none(
    jobs: MongoJobRepository, published: Published, indexed_database: Documents
) -> None:
    job = make_job()
    jobs.insert([job])
    [claimed] = _claimed(jobs, job)
    jobs.apply([_record(claimed)])

    assert published.run() == []
    document = indexed_database["jobs"].find_one({"jobId": job.job_id}) or {}
    assert not {"events", "eventVersion", "eventsDueAt"} & set(document)


@pytest.mark.parametrize("count", [1, 7, 120])
def test_events_of_many_jobs_written_at_once_are_each_their_own(
    jobs: MongoJobRepository, published: Published, count: int
) -> None:
    stored = [make_job(records_events=index % 2 == 0, metadata={"n": index}) for index in range(count)]
    jobs.insert(stored)
    claimed = _claimed(jobs, *stored)
    outcomes = [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNAVAILABLE]

    jobs.apply([_record(job, outcome=outcomes[index % 3]) for index, job in enumerate(claimed)])

    found = {(event.metadata["n"], event.version): event for event in published.run()}
    assert sorted(found) == [(index, version) for index in range(0, count, 2) for version in (1, 2)]
    ends = [Status.DELIVERED, Status.FAILED, Status.RETRYING]
    for (index, version), event in found.items():
        assert event.status is (Status.QUEUED if version == 1 else ends[index % 3])
        assert event.job_id == stored[index].job_id


def test_a_write_that_loses_its_race_leaves_no_event(jobs: MongoJobRepository, published: Published) -> None:
    job = make_job(records_events=True)
    jobs.insert([job])
    first, second = (_decided(job, CancelRequested()) for _ in range(2))

    assert jobs.apply([first, second]) == [True, False]

    assert [event.type for event in published.run()] == ["notification.queued", "notification.cancelled"]


def test_a_write_that_is_repeated_leaves_one_event(jobs: MongoJobRepository, published: Published) -> None:
    job = make_job(records_events=True)
    jobs.insert([job])
    transition = _decided(job, CancelRequested())

    assert [jobs.apply([transition]), jobs.apply([transition])] == [[True], [True]]

    assert [event.version for event in published.run()] == [1, 2]


def test_events_that_come_while_others_are_published_are_published_next(
    jobs: MongoJobRepository, published: Published
) -> None:
    job = make_job(records_events=True)
    jobs.insert([job])
    taken = published.recorded.due(later(3600), 10)
    jobs.apply([_decided(job, CancelRequested())])

    published.recorded.settle(taken)

    assert [event.version for event in published.run()] == [1, 2]
    assert published.recorded.due(later(3600), 10) == []


def test_a_publisher_that_dies_before_it_takes_events_out_of_jobs_loses_and_doubles_none(
    jobs: MongoJobRepository, published: Published
) -> None:
    stored = [make_job(records_events=True) for _ in range(5)]
    jobs.insert(stored)
    for each in published.recorded.due(later(3600), 10):
        published.log.append("acme", each.as_client_events(later(3600)))

    assert [event.position for event in published.run()] == [1, 2, 3, 4, 5]
    assert published.recorded.due(later(3600), 10) == []


def test_a_scheduled_job_that_starts_has_an_event(jobs: MongoJobRepository, published: Published) -> None:
    job = make_job(status=Status.SCHEDULED, records_events=True)
    jobs.insert([job])
    jobs.apply([_decided(job, DueReached(), later(3600))])

    assert [event.type for event in published.run()] == ["notification.scheduled", "notification.queued"]


def test_events_are_published_in_batches_in_the_order_in_which_they_happened(
    jobs: MongoJobRepository, published: Published
) -> None:
    stored = [make_job(records_events=True, created_at=later(-index)) for index in range(25)]
    jobs.insert(stored)
    publication = EventPublication(
        recorded=published.recorded, log=published.log, subscribers=[], clock=published.clock, batch=10
    )

    assert publication.run() == 25

    found = published.log.after("acme", 0, 100)
    assert [event.job_id for event in found] == [job.job_id for job in reversed(stored)]


def test_events_that_nobody_can_read_take_no_place_of_others(
    jobs: MongoJobRepository, published: Published, indexed_database: Documents
) -> None:
    unreadable = [make_job(records_events=True, created_at=later(-60)) for _ in range(3)]
    readable = [make_job(records_events=True) for _ in range(4)]
    jobs.insert([*unreadable, *readable])
    broken = {"jobId": {"$in": [job.job_id for job in unreadable]}}
    indexed_database["jobs"].update_many(broken, {"$set": {"type": "pigeon"}})

    found = [published.recorded.due(later(3600), 2) for _ in range(2)]
    told = published.run()

    assert [len(each) for each in found] == [2, 2]
    assert {event.job_id for event in told} == {job.job_id for job in readable}
