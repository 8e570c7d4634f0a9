from __future__ import annotations

from dataclasses import dataclass

from wavecom.core.job import Answer, Outcome, Priority
from wavecom.core.ports import Refusal
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState, Tally
from wavecom.routing.gate import GateSettings, Ticket
from wavecom.routing.shared import Denial, Grant, News, View
from wavecom.routing.standing import URGENT_FAILURES, Standing

GOOD = Answer(Outcome.ACCEPTED, "http_202")
BAD = Answer(Outcome.UNAVAILABLE, "http_503")
WAIT = Answer(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=30)


@dataclass
class Time:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def a_standing(settings: GateSettings | None = None, time: Time | None = None) -> Standing:
    standing = Standing("sms", settings or GateSettings(), time or Time())
    standing.see(View())
    return standing


def a_ticket(standing: Standing) -> Ticket:
    ticket = standing.admit(Priority.NORMAL, 1)
    assert isinstance(ticket, Ticket)
    return ticket


def test_before_anything_is_known_the_shared_server_is_asked() -> None:
    standing = Standing("sms", GateSettings(), Time())

    assert standing.admit(Priority.NORMAL, 1) is None


def test_a_closed_breaker_and_no_limit_need_no_asking() -> None:
    assert isinstance(a_standing().admit(Priority.NORMAL, 1), Ticket)


def test_a_limit_needs_asking_until_permits_are_there() -> None:
    standing = a_standing(GateSettings(rate_per_second=1000))

    before = standing.admit(Priority.NORMAL, 1)
    standing.take_up(Grant(3, False, View()), Priority.NORMAL, 1, "")
    after = [standing.admit(Priority.NORMAL, 1) for _ in range(3)]

    assert before is None
    assert [type(answer) for answer in after] == [Ticket, Ticket, type(None)]


def test_permits_of_one_lane_are_not_another_lanes() -> None:
    standing = a_standing(GateSettings(rate_per_second=1000))

    standing.take_up(Grant(3, False, View()), Priority.HIGH, 1, "")

    assert standing.admit(Priority.BULK, 1) is None


def test_an_open_breaker_refuses_until_its_time_has_come() -> None:
    time = Time()
    standing = a_standing(time=time)
    standing.see(View(BreakerState.OPEN, 1, open_for_seconds=5))

    during = standing.admit(Priority.NORMAL, 1)
    time.now += 5
    after = standing.admit(Priority.NORMAL, 1)

    assert during == Refusal("sms", gate.BREAKER_OPEN, 5)
    assert after is None


def test_a_pause_holds_here_though_the_others_have_not_heard_of_it() -> None:
    standing = a_standing()

    is_urgent = standing.learn(a_ticket(standing), WAIT, 5)
    standing.see(View())

    assert is_urgent
    assert standing.admit(Priority.NORMAL, 1) == Refusal("sms", gate.THROTTLED, 30)
    assert standing.news().throttled_for_seconds == 30


def test_a_pause_uses_up_what_was_fetched() -> None:
    time = Time()
    standing = a_standing(GateSettings(rate_per_second=1000), time)
    ticket = standing.take_up(Grant(50, False, View()), Priority.NORMAL, 1, "")
    assert isinstance(ticket, Ticket)

    standing.learn(ticket, Answer(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=0.1), 5)
    time.now += 0.11
    standing.news()
    standing.see(View())

    assert standing.admit(Priority.NORMAL, 1) is None


def test_news_are_told_once() -> None:
    standing = a_standing()
    standing.learn(a_ticket(standing), BAD, 6000)

    first, second = standing.news(), standing.news()

    assert (first.tally.calls, first.tally.failures, first.tally.slow) == (1, 1, 1)
    assert second == News(Tally())


def test_a_few_failures_are_told_at_once_and_good_calls_are_not() -> None:
    standing = a_standing()
    tickets = [a_ticket(standing) for _ in range(URGENT_FAILURES + 1)]

    urgent = [standing.learn(ticket, BAD, 5) for ticket in tickets[1:]]

    assert urgent == [False] * (URGENT_FAILURES - 1) + [True]
    assert not standing.learn(tickets[0], GOOD, 5)


def test_what_was_counted_and_fetched_before_a_change_of_state_is_forgotten() -> None:
    standing = a_standing(GateSettings(rate_per_second=1000))
    ticket = standing.take_up(Grant(50, False, View()), Priority.NORMAL, 1, "")
    late = standing.admit(Priority.NORMAL, 1)
    assert isinstance(ticket, Ticket)
    assert isinstance(late, Ticket)
    standing.learn(ticket, BAD, 5)

    standing.see(View(BreakerState.CLOSED, 2))
    standing.learn(late, BAD, 5)

    assert standing.admit(Priority.NORMAL, 1) is None
    assert standing.news().tally.calls == 0


def test_a_lower_lane_is_told_to_come_back_for_several_permits_at_once() -> None:
    standing = a_standing(GateSettings(rate_per_second=1000))
    denial = Denial(gate.RATE_LIMIT, 0.001, View())

    bulk = standing.take_up(denial, Priority.BULK, 1, "")
    high = standing.take_up(denial, Priority.HIGH, 1, "")

    assert bulk == Refusal("sms", gate.RATE_LIMIT, 0.02)
    assert high == Refusal("sms", gate.RATE_LIMIT, 0.001)


def test_what_is_owed_is_told() -> None:
    standing = a_standing(GateSettings(rate_per_second=1000))
    ticket = standing.take_up(Grant(3, False, View()), Priority.NORMAL, 1, "")
    assert isinstance(ticket, Ticket)

    standing.charge(ticket, 5)

    assert standing.news().debt == 3


def test_without_a_limit_nothing_is_owed() -> None:
    standing = a_standing()

    standing.charge(a_ticket(standing), 5)

    assert standing.news().debt == 0
