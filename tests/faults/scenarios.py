"""What the drill does: each scenario as data, and a small function that does it to a deployment under load.

A function returns when all is healed. Durations are multiplied by the plan's pace.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from harness.provider_server import Behaviour, Fault, FaultKind
from harness.subject import MONGODB, RABBITMQ, REDIS
from tests.faults.campaigns import kill_ops_while_rows_go, kill_web_while_rows_come
from tests.faults.deployment import Deployment
from tests.faults.fallbacks import kill_workers_between_steps
from tests.faults.plan import FIRST, PROVIDER_TIMEOUT_SECONDS, SECOND, SERVERS
from tests.faults.restore_scenario import restore_older_copy

DOWN = Behaviour(0.02, [Fault(FaultKind.STATUS, status=503)])
HANGING = Behaviour(0.05, [Fault(FaultKind.SILENCE)])
#: Slower than usual by far, but within the deadline; one in ten is not.
SLOW = Behaviour(2.0, [Fault(FaultKind.SILENCE, 0.1)])


@dataclass(frozen=True, slots=True)
class Failover:
    """What a scenario with two providers must show: that the second takes over, and the first comes back."""

    within_seconds: float
    #: As good as being quick: so few calls failed.
    within_failed_calls: int = 0
    least_delivered: float = 0.99


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the report."""

    name: str
    #: A sentence for the report.
    what: str
    act: Callable[[Deployment], None]
    providers: tuple[str, ...] = (FIRST,)
    fake_clock_of: str | None = None
    #: Attempts may be used up although nobody asked for it: the provider itself is the trouble.
    may_exhaust_attempts: bool = False
    #: Every request is answered 202 at its first try, and within this time.
    accepts_within_seconds: float | None = None
    #: Notifications a second, where the drill's own rate is more than is meant.
    most_per_second: float = math.inf
    #: Every second request comes over a connection of its own.
    connects_anew: bool = False
    failover: Failover | None = None
    #: The provider reports what became of messages: each receipt that is answered 200 is applied once.
    has_receipts: bool = False
    #: Fifty endpoints of a client are sent what becomes of its notifications: nothing is lost on the way.
    has_callbacks: bool = False
    #: A campaign is uploaded and sent: each of its rows is one job, or was rejected.
    has_campaign: bool = False
    #: Fallbacks are sent: each ends, with one job a step and no message by two channels.
    has_fallbacks: bool = False
    #: RabbitMQ is a cluster of three nodes.
    has_cluster: bool = False
    #: No lane stands still for longer, from the first fault on.
    delivers_within_seconds: float | None = None
    #: Several are behind nginx.
    webs: int = 1
    #: The store is put back to a copy: what was accepted since may be lost, and nothing is sent before it is settled.
    restores_store: bool = False
    #: Whether it begins with the other release, or moves to it; None: there is none.
    starts_with_other: bool | None = None


# --- Processes ----------------------------------------------------------------------------------------------------


def _kill_workers(deployment: Deployment) -> None:
    dice = random.Random(f"{deployment.plan.seed}/kill-workers")
    for _ in range(10):
        deployment.pause(dice.uniform(2, 5))
        # One that is still starting holds nothing that could be lost.
        deployment.wait_until(lambda: bool(deployment.settled_workers()), 60)
        deployment.kill_program(dice.choice(deployment.settled_workers()))


def _kill_web(deployment: Deployment) -> None:
    for kill in (deployment.kill_web_child, lambda: deployment.kill_program("web"), deployment.kill_web_child):
        kill()
        deployment.pause(7)


def _kill_beat_and_ops(deployment: Deployment) -> None:
    for title in ("beat", "ops", "beat", "ops"):
        deployment.kill_program(title)
        deployment.pause(5)


def _under_attack(deployment: Deployment) -> None:
    # Longer than a body may take.
    with deployment.under_attack(silent=2_500, stalled=100, trickled=50):
        deployment.pause(45)


# --- Servers ------------------------------------------------------------------------------------------------------


def _server_away(name: str, seconds: float, *, gently: bool = False, times: int = 1) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        for number in range(times):
            if number:
                deployment.pause(6)
            with deployment.without(name, gently=gently):
                deployment.pause(seconds)

    return act


def _close_amqp_connections(deployment: Deployment) -> None:
    for _ in range(3):
        with deployment.trouble("RabbitMQ closes all connections (rabbitmqctl close_all_connections)"):
            deployment.rabbitmq.ctl("close_all_connections", "fault drill")
        deployment.pause(6)


def _memory_alarm(deployment: Deployment) -> None:
    with _alarmed(deployment):
        deployment.pause(20)


@contextlib.contextmanager
def _alarmed(deployment: Deployment) -> Iterator[None]:
    with deployment.trouble("RabbitMQ's memory alarm: it blocks who publishes"):
        deployment.rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            yield
        finally:
            deployment.rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1GB")


def _flush_redis(deployment: Deployment) -> None:
    for _ in range(3):
        with deployment.trouble("Redis flushed (FLUSHALL)"):
            deployment.flush_redis()
        deployment.pause(4)


# --- Networks -----------------------------------------------------------------------------------------------------


def _cut(name: str) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        for _ in range(5):
            deployment.cut(name)
            deployment.pause(3)

    return act


def _frozen(name: str, seconds: float) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        with deployment.link(name, "freeze"):
            deployment.pause(seconds)

    return act


# --- Providers ----------------------------------------------------------------------------------------------------


def _provider(what: str, behaviour: Behaviour | None, seconds: float = 20) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        with deployment.ailing(FIRST, what, behaviour):
            deployment.pause(seconds)

    return act


def _flapping(deployment: Deployment) -> None:
    for _ in range(6):
        with deployment.ailing(FIRST, "down", DOWN):
            deployment.pause(2)
        deployment.pause(2)


def _fails_over(what: str, behaviour: Behaviour | None) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        # Not shortened: the limits that it is held to are in seconds of the clock.
        with deployment.ailing(FIRST, what, behaviour):
            deployment.pause(20 / deployment.plan.pace)
        # It comes back by itself, once the breaker has tried it.
        deployment.wait_until(lambda: deployment.recorder.ask("sent_per_second", provider=FIRST, seconds=3) > 20, 90, 1)

    return act


# --- Clocks -------------------------------------------------------------------------------------------------------


def _move_clock(deployment: Deployment) -> None:
    for seconds in (+600, -600):
        with deployment.clock_moved(seconds):
            deployment.pause(12)
        deployment.pause(3)


# --- Callbacks ----------------------------------------------------------------------------------------------------


def _receiver_down(deployment: Deployment) -> None:
    endpoints = deployment.endpoints
    # Not shortened: a call of an endpoint that does not answer takes 15 s, and five that fail slow it down.
    with deployment.trouble("one endpoint of fifty never answers, then answers 503"):
        endpoints.silence_one()
        deployment.pause(20 / deployment.plan.pace)
        endpoints.have_it_refuse()
        deployment.pause(10 / deployment.plan.pace)
        endpoints.heal()


def _kill_workers_that_send(deployment: Deployment) -> None:
    dice = random.Random(f"{deployment.plan.seed}/callbacks-worker-killed")

    def that_send() -> list[str]:
        # Those of the high lane send no callbacks.
        return [title for title in deployment.settled_workers() if title != "worker-high"]

    with deployment.endpoints.slow():
        for _ in range(5):
            deployment.pause(dice.uniform(4, 8))
            deployment.wait_until(lambda: bool(that_send()), 60)
            deployment.kill_program(dice.choice(that_send()))


# --- Mixed --------------------------------------------------------------------------------------------------------


def _mixed(deployment: Deployment) -> None:
    dice = random.Random(f"{deployment.plan.seed}/mixed")
    for _ in range(8):
        first, second = dice.sample(sorted(_PAIRABLE), 2)
        with _PAIRABLE[first](deployment), _PAIRABLE[second](deployment):
            deployment.pause(dice.uniform(2, 7))
        deployment.pause(dice.uniform(1, 4))


@contextlib.contextmanager
def _killed(deployment: Deployment, title: str) -> Iterator[None]:
    if deployment.programs[title].is_running:
        deployment.kill_program(title)
    yield


def _frozen_link(name: str) -> Callable[[Deployment], AbstractContextManager[None]]:
    return lambda deployment: deployment.link(name, "freeze")


#: Faults of which any two can strike together.
_PAIRABLE: dict[str, Callable[[Deployment], AbstractContextManager[None]]] = {
    "kill worker1": lambda deployment: _killed(deployment, "worker1"),
    "kill worker2": lambda deployment: _killed(deployment, "worker2"),
    "kill worker-high": lambda deployment: _killed(deployment, "worker-high"),
    "kill web": lambda deployment: _killed(deployment, "web"),
    "kill ops": lambda deployment: _killed(deployment, "ops"),
    "kill beat": lambda deployment: _killed(deployment, "beat"),
    "RabbitMQ away": lambda deployment: deployment.without(RABBITMQ),
    "Redis away": lambda deployment: deployment.without(REDIS),
    "MongoDB away": lambda deployment: deployment.without(MONGODB),
    "RabbitMQ frozen": _frozen_link(RABBITMQ),
    "Redis frozen": _frozen_link(REDIS),
    "MongoDB frozen": _frozen_link(MONGODB),
    "provider down": lambda deployment: deployment.ailing(FIRST, "down (503)", DOWN),
    "provider hanging": lambda deployment: deployment.ailing(FIRST, "hanging", HANGING),
    "provider refusing": lambda deployment: deployment.ailing(FIRST, "refusing connections", None),
}


def _one_of_each(deployment: Deployment) -> None:
    for title in ("worker1", "worker-high", "web", "beat", "ops"):
        deployment.kill_program(title)
        deployment.pause(3)
    for name in SERVERS:
        with deployment.without(name):
            deployment.pause(2)
        deployment.pause(4)


SHORT = Scenario(
    "one-of-each",
    "kill -9 of one worker of each kind, web, beat, ops, RabbitMQ, Redis and MongoDB in turn",
    _one_of_each,
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("kill-workers", "kill -9 of a random delivery worker, 10 times", _kill_workers),
    Scenario("kill-web", "kill -9 of the web server: its child, the whole, its child again", _kill_web),
    Scenario("kill-beat-and-ops", "kill -9 of beat and of the ops worker, twice each", _kill_beat_and_ops),
    Scenario(
        "hostile-clients",
        "2,500 silent connections, stalled and trickled bodies and HTTP/2 from three identities and strangers for 45 s",
        _under_attack,
        accepts_within_seconds=1,
        most_per_second=50,
        connects_anew=True,
    ),
    Scenario("rabbitmq-stopped", "RabbitMQ stopped for 10 s, then started", _server_away(RABBITMQ, 10, gently=True)),
    Scenario("rabbitmq-killed", "RabbitMQ killed with kill -9 and started, twice", _server_away(RABBITMQ, 3, times=2)),
    Scenario("rabbitmq-closes", "RabbitMQ closes all connections, 3 times", _close_amqp_connections),
    Scenario("rabbitmq-alarm", "RabbitMQ's memory alarm on for 20 s", _memory_alarm),
    Scenario("redis-killed", "Redis killed with kill -9 for 8 s, twice", _server_away(REDIS, 8, times=2)),
    Scenario("redis-flushed", "all of Redis' data deleted, 3 times", _flush_redis),
    Scenario("mongodb-killed", "MongoDB killed with kill -9 for 3 s, 3 times", _server_away(MONGODB, 3, times=3)),
    Scenario("mongodb-away", "MongoDB away for 60 s", _server_away(MONGODB, 60)),
    Scenario("rabbitmq-cut", "connections to RabbitMQ reset, 5 times", _cut(RABBITMQ)),
    Scenario("rabbitmq-frozen", "network to RabbitMQ frozen for 20 s", _frozen(RABBITMQ, 20)),
    Scenario("redis-cut", "connections to Redis reset, 5 times", _cut(REDIS)),
    Scenario("redis-frozen", "network to Redis frozen for 20 s", _frozen(REDIS, 20)),
    Scenario("mongodb-cut", "connections to MongoDB reset, 5 times", _cut(MONGODB)),
    Scenario("mongodb-frozen", "network to MongoDB frozen for 20 s", _frozen(MONGODB, 20)),
    Scenario(
        "provider-down", "the provider answers 503 for 20 s", _provider("down (503)", DOWN), may_exhaust_attempts=True
    ),
    Scenario("provider-slow", "the provider takes 2 s for 20 s", _provider("slow", SLOW), may_exhaust_attempts=True),
    Scenario(
        "provider-hanging",
        "the provider never answers for 20 s",
        _provider("hanging", HANGING),
        may_exhaust_attempts=True,
    ),
    Scenario(
        "provider-flapping",
        "the provider answers 503 for 2 s in every 4 s, 6 times",
        _flapping,
        may_exhaust_attempts=True,
    ),
    Scenario(
        "provider-refusing",
        "the provider refuses connections for 20 s",
        _provider("refusing connections", None),
        may_exhaust_attempts=True,
    ),
    Scenario(
        "clock-of-worker",
        "the clock of a delivery worker off by +10 min, then by -10 min",
        _move_clock,
        fake_clock_of="worker1",
    ),
    Scenario(
        "clock-of-web", "the clock of the web server off by +10 min, then by -10 min", _move_clock, fake_clock_of="web"
    ),
    Scenario(
        "clock-of-ops", "the clock of the ops worker off by +10 min, then by -10 min", _move_clock, fake_clock_of="ops"
    ),
    Scenario(
        "failover-refusing",
        "the first of two providers refuses connections for 20 s",
        _fails_over("refusing connections", None),
        providers=(FIRST, SECOND),
        failover=Failover(5, 20),
    ),
    Scenario(
        "failover-503",
        "the first of two providers answers 503 for 20 s",
        _fails_over("down (503)", DOWN),
        providers=(FIRST, SECOND),
        failover=Failover(5, 20),
    ),
    Scenario(
        "failover-hanging",
        "the first of two providers never answers for 20 s",
        _fails_over("hanging", HANGING),
        providers=(FIRST, SECOND),
        failover=Failover(PROVIDER_TIMEOUT_SECONDS + 5),
    ),
    Scenario(
        "receipts-mongodb-killed",
        "receipts for every message; MongoDB killed with kill -9 for 3 s, 3 times",
        _server_away(MONGODB, 3, times=3),
        has_receipts=True,
    ),
    Scenario(
        "receipts-redis-killed",
        "receipts for every message; Redis killed with kill -9 for 8 s, twice",
        _server_away(REDIS, 8, times=2),
        has_receipts=True,
    ),
    Scenario(
        "receipts-rabbitmq-killed",
        "receipts for every message; RabbitMQ killed with kill -9 and started, twice",
        _server_away(RABBITMQ, 3, times=2),
        has_receipts=True,
    ),
    Scenario(
        "receipts-web-killed",
        "receipts for every message; kill -9 of the web server: its child, the whole, its child again",
        _kill_web,
        has_receipts=True,
    ),
    Scenario(
        "callbacks-receiver-down",
        "callbacks to fifty endpoints; one of them never answers for 20 s, then answers 503 for 10 s",
        _receiver_down,
        has_callbacks=True,
        most_per_second=40,
    ),
    Scenario(
        "callbacks-worker-killed",
        "callbacks to fifty endpoints, some of them slow; kill -9 of a random worker that sends them, 5 times",
        _kill_workers_that_send,
        has_callbacks=True,
        most_per_second=40,
    ),
    Scenario(
        "campaign-web-killed",
        "a campaign of 4,000 rows is uploaded; kill -9 of the web server meanwhile: its child, the whole, its child",
        kill_web_while_rows_come,
        has_campaign=True,
    ),
    Scenario(
        "campaign-ops-killed",
        "a campaign of 4,000 rows is sent; kill -9 of the ops process meanwhile, 4 times",
        kill_ops_while_rows_go,
        has_campaign=True,
    ),
    Scenario(
        "fallback-worker-killed",
        "200 fallbacks under stop, half of them while the provider is down; kill -9 of workers and ops, 5 times",
        kill_workers_between_steps,
        may_exhaust_attempts=True,
        has_fallbacks=True,
    ),
    Scenario(
        "restore-older-copy",
        "MongoDB put back to a copy of half a minute before, under running processes, then settled by wavecom restore",
        restore_older_copy,
        may_exhaust_attempts=True,
        restores_store=True,
    ),
    Scenario("mixed", "pairs of random faults of all kinds, 8 times", _mixed, may_exhaust_attempts=True),
)
