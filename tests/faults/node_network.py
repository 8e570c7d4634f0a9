"""The network between the nodes of a RabbitMQ cluster: a proxy between every two of them, so that one can be cut off.

Erlang nodes ask a port mapper (epmd) where another one listens. Here each node has a mapper of its own, which tells the
true port of the node itself, as its command-line tools need it, and for every other node the port of a proxy before it.
The protocol: https://www.erlang.org/doc/apps/erts/erl_dist_protocol
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from harness import control
from tests.faults.proxy import Link
from wavecom.local.ports import LOOPBACK, free_ports

_REGISTER, _FIND, _LIST = 120, 122, 110
_REGISTERED, _FOUND = 118, 119
_UNKNOWN = 1


@dataclass(frozen=True, slots=True)
class Registration:
    """A node that has registered: where it listens, and what its type and its protocol versions are, as it said."""

    port: int
    properties: bytes


class NodeNetwork:
    """``mapper_ports``: node of the cluster, without its host -> port of the mapper that it asks."""

    def __init__(self, mapper_ports: Mapping[str, int]) -> None:
        self._mapper_ports = mapper_ports
        pairs = [(asker, node) for asker in mapper_ports for node in mapper_ports if asker != node]
        #: (who connects, to whom) -> the way between them; where it leads is known when that node has registered.
        self._links = {pair: Link(port, 0) for pair, port in zip(pairs, free_ports(len(pairs)), strict=True)}
        self._registrations: dict[str, Registration] = {}
        self._count = 0

    async def listen(self) -> None:
        """Serve until the event loop ends."""
        for link in self._links.values():
            await link.listen()
        for node, port in self._mapper_ports.items():
            await asyncio.start_server(partial(self._serve_mapper, node), LOOPBACK, port)

    def cut_off(self, node: str) -> None:
        """Let nothing through between ``node`` and the others, and say nothing about it."""
        for link in self._links_of(node):
            link.freeze()

    async def heal(self, node: str) -> None:
        """All well again."""
        for link in self._links_of(node):
            await link.heal()

    def _links_of(self, node: str) -> Iterable[Link]:
        return [link for pair, link in self._links.items() if node in pair]

    async def _serve_mapper(self, asker: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            if request[0] == _REGISTER:
                await self._keep_registered(request, reader, writer)
            elif request[0] == _FIND:
                writer.write(self._found(asker, request[1:].decode()))
            elif request[0] == _LIST:
                writer.write(self._mapper_ports[asker].to_bytes(4) + self._listed(asker).encode())
        except asyncio.IncompleteReadError:
            pass  # whoever it was only looked whether somebody listens
        finally:
            writer.close()

    async def _keep_registered(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A node is known as long as its connection lasts."""
        name = request[11 : 11 + int.from_bytes(request[9:11])].decode()
        registration = Registration(int.from_bytes(request[1:3]), request[3:9])
        self._registrations[name] = registration
        for (_, node), link in self._links.items():
            if node == name:
                link.server_port = registration.port
        self._count += 1
        writer.write(bytes([_REGISTERED, 0]) + self._count.to_bytes(4))
        with contextlib.suppress(OSError):
            await reader.read()
        if self._registrations.get(name) is registration:
            del self._registrations[name]

    def _found(self, asker: str, name: str) -> bytes:
        registration = self._registrations.get(name)
        if registration is None:
            return bytes([_FOUND, _UNKNOWN])
        port = self._port(asker, name, registration).to_bytes(2)
        return bytes([_FOUND, 0]) + port + registration.properties + len(name).to_bytes(2) + name.encode() + bytes(2)

    def _listed(self, asker: str) -> str:
        ports = {name: self._port(asker, name, registration) for name, registration in self._registrations.items()}
        return "".join(f"name {name} at port {port}\n" for name, port in ports.items())

    def _port(self, asker: str, name: str, registration: Registration) -> int:
        link = self._links.get((asker, name))
        return registration.port if link is None else link.port


async def run(control_port: int, mapper_ports: Mapping[str, int]) -> None:
    """Serve until the process is ended."""
    network = NodeNetwork(mapper_ports)
    await network.listen()
    await control.serve(control_port, {"cut_off": network.cut_off, "heal": network.heal})


def main() -> None:
    """``python -m tests.faults.node_network --control-port 7000 --node wavecom1=7001 --node wavecom2=7002``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--node", action="append", required=True, metavar="NAME=MAPPER_PORT")
    arguments = parser.parse_args()
    nodes = (node.partition("=") for node in arguments.node)
    asyncio.run(run(arguments.control_port, {name: int(port) for name, _, port in nodes}))


if __name__ == "__main__":
    main()
