"""The delay queues are declared at a worker's start, and again, without holding it up, when it has reconnected."""

from __future__ import annotations

from typing import Any

from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.connection import Connector
from wavecom.broker.delay_queues import DelayQueues


class Broker(Connector):
    """A broker that refuses so many connections, and then takes them."""

    def __init__(self, refusals: int) -> None:
        super().__init__(AmqpAddress.parse("amqp://"), "test")
        self.refusals = refusals

    def connect(self, timeout_seconds: float) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError
        return self

    def collect(self) -> None:
        """As py-amqp's connection has it."""


def test_a_broker_that_is_away_is_tried_until_it_is_there() -> None:
    broker = Broker(refusals=2)
    pauses: list[float] = []
    declared: list[Any] = []
    queues = DelayQueues(broker, declare=declared.append, sleep=pauses.append, patience_seconds=0)

    queues.declare()

    wait_until(lambda: declared == [broker], "the queues to be declared")
    assert len(pauses) == 2


def test_an_error_that_nobody_foresaw_does_not_end_the_tries() -> None:
    errors, pauses, declared = [KeyError("a bug")], list[float](), list[Any]()

    def declare(connection: Any) -> None:
        if errors:
            raise errors.pop()
        declared.append(connection)

    broker = Broker(refusals=0)
    queues = DelayQueues(broker, declare=declare, sleep=pauses.append, patience_seconds=0)

    queues.declare()

    wait_until(lambda: declared == [broker], "the queues to be declared")
    assert len(pauses) == 1


def test_after_each_reconnection_they_are_declared_again() -> None:
    broker = Broker(refusals=0)
    declared: list[Any] = []
    queues = DelayQueues(broker, declare=declared.append)

    queues.declare()
    wait_until(lambda: len(declared) == 1, "the queues to be declared")
    queues.declare()

    wait_until(lambda: len(declared) == 2, "the queues to be declared again")
