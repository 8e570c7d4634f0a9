from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from wavecom.core.job import Outcome, ProviderResult
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit
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
    """Answers that every provider is well; to the next ``nonsense`` messages it answers something else."""

    nonsense: int = 0
    told: list[Any] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)

    def run(self, name: str, keys: Sequence[str], ask: Any) -> Any:
        if name == "gate_acquire":
            return {"granted": ask["cost"], "is_probe": False, "view": CLOSED}
        if self.nonsense > 0:
            self.nonsense -= 1
            return {"workers": 1}
        self.told.append(ask)
        if any(each["tally"]["calls"] for each in ask["providers"]):
            self.heard.set()
        return {"workers": 1, "views": [CLOSED for _ in ask["providers"]]}


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
