"""Processes that share what they know about their providers, and what tests do with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis

from tests import waiting
from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.job import Outcome, ProviderResult, Scope
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit, Refusal
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState, ProviderHealth
from wavecom.routing.gate import GateSettings
from wavecom.routing.local_gate import LocalGate
from wavecom.routing.redis_gate import RedisGate
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.scripts import RedisScripts

AnyGate = LocalGate | RedisGate
GOOD = ProviderResult(Outcome.ACCEPTED, "http_202")
BAD = ProviderResult(Outcome.UNAVAILABLE, "http_503")
#: How much of a pause may have passed by the time that a busy machine looks.
SLACK_SECONDS = 20
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


def wait_until(is_so: Callable[[], Any], what: str) -> None:
    """Often: what a gate is waited for takes less than the usual pause between two looks."""
    waiting.wait_until(is_so, what, poll_seconds=0.005)


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


def wait(seconds: float | None, scope: Scope | None = None, code: str = "http_429") -> ProviderResult:
    """An answer that asks to be called again later."""
    return ProviderResult(Outcome.UNAVAILABLE, code, retry_after_seconds=seconds, scope=scope)
