"""A provider over HTTP that answers, or fails to, as it is told: what the recording providers of benchmark and fault
drill share. They judge what was sent, so nothing here knows WaveCom.

Each provider has a port of its own, so that one of them can refuse connections.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import heapq
import itertools
import os
import random
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, Self, TypeVar

from harness import control
from harness.http_messages import HEAD_END, response, whole_length
from wavecom.local.ports import LOOPBACK

#: Answers are due to the millisecond or two; those due in between leave together, at the price of one wake-up.
_TICK_SECONDS = 0.002
_OK = 200

R = TypeVar("R")


class FaultKind(StrEnum):
    """What can be wrong with an answer."""

    STATUS = "status"
    #: The whole body is read, nothing is answered.
    SILENCE = "silence"
    #: The connection is reset after the whole body.
    RESET = "reset"
    #: The connection is reset before the body is read.
    EARLY_RESET = "early_reset"


#: What became of a request whose client had hung up before it was answered.
GONE = "gone"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, and the share of the requests that meet it."""

    kind: FaultKind = FaultKind.STATUS
    share: float = 1.0
    status: int = 503
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a provider answers from now on: the faults by their shares, to all others 200 after ``latency_seconds``."""

    latency_seconds: float = 0.05
    faults: Sequence[Fault] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Of what ``set_behaviour`` sends."""
        faults = [Fault(**{**fault, "kind": FaultKind(fault["kind"])}) for fault in content["faults"]]
        return cls(content["latency_seconds"], faults)


def set_behaviour(helper: control.HelperProcess, provider: str, behaviour: Behaviour) -> None:
    """Have ``provider``, which runs in ``helper``, behave so from now on."""
    helper.ask("behave", provider=provider, behaviour=asdict(behaviour))


class Recorder(Protocol[R]):
    """Keeps the requests; ``R`` is its record of one."""

    def requested_fault(self, body: bytes) -> Fault | None:
        """The fault that a request asks for itself; it is met where the provider's behaviour has none for it."""

    def begin(self, provider: str, head: bytes, body: bytes, fault: Fault | None) -> R:
        """A request is there, and ``fault`` is what it will meet. ``body`` is empty where that is an early reset."""

    def end(self, record: R, answer: str, *, is_sent: bool) -> None:
        """What it came to: a status, a ``FaultKind`` or ``GONE``.

        ``is_sent``: its sender must expect that the message was passed on. Not called for a silence.
        """


class ProviderServer(Generic[R]):
    """One port, its behaviour, and the connections to it. ``listen`` makes it take them."""

    def __init__(
        self, name: str, port: int, recorder: Recorder[R], dice: random.Random, *, host: str = LOOPBACK
    ) -> None:
        self.name = name
        self.recorder = recorder
        self.behaviour = Behaviour()
        self.connections: set[ServerConnection[R]] = set()
        self.delayed = DelayedCalls()
        self._address = (host, port)
        self._dice = dice
        self._ids = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._late: list[asyncio.Task[None]] = []

    async def listen(self) -> None:
        """Take connections. Does nothing when it does."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: ServerConnection(self), *self._address, backlog=1024)

    async def refuse(self) -> None:
        """Take no connections, and reset those there are."""
        if self._server is not None:
            self._take_waiting(self._server.sockets[0].fileno())
            self._server.close()
            self._server = None
        # Whoever has just connected has sent his request by then, and it can be recorded.
        await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.abandon()

    def _take_waiting(self, listener: int) -> None:
        """Connections that only the kernel has taken so far: closing the listener would reset them unseen."""
        loop = asyncio.get_running_loop()
        with socket.socket(fileno=os.dup(listener)) as twin, contextlib.suppress(BlockingIOError):
            while True:
                waiting, _ = twin.accept()
                waiting.setblocking(False)
                self._late.append(loop.create_task(self._adopt(waiting)))

    async def _adopt(self, waiting: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: ServerConnection(self), waiting)

    def draw_fault(self) -> Fault | None:
        """The fault that the next request meets; None: none."""
        faults = self.behaviour.faults
        if not faults:
            return None
        left = self._dice.random()
        for fault in faults:
            left -= fault.share
            if left < 0:
                return fault
        return None

    def success_body(self) -> bytes:
        """The body of an answer 200, with an id of its own."""
        return b'{"id":"%b-%d"}' % (self.name.encode(), next(self._ids))


class DelayedCalls:
    """Runs callbacks once their delay is over; those that are due within one tick in one wake-up of the event loop."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, seconds: float, callback: Callable[[], None]) -> None:
        """Run ``callback`` in ``seconds``; at once when they are 0."""
        if seconds <= 0:
            callback()
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        heapq.heappush(self._due, (at, next(self._numbers), callback))
        if self._timer is None or at < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(at, self._run_due)

    def _run_due(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _TICK_SECONDS / 2
        try:
            # The timer that has just run stays until all callbacks have: what these add starts no other.
            while self._due and self._due[0][0] <= until:
                heapq.heappop(self._due)[2]()
        finally:
            self._timer = None
            if self._due:
                self._timer = loop.call_at(max(self._due[0][0], loop.time() + _TICK_SECONDS), self._run_due)


class ServerConnection(asyncio.Protocol, Generic[R]):
    """A kept-alive connection; one request after the other."""

    def __init__(self, provider: ProviderServer[R]) -> None:
        self._provider = provider
        self._buffer = b""
        #: Of the request that is being read; None: its head is not whole yet.
        self._head: bytes | None = None
        self._fault: Fault | None = None
        #: The request that waits for its answer.
        self._pending: R | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server makes no others
        self._transport = transport
        self._provider.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._provider.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._pending is None:
            self._read_next()

    def abandon(self) -> None:
        """Reset it, whatever is on its way."""
        if self._pending is not None:
            self._end(FaultKind.RESET, is_sent=True)
        else:
            self._buffer += self._unread()
            if self._head is not None or self._read_head():
                self._begin(b"", Fault(FaultKind.EARLY_RESET))
                self._end(FaultKind.EARLY_RESET, is_sent=False)
        self._reset()

    def _unread(self) -> bytes:
        """What has arrived and was not handed to us yet: its sender thinks of it as sent."""
        handle = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(handle.fileno())) as twin:
            return twin.recv(65536, socket.MSG_DONTWAIT)
        return b""

    def _reset(self) -> None:
        """Close with RST, as a crashed host would."""
        with contextlib.suppress(OSError, AttributeError):
            handle = self._transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _read_head(self) -> bool:
        head_end = self._buffer.find(HEAD_END)
        if head_end < 0:
            return False
        self._head = self._buffer[:head_end]
        self._fault = self._provider.draw_fault()
        return True

    def _read_next(self) -> None:
        if self._head is None and not self._read_head():
            return
        head = self._head or b""
        if self._fault is not None and self._fault.kind is FaultKind.EARLY_RESET:
            self.abandon()
            return
        length = whole_length(self._buffer, len(head))
        if len(self._buffer) < length:
            return
        body = self._buffer[len(head) + len(HEAD_END) : length]
        self._buffer = self._buffer[length:]
        provider = self._provider
        fault = self._fault or provider.recorder.requested_fault(body)
        self._begin(body, fault)
        self._head = None
        latency_seconds = provider.behaviour.latency_seconds
        if fault is None:
            provider.delayed.add(latency_seconds, self._succeed)
        elif fault.kind is FaultKind.STATUS:
            provider.delayed.add(latency_seconds, lambda: self._answer(fault.status, b"{}", fault.retry_after_seconds))
        elif fault.kind is FaultKind.RESET:
            provider.delayed.add(latency_seconds, self.abandon)

    def _succeed(self) -> None:
        self._answer(_OK, self._provider.success_body())

    def _answer(self, status: int, body: bytes, retry_after_seconds: int | None = None) -> None:
        if self._pending is None:
            return
        if self._transport.is_closing():
            # Whatever we meant to say, to the other side this was a silence after a whole body.
            self._end(GONE, is_sent=True)
            return
        self._transport.write(response(status, body, retry_after_seconds))
        self._end(str(status), is_sent=200 <= status < 300)
        if self._buffer:
            self._read_next()

    def _begin(self, body: bytes, fault: Fault | None) -> None:
        provider = self._provider
        self._pending = provider.recorder.begin(provider.name, self._head or b"", body, fault)

    def _end(self, answer: str, *, is_sent: bool) -> None:
        record, self._pending = self._pending, None
        if record is not None:
            self._provider.recorder.end(record, str(answer), is_sent=is_sent)


def provider_commands(providers: Mapping[str, ProviderServer[Any]]) -> dict[str, control.CommandHandler]:
    """The commands for these providers of whoever started them (``harness.control``)."""

    def behave(provider: str, behaviour: Mapping[str, Any]) -> None:
        providers[provider].behaviour = Behaviour.from_json(behaviour)

    return {
        "behave": behave,
        "refuse": lambda provider: providers[provider].refuse(),
        "listen": lambda provider: providers[provider].listen(),
    }


async def serve(
    control_port: int, providers: Mapping[str, ProviderServer[Any]], commands: Mapping[str, control.CommandHandler]
) -> None:
    """Have all of them listen, and obey ``provider_commands`` and ``commands``, until the process is ended."""
    for provider in providers.values():
        await provider.listen()
    await control.serve(control_port, {**provider_commands(providers), **commands})


def provider_parser(description: str | None) -> argparse.ArgumentParser:
    """For the command line of a recording provider; ``provider_ports`` reads what it says of ports."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--provider", action="append", required=True, metavar="NAME=PORT")
    return parser


def provider_ports(arguments: argparse.Namespace) -> dict[str, int]:
    """The port of each provider, by its name."""
    return {name: int(port) for name, _, port in (each.partition("=") for each in arguments.provider)}


def provider_arguments(ports: Mapping[str, int]) -> list[str]:
    """What ``provider_ports`` reads again."""
    return [f"--provider={name}={port}" for name, port in ports.items()]
