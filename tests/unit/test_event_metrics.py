"""How far publishing events is behind, as the process that sweeps measures it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from prometheus_client import REGISTRY

from tests.factories import make_job_id
from tests.fakes import FakeClock
from wavecom.core.client_events import UnpublishedEvents
from wavecom.core.job import RecordedEvent
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.event_metrics import EventSampler


class Jobs:
    """``RecordedEvents``: of one job, with an event at each of these times."""

    def __init__(self) -> None:
        self.times: list[datetime] = []
        self.is_away = False

    def due(self, now: datetime, limit: int) -> Sequence[UnpublishedEvents]:
        if self.is_away:
            raise StoreError("away")
        events = tuple(RecordedEvent(status=Status.QUEUED, at=at, attempts=0) for at in self.times)
        job = UnpublishedEvents(make_job_id(), "acme", Channel.SMS, None, {}, events, len(events))
        return [job][:limit] if events else []

    def settle(self, published: Sequence[UnpublishedEvents]) -> None:
        raise NotImplementedError


def age() -> float:
    value = REGISTRY.get_sample_value("wavecom_events_unpublished_age_seconds")
    assert value is not None
    return value


def test_the_age_is_that_of_the_first_event_until_it_is_published() -> None:
    clock, jobs = FakeClock(), Jobs()
    sampler = EventSampler(jobs, clock)
    jobs.times = [clock.now()]

    clock.advance(90)
    jobs.times.append(clock.now())
    sampler.sample()
    waiting = age()
    jobs.times = []
    sampler.sample()

    assert (waiting, age()) == (90, 0)


def test_an_event_that_a_clock_ahead_of_ours_has_dated_is_new() -> None:
    clock, jobs = FakeClock(), Jobs()
    clock.advance(5)
    jobs.times = [clock.now()]
    clock.advance(-5)

    EventSampler(jobs, clock).sample()

    assert age() == 0


def test_while_the_store_is_away_nobody_can_tell_and_the_sweep_goes_on() -> None:
    clock, jobs = FakeClock(), Jobs()
    sampler = EventSampler(jobs, clock)
    jobs.is_away = True

    sampler.sample()
    unknown = age()
    jobs.is_away = False
    sampler.sample()

    assert math.isnan(unknown)
    assert age() == 0
