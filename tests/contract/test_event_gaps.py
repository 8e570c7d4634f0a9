"""Positions and versions of events that a restore leaves out: none is given twice, and no reader stands still."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later, make_job, make_job_id
from tests.fakes import FakeClock
from tests.memory_storage import MemoryEventAccountStore, MemoryEventLog
from wavecom.core.client_events import ClientEvent, EventLog
from wavecom.core.engine import CancelRequested, Transition, decide
from wavecom.core.event_publication import EventPublication
from wavecom.core.event_reading import EventReader
from wavecom.core.job import Job
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.storage.mongo.client_events import MongoEventLog, MongoRecordedEvents
from wavecom.storage.mongo.jobs import MongoJobRepository

Documents = Database[dict[str, Any]]


@pytest.fixture(params=["memory", "mongo"])
def log(request: pytest.FixtureRequest) -> EventLog:
    if request.param == "memory":
        return MemoryEventLog()
    return MongoEventLog(request.getfixturevalue("indexed_database"))


def make_event(version: int = 1, account: str = "acme") -> ClientEvent:
    return ClientEvent(
        job_id=make_job_id(),
        version=version,
        account=account,
        channel=Channel.SMS,
        status=Status.QUEUED,
        at=NOW,
        attempts=0,
        published_at=NOW,
    )


def test_positions_that_were_left_out_are_given_to_nobody_and_are_no_error_for_who_has_one(log: EventLog) -> None:
    log.append("acme", [make_event(), make_event()])

    log.leave_out_positions(1000)
    log.append("acme", [make_event(3)])

    assert [event.position for event in log.after("acme", 0, 10)] == [1, 2, 1003]
    assert [event.version for event in log.after("acme", 700, 10)] == [3]
    assert log.bounds("acme") == (1, 1003)


def test_who_has_read_all_has_nothing_new_until_there_is_an_event_behind_the_gap(log: EventLog) -> None:
    log.append("acme", [make_event(), make_event()])
    log.append("globex", [make_event(account="globex")])

    log.leave_out_positions(1000)
    log.leave_out_positions(1000)
    before = log.last_positions({"acme", "globex"})
    log.append("acme", [make_event(3)])

    assert before == {"acme": 2, "globex": 1}
    assert log.last_positions({"acme", "globex"}) == {"acme": 2003, "globex": 1}


def test_a_reader_of_a_restored_log_goes_on_where_it_was(log: EventLog) -> None:
    reader = EventReader(log=log, accounts=MemoryEventAccountStore(), clock=FakeClock(NOW))
    log.append("acme", [make_event(), make_event()])
    log.leave_out_positions(1000)

    waiting = reader.page("acme", 5, 10)
    log.append("acme", [make_event(7)])
    page = reader.page("acme", waiting.position, 10)

    assert waiting.position == 5
    assert [event.version for event in page.events] == [7]
    assert reader.updates({("acme", 5): 0, ("acme", 1003): 0}, 10).pages.keys() == {("acme", 5)}


def cancelled(job: Job) -> Transition:
    transition = decide(job, CancelRequested(), later(2))
    assert transition is not None
    return transition


def test_an_event_after_versions_were_left_out_has_the_id_of_none_before(indexed_database: Documents) -> None:
    jobs = MongoJobRepository(indexed_database["jobs"], system_now=lambda: NOW)
    recorded, log = MongoRecordedEvents(indexed_database), MongoEventLog(indexed_database)
    publication = EventPublication(recorded=recorded, log=log, subscribers=[], clock=FakeClock(later(3600)))
    job, ended = make_job(records_events=True), make_job(records_events=True)
    jobs.insert([job, ended])
    jobs.apply([cancelled(ended)])
    publication.run()

    recorded.leave_out_versions(1000)
    jobs.apply([cancelled(job)])
    publication.run()

    found = {(event.job_id, event.version) for event in log.after("acme", 0, 1000)}
    assert found == {(job.job_id, 1), (job.job_id, 1002), (ended.job_id, 1), (ended.job_id, 2)}
