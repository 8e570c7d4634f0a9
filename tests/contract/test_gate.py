"""One suite for every gate: a process alone, and a fleet that shares a Redis; then what only the fleet can suffer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.job import Outcome, ProviderResult, Scope
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit, Refusal
from wavecom.errors import UnavailableError
from wavecom.local.servers import PrivateRedis
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState, ProviderHealth
from wavecom.routing.gate import GateSettings
from wavecom.routing.local_gate import LocalGate
from wavecom.routing.ramp import SUCCESSES_TO_END
from wavecom.routing.redis_gate import RedisGate
from wavecom.routing.switch import RedisSwitch
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.scripts import RedisScripts

AnyGate = LocalGate | RedisGate

GOOD = ProviderResult(Outcome.ACCEPTED, "http_202")
BAD = ProviderResult(Outcome.UNAVAILABLE, "http_503")
PATIENCE_SECONDS = 20
LONG = BreakerSettings(open_seconds=60)
#: A rate so slow that no permit comes back while a test runs.
SLOW = 0.01


class Stopped:
    """A monotonic clock that stands still: no batch of permits runs out."""

    def __call__(self) -> float:
        return 1000.0


@dataclass
class Fleet:
    """Two processes that share what they know about their providers; a process alone is both of them."""

    redis_url: str | None
    #: Generous, because a busy machine is not a Redis that went away.
    timeout_seconds: float = 5
    gates: list[AnyGate] = field(default_factory=list)
    clients: list[redis.Redis] = field(default_factory=list)

    def join(
        self,
        settings: GateSettings | dict[str, GateSettings],
        *,
        threads: int = 64,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AnyGate:
        """One more process of the fleet. One provider by itself is named ``sms``."""
        providers = settings if isinstance(settings, dict) else {"sms": settings}
        if self.redis_url is None:
            self.gates = self.gates or [LocalGate(providers, threads=threads, monotonic=monotonic)]
            return self.gates[0]
        self.clients.append(connect(self.redis_url, timeout_seconds=self.timeout_seconds))
        scripts = RedisScripts(self.clients[-1])
        worker = f"worker-{len(self.gates)}"
        self.gates.append(RedisGate(providers, scripts, threads=threads, monotonic=monotonic, worker=worker))
        return self.gates[-1]

    def close(self) -> None:
        for member in self.gates:
            member.close()
        for client in self.clients:
            client.close()


@pytest.fixture(params=["local", "redis"])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    fleet = Fleet(request.getfixturevalue("redis_url") if request.param == "redis" else None)
    yield fleet
    fleet.close()


@pytest.fixture
def shared(redis_server: PrivateRedis, redis_url: str) -> Iterator[Fleet]:
    fleet = Fleet(redis_url)
    yield fleet
    fleet.close()
    redis_server.start()


def wait_until(is_so: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)


def health(gate: AnyGate, provider: str = "sms") -> ProviderHealth:
    return next(each for each in gate.snapshot() if each.provider == provider)


def granted(member: AnyGate, priority: Priority = Priority.HIGH, cost: int = 1) -> Permit:
    """A permit, waiting as long as the gate tells to."""
    answers: list[Permit] = []

    def is_granted() -> bool:
        answer = member.acquire("sms", priority, cost)
        if isinstance(answer, Permit):
            answers.append(answer)
        else:
            time.sleep(min(answer.retry_after_seconds, 0.05))
        return bool(answers)

    wait_until(is_granted, "a permit is granted")
    return answers[0]


def call(member: AnyGate, answer: ProviderResult, times: int = 1, latency_ms: float = 5, to: str = "") -> None:
    """Calls one after another: for somebody else each time, or all ``to`` one recipient."""
    for _ in range(times):
        permit = member.acquire("sms", Priority.HIGH)
        assert isinstance(permit, Permit)
        member.release(permit, answer, latency_ms, to)


def drain(member: AnyGate, priority: Priority) -> int:
    """Take permits until there are no more."""
    count = 0
    while isinstance(member.acquire("sms", priority), Permit):
        count += 1
    return count


def refusal(member: AnyGate, priority: Priority = Priority.HIGH) -> Refusal:
    answer = member.acquire("sms", priority)
    assert isinstance(answer, Refusal)
    return answer


def is_refused(member: AnyGate, reason: str) -> Callable[[], bool]:
    """Whether ``member`` refuses for ``reason``; a permit is given back unused."""

    def ask() -> bool:
        answer = member.acquire("sms", Priority.HIGH)
        if isinstance(answer, Permit):
            member.release(answer, None, 0)
            return False
        return answer.reason == reason

    return ask


def knows(member: AnyGate, state: BreakerState) -> None:
    """Wait until ``member`` sees the breaker in ``state``."""
    wait_until(lambda: health(member).state is state, f"the breaker is {state}")


def open_breaker(first: AnyGate, second: AnyGate) -> None:
    """Let a provider fail until all of the fleet know of it."""
    call(first, BAD, times=10)
    for member in (first, second):
        wait_until(lambda member=member: health(member).state is not BreakerState.CLOSED, "the breaker has opened")


def probes(*members: AnyGate) -> list[tuple[AnyGate, Permit]]:
    """Every probe that the fleet will let out, once the breaker is half open."""
    out: list[tuple[AnyGate, Permit]] = []
    for member in members:

        def has_no_more(member: AnyGate = member) -> bool:
            answer = member.acquire("sms", Priority.HIGH)
            if isinstance(answer, Permit):
                out.append((member, answer))
            return isinstance(answer, Refusal) and answer.reason == gate.PROBES_TAKEN

        wait_until(has_no_more, "all probes are out")
    return out


def told(logs: list[Any], event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


# --- rate limit -------------------------------------------------------------------------------------------------------


def test_a_limit_holds_over_all_who_share_it(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=400, burst=40)
    members = [fleet.join(settings), fleet.join(settings)]
    counts = [0, 0]

    def use(index: int) -> None:
        while sum(counts) < 300:
            members[index].release(granted(members[index]), GOOD, 1)
            counts[index] += 1

    started = time.monotonic()
    threads = [Thread(target=use, args=(index % 2,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    elapsed = time.monotonic() - started

    assert 300 <= sum(counts) <= 400 * elapsed + 40 + 1


def test_each_lane_leaves_room_for_the_lanes_above(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=SLOW, burst=20)
    first, second = fleet.join(settings), fleet.join(settings)

    bulk = drain(first, Priority.BULK)
    normal = drain(second, Priority.NORMAL)
    high = drain(first, Priority.HIGH)

    assert (bulk, normal, high) == (16, 2, 2)


def test_high_passes_at_once_while_bulk_takes_all_it_may(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=500, burst=25)
    busy, urgent = fleet.join(settings), fleet.join(settings)
    drain(busy, Priority.BULK)

    refused = 0
    for _ in range(20):
        for _ in range(8):
            busy.release(granted(busy, Priority.BULK), GOOD, 1)
        answer = urgent.acquire("sms", Priority.HIGH)
        refused += isinstance(answer, Refusal)

    assert refused == 0


def test_a_message_heavier_than_the_burst_passes_and_the_next_one_waits(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=0.1, burst=5)
    first, second = fleet.join(settings), fleet.join(settings)

    long_message = first.acquire("sms", Priority.HIGH, cost=20)

    assert isinstance(long_message, Permit)
    assert refusal(second).reason == gate.RATE_LIMIT
    for lane in Priority:
        assert refusal(second, lane).retry_after_seconds == pytest.approx(160, abs=PATIENCE_SECONDS)


def test_what_a_call_weighs_more_than_was_asked_for_is_paid_by_the_next(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=SLOW, burst=10)
    first, second = fleet.join(settings), fleet.join(settings)
    permit = granted(first)

    first.charge(permit, 30)

    wait_until(is_refused(second, gate.RATE_LIMIT), "the surplus is charged")
    assert refusal(second).retry_after_seconds > 20 / SLOW


def test_a_permit_that_was_not_used_is_there_for_the_next(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=SLOW, burst=1), monotonic=Stopped())
    permit = granted(member)

    member.release(permit, None, 0)

    assert isinstance(member.acquire("sms", Priority.HIGH), Permit)


def test_a_refusal_says_when_to_come_back(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=2, burst=1))
    granted(member)

    first = refusal(member)

    assert first.reason == gate.RATE_LIMIT
    assert 0 < first.retry_after_seconds <= 0.5


def test_a_provider_without_a_limit_has_none(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(), threads=2000)

    permits = [member.acquire("sms", Priority.BULK) for _ in range(1000)]

    assert all(isinstance(permit, Permit) for permit in permits)


# --- pause ------------------------------------------------------------------------------------------------------------


def wait(seconds: float | None, scope: Scope | None = None, code: str = "http_429") -> ProviderResult:
    return ProviderResult(Outcome.UNAVAILABLE, code, retry_after_seconds=seconds, scope=scope)


@pytest.mark.parametrize("rate_per_second", [None, 1000])
@pytest.mark.parametrize("code", ["http_429", "http_503"])
def test_a_pause_that_several_recipients_in_a_row_are_told_of_holds_for_all(
    fleet: Fleet, rate_per_second: float | None, code: str
) -> None:
    settings = GateSettings(rate_per_second=rate_per_second)
    first, second = fleet.join(settings), fleet.join(settings)
    second.release(granted(second), GOOD, 5)
    wait_until(lambda: health(first).calls > 0, "the good call is counted")

    call(first, wait(60, code=code), to="a")
    call(first, wait(70, code=code), to="b")
    call(second, wait(80, code=code), to="c")

    for member in (first, second):
        wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")
        assert refusal(member).retry_after_seconds == pytest.approx(60, abs=PATIENCE_SECONDS)
    assert health(second).throttled_for_seconds == pytest.approx(60, abs=PATIENCE_SECONDS)
    assert health(second).throttled_reason == f"3 recipients in a row were told to wait, last {code}"
    assert 0 <= health(second).throttled_since_seconds < PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("answer", "recipients"),
    [
        (wait(40), ["a"]),
        (wait(3600, code="http_503"), ["a"]),
        (wait(99_999_999_999_999), ["a"]),
        (wait(40), ["a"] * 8),
        (wait(40), ["a", "b"] * 4),
        (wait(None), ["a", "b"]),
        (wait(40, Scope.RECIPIENT), list("abcdefgh")),
        (wait(40, Scope.MESSAGE), list("abcdefgh")),
        (wait(40, Scope.DESTINATION), list("abcdefgh")),
        (wait(40, Scope.WORKER, "timeout"), list("abcdefgh")),
    ],
)
def test_what_a_few_recipients_are_told_holds_nobody_else(
    fleet: Fleet, answer: ProviderResult, recipients: list[str]
) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)
    call(second, GOOD)

    for recipient in recipients:
        call(first, answer, to=recipient)
    call(second, GOOD, times=5)

    wait_until(lambda: health(second).calls >= 5, "the calls are counted")
    for member in (first, second):
        assert not is_refused(member, gate.THROTTLED)()
        assert health(member).throttled_for_seconds == 0


def test_a_call_that_is_taken_ends_the_row(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    for recipient in "abcdef":
        call(first, wait(40), to=recipient)
        call(first, GOOD)
    call(second, GOOD)

    wait_until(lambda: health(first).calls >= 12, "the calls are counted")
    assert health(second).throttled_for_seconds == 0


def test_an_answer_that_speaks_for_all_needs_no_other(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, wait(40, Scope.PROVIDER))

    for member in (first, second):
        wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")
    assert health(second).throttled_reason == "the provider asked for a pause of all calls: http_429"


def test_who_joins_later_knows_of_the_pause_before_the_first_call(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=1000)
    first, second = fleet.join(settings), fleet.join(settings)
    call(first, wait(60, Scope.PROVIDER))
    wait_until(is_refused(second, gate.THROTTLED), "the pause is known")

    late = fleet.join(settings)

    assert refusal(late).reason == gate.THROTTLED


@pytest.mark.parametrize("seconds", [1e9, 99_999_999_999_999, float("inf")])
@pytest.mark.parametrize("scope", [None, Scope.PROVIDER])
def test_no_pause_is_longer_than_the_cap_whatever_is_asked_for(
    fleet: Fleet, seconds: float, scope: Scope | None
) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, wait(seconds, scope), times=1 if scope else settings.breaker.recipients_to_pause)

    wait_until(is_refused(second, gate.THROTTLED), "the other knows of the pause")
    assert refusal(second).retry_after_seconds <= settings.breaker.pause_cap_seconds


def test_a_pause_ends_and_both_are_told_once_at_the_same_level(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    with capture_logs() as logs:
        call(first, wait(0.3, Scope.PROVIDER))
        wait_until(lambda: told(logs, "provider_paused"), "the pause is told")
        granted(first)
        granted(second)
        wait_until(lambda: told(logs, "provider_resumed"), "its end is told")

    assert [(entry["event"], entry["log_level"]) for entry in logs if "provider_" in entry["event"]] == [
        ("provider_paused", "warning"),
        ("provider_resumed", "warning"),
    ]


# --- breaker ----------------------------------------------------------------------------------------------------------


def test_failures_open_the_breaker_for_all(fleet: Fleet) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)

    open_breaker(first, second)

    assert refusal(first).reason == gate.BREAKER_OPEN
    assert 0 < refusal(second).retry_after_seconds <= settings.breaker.open_seconds
    assert health(second).state is BreakerState.OPEN
    assert 0 < health(second).open_for_seconds <= settings.breaker.open_seconds


def test_failures_of_several_processes_add_up(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(max_failures_in_a_row=1000, min_calls=20, open_seconds=60))
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, BAD, times=10)
    call(second, BAD, times=10)

    knows(first, BreakerState.OPEN)
    knows(second, BreakerState.OPEN)


def test_failures_in_a_row_open_the_breaker_however_good_the_time_before_was(fleet: Fleet) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)
    call(first, GOOD, times=200)
    wait_until(lambda: health(first).calls > 0, "the good calls are counted")

    call(first, BAD, times=5)
    call(second, BAD, times=5)

    knows(first, BreakerState.OPEN)


def test_slow_answers_open_the_breaker_though_they_are_good(fleet: Fleet) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, GOOD, times=10, latency_ms=6000)

    knows(second, BreakerState.OPEN)


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        ProviderResult(Outcome.REJECTED, "http_400"),
        ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=0),
    ],
)
def test_what_does_not_speak_against_the_provider_keeps_the_breaker_closed(
    fleet: Fleet, answer: ProviderResult
) -> None:
    member = fleet.join(GateSettings())

    call(member, answer, times=50)

    wait_until(lambda: health(member).calls > 0, "the calls are counted")
    assert health(member).state is BreakerState.CLOSED
    assert health(member).failures == 0


def test_too_few_calls_say_nothing(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(breaker=BreakerSettings(window_seconds=3600)))

    call(member, BAD, times=9)

    wait_until(lambda: health(member).failures == pytest.approx(9, abs=0.1), "the failures are counted")
    assert health(member).state is BreakerState.CLOSED


def test_a_few_probes_in_the_whole_fleet_and_their_success_closes_it(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)

    out = probes(first, second)

    assert len(out) == settings.breaker.max_probes
    assert all(permit.is_probe for _, permit in out)
    assert refusal(first).reason == gate.PROBES_TAKEN
    assert 0 < refusal(first).retry_after_seconds < 1
    for member, permit in out:
        member.release(permit, GOOD, 5)
    assert not granted(first).is_probe
    knows(second, BreakerState.CLOSED)
    assert not granted(second).is_probe


@pytest.mark.parametrize(("answer", "latency_ms"), [(BAD, 5), (GOOD, 6000)])
def test_a_probe_that_fails_or_is_slow_opens_it_again_for_longer(
    fleet: Fleet, answer: ProviderResult, latency_ms: float
) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)

    with capture_logs() as logs:
        open_breaker(first, second)
        for times in (2, 3):
            for member, permit in probes(first, second):
                member.release(permit, answer, latency_ms)
            wait_until(lambda times=times: len(told(logs, "breaker_open")) >= times, "the breaker is open again")

    assert [entry["open_for_seconds"] for entry in told(logs, "breaker_open")] == [0.2, 0.4, 0.8]


def test_a_probe_that_died_does_not_block_and_comes_back_in_vain(fleet: Fleet) -> None:
    settings = GateSettings(
        breaker=BreakerSettings(open_seconds=0.2, max_probes=1, successes_to_close=1, probe_lease_seconds=1)
    )
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    [(dead, lost)] = probes(first)

    permit = granted(second)

    assert permit.is_probe
    dead.release(lost, BAD, 5)
    dead.close()
    second.release(permit, GOOD, 5)
    knows(second, BreakerState.CLOSED)


def test_probes_of_an_earlier_time_take_no_place_and_prove_nothing(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    *failing, (hanging_member, hanging_permit) = probes(first)
    hanging = [(hanging_member, hanging_permit)]
    earlier = health(first).epoch
    for member, permit in failing:
        member.release(permit, BAD, 5)
    wait_until(lambda: health(first).epoch > earlier, "the breaker is open again")

    out = probes(second)
    for member, permit in hanging:
        member.release(permit, GOOD, 5)
    for member, permit in out[1:]:
        member.release(permit, GOOD, 5)
    first.close()

    assert len(out) == settings.breaker.max_probes
    wait_until(lambda: health(second).state is BreakerState.HALF_OPEN, "the breaker is still half open")
    out[0][0].release(out[0][1], GOOD, 5)
    knows(second, BreakerState.CLOSED)


def test_a_probe_that_was_not_used_makes_room_for_another(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2, max_probes=1))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    [(member, permit)] = probes(first)

    member.release(permit, None, 0)

    assert granted(second).is_probe


def test_calls_that_began_before_it_opened_say_nothing_afterwards(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    hanging = [granted(second) for _ in range(30)]
    open_breaker(first, second)
    for member, permit in probes(first, second):
        member.release(permit, GOOD, 5)
    knows(second, BreakerState.CLOSED)

    for permit in hanging:
        second.release(permit, ProviderResult(Outcome.UNKNOWN, "timeout"), 10_000)
    second.release(granted(second), GOOD, 5)

    wait_until(lambda: health(second).calls > 0, "the last call is counted")
    assert health(second).state is BreakerState.CLOSED
    assert health(second).failures == 0


def test_every_change_of_state_is_told_once(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)

    with capture_logs() as logs:
        open_breaker(first, second)
        for member, permit in probes(first, second):
            member.release(permit, GOOD, 5)
        for member in (first, second):
            knows(member, BreakerState.CLOSED)

    events = [entry["event"] for entry in logs if entry["event"].startswith("breaker_")]
    assert events == ["breaker_open", "breaker_half_open", "breaker_closed"]


ABOUT_OTHERS = [Scope.MESSAGE, Scope.RECIPIENT, Scope.DESTINATION, Scope.WORKER]


@pytest.mark.parametrize("scope", ABOUT_OTHERS)
def test_what_is_about_something_else_never_opens_the_breaker(fleet: Fleet, scope: Scope) -> None:
    member = fleet.join(GateSettings())

    call(member, ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=scope), times=30)
    call(member, GOOD)

    wait_until(lambda: health(member).calls > 0, "the calls are counted")
    assert health(member).state is BreakerState.CLOSED
    assert health(member).failures == 0


def test_one_recipient_alone_does_not_open_the_breaker(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    for member in (first, second):
        call(member, BAD, times=30, to="a")
        call(member, BAD, times=30, to="b")
    wait_until(lambda: health(first).failures > 0, "the failures are counted")
    call(first, GOOD)

    wait_until(lambda: health(first).calls >= 3, "the last call is counted")
    assert health(first).state is BreakerState.CLOSED
    assert health(first).failures <= 2


@pytest.mark.parametrize("scope", [None, Scope.PROVIDER])
def test_what_is_about_the_provider_counts_by_recipients_or_each_time(fleet: Fleet, scope: Scope | None) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)
    answer = ProviderResult(Outcome.UNAVAILABLE, "connect", scope=scope)

    for number in range(10):
        call(first, answer, to="a" if scope else f"recipient {number}")

    for member in (first, second):
        knows(member, BreakerState.OPEN)
        assert health(member).reason == "10 failures in a row, last connect"
        assert 0 <= health(member).since_seconds < PATIENCE_SECONDS


@pytest.mark.parametrize("scope", [Scope.MESSAGE, Scope.RECIPIENT, Scope.DESTINATION])
def test_probes_that_meet_somebody_elses_trouble_close_it(fleet: Fleet, scope: Scope) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)

    for member, permit in probes(first, second):
        member.release(permit, ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=scope), 5)

    knows(second, BreakerState.CLOSED)
    assert health(second).reason == "3 probes succeeded"


def test_one_recipients_probes_do_not_open_it_again(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    epoch = health(first).epoch

    for _ in range(2):
        for member, permit in probes(first):
            member.release(permit, BAD, 5, "a")

    def is_closed_by_good_probes() -> bool:
        # One after the other: Redis may not have heard yet that the first ones' probes have ended.
        answer = second.acquire("sms", Priority.HIGH)
        if isinstance(answer, Permit):
            second.release(answer, GOOD, 5)
        return health(second).state is BreakerState.CLOSED

    wait_until(is_closed_by_good_probes, "good probes have closed the breaker")
    assert health(second).epoch <= epoch + 2


def test_a_probe_that_says_nothing_makes_room_for_another(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2, max_probes=1))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    [(member, permit)] = probes(first)

    member.release(permit, ProviderResult(Outcome.UNKNOWN, "timeout", scope=Scope.WORKER), 9000)

    assert granted(second).is_probe


# --- slow start -------------------------------------------------------------------------------------------------------


def closed_again(fleet: Fleet, settings: GateSettings) -> tuple[AnyGate, AnyGate]:
    """Two members whose breaker has just closed."""
    first, second = fleet.join(settings, threads=1000), fleet.join(settings, threads=1000)
    open_breaker(first, second)
    for member, permit in probes(first, second):
        member.release(permit, GOOD, 5)
    for member in (first, second):
        knows(member, BreakerState.CLOSED)
    return first, second


def let_in(*members: AnyGate) -> list[tuple[AnyGate, Permit]]:
    """All that ask at once and are let in."""
    answers = [(member, member.acquire("sms", Priority.HIGH)) for member in members for _ in range(192)]
    return [(member, answer) for member, answer in answers if isinstance(answer, Permit)]


@pytest.mark.parametrize("rate_per_second", [None, 10_000])
def test_after_a_breaker_closes_few_calls_start_and_more_with_each_that_is_taken(
    fleet: Fleet, rate_per_second: float | None
) -> None:
    breaker = BreakerSettings(open_seconds=0.2, ramp_calls=6, ramp_seconds=600)
    # Before the slow start, of which a part may be over when the two are handed out.
    since = time.monotonic()
    first, second = closed_again(fleet, GateSettings(rate_per_second=rate_per_second, breaker=breaker))
    begun = ended = 0

    def play_a_round() -> bool:
        nonlocal begun, ended
        out = let_in(first, second)
        begun += len(out)
        # 6 at once and again each 5 seconds, the first of which may have begun at any time.
        may_begin = 6 * (2 + (time.monotonic() - since) / 5) + 2 * ended
        assert begun <= may_begin or ended >= SUCCESSES_TO_END
        for member, permit in out:
            member.release(permit, GOOD, 5)
        ended += len(out)
        return len(out) == 384

    assert not play_a_round()
    wait_until(play_a_round, "all are let in")
    assert ended >= SUCCESSES_TO_END
    wait_until(lambda: not health(second).is_ramping, "the slow start is over")


def test_the_slow_start_goes_no_faster_while_answers_are_bad(fleet: Fleet) -> None:
    breaker = BreakerSettings(open_seconds=0.2, ramp_calls=6, ramp_seconds=600, max_failures_in_a_row=1000)
    first, second = closed_again(fleet, GateSettings(breaker=breaker))
    for member, permit in let_in(first, second):
        member.release(permit, BAD, 5)

    wait_until(lambda: health(first).failures > 0, "the failures are counted")
    assert len(let_in(first, second)) <= 6
    wait_until(is_refused(first, gate.SLOW_START), "the next is refused")


def test_a_pause_too_is_followed_by_a_slow_start(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(ramp_calls=6))
    first, second = fleet.join(settings, threads=1000), fleet.join(settings, threads=1000)
    call(second, GOOD)
    # Long enough that a busy machine sees it from both sides.
    call(first, wait(2, Scope.PROVIDER))
    for member in (first, second):
        wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")

    wait_until(lambda: not is_refused(first, gate.THROTTLED)(), "the pause is over")

    assert len(let_in(first, second)) <= 12


def test_permits_that_never_came_back_do_not_end_everything(fleet: Fleet) -> None:
    breaker = BreakerSettings(open_seconds=0.2, ramp_calls=6, ramp_seconds=600)
    first, second = closed_again(fleet, GateSettings(breaker=breaker))
    let_in(first, second)

    assert isinstance(granted(second), Permit)


def test_without_a_slow_start_all_start_at_once(fleet: Fleet) -> None:
    first, second = closed_again(fleet, GateSettings(breaker=BreakerSettings(open_seconds=0.2, ramp_calls=0)))

    assert len(let_in(first, second)) == 384


# --- bulkhead ---------------------------------------------------------------------------------------------------------


def test_one_provider_gets_at_most_half_of_the_threads(fleet: Fleet) -> None:
    member = fleet.join({"sms": GateSettings(), "mail": GateSettings()}, threads=8)

    permits = [member.acquire("sms", Priority.NORMAL) for _ in range(4)]

    assert all(isinstance(permit, Permit) for permit in permits)
    assert refusal(member).reason == gate.BULKHEAD
    assert refusal(member).retry_after_seconds < 1
    assert isinstance(member.acquire("mail", Priority.NORMAL), Permit)
    assert health(member).in_flight == 4


def test_who_finds_no_place_uses_up_no_permit(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=SLOW, burst=2, max_concurrency=1))
    first = granted(member)
    for _ in range(10):
        assert refusal(member).reason == gate.BULKHEAD
    member.release(first, GOOD, 5)

    second = member.acquire("sms", Priority.HIGH)

    assert isinstance(second, Permit)
    member.release(second, GOOD, 5)
    assert refusal(member).reason == gate.RATE_LIMIT


def test_who_gets_no_permit_takes_no_place(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=SLOW, burst=1, max_concurrency=5))
    granted(member)

    reasons = {refusal(member).reason for _ in range(10)}

    assert reasons == {gate.RATE_LIMIT}
    assert health(member).in_flight == 1


def test_a_permit_of_somebody_else_is_not_taken_back(fleet: Fleet) -> None:
    member = fleet.join(GateSettings())

    with pytest.raises(TypeError, match="not issued"):
        member.release(Permit("sms"), None, 0)


# --- only a fleet -----------------------------------------------------------------------------------------------------


def redis_gates(
    shared: Fleet, settings: GateSettings, count: int = 2, *, monotonic: Callable[[], float] = time.monotonic
) -> list[RedisGate]:
    """Workers that have heard of each other."""
    members = [shared.join(settings, monotonic=monotonic) for _ in range(count)]
    for member in members:
        call(member, GOOD)
    gates = [member for member in members if isinstance(member, RedisGate)]
    for each in gates:
        wait_until(lambda each=each: each.workers == count, "the workers know of each other")
    return gates


def is_shared(*gates: RedisGate) -> Callable[[], bool]:
    return lambda: all(health(each).is_shared for each in gates)


def test_without_redis_each_worker_has_its_share_and_says_so_once(shared: Fleet, redis_server: PrivateRedis) -> None:
    gates = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=12))

    with capture_logs() as logs:
        redis_server.kill()
        counts = [drain(each, Priority.HIGH) for each in gates]
        reasons = {refusal(each).reason for each in gates}
        wait_until(lambda: len(told(logs, "gate_degraded")) >= 2, "both have said so")

    assert counts == [6, 6]
    assert reasons == {gate.RATE_LIMIT}
    assert [entry["divided_by_workers"] for entry in told(logs, "gate_degraded")] == [2, 2]
    assert not is_shared(*gates)()


def test_when_redis_is_back_so_is_the_shared_limit(shared: Fleet, redis_server: PrivateRedis) -> None:
    gates = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=12))
    redis_server.kill()
    for each in gates:
        drain(each, Priority.HIGH)

    with capture_logs() as logs:
        redis_server.start()
        wait_until(is_shared(*gates), "both share again")
        count = sum(drain(each, Priority.HIGH) for each in gates)
        wait_until(lambda: len(told(logs, "gate_recovered")) >= 2, "both have said so")

    assert 1 <= count <= 12
    assert len(told(logs, "gate_recovered")) == 2


def test_permits_and_outcomes_across_an_outage_are_given_back(shared: Fleet, redis_server: PrivateRedis) -> None:
    [member] = redis_gates(shared, GateSettings(max_concurrency=2), count=1)
    before = granted(member)
    redis_server.kill()
    wait_until(lambda: not is_shared(member)(), "the loss is noticed")
    during = granted(member)
    assert refusal(member).reason == gate.BULKHEAD

    member.release(before, GOOD, 5)
    redis_server.start()
    wait_until(is_shared(member), "it shares again")
    member.release(during, GOOD, 5)

    assert health(member).in_flight == 0


def test_an_open_breaker_stays_open_when_redis_goes_away(shared: Fleet, redis_server: PrivateRedis) -> None:
    gates = redis_gates(shared, GateSettings(breaker=LONG))
    open_breaker(*gates)

    redis_server.kill()
    wait_until(lambda: not any(health(each).is_shared for each in gates), "the loss is noticed")

    assert [refusal(each).reason for each in gates] == [gate.BREAKER_OPEN] * 2


def test_breakers_work_locally_without_redis(shared: Fleet, redis_server: PrivateRedis) -> None:
    first, second = redis_gates(shared, GateSettings(breaker=LONG))
    redis_server.kill()
    wait_until(lambda: not is_shared(first)(), "the loss is noticed")

    call(first, BAD, times=10)

    assert refusal(first).reason == gate.BREAKER_OPEN
    assert refusal(first).retry_after_seconds > 1
    call(second, GOOD)


def test_a_surplus_without_redis_is_paid_by_the_workers_own_share(shared: Fleet, redis_server: PrivateRedis) -> None:
    [member] = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=12), count=1)
    redis_server.kill()
    wait_until(lambda: not is_shared(member)(), "the loss is noticed")

    member.charge(granted(member), 30)

    assert refusal(member).retry_after_seconds > 10 / SLOW


def test_a_pause_learned_without_redis_is_told_when_it_is_back(shared: Fleet, redis_server: PrivateRedis) -> None:
    first, second = redis_gates(shared, GateSettings())
    redis_server.kill()
    wait_until(lambda: not is_shared(first)(), "the loss is noticed")
    call(first, wait(60, Scope.PROVIDER))

    redis_server.start()

    wait_until(is_refused(second, gate.THROTTLED), "the other knows of the pause")


def test_a_redis_that_was_flushed_is_used_on(shared: Fleet, redis_url: str) -> None:
    gates = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=10))
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        client.script_flush()

    with capture_logs() as logs:
        count = sum(drain(each, Priority.HIGH) for each in gates)

    assert count == 10
    assert not told(logs, "gate_degraded")


def test_a_breaker_works_on_after_a_flush(shared: Fleet, redis_url: str) -> None:
    first, second = redis_gates(shared, GateSettings(breaker=LONG))
    open_breaker(first, second)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    granted(first)
    granted(second)

    open_breaker(first, second)

    assert health(second).state is BreakerState.OPEN


def test_a_redis_that_hangs_is_given_up(shared: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shared.timeout_seconds = 0.2
        shared.redis_url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        member = shared.join(GateSettings(rate_per_second=SLOW, burst=3))

        count = drain(member, Priority.HIGH)

    assert count == 3
    assert not health(member).is_shared


def test_a_redis_that_was_never_there_costs_no_place(shared: Fleet, redis_server: PrivateRedis) -> None:
    redis_server.kill()
    member = shared.join(GateSettings(max_concurrency=1))

    permit = member.acquire("sms", Priority.HIGH)

    assert isinstance(permit, Permit)
    assert health(member).in_flight == 1
    assert not health(member).is_shared


def test_a_worker_that_leaves_is_not_counted_any_more(shared: Fleet) -> None:
    first, second = redis_gates(shared, GateSettings())

    second.close()

    wait_until(lambda: first.workers == 1, "the worker is gone")


def test_who_only_looks_is_no_worker(shared: Fleet) -> None:
    [worker] = redis_gates(shared, GateSettings(breaker=LONG), count=1)
    page = shared.join(GateSettings())
    call(worker, BAD, times=10)
    knows(worker, BreakerState.OPEN)

    seen = health(page)

    assert seen.state is BreakerState.OPEN
    assert seen.is_shared
    assert isinstance(page, RedisGate)
    assert page.workers == 1


def test_one_trip_serves_many_calls(shared: Fleet, redis_url: str) -> None:
    # The size of a batch follows the demand per second: on a slow machine they would be small, and trips many.
    settings = GateSettings(rate_per_second=100_000, burst=100_000)
    [member] = redis_gates(shared, settings, count=1, monotonic=Stopped())

    with redis.Redis.from_url(redis_url) as client:
        # The server has counted since it was started, for other tests too.
        client.config_resetstat()
        call(member, GOOD, times=5000)
        trips = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert trips < 1000


# --- an operator ------------------------------------------------------------------------------------------------------


def a_switch(shared: Fleet, settings: GateSettings, redis_url: str) -> RedisSwitch:
    shared.clients.append(connect(redis_url, timeout_seconds=5))
    return RedisSwitch({"sms": settings}, RedisScripts(shared.clients[-1]))


def test_an_operator_pauses_a_provider_for_all_and_opens_it_again(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings()
    first, second = redis_gates(shared, settings)
    switch = a_switch(shared, settings, redis_url)

    with capture_logs() as logs:
        switch.pause("sms", 3600, "paused by ada: maintenance")
        for member in (first, second):
            wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")
        [paused] = switch.health()
        switch.reopen("sms", "reopened by ada: done")
        for member in (first, second):
            granted(member)
        wait_until(lambda: told(logs, "provider_resumed"), "a worker tells of it")

    assert paused.throttled_for_seconds == pytest.approx(3600, abs=PATIENCE_SECONDS)
    assert paused.throttled_reason == "paused by ada: maintenance"
    assert health(second).is_ramping
    assert [(entry["event"], entry["reason"]) for entry in logs if entry["event"].startswith("provider_")] == [
        ("provider_paused", "paused by ada: maintenance"),
        ("provider_resumed", "reopened by ada: done"),
    ]


def test_an_operators_pause_takes_the_place_of_a_longer_one(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings()
    first, second = redis_gates(shared, settings)
    switch = a_switch(shared, settings, redis_url)
    call(first, wait(300, Scope.PROVIDER))
    wait_until(is_refused(second, gate.THROTTLED), "the pause is known")

    switch.pause("sms", 0.3, "paused by ada: a moment")

    granted(first)
    granted(second)


def test_an_operator_closes_an_open_breaker_and_its_growth_is_forgotten(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=60, ramp_calls=0))
    first, second = redis_gates(shared, settings)
    switch = a_switch(shared, settings, redis_url)

    with capture_logs() as logs:
        open_breaker(first, second)
        switch.reopen("sms", "reopened by ada: it is well")
        for member in (first, second):
            knows(member, BreakerState.CLOSED)
            granted(member)
        wait_until(lambda: told(logs, "breaker_closed"), "a worker tells of it")
        open_breaker(first, second)

    assert [entry["open_for_seconds"] for entry in told(logs, "breaker_open")] == [60, 60]
    assert [entry["reason"] for entry in told(logs, "breaker_closed")] == ["reopened by ada: it is well"]


def test_to_open_what_is_open_changes_nothing(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings()
    [member] = redis_gates(shared, settings, count=1)
    switch = a_switch(shared, settings, redis_url)
    before = switch.health()[0].epoch

    switch.reopen("sms", "reopened by ada: to be sure")

    assert switch.health()[0].epoch == before
    assert not switch.health()[0].is_ramping
    assert isinstance(member.acquire("sms", Priority.HIGH), Permit)


def test_without_redis_an_operator_is_told_so(shared: Fleet, redis_server: PrivateRedis, redis_url: str) -> None:
    switch = a_switch(shared, GateSettings(), redis_url)
    redis_server.kill()

    with pytest.raises(UnavailableError):
        switch.health()
    with pytest.raises(UnavailableError):
        switch.reopen("sms", "reopened by ada: please")
