"""Clients that mean no good: thousands of connections that say nothing, bodies that stall or trickle, HTTP/2 unasked.

They come from several identities and come again as soon as they are closed, until they are told to go.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Sequence

from harness import control
from wavecom.descriptors import raise_descriptor_limit
from wavecom.local.ports import LOOPBACK

DESCRIPTORS = 8_000
#: Never to be seen by who honours "a byte each three seconds" as progress.
TRICKLE_SECONDS = 3.0
#: Who is refused at once comes again at once, but not as fast as the processor goes.
PAUSE_SECONDS = 0.2
STREAMS = 70

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def head(path: str, key: str | None, *headers: str) -> bytes:
    """A request's head; without a key for strangers."""
    lines = [f"POST {path} HTTP/1.1", "Host: wavecom", "Content-Type: application/json", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode()


def streams(count: int, headers: Sequence[tuple[str, str]]) -> bytes:
    """An HTTP/2 connection's beginning with ``count`` requests whose bodies never come (RFC 9113, RFC 7541)."""
    block = b"".join(_literal(name, value) for name, value in headers)
    requests = b"".join(_frame(0x1, 0x4, 2 * number + 1, block) for number in range(count))
    return PREFACE + _frame(0x4, 0, 0, b"") + requests


def _literal(name: str, value: str) -> bytes:
    # Never indexed, no Huffman code; lengths below 127 take one byte.
    return b"\x10" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class Attackers:
    """All of them, and the commands that the drill gives them."""

    def __init__(self, port: int, keys: Sequence[str]) -> None:
        self._port = port
        self._keys = keys
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._dice = random.Random(0)

    def attack(self, silent: int, stalled: int, trickled: int) -> None:
        """Hold ``silent`` connections, and so many bodies of each kind for each identity."""
        for number in range(silent):
            self._start("silent", b"" if number % 2 else b"GET /healthz HTTP/1.1\r\nHost: wave")
        identities: list[tuple[str, str | None]] = [("/api/notifications", key) for key in self._keys]
        identities += [("/login", None), ("/api/notifications", "wc_live_" + "n" * 43)]
        for path, key in identities:
            declared = head(path, key, "Content-Length: 300")
            for number in range(stalled):
                large = head(path, key, "Content-Length: 14000000")
                chunked = head(path, key, "Transfer-Encoding: chunked") + b"1\r\n"
                self._start("stalled", (declared, large, chunked)[number % 3] + b"{")
            for _ in range(trickled):
                self._start("trickled", declared, trickles=True)
        for key in self._keys:
            headers = [(":method", "POST"), (":path", "/api/notifications"), (":scheme", "http")]
            headers += [("authorization", f"Bearer {key}"), ("content-length", "100")]
            self._start("http/2", streams(STREAMS, headers), lives_seconds=1)

    async def retreat(self) -> dict[str, int]:
        """Close everything; how many connections of each kind there were, and how they were answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        return dict(self._counts)

    def _start(self, kind: str, sent: bytes, *, trickles: bool = False, lives_seconds: float | None = None) -> None:
        self._tasks.add(asyncio.create_task(self._again_and_again(kind, sent, trickles, lives_seconds)))

    async def _again_and_again(self, kind: str, sent: bytes, trickles: bool, lives_seconds: float | None) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(lives_seconds):
                    await self._once(kind, sent, trickles)
            await asyncio.sleep(PAUSE_SECONDS * (1 + self._dice.random()))

    async def _once(self, kind: str, sent: bytes, trickles: bool) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        self._counts[kind] += 1
        try:
            writer.write(sent)
            answer = asyncio.ensure_future(reader.read(4096))
            while trickles and not answer.done():
                await asyncio.wait([answer], timeout=TRICKLE_SECONDS)
                writer.write(b" ")
            first = await answer
            self._counts[f"{kind}: {first[9:12].decode('latin-1') or 'closed'}"] += 1
        finally:
            writer.transport.abort()


async def run(control_port: int, api_port: int, keys: Sequence[str]) -> None:
    """Serve until the process is ended."""
    raise_descriptor_limit(DESCRIPTORS)
    attackers = Attackers(api_port, keys)
    commands: dict[str, control.CommandHandler] = {"attack": attackers.attack, "retreat": attackers.retreat}
    await control.serve(control_port, commands)


def main() -> None:
    """``HOSTILE_KEYS=key,key python -m tests.faults.hostile --control-port 7000 --api-port 8000``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--api-port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.control_port, arguments.api_port, os.environ["HOSTILE_KEYS"].split(",")))


if __name__ == "__main__":
    main()
