"""The one way to connect to RabbitMQ outside of Celery's own machinery."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import amqp
from kombu.transport.pyamqp import Connection

from wavecom.amqp_address import AmqpAddress, AmqpNode

#: For one node, TLS included. Another may be waiting to serve.
CONNECT_TIMEOUT_SECONDS: Final = 2.0


class Connector:
    """Connects to a node of the broker, each time to the one that was good last, else to the next that answers.

    The first is drawn, so that the processes of a fleet are spread over the nodes. For one thread at a time.
    """

    def __init__(
        self, address: AmqpAddress, name: str, *, shuffle: Callable[[list[AmqpNode]], None] = random.shuffle
    ) -> None:
        """``name`` is what operators see of the connections."""
        self._address = address
        self._name = name
        nodes = list(address.nodes)
        shuffle(nodes)
        self._nodes = deque(nodes)

    @property
    def node_count(self) -> int:
        """How many nodes there are to connect to."""
        return len(self._nodes)

    def connect(self, timeout_seconds: float) -> Any:
        """A connection with every wait bounded by ``timeout_seconds``.

        Tries every node once, some seconds each. Raises what the last one failed with, ``amqp.AMQPError`` or
        ``OSError``. To be let go with ``collect()``: that needs no handshake, which a blocked broker would not answer.
        """
        tries_left = len(self._nodes)
        while True:
            tries_left -= 1
            try:
                return self._connect_to(self._nodes[0], timeout_seconds)
            except (amqp.AMQPError, OSError):
                self.skip_node()
                if not tries_left:
                    raise

    def skip_node(self) -> None:
        """The node of the last connection is in trouble: try it after all others."""
        self._nodes.rotate(-1)

    def _connect_to(self, node: AmqpNode, timeout_seconds: float) -> Any:
        # Not by kombu's own connect(): that sleeps for two seconds between two tries, while every request waits behind
        # it, and leaves the socket open when the broker refuses after the handshake.
        address = self._address
        connection: Any = Connection(
            host=str(node),
            userid=address.user,
            password=address.password,
            login_method=address.login_method,
            virtual_host=address.vhost,
            ssl=address.tls_options(node.host) if address.is_encrypted else False,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=timeout_seconds,
            write_timeout=timeout_seconds,
            client_properties={"connection_name": self._name},
        )
        try:
            connection.connect()
        except BaseException:
            connection.collect()
            raise
        return connection


def connect(address: AmqpAddress, timeout_seconds: float, name: str) -> Any:
    """A single connection; see ``Connector.connect``."""
    return Connector(address, name).connect(timeout_seconds)
