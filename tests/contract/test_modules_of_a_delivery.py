"""How many modules deliver a notification: all that run, and by subject; docs/architecture.md has it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import pytest

from tests.delivery_environment import DeliveryEnvironment
from tests.modules_run import modules_run
from wavecom.core.lanes import Channel
from wavecom.routing.gate import GateSettings
from wavecom.routing.redis_gate import RedisGate
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.scripts import RedisScripts

#: Stand in for servers here, or make the job; so are none of the modules that count.
STORES = {"storage.mongo.documents", "storage.mongo.client_json", "storage.redis.scripts", "core.ids"}
#: What stands before the permit, on the worker's main loop: needs a broker, so it does not run here.
CONSUMER = {"worker.delivery_consumer", "worker.held_messages", "worker.ack_tracker", "broker.topology"}
#: What stands behind a port of the core, and how many modules that has: a walk of its own, which this one ends at.
BEHIND_PORTS = {
    "providers.transport.": 7,  # HttpTransport
    "providers.": 5,  # Provider: the HTTP provider and what all have in common
    "routing.": 11,  # ProviderRouter, and the gate that all workers share
    "delivery_metrics": 1,  # observers
    "histograms": 1,
}


@pytest.fixture
def environment(redis_url: str) -> Iterator[DeliveryEnvironment]:
    client = connect(redis_url)

    def make_gate(providers: Mapping[str, GateSettings]) -> RedisGate:
        return RedisGate(providers, RedisScripts(client), threads=8, monotonic=time.monotonic, worker="worker-1")

    with DeliveryEnvironment(make_gate) as made:
        yield made
    client.close()


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.EMAIL])
def test_delivering_a_notification_touches_no_more_modules_than_the_documentation_says(
    environment: DeliveryEnvironment, channel: Channel
) -> None:
    touched = set(modules_run(lambda: environment.deliver(type=channel))) - STORES
    of_the_rule = set(touched) | CONSUMER
    for prefix, most in BEHIND_PORTS.items():
        behind = {name for name in of_the_rule if name.startswith(prefix)}
        of_the_rule -= behind
        assert 0 < len(behind) <= most, sorted(behind)

    assert len(touched | CONSUMER) <= 49, sorted(touched | CONSUMER)
    assert len(of_the_rule) <= 24, sorted(of_the_rule)
    assert {"core.delivery", "core.engine", "core.attempts", "worker.pipeline"} <= of_the_rule
