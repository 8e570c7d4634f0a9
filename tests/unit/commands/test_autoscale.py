"""``wavecom autoscale``, over a broker in memory."""

from __future__ import annotations

import json
import time

from click.testing import CliRunner, Result

from wavecom.cli import main
from wavecom.core.autoscaling import ScalingPolicy
from wavecom.core.lanes import Channel, Lane, LaneQueue, Priority
from wavecom.core.queue_rates import QueueCounters
from wavecom.errors import BrokerError
from wavecom.providers.factory import sandbox_config
from wavecom.services.autoscaling import Autoscaler, AutoscalingServices

QUEUE = Lane(Channel.PUSH, Priority.BULK).queue


def run(counters: dict[LaneQueue, QueueCounters] | BrokerError, *arguments: str) -> Result:
    def read() -> dict[LaneQueue, QueueCounters]:
        if isinstance(counters, BrokerError):
            raise counters
        return counters

    autoscaler = Autoscaler(
        read_counters=read,
        read_statuses=dict,
        config=sandbox_config("sandbox"),
        policy=ScalingPolicy(drain_seconds=10, assumed_worker_per_second=100),
        monotonic=time.monotonic,
    )
    services = AutoscalingServices(autoscaler=autoscaler)
    return CliRunner().invoke(main, ["autoscale", "--over", "1", *arguments], obj=services)


def test_the_decision_is_one_json_object_with_numbers_and_reason() -> None:
    result = run({QUEUE: QueueCounters(waiting=2_500, in_hand=40, consumers=1)})

    groups = json.loads(result.output)["groups"]
    assert result.exit_code == 0
    assert set(groups) == {"worker", "worker-high"}
    worker = groups["worker"]
    assert (worker["desired"], worker["needed"], worker["workers"]) == (3, 3, 1)
    assert (worker["waiting"], worker["inHand"], worker["wantedPerSecond"]) == (2_500, 40, 250)
    assert worker["drainSeconds"] is None
    assert worker["reason"].startswith("2,500 wait and 0/s come: 250/s are wanted to be done with them in 10 s")


def test_a_broker_that_is_away_is_told_in_words() -> None:
    result = run(BrokerError("RabbitMQ's management API can't be used (ConnectTimeout)."))

    assert result.exit_code == 1
    assert "management API can't be used" in result.stderr
    assert result.stdout == ""
