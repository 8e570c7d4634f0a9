"""The RabbitMQ of a drill that takes nodes away: three of them, and a proxy between every two."""

from __future__ import annotations

from harness.environment import Environment
from harness.rabbitmq_cluster import PrivateRabbitMQCluster, node_names
from wavecom.local.ports import free_ports
from wavecom.local.rabbitmq import PrivateRabbitMQ


class DrillCluster(PrivateRabbitMQCluster):
    """Its nodes are servers of ``environment``, which ends them. Used from the main thread."""

    def __init__(self, environment: Environment) -> None:
        names = node_names()
        mapper_ports = free_ports(len(names))
        super().__init__(
            environment.home / "rabbitmq",
            logs=environment.logs,
            environment=environment.variables,
            epmd_ports=mapper_ports,
        )
        self._environment = environment
        self._network = environment.start_helper(
            "network",
            "tests.faults.node_network",
            [f"--node={name}={port}" for name, port in zip(names, mapper_ports, strict=True)],
        )

    def start(self) -> None:
        """See ``PrivateRabbitMQCluster``."""
        self._environment.wait_for_helpers()
        self._environment.servers.update({node.title: node for node in self.nodes})
        super().start()

    def running(self, *, other_than: PrivateRabbitMQ | None = None) -> PrivateRabbitMQ:
        """A node that runs."""
        return next(node for node in self.nodes if node.is_running and node is not other_than)

    def cut_off(self, node: PrivateRabbitMQ) -> None:
        """Nothing passes between ``node`` and the others from now on; clients reach all of them."""
        self._network.ask("cut_off", node=_short(node))

    def heal(self, node: PrivateRabbitMQ) -> None:
        """All of it passes again."""
        self._network.ask("heal", node=_short(node))


def _short(node: PrivateRabbitMQ) -> str:
    return node.node.partition("@")[0]
