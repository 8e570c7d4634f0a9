"""A private RabbitMQ cluster: three nodes of the installed package on loopback, each with a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from wavecom import private_files
from wavecom.errors import ConfigurationError, Problem
from wavecom.local.logs import tail
from wavecom.local.port_mapper import PortMapper
from wavecom.local.ports import free_ports
from wavecom.local.rabbitmq import PrivateRabbitMQ

START_SECONDS = 180
_POLL_SECONDS = 0.1
#: A node that is frozen, or starts, does not answer what it is asked.
_STATUS_SECONDS = 20
#: As docs/operations.md recommends it for production.
CONFIGURATION = (
    "cluster_partition_handling = pause_minority",
    # A node that says nothing to the others for so long is gone. Until then, no queue and no binding can be made.
    "net_ticktime = 8",
    "queue_leader_locator = balanced",
)


def node_names(size: int = 3) -> list[str]:
    """What the nodes of a cluster of ``size`` nodes are called, without their host."""
    return [f"wavecom{number}" for number in range(1, size + 1)]


def _joining(*nodes: str) -> list[str]:
    """Lines by which a node without data joins the cluster of these, of which it is one."""
    members = [f"cluster_formation.classic_config.nodes.{number} = {node}" for number, node in enumerate(nodes, 1)]
    return ["cluster_formation.peer_discovery_backend = classic_config", *members]


class PrivateRabbitMQCluster:
    """Its ``size`` nodes are joined when the context manager is entered; their data stay in ``home`` afterwards.

    ``nodes`` can be killed, stopped and started one by one. They share users, passwords, Erlang cookie and port mapper.
    ``configuration``: further lines of each node's ``rabbitmq.conf``. ``epmd_ports``: port mappers that somebody else
    runs, one for each node, instead of a common one.
    """

    def __init__(
        self,
        home: Path,
        *,
        size: int = 3,
        plugins: Sequence[str] = (),
        logs: Path | None = None,
        environment: Mapping[str, str] | None = None,
        configuration: Sequence[str] = (),
        epmd_ports: Sequence[int] | None = None,
    ) -> None:
        self._home = home.absolute()
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = node_names(size)
        self._port_mapper: PortMapper | None = None
        if epmd_ports is None:
            epmd_ports = free_ports(1) * size
            self._port_mapper = PortMapper(
                epmd_ports[0],
                home=self._home,
                log=self._home / "epmd.log",
                environment=os.environ if environment is None else environment,
                owner="RabbitMQ",
                remedy="Install rabbitmq-server.",
            )
        self.nodes = [
            PrivateRabbitMQ(
                self._home / name,
                log=None if logs is None else logs / f"{name}.log",
                environment=environment,
                plugins=plugins,
                node=name,
                epmd_port=epmd_port,
                configuration=[*CONFIGURATION, *configuration],
            )
            for name, epmd_port in zip(names, epmd_ports, strict=True)
        ]
        self._has_partners = size < 2
        for name, node in zip(names, self.nodes, strict=True):
            node.title = f"{node.name} {name}"

    @property
    def url(self) -> str:
        """``AMQP_URL`` with all nodes, for the application."""
        return ";".join(node.url for node in self.nodes)

    def start(self) -> None:
        """Start what does not run, and wait until every node answers, which is when it has joined the others.

        Raises ``ConfigurationError``.
        """
        if self._port_mapper is not None:
            self._port_mapper.start()
        first, *others = self.nodes
        self._share_logins()
        # Alone at first: nodes that start together may each begin a cluster of their own.
        first.start()
        # Each joins by one other, and so it does when it comes back without its data. At its first start the first one
        # has nobody to ask: RabbitMQ 4 asks one who is not there for minutes.
        if not self._has_partners:
            self._has_partners = True
            for node, partner in [(first, others[0]), *((other, first) for other in others)]:
                node.configuration += _joining(partner.node, node.node)
        for node in others:
            node.launch()
        deadline = time.monotonic() + START_SECONDS
        for node in others:
            while not node.answers():
                if not node.is_running or time.monotonic() > deadline:
                    raise ConfigurationError([Problem(node.title, f"did not start:\n{tail(node.log)}")])
                time.sleep(_POLL_SECONDS)

    def is_whole(self) -> bool:
        """Whether every node says that all of them run and none is parted from the others; takes some seconds."""
        names = {node.node for node in self.nodes}
        for node in self.nodes:
            try:
                status = json.loads(node.ctl("cluster_status", "--formatter", "json", seconds=_STATUS_SECONDS))
            except (subprocess.SubprocessError, ValueError):
                return False
            if set(status["running_nodes"]) != names or status["partitions"]:
                return False
        return True

    def leaders(self) -> dict[str, PrivateRabbitMQ]:
        """Queue -> the node that leads it, of all quorum queues; those without a leader are left out."""
        by_name = {node.node: node for node in self.nodes}
        running = next(node for node in self.nodes if node.is_running)
        lines = running.ctl(
            "list_queues", "--silent", "--no-table-headers", "-p", running.logins.vhost, "name", "leader"
        ).splitlines()
        found = (line.split("\t") for line in lines if "\t" in line)
        return {name: by_name[leader] for name, leader in found if leader in by_name}

    def queues(self, *arguments: str, on: PrivateRabbitMQ | None = None) -> str:
        """Run ``rabbitmq-queues`` on a node, the first by default. Raises ``CalledProcessError``."""
        return (on or self.nodes[0]).ctl(*arguments, program="rabbitmq-queues")

    def wipe(self, node: PrivateRabbitMQ) -> None:
        """Delete all that a node that does not run has stored; the others still take it for a member."""
        shutil.rmtree(node.home / "data")

    def kill(self) -> None:
        """End all nodes at once. May be called twice."""
        for node in self.nodes:
            node.kill()
        if self._port_mapper is not None:
            self._port_mapper.stop()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def _share_logins(self) -> None:
        """The first node's users, passwords and cookie are everybody's."""
        first, *others = self.nodes
        first.logins.write_cookie()
        for node in others:
            node.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("logins.json", ".erlang.cookie"):
                if not (node.home / name).exists():
                    private_files.write(node.home / name, (first.home / name).read_text(encoding="ascii"))
