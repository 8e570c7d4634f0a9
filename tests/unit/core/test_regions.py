"""Which region a notification belongs to, which queues a region's workers consume, and whose backlog they may take."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.factories import make_job
from tests.memory_storage import MemoryAttendance
from wavecom.core.lanes import QUEUES, Channel, LaneQueue, in_region
from wavecom.core.region_attendance import Attendance, ConsumedLanes
from wavecom.core.regions import Region, Regions, problems
from wavecom.errors import UnavailableError

#: Whoever may help eu: us. Nobody may help ch, whose data stays.
REGIONS = Regions(
    {
        "eu": Region(name="eu", countries=frozenset({"DE"}), clients=frozenset({"bank"}), takeover=("us",)),
        "us": Region(name="us", countries=frozenset({"US"}), takeover=("eu", "ch")),
        "ch": Region(name="ch", countries=frozenset({"CH"}), clients=frozenset({"vault"})),
    },
    "eu",
)
SMS = LaneQueue("sms.high")
LIMIT_SECONDS = 60
#: Between two looks of a worker.
ROUND_SECONDS = 5
regions = st.sampled_from(list(REGIONS.regions))


@pytest.mark.parametrize(
    ("asked", "job", "region"),
    [
        (None, {"to": {"phone": "+41791234567"}}, "ch"),
        (None, {"to": {"phone": "+12125550123"}}, "us"),
        (None, {"to": {"phone": "+447700900123"}}, "eu"),
        (None, {"to": {"phone": "+12125550123"}, "client": "bank"}, "eu"),
        (None, {"to": {"phone": "+12125550123"}, "client": "vault:test"}, "ch"),
        (None, {"type": Channel.EMAIL, "to": {"email": "a@example.com"}}, "eu"),
        ("us", {"to": {"phone": "+41791234567"}, "client": "vault"}, "us"),
    ],
)
def test_who_asks_for_a_region_has_it_and_else_the_client_then_the_country_decides(
    asked: str | None, job: dict[str, Any], region: str
) -> None:
    assert REGIONS.of(asked, make_job(**({"type": Channel.SMS, "client": "shop"} | job))) == region


def test_an_unknown_region_is_a_problem_that_names_those_there_are() -> None:
    [unknown] = problems("mars", REGIONS)
    [none_at_all] = problems("eu", None)

    assert (unknown.where, unknown.code) == ("/region", "unknown_value")
    assert "eu, us, ch" in unknown.message
    assert "no regions" in none_at_all.message
    assert problems("eu", REGIONS) == problems(None, None) == []


def test_the_default_region_has_what_was_accepted_before_there_were_regions() -> None:
    assert REGIONS.queues_of("eu", [SMS]) == ["eu.sms.high", "sms.high"]
    assert REGIONS.queues_of("us", [SMS]) == ["us.sms.high"]


def test_a_worker_may_take_only_of_regions_that_allow_it() -> None:
    assert REGIONS.takeover_queues("us", [SMS]) == {"eu.sms.high": "eu", SMS: "eu"}
    assert REGIONS.takeover_queues("ch", [SMS]) == {"us.sms.high": "us"}
    assert "ch.sms.high" not in REGIONS.takeover_queues("eu", [SMS])


def test_who_may_take_over_for_the_default_region_has_what_was_accepted_before_there_were_regions_too() -> None:
    regions = Regions(REGIONS.regions, "us")

    assert regions.queues_of("us", [SMS]) == ["us.sms.high", SMS]
    assert regions.takeover_queues("eu", [SMS]) == {"us.sms.high": "us", SMS: "us"}


class TwoRegions:
    """A worker of eu, and one of us that may take over from it. ``now``: seconds."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.board = MemoryAttendance(lambda: self.now)
        self.us, self.eu = (self._worker(name) for name in ("us", "eu"))

    def _worker(self, region: str) -> ConsumedLanes:
        attendance = Attendance(self.board, limit_seconds=LIMIT_SECONDS, monotonic=lambda: self.now)
        worker = ConsumedLanes(REGIONS, region, self.board, attendance)
        worker.begin(QUEUES)
        return worker


def test_while_redis_was_away_nobody_could_say_that_he_is_there_so_absence_counts_anew() -> None:
    regions = TwoRegions()
    for worker in (regions.eu, regions.us):
        worker.refresh(is_consuming=True)

    regions.board.is_up = False
    regions.now += 2 * LIMIT_SECONDS
    with pytest.raises(UnavailableError):
        regions.us.refresh(is_consuming=True)
    regions.board.is_up = True
    regions.us.refresh(is_consuming=True)

    assert regions.us.taken_regions == set()
    regions.now += LIMIT_SECONDS
    regions.us.refresh(is_consuming=True)
    assert regions.us.taken_regions == {"eu"}


def test_a_worker_that_consumes_nothing_attends_nothing() -> None:
    regions = TwoRegions()
    regions.us.refresh(is_consuming=True)

    regions.now += LIMIT_SECONDS
    regions.eu.refresh(is_consuming=False)
    regions.us.refresh(is_consuming=True)

    assert regions.us.taken_regions == {"eu"}


class Takeovers(RuleBasedStateMachine):
    """Workers of three regions come and go, time passes, Redis goes away and loses what it knew."""

    @initialize()
    def start(self) -> None:
        self.now = 1000.0
        self.board = MemoryAttendance(lambda: self.now)
        self.workers = {name: self._worker(name) for name in REGIONS.regions}
        self.absent_since: dict[str, float] = {}
        #: Since when everybody could read what the others write.
        self.told_since = self.now
        self.refresh()

    def _worker(self, region: str) -> ConsumedLanes:
        attendance = Attendance(self.board, limit_seconds=LIMIT_SECONDS, monotonic=lambda: self.now)
        worker = ConsumedLanes(REGIONS, region, self.board, attendance)
        worker.begin(QUEUES)
        return worker

    def refresh(self) -> None:
        for name, worker in self.workers.items():
            if name not in self.absent_since:
                with suppress(UnavailableError):
                    worker.refresh(is_consuming=True)

    @rule(region=regions)
    def all_workers_of_a_region_die(self, region: str) -> None:
        self.absent_since.setdefault(region, self.now)

    @rule(region=regions)
    def a_worker_of_a_region_starts(self, region: str) -> None:
        if region in self.absent_since:
            del self.absent_since[region]
            self.workers[region] = self._worker(region)
            self.told_since = self.now

    @rule(rounds=st.integers(2, 20))
    def time_passes(self, rounds: int) -> None:
        for _ in range(rounds):
            self.now += ROUND_SECONDS
            self.refresh()
        if self.board.is_up:
            self.check()

    @rule()
    def redis_goes_or_comes_back(self) -> None:
        self.board.is_up = not self.board.is_up
        self.told_since = self.now

    @rule()
    def redis_loses_everything(self) -> None:
        self.board.clear()

    def check(self) -> None:
        for name, worker in self.workers.items():
            if name in self.absent_since:
                continue
            for other, region in REGIONS.regions.items():
                since = self.absent_since.get(other)
                absent_seconds = 0.0 if since is None else self.now - since
                if other in worker.taken_regions:
                    assert absent_seconds >= LIMIT_SECONDS - ROUND_SECONDS, "it had a worker of its own"
                elif since is not None and name in region.takeover:
                    told_seconds = self.now - max(since, self.told_since)
                    assert told_seconds < LIMIT_SECONDS + 2 * ROUND_SECONDS, "nobody takes it"

    @invariant()
    def nobody_takes_what_its_region_forbids(self) -> None:
        for name, worker in self.workers.items():
            assert all(name in REGIONS.regions[taken].takeover for taken in worker.taken_regions)
            assert "ch.sms.high" not in worker.queues or name == "ch"

    @invariant()
    def each_has_its_own(self) -> None:
        for name, worker in self.workers.items():
            assert {in_region(queue, name) for queue in QUEUES} <= set(worker.queues)


TestTakeovers = Takeovers.TestCase
TestTakeovers.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
