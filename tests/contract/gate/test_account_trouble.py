"""What a provider says of our account, in every gate: it is left alone at once, and people are told once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.contract.gate.fleet import BAD, GOOD, Fleet, call, granted, health, knows, probes, refusal, told, wait_until
from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.local.servers import PrivateRedis
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState
from wavecom.routing.gate import GateSettings
from wavecom.routing.switch import RedisSwitch
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.scripts import RedisScripts


def refused(reason: Reason, scope: Scope = Scope.PROVIDER) -> ProviderResult:
    return ProviderResult(Outcome.UNAVAILABLE, "http_401", scope=scope, reason=reason)


def reopenings(logs: list[Any]) -> list[Any]:
    return [entry for entry in told(logs, "account_trouble_goes_on") if entry["state"] == "open"]


NO_CREDIT = refused(Reason.BALANCE)
#: Pauses short enough to see their ends.
SHORT = GateSettings(
    breaker=BreakerSettings(open_seconds=0.1, account_open_seconds=0.2, account_cap_seconds=0.5, ramp_calls=0)
)
USUAL = GateSettings()


@pytest.mark.parametrize("reason", [Reason.CREDENTIALS, Reason.BALANCE, Reason.SENDER, Reason.QUOTA])
def test_one_answer_about_our_account_opens_the_breaker_for_all_and_says_why(fleet: Fleet, reason: Reason) -> None:
    first, second = fleet.join(USUAL), fleet.join(USUAL)
    call(first, GOOD, times=3)

    call(first, refused(reason), to="somebody")

    for member in (first, second):
        knows(member, BreakerState.OPEN)
        assert refusal(member).reason == gate.BREAKER_OPEN
        assert health(member).account == reason.value
        assert health(member).reason == f"the provider refuses our account: {reason.value}, http_401"
        # Longer than after failures, which end by themselves.
        assert 5 < health(member).open_for_seconds <= USUAL.breaker.account_open_seconds


@pytest.mark.parametrize(
    "answer",
    [
        refused(Reason.SENDER, Scope.MESSAGE),
        refused(Reason.RECIPIENT_GONE, Scope.RECIPIENT),
        ProviderResult(Outcome.UNAVAILABLE, "http_503", scope=Scope.PROVIDER),
    ],
)
def test_what_is_about_one_message_or_names_no_account_opens_nothing_at_once(
    fleet: Fleet, answer: ProviderResult
) -> None:
    member = fleet.join(USUAL)

    call(member, answer, times=3)
    call(member, GOOD)

    wait_until(lambda: health(member).calls >= 4, "all is counted")
    assert (health(member).state, health(member).account) == (BreakerState.CLOSED, "")


def test_people_are_told_once_until_it_is_over(fleet: Fleet) -> None:
    first, second = fleet.join(SHORT), fleet.join(SHORT)

    with capture_logs() as logs:
        call(first, NO_CREDIT)
        for times in (1, 2):
            for member, permit in probes(first, second):
                member.release(permit, NO_CREDIT, 5)
            wait_until(lambda times=times: len(reopenings(logs)) >= times, "the probes have met it again")
        for member, permit in probes(first, second):
            member.release(permit, GOOD, 5)
        knows(first, BreakerState.CLOSED)
        knows(second, BreakerState.CLOSED)

    loud = [entry["event"] for entry in logs if entry["log_level"] in {"warning", "error"}]
    assert loud == ["provider_refuses_account", "breaker_open", "breaker_closed"]
    assert told(logs, "provider_refuses_account")[0]["account"] == "balance"
    assert {health(first).account, health(second).account} == {""}


def test_probes_that_fail_otherwise_do_not_end_it_and_a_later_one_is_told_of_anew(fleet: Fleet) -> None:
    first, second = fleet.join(SHORT), fleet.join(SHORT)

    with capture_logs() as logs:
        call(first, NO_CREDIT)
        for member, permit in probes(first, second):
            member.release(permit, BAD, 5)
        wait_until(lambda: reopenings(logs), "the probes have failed")
        assert health(first).account == "balance"
        for member, permit in probes(first, second):
            member.release(permit, GOOD, 5)
        knows(first, BreakerState.CLOSED)
        knows(second, BreakerState.CLOSED)
        permit = granted(first)
        first.release(permit, NO_CREDIT, 5)
        wait_until(lambda: len(told(logs, "provider_refuses_account")) == 2, "it is told of again")


def test_each_probe_in_vain_doubles_the_pause_up_to_a_cap_of_its_own(fleet: Fleet) -> None:
    first, second = fleet.join(SHORT), fleet.join(SHORT)

    with capture_logs() as logs:
        call(first, NO_CREDIT)
        for times in (1, 2, 3):
            for member, permit in probes(first, second):
                member.release(permit, NO_CREDIT, 5)
            wait_until(lambda times=times: len(reopenings(logs)) >= times, "it is open again")

    assert [entry["open_for_seconds"] for entry in told(logs, "breaker_open")] == [0.2]
    assert [entry["seconds"] for entry in reopenings(logs)] == [0.4, 0.5, 0.5]


def test_without_redis_the_trouble_is_known_on(shared: Fleet, redis_server: PrivateRedis) -> None:
    member = shared.join(USUAL)
    call(member, NO_CREDIT)
    knows(member, BreakerState.OPEN)

    redis_server.stop()
    wait_until(lambda: not health(member).is_shared, "Redis is found away")

    assert (health(member).state, health(member).account) == (BreakerState.OPEN, "balance")


def test_an_operator_who_put_it_right_need_not_wait(shared: Fleet, redis_url: str) -> None:
    member = shared.join(USUAL)
    call(member, NO_CREDIT)
    knows(member, BreakerState.OPEN)

    with connect(redis_url) as client:
        RedisSwitch({"sms": USUAL}, RedisScripts(client)).reopen("sms", "paid", datetime.now(UTC))

    knows(member, BreakerState.CLOSED)
    assert health(member).account == ""
