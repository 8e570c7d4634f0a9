from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import Any

from structlog.testing import capture_logs

from tests.factories import make_job
from tests.unit.routing.test_router import ScriptedGate
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.ports import AFTER_CLAIM, TEST_SANDBOX, NoFiles, Permit, Refusal
from wavecom.core.provider_calls import message_of
from wavecom.core.route_conditions import Conditions
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep
from wavecom.routing.router import ALL_WAIT, NO_ROUTE, Router

LANE = Lane(Channel.SMS, Priority.NORMAL)
GERMAN = Route(Route.of("a", "b").steps, "germany", Conditions(countries=frozenset({"DE"})), "SHOP")
BRITISH = Route(Route.of("c").steps, "britain", Conditions(countries=frozenset({"GB"})))
TESTS = Route(Route.of("box").steps, "tests", Conditions(clients=frozenset({"acme"}), is_test=True))


def job(number: str = "+4915112345678", **overrides: Any) -> Job:
    return make_job(type=Channel.SMS, to={"phone": number}, **overrides)


def rest(environment: Environment, job: Job) -> float:
    """How long a job rests that asks and is refused."""
    answer = environment.router.reserve_for(job)
    assert isinstance(answer, Refusal)
    return environment.router.parking_seconds(job.lane, answer)


@dataclass
class Environment:
    """A router with a gate whose refusals are written down, at a time that moves when told to."""

    waits: dict[str, float] = field(default_factory=lambda: {"a": 0, "b": 0, "c": 0})
    now: float = 0.0

    def __post_init__(self) -> None:
        self.gate = ScriptedGate(self.waits)
        self.router = Router(
            {Channel.SMS: ChannelRoutes((TESTS, GERMAN, BRITISH))},
            self.gate,
            threads=16,
            stopping=Event(),
            monotonic=lambda: self.now,
            draw=lambda: 0.5,
        )


def test_a_message_is_admitted_without_a_provider_while_any_may_be_called() -> None:
    environment = Environment({"a": 9, "b": 9, "c": 0})

    permit = environment.router.reserve(LANE)

    assert permit == Permit(AFTER_CLAIM)
    assert environment.gate.asked == []
    environment.router.release(Permit(AFTER_CLAIM), None)
    assert environment.gate.released == []


def test_while_none_may_be_called_messages_are_held_as_ever() -> None:
    environment = Environment({"a": 9, "b": 5, "c": 7})

    assert environment.router.reserve(LANE) == Refusal("", ALL_WAIT, 5)


def test_a_known_job_has_the_permit_of_its_own_route() -> None:
    router = Environment().router

    assert router.reserve_for(job("+4915112345678")) == Permit("a")
    assert router.reserve_for(job("+447700900123")) == Permit("c")
    assert router.reserve_next(job("+4915112345678"), ["a"]) == Permit("b")
    assert router.reserve_next(job("+447700900123"), ["c"]) is None


def test_one_routes_trouble_is_not_the_others() -> None:
    router = Environment({"a": 60, "b": 60, "c": 0}).router

    assert router.reserve(LANE) == Permit(AFTER_CLAIM)
    assert router.reserve_for(job("+4915112345678")) == Refusal("a", "busy", 60)
    assert router.reserve_for(job("+447700900123")) == Permit("c")


def test_jobs_that_wait_for_one_provider_come_back_one_after_the_other() -> None:
    environment = Environment({"a": 9, "b": 9, "c": 0.5})

    assert [rest(environment, job("+447700900123")) for _ in range(4)] == [0.5, 1.0, 1.5, 2.0]


def test_who_asks_again_before_he_rests_stands_in_line_once() -> None:
    environment = Environment({"a": 9, "b": 9, "c": 0.5})
    british = job("+447700900123")
    for _ in range(3):
        environment.router.reserve_for(british)

    assert rest(environment, british) == 0.5


def test_a_job_of_high_priority_comes_back_behind_none_of_bulk() -> None:
    environment = Environment({"a": 9, "b": 9, "c": 0.5})
    for _ in range(4):
        rest(environment, job("+447700900123", priority=Priority.BULK))

    assert rest(environment, job("+447700900123", priority=Priority.HIGH)) == 0.5


def test_who_is_turned_away_shortens_no_line_and_who_gets_a_permit_does() -> None:
    environment = Environment({"a": 9, "b": 9, "c": 0.5})
    british = job("+447700900123")
    for _ in range(3):
        rest(environment, british)
    environment.waits["c"] = 0
    environment.router.reserve_for(british)
    environment.router.reserve_for(british)
    environment.waits["c"] = 0.5

    assert rest(environment, british) == 1.0


def test_nobody_rests_for_more_than_a_minute_behind_others() -> None:
    environment = Environment({"a": 9, "b": 9, "c": 2.0})

    assert max(rest(environment, job("+447700900123")) for _ in range(100)) == 60


def test_what_jobs_were_told_holds_back_the_next_messages_too() -> None:
    environment = Environment({"a": 0.25, "b": 0.25, "c": 0.25})
    # As a breaker does that is half open: worth asking, and then all its probes are out.
    environment.gate.expected = dict.fromkeys("abc", 0.0)
    rest(environment, job("+4915112345678"))
    environment.router.reserve_next(job("+4915112345678"), ["a"])
    before = environment.router.reserve(LANE)
    rest(environment, job("+447700900123"))
    environment.gate.expected = {"a": 0.0, "b": 9.0, "c": 0.0}

    held = environment.router.reserve(LANE)
    environment.now += 0.25

    assert before == Permit(AFTER_CLAIM)
    assert held == Refusal("", ALL_WAIT, 0.25)
    assert environment.router.reserve(LANE) == Permit(AFTER_CLAIM)


def test_a_pause_that_people_end_holds_back_no_message_any_more() -> None:
    environment = Environment({"a": 3600, "b": 3600, "c": 3600})
    for number in ("+4915112345678", "+447700900123"):
        rest(environment, job(number))
    environment.gate.expected = {"a": 0.0, "b": 9.0, "c": 0.0}

    assert environment.router.reserve(LANE) == Permit(AFTER_CLAIM)


def test_a_job_that_no_route_is_for_waits_and_people_are_told() -> None:
    router = Environment().router

    with capture_logs() as logs:
        answer = router.reserve_for(job("+33612345678"))

    assert answer == Refusal("", NO_ROUTE, 60)
    assert [entry["event"] for entry in logs] == ["channel_without_route"]


def test_a_routes_sender_is_put_into_its_messages_alone() -> None:
    router = Environment().router

    assert router.payload_of(job(payload={"text": "a"})) == {"text": "a", "senderId": "SHOP"}
    assert router.payload_of(job("+447700900123", payload={"text": "a"})) == {"text": "a"}


def test_a_provider_is_told_whether_the_route_named_the_sender() -> None:
    router = Environment().router

    def own_sender(each: Job) -> str | None:
        return message_of(each, NoFiles(), router.payload_of(each)).own_sender_field

    assert own_sender(job(payload={"text": "a"})) is None
    assert own_sender(job(payload={"text": "a", "senderId": "OWN"})) == "senderId"
    assert own_sender(job("+447700900123", payload={"text": "a", "senderId": "OWN"})) == "senderId"


def test_a_test_accounts_job_meets_a_sandbox_and_nothing_else() -> None:
    environment = Environment()
    own, other = job(client="acme:test"), job(client="bank:test")

    assert environment.router.reserve_next(own, []) == Permit(TEST_SANDBOX)
    assert [environment.router.sandbox_of(each) for each in (own, other, job())] == ["box", None, None]
    assert environment.router.payload_of(own) == own.payload
    assert environment.gate.asked == []


def test_weights_change_while_it_runs() -> None:
    step = RouteStep((Alternative("a", 50), Alternative("b", 50)))
    router = Router(
        {Channel.SMS: ChannelRoutes((Route((step,)),))},
        ScriptedGate({"a": 0, "b": 0}),
        threads=4,
        stopping=Event(),
        monotonic=lambda: 0.0,
        draw=lambda: 0.0,
    )

    before = router.reserve(LANE)
    router.set_weights({"a": 0}, {})
    after = router.reserve(LANE)
    router.set_weights({}, {})

    assert [before, after, router.reserve(LANE)] == [Permit("a"), Permit("b"), Permit("a")]
