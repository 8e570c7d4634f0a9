"""Weights and pauses that people have changed, followed by every worker, with each gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import redis

from tests.contract.gate.fleet import AnyGate, Fleet, call, granted, health, knows, refusal, wait_until
from tests.fakes import FakeClock
from tests.memory_storage import MemoryOverrideStore, MemoryWeightFactorStore
from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.receipt_health import ReceiptHealth, WeightFactor
from wavecom.local.servers import PrivateRedis
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState
from wavecom.routing.gate import GateSettings
from wavecom.routing.overrides import FACTORS_EVERY, PUBLISH_EVERY, OverrideFollower

NO_CREDIT = ProviderResult(Outcome.UNAVAILABLE, "http_402", scope=Scope.PROVIDER, reason=Reason.BALANCE)


class Board:
    """What was published last, and how often anything was."""

    def __init__(self) -> None:
        self.statuses: Sequence[ProviderStatus] = ()
        self.published = 0

    def publish(self, statuses: Sequence[ProviderStatus]) -> None:
        self.statuses = statuses
        self.published += 1

    def read(self) -> Mapping[str, ProviderStatus]:
        return {each.provider: each for each in self.statuses}


class Environment:
    """The store, and workers that follow it when they are told to."""

    def __init__(self) -> None:
        self.store = MemoryOverrideStore()
        self.factors = MemoryWeightFactorStore()
        self.board = Board()
        self.clock = FakeClock()
        #: Weights and factors, as they were handed on.
        self.weights: list[tuple[Mapping[str, float], Mapping[str, float]]] = []

    def follower(self, member: AnyGate) -> OverrideFollower:
        return OverrideFollower(
            self.store,
            factors=self.factors,
            set_weights=lambda *weights: self.weights.append(weights),
            gate=member,
            now=self.clock.now,
            board=self.board,
        )

    def pause(self, seconds: float | None) -> None:
        until = None if seconds is None else self.clock.now() + timedelta(seconds=seconds)
        # By a real clock, as Redis has one: it compares when somebody said so with what has happened since.
        self.store.set_pause("sms", until, "ada", "maintenance", datetime.now(UTC))


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_a_pause_holds_for_all_and_ends_when_it_is_taken_back(fleet: Fleet, environment: Environment) -> None:
    first, second = fleet.join(GateSettings()), fleet.join(GateSettings())
    followers = [environment.follower(member) for member in (first, second)]
    environment.pause(600)

    for follower in followers:
        follower.refresh()

    for member in (first, second):
        assert refusal(member).reason == gate.THROTTLED
        assert 500 < health(member).throttled_for_seconds <= 600
        assert health(member).throttled_reason == "paused by ada: maintenance"
        assert 500 < member.paused()["sms"] <= 600

    environment.pause(None)
    for follower in followers:
        follower.refresh()
    assert [member.paused() for member in (first, second)] == [{}, {}]
    assert granted(first)
    assert granted(second)


def test_who_opens_a_provider_closes_its_breaker_too(fleet: Fleet, environment: Environment) -> None:
    member = fleet.join(GateSettings())
    follower = environment.follower(member)
    follower.refresh()
    call(member, NO_CREDIT)
    knows(member, BreakerState.OPEN)

    environment.pause(None)
    follower.refresh()

    knows(member, BreakerState.CLOSED)
    assert granted(member)


def test_an_opening_of_before_a_worker_began_opens_nothing(fleet: Fleet, environment: Environment) -> None:
    member = fleet.join(GateSettings())
    follower = environment.follower(member)
    environment.pause(None)
    call(member, NO_CREDIT)
    knows(member, BreakerState.OPEN)

    follower.refresh()
    follower.refresh()

    assert refusal(member).reason == gate.BREAKER_OPEN


def test_a_worker_that_starts_later_follows_too(fleet: Fleet, environment: Environment) -> None:
    environment.pause(600)
    member = fleet.join(GateSettings())

    environment.follower(member).refresh()

    assert refusal(member).reason == gate.THROTTLED


def test_a_pause_that_is_made_shorter_is_shorter(fleet: Fleet, environment: Environment) -> None:
    member = fleet.join(GateSettings())
    follower = environment.follower(member)
    environment.pause(600)
    follower.refresh()

    environment.pause(60)
    follower.refresh()

    assert 50 < health(member).throttled_for_seconds <= 60


def test_a_longer_pause_that_the_provider_asked_for_is_not_cut_short(fleet: Fleet, environment: Environment) -> None:
    member = fleet.join(GateSettings())
    follower = environment.follower(member)
    member.set_pause("sms", 900, "the provider asked for it")
    environment.pause(60)

    follower.refresh()
    follower.refresh()

    assert health(member).throttled_for_seconds > 800


def test_a_pause_that_is_over_holds_nobody(fleet: Fleet, environment: Environment) -> None:
    member = fleet.join(GateSettings())
    environment.pause(60)
    environment.clock.advance(61)

    environment.follower(member).refresh()

    assert granted(member)


def test_a_redis_that_has_forgotten_everything_is_told_again(
    shared: Fleet, redis_url: str, environment: Environment
) -> None:
    member = shared.join(GateSettings())
    follower = environment.follower(member)
    environment.pause(600)
    follower.refresh()

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    wait_until(lambda: health(member).throttled_for_seconds == 0, "the pause is forgotten")
    follower.refresh()

    assert refusal(member).reason == gate.THROTTLED


def test_a_pause_is_followed_though_redis_is_away(
    shared: Fleet, redis_server: PrivateRedis, environment: Environment
) -> None:
    member = shared.join(GateSettings())
    granted(member)
    redis_server.stop()
    wait_until(lambda: not health(member).is_shared, "Redis is found away")
    environment.pause(600)

    follower = environment.follower(member)
    follower.refresh()
    paused, lasting = refusal(member), member.paused()
    environment.pause(None)
    follower.refresh()

    assert paused.reason == gate.THROTTLED
    assert [*lasting] == ["sms"]
    assert granted(member)


def test_a_provider_that_is_opened_while_redis_is_away_stays_open_when_it_is_back(
    shared: Fleet, redis_server: PrivateRedis, environment: Environment
) -> None:
    member = shared.join(GateSettings())
    follower = environment.follower(member)
    follower.refresh()
    call(member, NO_CREDIT)
    knows(member, BreakerState.OPEN)
    redis_server.stop()
    wait_until(lambda: not health(member).is_shared, "Redis is found away")
    environment.pause(None)
    follower.refresh()
    alone = health(member).state

    redis_server.start()
    wait_until(lambda: health(member).is_shared, "Redis is found back")

    assert alone is BreakerState.CLOSED
    assert health(member).state is BreakerState.CLOSED
    assert granted(member)


def test_who_reads_late_that_a_provider_was_opened_does_not_open_it_again(
    fleet: Fleet, environment: Environment
) -> None:
    first, second = fleet.join(GateSettings()), fleet.join(GateSettings())
    followers = [environment.follower(member) for member in (first, second)]
    for follower in followers:
        follower.refresh()
    call(first, NO_CREDIT)
    for member in (first, second):
        knows(member, BreakerState.OPEN)
    environment.pause(None)
    followers[0].refresh()
    for member in (first, second):
        knows(member, BreakerState.CLOSED)
    call(first, NO_CREDIT)
    for member in (first, second):
        knows(member, BreakerState.OPEN)

    followers[1].refresh()

    assert health(second).state is BreakerState.OPEN
    assert refusal(first).reason == gate.BREAKER_OPEN


def test_an_opening_that_comes_late_ends_nothing_that_began_after_it(shared: Fleet) -> None:
    member = shared.join(GateSettings())
    call(member, NO_CREDIT)
    knows(member, BreakerState.OPEN)
    member.set_pause("sms", 600, "maintenance")
    began = datetime.now(UTC)

    member.reopen("sms", "reopened by ada", began - timedelta(minutes=1))
    assert health(member).state is BreakerState.OPEN
    assert health(member).throttled_for_seconds > 0

    member.reopen("sms", "reopened by ada again", began)
    assert health(member).state is BreakerState.CLOSED
    assert health(member).throttled_for_seconds == 0
    assert granted(member)


def test_weights_are_handed_on_when_they_change_and_kept_while_the_store_is_away(
    fleet: Fleet, environment: Environment
) -> None:
    follower = environment.follower(fleet.join(GateSettings()))
    follower.refresh()
    environment.store.set_weight("sms", 20, "ada", "contract", environment.clock.now())
    follower.refresh()
    follower.refresh()
    environment.store.is_up = False
    follower.refresh()
    environment.store.is_up = True
    environment.store.set_weight("sms", None, "ada", "done", environment.clock.now())
    follower.refresh()

    assert environment.weights == [({"sms": 20}, {}), ({}, {})]


def test_what_receipts_leave_of_a_weight_is_handed_on_and_told_where_people_have_set_none(
    fleet: Fleet, environment: Environment
) -> None:
    follower = environment.follower(fleet.join(GateSettings()))
    now = environment.clock.now()
    environment.factors.replace("sms", None, WeightFactor(60, ReceiptHealth.SLOW, now, now))
    environment.factors.replace("other", None, WeightFactor(80, ReceiptHealth.SLOW, now, now))

    follower.refresh()
    follower.refresh()
    assert environment.weights == [({}, {"sms": 0.6, "other": 0.8})]
    assert [status.receipts[:18] for status in environment.board.statuses] == ["60 % of its weight"]

    environment.store.set_weight("sms", 20, "ada", "contract", now)
    follower.refresh()
    follower.refresh()
    assert environment.weights[1:] == [({"sms": 20}, {"other": 0.8})]
    assert [status.receipts for status in environment.board.statuses] == [""]


def test_what_changes_seldom_is_asked_for_and_told_seldom(fleet: Fleet, environment: Environment) -> None:
    member = fleet.join(GateSettings())
    follower = environment.follower(member)
    follower.refresh()
    now = environment.clock.now()
    environment.factors.replace("sms", None, WeightFactor(60, ReceiptHealth.SLOW, now, now))

    follower.refresh()
    assert (environment.weights, environment.board.published) == ([], 1)

    environment.clock.advance(FACTORS_EVERY.total_seconds())
    follower.refresh()
    assert environment.weights == [({}, {"sms": 0.6})]

    # A change is told at once.
    told = environment.board.published
    member.set_pause("sms", 600, "maintenance")
    follower.refresh()
    assert environment.board.published == told + 1
    follower.refresh()
    assert environment.board.published == told + 1
    environment.clock.advance(PUBLISH_EVERY.total_seconds())
    follower.refresh()
    assert environment.board.published == told + 2


def test_what_holds_for_a_provider_of_another_file_is_passed_by(fleet: Fleet, environment: Environment) -> None:
    member = fleet.join(GateSettings())
    until = environment.clock.now() + timedelta(hours=1)
    environment.store.set_pause("gone", until, "ada", "maintenance", environment.clock.now())

    environment.follower(member).refresh()

    assert granted(member)
