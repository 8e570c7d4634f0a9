"""Which of the broker's nodes is tried when. Real connections: tests/integration/cluster."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from wavecom.amqp_address import AmqpAddress
from wavecom.broker.connection import Connector
from wavecom.local.ports import free_ports


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_without_any_node_the_last_refusal_is_raised() -> None:
    nodes = ",".join(f"127.0.0.1:{port}" for port in free_ports(3))

    with pytest.raises(ConnectionRefusedError):
        Connector(AmqpAddress.parse(f"amqp://{nodes}"), "test").connect(1)


def test_a_node_that_refuses_is_passed_over_for_the_next(listening: socket.socket) -> None:
    [port] = free_ports(1)
    nodes = f"127.0.0.1:{port},127.0.0.1:{listening.getsockname()[1]}"
    connector = Connector(AmqpAddress.parse(f"amqp://{nodes}"), "test", shuffle=lambda _: None)

    # It takes connections and says nothing, as a frozen node does.
    with pytest.raises(OSError, match="timed out"):
        connector.connect(1)

    listening.accept()[0].close()
