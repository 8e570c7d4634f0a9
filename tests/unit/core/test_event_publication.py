from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pytest

from tests.factories import NOW, later, make_job_id
from tests.fakes import FakeClock
from tests.memory_storage import MemoryEventLog
from wavecom.core.client_events import ClientEvent, UnpublishedEvents
from wavecom.core.event_publication import EventPublication
from wavecom.core.job import RecordedEvent
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.errors import StoreError


class Jobs:
    """``RecordedEvents`` of these jobs."""

    def __init__(self, *unpublished: UnpublishedEvents) -> None:
        self.unpublished = list(unpublished)

    def due(self, now: datetime, limit: int) -> Sequence[UnpublishedEvents]:
        return self.unpublished[:limit]

    def settle(self, published: Sequence[UnpublishedEvents]) -> None:
        self.unpublished = [each for each in self.unpublished if each not in published]


class Subscriber:
    """Notes what it is told, unless the store is away."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_away = False

    def add(self, events: Mapping[str, Sequence[ClientEvent]]) -> None:
        if self.is_away:
            raise StoreError("away")
        self.told += [event.event_id for each in events.values() for event in each]


def unpublished(*events: tuple[Status, datetime], account: str = "acme") -> UnpublishedEvents:
    recorded = tuple(RecordedEvent(status=status, at=at, attempts=1) for status, at in events)
    return UnpublishedEvents(make_job_id(), account, Channel.SMS, None, {}, recorded, len(recorded))


def test_what_a_subscriber_could_not_keep_is_brought_again() -> None:
    job = unpublished((Status.QUEUED, NOW))
    jobs, log, subscriber = Jobs(job), MemoryEventLog(), Subscriber()
    publication = EventPublication(recorded=jobs, log=log, subscribers=[subscriber], clock=FakeClock())
    subscriber.is_away = True
    with pytest.raises(StoreError):
        publication.run()

    subscriber.is_away = False
    publication.run()

    assert subscriber.told == [f"{job.job_id}.1"]
    assert [event.position for event in log.after("acme", 0, 10)] == [1]
    assert jobs.unpublished == []


def test_events_of_one_job_keep_their_order_whatever_the_clocks_of_workers_say() -> None:
    job = unpublished((Status.QUEUED, later(3)), (Status.RETRYING, later(1)), (Status.DELIVERED, later(2)))
    other = unpublished((Status.QUEUED, later(1.5)))
    log = MemoryEventLog()
    EventPublication(recorded=Jobs(job, other), log=log, subscribers=[], clock=FakeClock()).run()

    found = [event.event_id for event in log.after("acme", 0, 10)]

    assert [event_id for event_id in found if event_id.startswith(job.job_id)] == [
        f"{job.job_id}.{version}" for version in (1, 2, 3)
    ]
    assert found.index(f"{other.job_id}.1") == 1


def test_a_flood_of_events_leaves_others_their_turn_each_second() -> None:
    clock = FakeClock()

    class Flood(Jobs):
        def due(self, now: datetime, limit: int) -> Sequence[UnpublishedEvents]:
            clock.advance(0.3)
            return [unpublished((Status.QUEUED, NOW)) for _ in range(limit)]

    began = clock.monotonic()
    count = EventPublication(recorded=Flood(), log=MemoryEventLog(), subscribers=[], clock=clock, batch=10).run()

    assert count >= 30
    assert clock.monotonic() - began < 1.5
