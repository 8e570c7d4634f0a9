"""Reading events page by page: over memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import NOW, make_job_id
from tests.fakes import FakeClock
from tests.memory_storage import MemoryEventAccountStore, MemoryEventLog
from wavecom.core.client_events import ClientEvent
from wavecom.core.event_reading import EventReader, EventUpdates, Reader
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.errors import EventsExpiredError, StoreError


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


def update_positions(updates: EventUpdates) -> dict[Reader, list[int]]:
    return {reader: [event.position for event in page.events] for reader, page in updates.pages.items()}


def test_updates_are_for_those_behind_whom_there_is_more() -> None:
    log = MemoryEventLog()
    log.append("acme", [event() for _ in range(5)])

    updates = reader_of(log).updates({("acme", 5): 0, ("acme", 1): 0, ("globex", 0): 0}, 3)

    assert update_positions(updates) == {("acme", 1): [2, 3, 4]}
    assert updates.pages["acme", 1].has_more
    assert (updates.ended, updates.left) == (set(), set())


def test_who_has_fallen_behind_what_is_kept_ends_alone() -> None:
    log = MemoryEventLog()
    for account in ("acme", "globex"):
        log.append(account, [event(account=account) for _ in range(5)])
    log.purge("acme", 3)

    updates = reader_of(log).updates({("acme", 1): 0, ("acme", 4): 0, ("globex", 1): 0}, 10)

    assert updates.ended == {("acme", 1)}
    assert update_positions(updates) == {("acme", 4): [5], ("globex", 1): [2, 3, 4, 5]}


class BrokenLog(MemoryEventLog):
    """Raises ``error`` where events of ``account`` are to be read."""

    account, error = "acme", Exception()

    def after(self, account: str, *arguments: Any, **options: Any) -> Sequence[ClientEvent]:
        if account == self.account:
            raise self.error
        return super().after(account, *arguments, **options)


def test_a_log_that_is_not_understood_ends_its_own_readers_and_the_next_has_its_turn() -> None:
    log = BrokenLog()
    log.error = ValueError("'paused' is not a valid Status")
    for account in ("acme", "globex"):
        log.append(account, [event(account=account) for _ in range(2)])

    with capture_logs() as logs:
        updates = reader_of(log).updates({("acme", 1): 0, ("globex", 1): 0}, 10)

    assert updates.ended == {("acme", 1)}
    assert update_positions(updates) == {("globex", 1): [2]}
    assert [each["event"] for each in logs] == ["event_page_failed"]


def test_a_log_that_is_away_ends_nobody_and_stands_in_nobodys_way_for_long() -> None:
    log = BrokenLog()
    log.error = StoreError("away")
    for account in ("acme", "globex"):
        log.append(account, [event(account=account) for _ in range(2)])
    turns = {("acme", 1): 0, ("globex", 1): 0}

    first = reader_of(log).updates(turns, 10)
    second = reader_of(log).updates(turns | dict.fromkeys(first.asked, 1), 10)

    assert (first.pages, first.ended, first.asked) == ({}, set(), {("acme", 1)})
    assert (update_positions(second), second.ended) == ({("globex", 1): [2]}, set())


def test_who_has_waited_longest_is_first_and_among_equals_the_least_behind() -> None:
    log = MemoryEventLog()
    for account in ("acme", "globex"):
        log.append(account, [event(account=account) for _ in range(9)])
    readers = {("acme", 1): 2, ("acme", 2): 2, ("acme", 3): 1, ("globex", 8): 2}

    updates = reader_of(log).updates(readers, 5, most_pages=3)

    assert list(updates.pages) == [("acme", 3), ("globex", 8), ("acme", 2)]
    assert updates.left == {("acme", 1)}


def test_a_look_is_over_when_it_has_events_enough() -> None:
    log = MemoryEventLog()
    log.append("acme", [event() for _ in range(9)])

    updates = reader_of(log).updates({("acme", position): 0 for position in range(9)}, 4, most_events=8)

    # The four last are the least behind; they have 1, 2, 3 and 4 events.
    assert list(updates.pages) == [("acme", position) for position in (8, 7, 6, 5)]
    assert updates.left == {("acme", position) for position in range(5)}
