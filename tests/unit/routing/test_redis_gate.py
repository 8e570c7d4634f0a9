from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from tests.waiting import wait_until
from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit
from wavecom.errors import UnavailableError
from wavecom.routing.gate import GateSettings
from wavecom.routing.redis_gate import RedisGate

CLOSED = {
    "state": "closed",
    "epoch": 0,
    "open_for": 0,
    "throttled_for": 0,
    "calls": 0,
    "failures": 0,
    "slow": 0,
    "is_ramping": False,
    "reason": "",
    "since": 0,
    "throttled_reason": "",
    "throttled_since": 0,
    "account": "",
}


@dataclass
class ScriptedServer:
    """Answers that every provider stands as ``view`` says; to the next ``nonsense`` messages something else."""

    nonsense: int = 0
    view: dict[str, Any] = field(default_factory=lambda: CLOSED)
    is_away: bool = False
    told: list[Any] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)

    def run(self, name: str, keys: Sequence[str], ask: Any) -> Any:
        if self.is_away:
            raise UnavailableError("Redis is away")
        if name == "gate_acquire":
            return {"granted": ask["cost"], "is_probe": False, "view": self.view}
        if self.nonsense > 0:
            self.nonsense -= 1
            return {"workers": 1}
        self.told.append(ask)
        if any(each["tally"]["calls"] for each in ask["providers"]):
            self.heard.set()
        return {"workers": 1, "views": [self.view for _ in ask["providers"]]}


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
def member(server: ScriptedServer) -> Iterator[RedisGate]:
    member = RedisGate({"sms": GateSettings()}, server, threads=8, monotonic=time.monotonic, worker="me")
    yield member
    member.close()


def call(member: RedisGate, answer: ProviderResult) -> None:
    permit = member.acquire("sms", Priority.NORMAL)
    assert isinstance(permit, Permit)
    member.release(permit, answer, 5)


def test_an_answer_that_makes_no_sense_does_not_end_the_telling(server: ScriptedServer, member: RedisGate) -> None:
    server.nonsense = 1

    with capture_logs() as logs:
        call(member, ProviderResult(Outcome.ACCEPTED, "http_202"))
        while not server.heard.wait(0.05):
            call(member, ProviderResult(Outcome.ACCEPTED, "http_202"))

    assert [entry["event"] for entry in logs] == ["gate_sync_failed"]


def test_who_closes_tells_the_rest_and_leaves(server: ScriptedServer, member: RedisGate) -> None:
    call(member, ProviderResult(Outcome.ACCEPTED, "http_202"))

    member.close()
    member.close()

    assert server.heard.is_set()
    assert [ask["is_leaving"] for ask in server.told].count(True) == 1
    assert server.told[-1]["worker"] == "me"


def test_after_closing_calls_still_pass(member: RedisGate) -> None:
    before = set(threading.enumerate())
    member.close()

    call(member, ProviderResult(Outcome.ACCEPTED, "http_202"))

    assert set(threading.enumerate()) <= before


def test_a_gate_nobody_uses_has_no_thread(server: ScriptedServer, member: RedisGate) -> None:
    before = set(threading.enumerate())

    member.snapshot()

    assert set(threading.enumerate()) <= before
    assert server.told[-1]["worker"] is None


# --- what the gauges say of the time without Redis --------------------------------------------------------------------

NO_CREDIT = ProviderResult(Outcome.UNAVAILABLE, "http_401", scope=Scope.PROVIDER, reason=Reason.BALANCE)


def gauges() -> tuple[float | None, float | None]:
    """The breaker's state, and whether the provider refuses our account for its balance."""
    return (
        REGISTRY.get_sample_value("wavecom_breaker_state", {"provider": "sms"}),
        REGISTRY.get_sample_value("wavecom_provider_account_trouble", {"provider": "sms", "reason": "balance"}),
    )


def is_shared(member: RedisGate) -> bool:
    return all(each.is_shared for each in member.snapshot())


def test_what_opened_without_redis_is_closed_again_in_the_gauges_when_it_is_back(
    server: ScriptedServer, member: RedisGate
) -> None:
    call(member, ProviderResult(Outcome.ACCEPTED, "http_202"))
    server.is_away = True
    wait_until(lambda: not is_shared(member), "the loss is noticed")

    call(member, NO_CREDIT)
    away = gauges()
    server.is_away = False
    wait_until(lambda: is_shared(member), "it shares again")

    assert away == (2, 1)
    assert gauges() == (0, 0)


def test_what_closed_without_redis_is_open_again_in_the_gauges_when_it_is_back(
    server: ScriptedServer, member: RedisGate
) -> None:
    server.view = CLOSED | {"state": "open", "account": "balance", "reason": "no credit"}
    call(member, ProviderResult(Outcome.ACCEPTED, "http_202"))
    wait_until(lambda: gauges() == (2, 1), "it knows what the fleet knows")
    server.is_away = True
    wait_until(lambda: not is_shared(member), "the loss is noticed")

    for _ in range(3):
        call(member, ProviderResult(Outcome.ACCEPTED, "http_202"))
    away = gauges()
    server.is_away = False
    wait_until(lambda: is_shared(member), "it shares again")

    assert away == (0, 0)
    assert gauges() == (2, 1)
