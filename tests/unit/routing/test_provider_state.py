from __future__ import annotations

from dataclasses import dataclass

from wavecom.core.job import Outcome, ProviderResult
from wavecom.core.lanes import Priority
from wavecom.core.ports import Refusal
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState
from wavecom.routing.evidence import CallCounts
from wavecom.routing.gate import GateSettings, IssuedPermit
from wavecom.routing.pause import PauseRequest
from wavecom.routing.provider_state import URGENT_FAILURES, ProviderState
from wavecom.routing.shared import Denial, Grant, SharedState, StateDelta

GOOD = ProviderResult(Outcome.ACCEPTED, "http_202")
BAD = ProviderResult(Outcome.UNAVAILABLE, "http_503")
WAIT = ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=30)


@dataclass
class Time:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def a_state(settings: GateSettings | None = None, time: Time | None = None) -> ProviderState:
    state = ProviderState("sms", settings or GateSettings(), time or Time())
    state.apply_view(SharedState())
    return state


def a_ticket(state: ProviderState) -> IssuedPermit:
    ticket = state.admit(Priority.NORMAL, 1)
    assert isinstance(ticket, IssuedPermit)
    return ticket


def test_before_anything_is_known_the_shared_server_is_asked() -> None:
    state = ProviderState("sms", GateSettings(), Time())

    assert state.admit(Priority.NORMAL, 1) is None


def test_a_closed_breaker_and_no_limit_need_no_asking() -> None:
    assert isinstance(a_state().admit(Priority.NORMAL, 1), IssuedPermit)


def test_a_limit_needs_asking_until_permits_are_there() -> None:
    state = a_state(GateSettings(rate_per_second=1000))

    before = state.admit(Priority.NORMAL, 1)
    state.apply_reply(Grant(3, False, SharedState()), Priority.NORMAL, 1, "")
    after = [state.admit(Priority.NORMAL, 1) for _ in range(3)]

    assert before is None
    assert [type(answer) for answer in after] == [IssuedPermit, IssuedPermit, type(None)]


def test_permits_of_one_lane_are_not_another_lanes() -> None:
    state = a_state(GateSettings(rate_per_second=1000))

    state.apply_reply(Grant(3, False, SharedState()), Priority.HIGH, 1, "")

    assert state.admit(Priority.BULK, 1) is None


def test_an_open_breaker_refuses_until_its_time_has_come() -> None:
    time = Time()
    state = a_state(time=time)
    state.apply_view(SharedState(BreakerState.OPEN, 1, open_for_seconds=5))

    during = state.admit(Priority.NORMAL, 1)
    time.now += 5
    after = state.admit(Priority.NORMAL, 1)

    assert during == Refusal("sms", gate.BREAKER_OPEN, 5)
    assert after is None


def test_a_request_for_a_pause_is_told_at_once_and_holds_when_the_fleet_says_so() -> None:
    state = a_state()

    is_urgent = state.record_result(a_ticket(state), WAIT, 5, "a")
    before = state.admit(Priority.NORMAL, 1)
    delta = state.take_delta()
    state.apply_view(SharedState(throttled_for_seconds=30))

    assert is_urgent
    assert isinstance(before, IssuedPermit)
    assert delta.pauses == (PauseRequest("a", 30, False, "http_429"),)
    assert not delta.was_taken
    assert state.admit(Priority.NORMAL, 1) == Refusal("sms", gate.THROTTLED, 30)


def test_a_call_that_was_taken_ends_the_row_of_requests() -> None:
    state = a_state()
    tickets = [a_ticket(state) for _ in range(3)]

    urgent = [
        state.record_result(ticket, answer, 5) for ticket, answer in zip(tickets, [WAIT, GOOD, WAIT], strict=True)
    ]
    delta = state.take_delta()

    assert urgent == [True, False, False]
    assert delta.was_taken
    assert len(delta.pauses) == 1


def test_a_pause_uses_up_what_was_fetched() -> None:
    time = Time()
    state = a_state(GateSettings(rate_per_second=1000), time)
    state.apply_reply(Grant(50, False, SharedState()), Priority.NORMAL, 1, "")

    state.apply_view(SharedState(throttled_for_seconds=0.1))
    time.now += 0.11

    assert state.admit(Priority.NORMAL, 1) is None


def test_after_a_pause_and_while_it_starts_slowly_the_shared_server_is_asked() -> None:
    time = Time()
    state = a_state(time=time)
    state.apply_view(SharedState(throttled_for_seconds=1))
    time.now += 1

    after = state.admit(Priority.NORMAL, 1)
    state.apply_view(SharedState(is_ramping=True))
    meanwhile = state.admit(Priority.NORMAL, 1)
    state.apply_view(SharedState())

    assert (after, meanwhile) == (None, None)
    assert isinstance(state.admit(Priority.NORMAL, 1), IssuedPermit)


def test_news_are_told_once() -> None:
    state = a_state()
    state.record_result(a_ticket(state), BAD, 6000)

    first, second = state.take_delta(), state.take_delta()

    assert (first.tally.calls, first.tally.failures, first.tally.slow) == (1, 1, 1)
    assert second == StateDelta(CallCounts())


def test_a_few_failures_are_told_at_once_and_good_calls_are_not() -> None:
    state = a_state()
    tickets = [a_ticket(state) for _ in range(URGENT_FAILURES + 1)]

    urgent = [state.record_result(ticket, BAD, 5) for ticket in tickets[1:]]

    assert urgent == [False] * (URGENT_FAILURES - 1) + [True]
    assert not state.record_result(tickets[0], GOOD, 5)


def test_what_was_counted_and_fetched_before_a_change_of_state_is_forgotten() -> None:
    state = a_state(GateSettings(rate_per_second=1000))
    ticket = state.apply_reply(Grant(50, False, SharedState()), Priority.NORMAL, 1, "")
    late = state.admit(Priority.NORMAL, 1)
    assert isinstance(ticket, IssuedPermit)
    assert isinstance(late, IssuedPermit)
    state.record_result(ticket, BAD, 5)

    state.apply_view(SharedState(BreakerState.CLOSED, 2))
    state.record_result(late, BAD, 5)

    assert state.admit(Priority.NORMAL, 1) is None
    assert state.take_delta().tally.calls == 0


def test_a_lower_lane_is_told_to_come_back_for_several_permits_at_once() -> None:
    state = a_state(GateSettings(rate_per_second=1000))
    denial = Denial(gate.RATE_LIMIT, 0.001, SharedState())

    bulk = state.apply_reply(denial, Priority.BULK, 1, "")
    high = state.apply_reply(denial, Priority.HIGH, 1, "")

    assert bulk == Refusal("sms", gate.RATE_LIMIT, 0.02)
    assert high == Refusal("sms", gate.RATE_LIMIT, 0.001)


def test_what_is_owed_is_told() -> None:
    state = a_state(GateSettings(rate_per_second=1000))
    ticket = state.apply_reply(Grant(3, False, SharedState()), Priority.NORMAL, 1, "")
    assert isinstance(ticket, IssuedPermit)

    state.charge(ticket, 5)

    assert state.take_delta().debt == 3


def test_without_a_limit_nothing_is_owed() -> None:
    state = a_state()

    state.charge(a_ticket(state), 5)

    assert state.take_delta().debt == 0
