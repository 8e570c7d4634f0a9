"""The recording provider: takes notifications over HTTP, answers after a while, and counts each delivery key.

It judges what was delivered, so it knows nothing of WaveCom, and it shares the processor with what it measures, so it
reads no more of a request than its length and its ``Idempotency-Key``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
from array import array
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from harness import control
from wavecom.local.ports import LOOPBACK

#: Answers are due to the millisecond or two; those due in between leave together, at the price of one wake-up.
_TICK_SECONDS = 0.002
_OK = 200
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """From now on ``status`` for the ``failing`` share of the requests, 200 for the others, after ``latency``."""

    latency_seconds: float = 0.05
    failing: float = 0.0
    status: int = 503
    retry_after_seconds: int | None = None


class Provider:
    """One port and its behaviour."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.behaviour = Behaviour()
        #: Delivery key -> when the first request that was answered 2xx had arrived (monotonic, shared by all processes)
        self.received: dict[bytes, float] = {}
        #: Delivery key -> how many more such requests there were
        self.repeated: dict[bytes, int] = {}
        #: When every request arrived, whatever it was answered.
        self.calls = array("d")
        self.refused = 0
        self._due: deque[tuple[float, Connection, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._dice = random.Random(0)
        self._answers: dict[Behaviour, bytes] = {}

    def take(self, connection: Connection, key: bytes) -> None:
        """A whole request for ``key`` has arrived."""
        now = time.monotonic()
        self.calls.append(now)
        behaviour = self.behaviour
        if behaviour.failing and self._dice.random() < behaviour.failing:
            self.refused += 1
            answer = self._refusal(behaviour)
        else:
            answer = _response(_OK, b'{"id":"%d"}' % len(self.calls))
            if self.received.setdefault(key, now) != now:
                self.repeated[key] = self.repeated.get(key, 0) + 1
        if behaviour.latency_seconds <= 0:
            connection.answer(answer)
            return
        self._due.append((now + behaviour.latency_seconds, connection, answer))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(behaviour.latency_seconds, self._answer_due)

    def _answer_due(self) -> None:
        until = time.monotonic() + _TICK_SECONDS / 2
        due = self._due
        while due and due[0][0] <= until:
            _, connection, answer = due.popleft()
            connection.answer(answer)
        if due:
            pause = max(_TICK_SECONDS, due[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(pause, self._answer_due)
        else:
            self._timer = None

    def _refusal(self, behaviour: Behaviour) -> bytes:
        if behaviour not in self._answers:
            self._answers[behaviour] = _response(behaviour.status, b"{}", behaviour.retry_after_seconds)
        return self._answers[behaviour]


class Connection(asyncio.Protocol):
    """A kept-alive connection; one request after the other."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server makes no others
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        head_end = data.find(_HEAD_END)
        if head_end < 0:
            return
        head = data[:head_end].lower()
        length = int(_header(head, b"\r\ncontent-length:") or b"0")
        whole = head_end + len(_HEAD_END) + length
        if len(data) < whole:
            return
        self._buffer = data[whole:]
        self._provider.take(self, _header(head, b"\r\nidempotency-key:"))

    def answer(self, response: bytes) -> None:
        """Send ``response``; nothing when nobody waits any more."""
        if not self._transport.is_closing():
            self._transport.write(response)


def _header(head: bytes, name: bytes) -> bytes:
    start = head.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


def _response(status: int, body: bytes, retry_after_seconds: int | None = None) -> bytes:
    retry = b"" if retry_after_seconds is None else b"Retry-After: %d\r\n" % retry_after_seconds
    phrase = HTTPStatus(status).phrase.encode()
    head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, phrase, retry, len(body)) + body


class Providers:
    """All of them, and the verbs by which the benchmark commands them."""

    def __init__(self, names: list[str]) -> None:
        self.providers = {name: Provider(name) for name in names}

    def behave(self, provider: str, behaviour: dict[str, Any]) -> None:
        """From now on."""
        self.providers[provider].behaviour = Behaviour(**behaviour)

    def progress(self) -> dict[str, int]:
        """Counts so far: ``received`` different keys, ``calls`` in all, ``refused`` of these."""
        each = self.providers.values()
        return {
            "received": sum(len(provider.received) for provider in each),
            "calls": sum(len(provider.calls) for provider in each),
            "refused": sum(provider.refused for provider in each),
        }

    def write(self, path: str) -> None:
        """All that was received into the file ``path``: a line ``key moment times provider`` for each key."""
        with Path(path).open("wb") as file:
            for name, provider in self.providers.items():
                repeated = provider.repeated
                file.writelines(
                    b"%b %.6f %d %b\n" % (key, moment, 1 + repeated.get(key, 0), name.encode())
                    for key, moment in provider.received.items()
                )

    def calls(self, provider: str, since: float) -> dict[str, Any]:
        """The calls after the moment ``since``: how many in each second, and in the busiest span of one second."""
        moments = [moment for moment in self.providers[provider].calls if moment >= since]
        per_second: dict[int, int] = {}
        busiest = 0
        first = 0
        for index, moment in enumerate(moments):
            per_second[int(moment - since)] = per_second.get(int(moment - since), 0) + 1
            while moments[first] < moment - 1:
                first += 1
            busiest = max(busiest, index - first + 1)
        return {"per_second": sorted(per_second.items()), "busiest": busiest}


async def run(control_port: int, ports: dict[str, int], host: str = LOOPBACK) -> None:
    """Serve until the process is ended."""
    providers = Providers(list(ports))
    loop = asyncio.get_running_loop()
    for name, port in ports.items():
        provider = providers.providers[name]
        await loop.create_server(lambda own=provider: Connection(own), host, port, backlog=1024)  # type: ignore[misc]
    verbs: dict[str, control.Verb] = {
        "behave": providers.behave,
        "progress": providers.progress,
        "write": providers.write,
        "calls": providers.calls,
    }
    await control.serve(control_port, verbs)


def main() -> None:
    """``python -m harness.provider --control-port 7000 --provider fast=7001``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--provider", action="append", required=True, metavar="NAME=PORT")
    parser.add_argument("--host", default=LOOPBACK, help="where it listens")
    arguments = parser.parse_args()
    # Nothing here makes cycles, and a collection that walks a million records would be seen as the system's latency.
    gc.disable()
    ports = {name: int(port) for name, _, port in (each.partition("=") for each in arguments.provider)}
    asyncio.run(run(arguments.control_port, ports, arguments.host))


if __name__ == "__main__":
    main()
