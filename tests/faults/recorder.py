"""The recording provider: takes notifications over HTTP, misbehaves as told, and remembers every request.

It is the judge of what was sent, so it knows nothing of WaveCom. *Sent* is each 2xx and each silence after a whole
body: a provider that falls silent may have passed the message on.

Each provider has a port of its own, so that one of them can refuse connections. A request may ask for its own fate:
``metadata.provider`` = ``reject`` is always answered 422, ``unavailable`` always 500.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from tests.faults import control
from wavecom.local.ports import LOOPBACK

REJECT, UNAVAILABLE = "reject", "unavailable"


class Kind(StrEnum):
    """What can be wrong with an answer."""

    STATUS = "status"
    #: The whole body is read, nothing is answered.
    SILENCE = "silence"
    #: The connection is reset after the whole body.
    RESET = "reset"
    #: The connection is reset before the body is read.
    EARLY_RESET = "early_reset"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, and the share of the requests that meet it."""

    kind: Kind
    share: float = 1.0
    status: int = 503
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a provider does from now on: the faults by their shares, to all others 200 after ``latency_seconds``."""

    latency_seconds: float = 0.05
    faults: Sequence[Fault] = ()


@dataclass(slots=True)
class Record:
    """One request. ``answer``: a status, ``silence``, ``reset``, ``early_reset``, ``gone`` (nobody waited for it)."""

    #: Seconds since the epoch, when its headers were complete.
    at: float
    provider: str
    delivery_key: str
    job_id: str
    attempt: int
    answer: str = "silence"
    is_sent: bool = True
    answered_at: float | None = None


class Provider:
    """One listener and its behaviour."""

    def __init__(self, name: str, port: int, records: list[Record], dice: random.Random) -> None:
        self.name = name
        self.records = records
        self.behaviour = Behaviour()
        self.connections: set[Connection] = set()
        self._port = port
        self._dice = dice
        self._server: asyncio.Server | None = None
        self._late: list[asyncio.Task[None]] = []

    async def listen(self) -> None:
        """Take connections. Does nothing when it does."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: Connection(self), LOOPBACK, self._port, backlog=512)

    async def refuse(self) -> None:
        """Take no connections, and reset those there are."""
        if self._server is not None:
            self._take_waiting(self._server.sockets[0].fileno())
            self._server.close()
            self._server = None
        # Whoever has just connected has said what he wants by then, and it can be noted.
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
        await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self), waiting)

    def draw(self) -> Fault | None:
        """The fault that the next request meets; None: none."""
        left = self._dice.random()
        for fault in self.behaviour.faults:
            left -= fault.share
            if left < 0:
                return fault
        return None


class Connection(asyncio.Protocol):
    """A keep-alive connection; one request after the other."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = bytearray()
        #: The request that waits for its answer.
        self._pending: Record | None = None
        self._headers: dict[str, str] | None = None
        self._fault: Fault | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._provider.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._provider.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._pending is None:
            self._next()

    def abandon(self) -> None:
        """Reset it, whatever is on its way."""
        if self._pending is not None:
            self._settle(self._pending, Kind.RESET, is_sent=True)
        else:
            self._buffer += self._unread()
            if self._headers is not None or self._read_head():
                self._note_early_reset()
        self.reset()

    def _unread(self) -> bytes:
        """What has arrived and was not handed to us yet: its sender thinks of it as sent."""
        handle = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(handle.fileno())) as twin:
            return twin.recv(65536, socket.MSG_DONTWAIT)
        return b""

    def reset(self) -> None:
        """Close with RST, as a crashed host would."""
        with contextlib.suppress(OSError, AttributeError):
            handle = self._transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _next(self) -> None:
        if self._headers is None and not self._read_head():
            return
        headers = self._headers or {}
        if self._fault is not None and self._fault.kind is Kind.EARLY_RESET:
            self._note_early_reset()
            self.reset()
            return
        length = int(headers.get("content-length", "0"))
        if len(self._buffer) < length:
            return
        body = json.loads(bytes(self._buffer[:length]))
        del self._buffer[:length]
        self._headers = None
        record = self._note(headers.get("idempotency-key", ""), body["jobId"], body["attempt"])
        self._pending = record
        self._treat(record, self._fault, (body.get("metadata") or {}).get("provider"))

    def _note_early_reset(self) -> None:
        key = (self._headers or {}).get("idempotency-key", "")
        self._settle(self._note(key, key.partition(":")[0], 0), Kind.EARLY_RESET, is_sent=False)

    def _read_head(self) -> bool:
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        self._headers = _headers(bytes(self._buffer[:head_end]))
        self._fault = self._provider.draw()
        del self._buffer[: head_end + 4]
        return True

    def _treat(self, record: Record, fault: Fault | None, asked_for: str | None) -> None:
        loop = asyncio.get_running_loop()
        latency_seconds = self._provider.behaviour.latency_seconds
        if fault is None and asked_for == REJECT:
            fault = Fault(Kind.STATUS, status=422)
        elif fault is None and asked_for == UNAVAILABLE:
            fault = Fault(Kind.STATUS, status=500)
        if fault is None:
            loop.call_later(latency_seconds, self._answer, record, 200, None)
        elif fault.kind is Kind.STATUS:
            loop.call_later(latency_seconds, self._answer, record, fault.status, fault.retry_after_seconds)
        elif fault.kind is Kind.RESET:
            loop.call_later(latency_seconds, self.abandon)
        # Silence: the record says so from its beginning.

    def _answer(self, record: Record, status: int, retry_after_seconds: int | None) -> None:
        if record.answered_at is not None:
            return
        self._pending = None
        if self._transport.is_closing():
            # Whatever we meant to say, to the other side this was a silence after a whole body.
            self._settle(record, "gone", is_sent=True)
            return
        body = json.dumps({"id": f"{record.provider}-{len(self._provider.records)}"}).encode()
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        if retry_after_seconds is not None:
            head += f"Retry-After: {retry_after_seconds}\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self._settle(record, str(status), is_sent=200 <= status < 300)
        self._next()

    def _note(self, delivery_key: str, job_id: str, attempt: int) -> Record:
        record = Record(time.time(), self._provider.name, delivery_key, job_id, attempt)
        self._provider.records.append(record)
        return record

    def _settle(self, record: Record, answer: str, *, is_sent: bool) -> None:
        record.answer, record.is_sent, record.answered_at = str(answer), is_sent, time.time()


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


class Recorder:
    """All providers, and the verbs by which the drill commands them."""

    def __init__(self, ports: dict[str, int], seed: int) -> None:
        self.records: list[Record] = []
        self.providers = {
            name: Provider(name, port, self.records, random.Random(f"{seed}/{name}")) for name, port in ports.items()
        }

    def behave(self, provider: str, behaviour: dict[str, Any]) -> None:
        """From now on."""
        faults = [Fault(**{**fault, "kind": Kind(fault["kind"])}) for fault in behaviour["faults"]]
        self.providers[provider].behaviour = Behaviour(behaviour["latency_seconds"], faults)

    async def refuse(self, provider: str) -> None:
        """No connections."""
        await self.providers[provider].refuse()

    async def listen(self, provider: str) -> None:
        """Connections again."""
        await self.providers[provider].listen()

    def fetch(self) -> list[dict[str, Any]]:
        """Every request so far."""
        return [asdict(record) for record in self.records]

    def sent_per_second(self, provider: str, seconds: float) -> float:
        """How many 2xx a second ``provider`` gave over the last ``seconds``."""
        since = time.time() - seconds
        recent: deque[Record] = deque()
        for record in reversed(self.records):
            if record.at < since:
                break
            recent.append(record)
        return sum(record.provider == provider and record.answer == "200" for record in recent) / seconds


async def run(control_port: int, ports: dict[str, int], seed: int) -> None:
    """Serve until the process is ended."""
    recorder = Recorder(ports, seed)
    for provider in recorder.providers.values():
        await provider.listen()
    verbs: dict[str, control.Verb] = {
        "behave": recorder.behave,
        "refuse": recorder.refuse,
        "listen": recorder.listen,
        "fetch": recorder.fetch,
        "sent_per_second": recorder.sent_per_second,
    }
    await control.serve(control_port, verbs)


def main() -> None:
    """``python -m tests.faults.recorder --control-port 7000 --provider first=7001 --provider second=7002``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--provider", action="append", required=True, metavar="NAME=PORT")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    ports = {name: int(port) for name, _, port in (each.partition("=") for each in arguments.provider)}
    asyncio.run(run(arguments.control_port, ports, arguments.seed))


if __name__ == "__main__":
    main()
