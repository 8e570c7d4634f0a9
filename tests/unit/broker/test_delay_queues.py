"""The delay queues are declared at a worker's start, and again, without holding it up, when it has reconnected."""

from __future__ import annotations

from typing import Any

from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.delay_queues import DelayQueues
from wavecom.local.ports import free_ports


def test_a_broker_that_is_away_holds_nobody_up_and_is_tried_until_it_is_there() -> None:
    [port] = free_ports(1)
    tries: list[float] = []

    def sleep(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 3:
            raise SystemExit  # ends the thread

    queues = DelayQueues(AmqpAddress.parse(f"amqp://127.0.0.1:{port}"), declare=_never, sleep=sleep, patience_seconds=0)

    queues.declare()
    queues.declare()

    wait_until(lambda: len(tries) == 3, "it to be tried again and again")


def _never(_: Any) -> None:
    raise AssertionError("there is no connection to declare anything over")
