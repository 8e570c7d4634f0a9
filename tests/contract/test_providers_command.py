"""``wavecom providers`` over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.contract.provider_commands import ProviderCommandEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.provider_control import ProviderAction
from wavecom.core.receipt_health import ReceiptHealth, WeightFactor
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep
from wavecom.local.servers import PrivateRedis

STEP = RouteStep((Alternative("gateway", 90), Alternative("mail", 10)))
ROUTES = {Channel.SMS: ChannelRoutes((Route((STEP, RouteStep((Alternative("alone"),)))),))}


@pytest.fixture
def environment(redis_server: PrivateRedis, redis_url: str) -> Iterator[ProviderCommandEnvironment]:
    environment = ProviderCommandEnvironment(redis_url, ROUTES)
    yield environment
    environment.client.close()
    redis_server.start()


def test_providers_are_listed_with_state_reason_since_and_until(environment: ProviderCommandEnvironment) -> None:
    before = environment.listed()
    environment.run("pause", "gateway", "--for", "30m", "--reason", "maintenance", "--operator", "ada")

    after = environment.listed()["gateway"]

    assert {name: line["state"] for name, line in before.items()} == dict.fromkeys(
        ("gateway", "mail", "alone"), "in use"
    )
    assert (after["state"], after["reason"]) == ("paused", "paused by ada: maintenance")
    assert after["since"] <= after["until"]
    assert "paused by ada: maintenance" in environment.run("list").output


def test_a_pause_and_its_end_are_audited(environment: ProviderCommandEnvironment) -> None:
    paused = environment.run("pause", "gateway", "--for", "30m", "--reason", "maintenance", "--operator", "ada")
    reopened = environment.run("reopen", "gateway", "--reason", "done", "--operator", "eve")

    assert (paused.exit_code, reopened.exit_code) == (0, 0)
    assert environment.listed()["gateway"]["state"] == "starting slowly"
    assert [(each.action, each.actor, each.provider, each.reason) for each in environment.audit.events] == [
        (ProviderAction.PAUSE, "ada", "gateway", "maintenance"),
        (ProviderAction.REOPEN, "eve", "gateway", "done"),
    ]
    assert environment.audit.events[0].until is not None


def test_what_cannot_be_audited_is_not_done(environment: ProviderCommandEnvironment) -> None:
    environment.audit.is_up = False

    result = environment.run("pause", "gateway", "--for", "30m", "--reason", "maintenance")

    assert result.exit_code == 1
    assert "MONGODB_URI" in result.output
    assert environment.listed()["gateway"]["state"] == "in use"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pause", "gatway", "--for", "30m", "--reason", "x"], "there are: gateway, mail"),
        (["reopen", "gatway", "--reason", "x"], "there are: gateway, mail"),
        (["pause", "gateway", "--for", "2d", "--reason", "x"], "from 1s to 1d"),
        (["pause", "gateway", "--for", "0", "--reason", "x"], "from 1s to 1d"),
        (["pause", "gateway", "--for", "30m", "--reason", " "], "1 to 200 printable"),
        (["reopen", "gateway"], "--reason"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_with_the_fix(
    environment: ProviderCommandEnvironment, words: list[str], said: str
) -> None:
    result = environment.run(*words)

    assert result.exit_code == 2
    assert said in result.output
    assert environment.audit.events == []


def test_without_redis_it_says_so(environment: ProviderCommandEnvironment, redis_server: PrivateRedis) -> None:
    redis_server.kill()

    results = [environment.run("list"), environment.run("reopen", "gateway", "--reason", "x")]

    assert [result.exit_code for result in results] == [1, 1]
    assert all("REDIS_URL" in result.output for result in results)


def test_a_weight_is_kept_and_audited_until_the_file_holds_again(environment: ProviderCommandEnvironment) -> None:
    changed = environment.run("weight", "gateway", "20", "--reason", "new contract", "--operator", "ada")
    weight = environment.overrides.all()["gateway"].weight
    back = environment.run("weight", "gateway", "file", "--reason", "done", "--operator", "eve")

    assert (changed.exit_code, back.exit_code) == (0, 0)
    assert weight == 20
    assert environment.overrides.all()["gateway"].weight is None
    assert [(event.action, event.actor, event.weight) for event in environment.audit.events] == [
        (ProviderAction.WEIGH, "ada", 20),
        (ProviderAction.WEIGH, "eve", None),
    ]


def test_a_pause_is_kept_beside_the_weight_and_taken_back_alone(environment: ProviderCommandEnvironment) -> None:
    environment.run("weight", "gateway", "20", "--reason", "new contract", "--operator", "ada")
    environment.run("pause", "gateway", "--for", "30m", "--reason", "maintenance", "--operator", "ada")
    paused = environment.overrides.all()["gateway"]
    environment.run("reopen", "gateway", "--reason", "done", "--operator", "eve")
    reopened = environment.overrides.all()["gateway"]

    assert paused.paused_until == environment.clock.now() + timedelta(minutes=30)
    assert (reopened.paused_until, reopened.weight, reopened.changed_by) == (None, 20, "eve")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("weight", "alone", "5"), "shares no step"),
        (("weight", "gatway", "5"), "no provider"),
        (("weight", "gateway", "-1"), "No such option"),
        (("weight", "gateway", "1000001"), "whole number"),
        (("weight", "gateway", "half"), "whole number"),
    ],
)
def test_a_weight_without_effect_or_sense_is_refused(
    environment: ProviderCommandEnvironment, words: tuple[str, ...], said: str
) -> None:
    result = environment.run(*words, "--reason", "why not")

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert environment.overrides.all() == {}
    assert environment.audit.events == []


def test_a_weight_that_receipts_or_people_have_changed_is_told_below_the_list(
    environment: ProviderCommandEnvironment,
) -> None:
    now = environment.clock.now()
    environment.factors.replace("gateway", None, WeightFactor(60, ReceiptHealth.SLOW, now, now))
    environment.factors.replace("mail", None, WeightFactor(80, ReceiptHealth.BAD, now, now))
    environment.overrides.set_weight("mail", 5, "ada", "contract", now)

    told = environment.run("list").output
    lines = environment.listed()

    assert f"gateway: weight of the file (60 % of it: receipts slow since {now:%H:%M} UTC)" in told
    assert f"mail: weight 5, set by hand (else of the file, 80 % of it: receipts bad since {now:%H:%M} UTC)" in told
    assert "alone: weight" not in told
    assert [lines[name]["weight_percent"] for name in ("gateway", "mail", "alone")] == [60, 80, 100]
    assert [lines[name]["weight"] for name in ("gateway", "mail", "alone")] == [None, 5, None]
