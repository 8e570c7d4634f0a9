"""Reading events page by page: over memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import NOW, make_job_id
from tests.fakes import FakeClock
from tests.memory_storage import MemoryEventAccountStore, MemoryEventLog
from wavecom.core.client_events import ClientEvent
from wavecom.core.event_reading import EventReader
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.errors import EventsExpiredError


def event(**overrides: Any) -> ClientEvent:
    fields: dict[str, Any] = {
        "job_id": make_job_id(),
        "version": 1,
        "account": "acme",
        "channel": Channel.SMS,
        "status": Status.QUEUED,
        "at": NOW,
        "attempts": 0,
        "published_at": NOW,
    }
    return ClientEvent(**(fields | overrides))


def reader_of(log: MemoryEventLog) -> EventReader:
    return EventReader(log=log, accounts=MemoryEventAccountStore(), clock=FakeClock())


@pytest.mark.parametrize("kept", [0, 2])
def test_who_begins_gets_a_position_that_he_can_go_on_from_though_earlier_events_were_deleted(kept: int) -> None:
    log = MemoryEventLog()
    log.append("acme", [event() for _ in range(5)])
    log.purge("acme", 5 - kept)
    reader = reader_of(log)

    first = reader.page("acme", None, 1)
    seen = [each.position for each in first.events]
    log.append("acme", [event()])
    while (page := reader.page("acme", first.position, 1)).events:
        seen += [each.position for each in page.events]
        first = page

    assert seen == list(range(6 - kept, 7))


def test_who_begins_with_a_notification_that_has_no_events_can_go_on() -> None:
    log = MemoryEventLog()
    log.append("acme", [event() for _ in range(5)])
    log.purge("acme", 3)
    job_id = make_job_id()
    reader = reader_of(log)

    first = reader.page("acme", None, 10, job_id)
    log.append("acme", [event(job_id=job_id)])

    assert [each.job_id for each in reader.page("acme", first.position, 10, job_id).events] == [job_id]


def test_who_was_away_until_events_were_deleted_hears_of_it() -> None:
    log = MemoryEventLog()
    log.append("acme", [event() for _ in range(5)])
    log.purge("acme", 3)

    with pytest.raises(EventsExpiredError):
        reader_of(log).page("acme", 1, 10)
