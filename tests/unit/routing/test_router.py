from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import make_job
from tests.waiting import wait_until
from wavecom.core.job import CallResult, Outcome, ProviderResult, Scope
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.ports import TEST_SANDBOX, Permit, Refusal
from wavecom.core.routes import ChannelRoutes
from wavecom.routing.breaker import ProviderHealth
from wavecom.routing.router import NO_ROUTE, Router

SMS = make_job(type=Channel.SMS)
TEST_SMS = make_job(type=Channel.SMS, client="acme:test")
TEST_LANE = Lane(Channel.SMS, Priority.NORMAL, is_test=True)


@dataclass
class ScriptedGate:
    """Refuses each provider for the seconds it is told; 0 grants."""

    waits: dict[str, float]
    #: What it expects before it is asked; what it answers, where that is not said.
    expected: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    released: list[tuple[Permit, ProviderResult | None, float, str]] = field(default_factory=list)
    charged: list[tuple[Permit, int]] = field(default_factory=list)

    def acquire(self, provider: str, priority: Priority, cost: int = 1) -> Permit | Refusal:
        self.asked.append(provider)
        wait = self.waits[provider]
        if wait == 0:
            return Permit(provider)
        return Refusal(provider, "busy", wait)

    def release(self, permit: Permit, answer: ProviderResult | None, latency_ms: float, recipient: str = "") -> None:
        self.released.append((permit, answer, latency_ms, recipient))

    def charge(self, permit: Permit, extra_cost: int) -> None:
        self.charged.append((permit, extra_cost))

    def wait_seconds(self, provider: str, priority: Priority) -> float:
        return self.expected.get(provider, self.waits[provider])

    def paused(self) -> Mapping[str, float]:
        return {}

    def snapshot(self) -> list[ProviderHealth]:
        return []


class Waiting(Event):
    """An event whose waits take no time: they move ``now`` and run what is planned for that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.plan: dict[float, object] = {}
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0)
        self.now += timeout or 0
        for at in [at for at in self.plan if at <= self.now]:
            action = self.plan.pop(at)
            assert callable(action)
            action()
        return self.is_set()


def a_router(
    gate: ScriptedGate,
    routes: Mapping[Channel, ChannelRoutes] | None = None,
    *,
    stopping: Waiting | None = None,
    threads: int = 16,
) -> Router:
    stopping = stopping or Waiting()
    return Router(
        routes or {Channel.SMS: ChannelRoutes.of("first", "second")},
        gate,
        threads=threads,
        stopping=stopping,
        monotonic=stopping.monotonic,
        draw=lambda: 0.5,
    )


def test_the_first_provider_of_the_route_that_may_be_called_is_taken() -> None:
    gate = ScriptedGate({"first": 9, "second": 0})

    permit = a_router(gate).reserve(Lane(Channel.SMS, Priority.NORMAL))

    assert permit == Permit("second")
    assert gate.asked == ["first", "second"]


def test_the_preferred_provider_is_asked_first() -> None:
    gate = ScriptedGate({"first": 0, "second": 0})

    permit = a_router(gate).reserve(Lane(Channel.SMS, Priority.NORMAL), prefer="second")

    assert permit == Permit("second")


def test_when_none_may_be_called_the_shortest_wait_is_answered() -> None:
    gate = ScriptedGate({"first": 9, "second": 3})

    refusal = a_router(gate).reserve(Lane(Channel.SMS, Priority.NORMAL), wait_seconds=1)

    assert refusal == Refusal("second", "busy", 3)


def test_a_permit_expected_soon_is_waited_for() -> None:
    gate = ScriptedGate({"first": 9, "second": 0.2})
    stopping = Waiting()
    stopping.plan[0.2] = lambda: gate.waits.update(second=0)

    permit = a_router(gate, stopping=stopping).reserve(Lane(Channel.SMS, Priority.NORMAL), wait_seconds=1)

    assert permit == Permit("second")
    assert stopping.pauses == [0.2]


def test_nobody_waits_who_did_not_ask_to() -> None:
    gate = ScriptedGate({"first": 0.2, "second": 0.2})
    stopping = Waiting()

    refusal = a_router(gate, stopping=stopping).reserve(Lane(Channel.SMS, Priority.NORMAL))

    assert isinstance(refusal, Refusal)
    assert stopping.pauses == []


def test_waiting_ends_within_a_second_even_if_every_promise_is_broken() -> None:
    gate = ScriptedGate({"first": 0.3, "second": 0.4})
    stopping = Waiting()

    refusal = a_router(gate, stopping=stopping).reserve(Lane(Channel.SMS, Priority.NORMAL), wait_seconds=60)

    assert isinstance(refusal, Refusal)
    assert stopping.now == pytest.approx(0.9)


def test_waiting_ends_when_the_worker_stops() -> None:
    gate = ScriptedGate({"first": 0.1, "second": 0.1})
    stopping = Waiting()
    stopping.plan[0.1] = stopping.set

    refusal = a_router(gate, stopping=stopping).reserve(Lane(Channel.SMS, Priority.NORMAL), wait_seconds=1)

    assert isinstance(refusal, Refusal)
    assert stopping.pauses == [0.1]


class CountedWaits(Event):
    """Counts who has begun to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.begun += 1
        return super().wait(60)


def test_only_a_few_threads_wait_and_high_still_finds_a_place() -> None:
    gate = ScriptedGate({"first": 0.9, "second": 0.9})
    stopping = CountedWaits()
    router = Router(
        {Channel.SMS: ChannelRoutes.of("first", "second")},
        gate,
        threads=8,
        stopping=stopping,
        monotonic=lambda: 0.0,
        draw=lambda: 0.5,
    )

    def ask(priority: Priority) -> Permit | Refusal:
        return router.reserve(Lane(Channel.SMS, priority), wait_seconds=1)

    bulk, high = Thread(target=ask, args=[Priority.BULK]), Thread(target=ask, args=[Priority.HIGH])
    try:
        bulk.start()
        wait_until(lambda: stopping.begun == 1, "the first of bulk waits")

        assert isinstance(ask(Priority.BULK), Refusal)
        assert stopping.begun == 1

        high.start()
        wait_until(lambda: stopping.begun == 2, "high waits too")
    finally:
        stopping.set()
        bulk.join(60)
        high.join(60)
    # The places are free again.
    ask(Priority.BULK)
    assert stopping.begun == 3


# --- jobs that are parked, where no message can be held ---------------------------------------------------------------

BULK, HIGH = Lane(Channel.SMS, Priority.BULK), Lane(Channel.SMS, Priority.HIGH)


def parking_seconds(router: Router, lane: Lane) -> float:
    refusal = router.reserve(lane)
    assert isinstance(refusal, Refusal)
    return router.parking_seconds(lane, refusal)


def test_parked_jobs_come_back_one_after_another_for_the_permits_of_a_rate() -> None:
    router = a_router(ScriptedGate({"first": 2, "second": 9}))

    assert [parking_seconds(router, BULK) for _ in range(4)] == [2, 4, 6, 8]


def test_parked_jobs_come_back_together_when_a_breaker_lets_them() -> None:
    router = a_router(ScriptedGate({"first": 30, "second": 40}))

    assert [parking_seconds(router, BULK) for _ in range(3)] == [30, 30, 30]


def test_a_parked_job_of_high_priority_does_not_rest_behind_those_of_bulk() -> None:
    router = a_router(ScriptedGate({"first": 2, "second": 9}))
    for _ in range(5):
        parking_seconds(router, BULK)

    assert parking_seconds(router, HIGH) == 2


def test_who_gets_a_permit_lets_the_parked_jobs_behind_him_come_sooner() -> None:
    gate = ScriptedGate({"first": 2, "second": 9})
    router = a_router(gate)
    for _ in range(3):
        parking_seconds(router, BULK)

    gate.waits["first"] = 0
    for _ in range(2):
        assert router.reserve(BULK) == Permit("first")
    gate.waits["first"] = 2

    assert parking_seconds(router, BULK) == 4


def test_where_no_route_leads_the_refusal_says_how_long() -> None:
    router = a_router(ScriptedGate({}))

    assert parking_seconds(router, Lane(Channel.PUSH, Priority.HIGH)) == 60


def test_failover_goes_to_a_provider_that_was_not_tried() -> None:
    gate = ScriptedGate({"first": 0, "second": 0})

    permit = a_router(gate).reserve_next(SMS, ["first"])

    assert permit == Permit("second")


def test_failover_does_not_wait() -> None:
    gate = ScriptedGate({"first": 0, "second": 0.1})

    refusal = a_router(gate).reserve_next(SMS, ["first"])

    assert refusal == Refusal("second", "busy", 0.1)


def test_failover_ends_with_the_route() -> None:
    gate = ScriptedGate({"first": 0, "second": 0})

    answer = a_router(gate).reserve_next(SMS, ["second", "first"])

    assert answer is None
    assert gate.asked == []


def test_a_channel_without_a_route_is_refused() -> None:
    router = a_router(ScriptedGate({}))

    refusal = router.reserve(Lane(Channel.PUSH, Priority.HIGH), wait_seconds=1)

    assert isinstance(refusal, Refusal)
    assert refusal.reason == NO_ROUTE


def test_what_came_of_the_call_is_reported_to_the_gate() -> None:
    gate = ScriptedGate({"first": 0, "second": 0})
    router = a_router(gate)
    answer = ProviderResult(Outcome.ACCEPTED, "http_200")

    router.release(Permit("first"), CallResult("first", answer, datetime(2026, 1, 1, tzinfo=UTC), 12.5, "key"))
    router.release(Permit("second"), None)

    assert gate.released == [(Permit("first"), answer, 12.5, "key"), (Permit("second"), None, 0, "")]


def test_only_a_surplus_is_charged() -> None:
    gate = ScriptedGate({"first": 0, "second": 0})
    router = a_router(gate)

    router.charge(Permit("first"), 0)
    router.charge(Permit("first"), 2)

    assert gate.charged == [(Permit("first"), 2)]


def test_a_place_in_the_sandbox_asks_no_gate_and_tells_it_nothing() -> None:
    gate = ScriptedGate({"first": 60, "second": 60})
    router = a_router(gate)

    permit = router.reserve(TEST_LANE)
    assert isinstance(permit, Permit)
    router.charge(permit, 3)
    router.release(
        permit,
        CallResult(TEST_SANDBOX, ProviderResult(Outcome.UNAVAILABLE, "http_503"), datetime(2026, 1, 1, tzinfo=UTC), 9),
    )

    assert (gate.asked, gate.charged, gate.released) == ([], [], [])


def test_the_sandbox_holds_no_more_than_its_share_of_the_threads() -> None:
    router = a_router(ScriptedGate({"first": 0, "second": 0}), threads=16)

    answers = [router.reserve(TEST_LANE) for _ in range(5)]
    router.release(Permit(TEST_SANDBOX), None)
    again = router.reserve(TEST_LANE)

    assert [isinstance(answer, Permit) for answer in answers] == [True] * 4 + [False]
    assert isinstance(again, Permit)


def test_a_domain_whose_recipients_are_told_to_come_back_waits_and_no_other_does() -> None:
    routes = {Channel.EMAIL: ChannelRoutes.of("first", "second")}
    router = a_router(ScriptedGate({"first": 0, "second": 0}), routes)
    greylisted = ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=Scope.DESTINATION)

    for recipient in "abc":
        outcome = CallResult("first", greylisted, datetime(2026, 1, 1, tzinfo=UTC), 9, recipient, "grey.example")
        router.release(Permit("first"), outcome)

    def waits(domain: str, **overrides: Any) -> list[str]:
        return [*router.destination_waits(make_job(type=Channel.EMAIL, to={"email": f"a@{domain}"}, **overrides))]

    assert waits("grey.example") == ["first"]
    assert waits("other.example") == []
    assert waits("grey.example", client="acme:test") == []


def test_that_messages_wait_for_a_route_is_told_once_a_minute() -> None:
    waiting = Waiting()
    router = a_router(ScriptedGate({"a": 0}), {Channel.EMAIL: ChannelRoutes.of("a")}, stopping=waiting)

    with capture_logs() as logs:
        for _ in range(150):
            router.reserve(Lane(Channel.SMS, Priority.NORMAL))
            router.reserve(Lane(Channel.EMAIL, Priority.NORMAL))
            waiting.now += 1

    assert [(entry["event"], entry["channel"]) for entry in logs] == [("channel_without_route", Channel.SMS)] * 3


def test_a_test_lane_has_the_sandbox_alone() -> None:
    gate = ScriptedGate({"first": 0, "second": 0})
    router = a_router(gate)

    assert router.reserve_next(TEST_SMS, []) == Permit(TEST_SANDBOX)
    assert router.reserve_next(TEST_SMS, [TEST_SANDBOX]) is None
    assert gate.asked == []


# --- regions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_conditional", [False, True])
def test_a_provider_that_is_bound_to_a_region_is_asked_for_no_other_regions_job(is_conditional: bool) -> None:
    gate = ScriptedGate({"bound": 0, "free": 9})
    routes = ChannelRoutes.of("bound", "free")
    if is_conditional:
        routes = ChannelRoutes((replace(routes.routes[0], sender="SHOP"),))
    router = Router(
        {Channel.SMS: routes},
        gate,
        threads=4,
        stopping=Event(),
        monotonic=lambda: 0.0,
        draw=lambda: 0.0,
        bound={"bound": {"eu"}},
    )
    eu, us = (make_job(type=Channel.SMS, region=region) for region in ("eu", "us"))

    assert isinstance(router.reserve(eu.lane), Permit)
    assert router.reserve_for(eu) == Permit("bound")
    assert isinstance(router.reserve(us.lane), Refusal)
    assert isinstance(router.reserve_for(us), Refusal)
    assert isinstance(router.reserve_next(us, ["free"], prefer="bound"), Refusal | None)
    assert gate.asked.count("bound") == (1 if is_conditional else 2)
