"""``wavecom providers`` over a real Redis."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from tests.fakes import FakeClock
from tests.memory_storage import MemoryOverrideStore
from wavecom.cli import main
from wavecom.core.lanes import Channel
from wavecom.core.provider_control import ProviderAction, ProviderControl, ProviderEvent
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep
from wavecom.errors import StoreError
from wavecom.local.servers import PrivateRedis
from wavecom.routing.gate import GateSettings
from wavecom.routing.switch import RedisSwitch
from wavecom.services.provider_control import ProviderServices
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.scripts import RedisScripts

STEP = RouteStep((Alternative("gateway", 90), Alternative("mail", 10)))
ROUTES = {Channel.SMS: ChannelRoutes((Route((STEP, RouteStep((Alternative("alone"),)))),))}


class MemoryAudit:
    def __init__(self) -> None:
        self.events: list[ProviderEvent] = []
        self.is_up = True

    def record_provider_event(self, event: ProviderEvent) -> None:
        if not self.is_up:
            raise StoreError("MongoDB does not answer.")
        self.events.append(event)


class Office:
    def __init__(self, redis_url: str) -> None:
        self.client = connect(redis_url, timeout_seconds=5)
        self.audit = MemoryAudit()
        self.overrides = MemoryOverrideStore()
        self.clock = FakeClock()
        switch = RedisSwitch({name: GateSettings() for name in ("gateway", "mail", "alone")}, RedisScripts(self.client))
        numbers = itertools.count(1)
        control = ProviderControl(
            switch=switch,
            overrides=self.overrides,
            audit=self.audit,
            clock=self.clock,
            new_id=lambda: f"id-{next(numbers)}",
        )
        self.services = ProviderServices(
            clock=self.clock, switch=switch, control=control, overrides=self.overrides, routes=ROUTES
        )

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["providers", *words], obj=self.services)

    def listed(self) -> dict[str, dict[str, str]]:
        lines = [json.loads(line) for line in self.run("list", "--json").output.splitlines()]
        return {line["provider"]: line for line in lines}


@pytest.fixture
def office(redis_server: PrivateRedis, redis_url: str) -> Iterator[Office]:
    office = Office(redis_url)
    yield office
    office.client.close()
    redis_server.start()


def test_providers_are_listed_with_state_reason_since_and_until(office: Office) -> None:
    before = office.listed()
    office.run("pause", "gateway", "--for", "30m", "--reason", "maintenance", "--operator", "ada")

    after = office.listed()["gateway"]

    assert {name: line["state"] for name, line in before.items()} == dict.fromkeys(
        ("gateway", "mail", "alone"), "in use"
    )
    assert (after["state"], after["reason"]) == ("paused", "paused by ada: maintenance")
    assert after["since"] <= after["until"]
    assert "paused by ada: maintenance" in office.run("list").output


def test_a_pause_and_its_end_are_audited(office: Office) -> None:
    paused = office.run("pause", "gateway", "--for", "30m", "--reason", "maintenance", "--operator", "ada")
    reopened = office.run("reopen", "gateway", "--reason", "done", "--operator", "eve")

    assert (paused.exit_code, reopened.exit_code) == (0, 0)
    assert office.listed()["gateway"]["state"] == "starting slowly"
    assert [(each.action, each.actor, each.provider, each.reason) for each in office.audit.events] == [
        (ProviderAction.PAUSE, "ada", "gateway", "maintenance"),
        (ProviderAction.REOPEN, "eve", "gateway", "done"),
    ]
    assert office.audit.events[0].until is not None


def test_what_cannot_be_audited_is_not_done(office: Office) -> None:
    office.audit.is_up = False

    result = office.run("pause", "gateway", "--for", "30m", "--reason", "maintenance")

    assert result.exit_code == 1
    assert "MONGODB_URI" in result.output
    assert office.listed()["gateway"]["state"] == "in use"


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
def test_what_is_asked_for_wrongly_is_said_with_the_fix(office: Office, words: list[str], said: str) -> None:
    result = office.run(*words)

    assert result.exit_code == 2
    assert said in result.output
    assert office.audit.events == []


def test_without_redis_it_says_so(office: Office, redis_server: PrivateRedis) -> None:
    redis_server.kill()

    results = [office.run("list"), office.run("reopen", "gateway", "--reason", "x")]

    assert [result.exit_code for result in results] == [1, 1]
    assert all("REDIS_URL" in result.output for result in results)


def test_a_weight_is_kept_and_audited_until_the_file_holds_again(office: Office) -> None:
    changed = office.run("weight", "gateway", "20", "--reason", "new contract", "--operator", "ada")
    weight = office.overrides.all()["gateway"].weight
    back = office.run("weight", "gateway", "file", "--reason", "done", "--operator", "eve")

    assert (changed.exit_code, back.exit_code) == (0, 0)
    assert weight == 20
    assert office.overrides.all()["gateway"].weight is None
    assert [(event.action, event.actor, event.weight) for event in office.audit.events] == [
        (ProviderAction.WEIGH, "ada", 20),
        (ProviderAction.WEIGH, "eve", None),
    ]


def test_a_pause_is_kept_beside_the_weight_and_taken_back_alone(office: Office) -> None:
    office.run("weight", "gateway", "20", "--reason", "new contract", "--operator", "ada")
    office.run("pause", "gateway", "--for", "30m", "--reason", "maintenance", "--operator", "ada")
    paused = office.overrides.all()["gateway"]
    office.run("reopen", "gateway", "--reason", "done", "--operator", "eve")
    reopened = office.overrides.all()["gateway"]

    assert paused.paused_until == office.clock.now() + timedelta(minutes=30)
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
def test_a_weight_without_effect_or_sense_is_refused(office: Office, words: tuple[str, ...], said: str) -> None:
    result = office.run(*words, "--reason", "why not")

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert office.overrides.all() == {}
    assert office.audit.events == []
