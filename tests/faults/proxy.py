"""TCP proxies before the three servers, so that networks can be cut, frozen and refused between them and WaveCom."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field

from harness import control
from wavecom.local.ports import LOOPBACK


@dataclass(slots=True)
class Link:
    """The way to one server."""

    port: int
    server_port: int
    is_frozen: bool = False
    sides: set[Side] = field(default_factory=set)
    listener: asyncio.Server | None = None

    async def listen(self) -> None:
        """Take connections again. Does nothing when it does."""
        if self.listener is None:
            loop = asyncio.get_running_loop()
            self.listener = await loop.create_server(lambda: Client(self), LOOPBACK, self.port, backlog=512)

    def cut(self) -> None:
        """Reset every connection; new ones work."""
        for side in list(self.sides):
            side.reset()

    def refuse(self) -> None:
        """Reset every connection and take no new ones."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        self.cut()

    def freeze(self) -> None:
        """Let nothing through and say nothing about it, as a broken switch does."""
        self.is_frozen = True
        for side in self.sides:
            side.update()

    async def heal(self) -> None:
        """All well again: what was held back goes on."""
        self.is_frozen = False
        for side in list(self.sides):
            side.update()
        await self.listen()


class Side(asyncio.Protocol):
    """One end of a connection through the proxy; what it receives is written to its peer."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._peer: Side | None = None
        self._unsent = bytearray()
        self._is_peer_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        handle = transport.get_extra_info("socket")
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link.sides.add(self)
        # Not now: on Python 3.11 asyncio begins to read after this method, whatever it has done.
        asyncio.get_running_loop().call_soon(self.update)

    def join(self, peer: Side) -> None:
        """``peer`` is the other end; what came before it was there is passed on now."""
        self._peer = peer
        if self._unsent:
            peer.write(bytes(self._unsent))
            self._unsent.clear()

    def write(self, data: bytes) -> None:
        """Towards this end."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._peer is None:
            self._unsent += data
        else:
            self._peer.write(data)

    def pause_writing(self) -> None:
        if self._peer is not None:
            self._peer._is_peer_full = True
            self._peer.update()

    def resume_writing(self) -> None:
        if self._peer is not None:
            self._peer._is_peer_full = False
            self._peer.update()

    def connection_lost(self, error: Exception | None) -> None:
        self._link.sides.discard(self)
        if self._peer is not None:
            if error is None:
                self._peer.close()
            else:
                self._peer.reset()

    def close(self) -> None:
        """Once what is written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """With RST, as a network does that has lost the connection."""
        if self._transport is not None:
            with contextlib.suppress(OSError, AttributeError):
                handle = self._transport.get_extra_info("socket")
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def update(self) -> None:
        """Read from this end, or don't."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._link.is_frozen or self._is_peer_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


class Client(Side):
    """The end where WaveCom is; finds the other one."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(lambda: Side(self._link), LOOPBACK, self._link.server_port)
        except OSError:
            self.reset()
            return
        if self not in self._link.sides:
            server.close()
            return
        server.join(self)
        self.join(server)


async def run(control_port: int, links: dict[str, Link]) -> None:
    """Serve until the process is ended."""
    for link in links.values():
        await link.listen()
    commands: dict[str, control.CommandHandler] = {
        "cut": lambda server: links[server].cut(),
        "freeze": lambda server: links[server].freeze(),
        "refuse": lambda server: links[server].refuse(),
        "heal": lambda server: links[server].heal(),
        "connections": lambda server: len(links[server].sides) // 2,
    }
    await control.serve(control_port, commands)


def main() -> None:
    """``python -m tests.faults.proxy --control-port 7000 --link redis=7001:6379``: listen on 7001, pass on to 6379."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--link", action="append", required=True, metavar="NAME=PORT:SERVER_PORT")
    arguments = parser.parse_args()
    links = {}
    for each in arguments.link:
        name, _, ports = each.partition("=")
        port, _, server_port = ports.partition(":")
        links[name] = Link(int(port), int(server_port))
    asyncio.run(run(arguments.control_port, links))


if __name__ == "__main__":
    main()
