"""The load generator: clients of a bank in a process of their own.

*Paced* load is open-loop: each notification has a moment at which it is meant to be submitted, whatever became of those
before it, and its latency counts from that moment, so that a system that stalls is not asked less. *Flooding* load is
closed-loop: every connection submits its next notification as soon as the last was answered.

Either keeps up to 256 connections and gives up after 10 s. Nothing is repeated: what was answered is what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import time
import uuid
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path

from harness import control
from harness.http_client import TIMEOUT_SECONDS, Address, ClientConnection, post
from harness.http_messages import header
from harness.notifications import CHANNELS, CONTENTS, TEMPLATED

CONNECTIONS = 256

_SWEEP_SECONDS = 0.25
_JOB_ID = re.compile(rb'"jobId":\s*"([0-9a-f-]{36})"')


class RequestOutcome(IntEnum):
    """What became of a request that was not answered, beside the statuses of those that were."""

    WAITING = 0
    #: Sent, and not answered in time.
    TIMED_OUT = -1
    #: Sent, and the connection broke.
    BROKEN = -2
    #: All connections were busy for as long as its client waits.
    NEVER_SENT = -3


class Mix:
    """What is submitted: ``keys`` is the share that carries an Idempotency-Key, ``batch`` how many go in a request.

    ``by_template``: each names a template in place of its payload.
    """

    def __init__(
        self,
        channels: Sequence[str] = CHANNELS,
        priority: str | None = None,
        keys: float = 0.5,
        batch: int = 1,
        by_template: bool = False,
    ) -> None:
        contents = TEMPLATED if by_template else CONTENTS
        self._bodies = [self._body(channel, priority, contents[channel]) for channel in channels]
        self._keys = keys
        self._batch = batch
        self._run = uuid.uuid4().hex[:12]
        self.size = batch

    @staticmethod
    def _body(channel: str, priority: str | None, content: bytes) -> bytes:
        lane = b"" if priority is None else b'"priority":"%b",' % priority.encode()
        return b'{"type":"%b",%b%b,"metadata":{"order":"%%d"}}' % (channel.encode(), lane, content)

    def request(self, head: bytes, number: int) -> bytes:
        """The whole request for the notification, or the batch, of this number. ``head`` ends within the headers."""
        if self._batch == 1:
            body = self._one(number)
        else:
            first = number * self._batch
            body = b'{"notifications":[%b]}' % b",".join(self._one(first + index) for index in range(self._batch))
        has_key = int((number + 1) * self._keys) > int(number * self._keys)
        return post(head, body, b"%b-%d" % (self._run.encode(), number) if has_key else None)

    def _one(self, number: int) -> bytes:
        return self._bodies[number % len(self._bodies)] % (number, number, number)


class LoadPhase:
    """A stretch of load, and what each of its requests was answered."""

    def __init__(self, name: str, head: bytes, address: Address, mix: Mix, connections: int) -> None:
        self.name = name
        self.mix = mix
        #: Of each request, by its number: when it was meant to be sent, was sent, was answered (monotonic), and how.
        self.intended = array("d")
        self.sent = array("d")
        self.answered = array("d")
        self.status = array("h")
        #: 1: the answer said when to come again.
        self.retry_after = array("b")
        self.job_ids: list[bytes] = []
        self.accepted = 0
        self.is_paced_out = False
        #: Called whenever a request has ended.
        self.on_end: Callable[[], None] = lambda: None
        self._head = head
        self._address = address
        self._most = connections
        self._opened = 0
        self._ended = 0
        self._idle: list[ClientConnection] = []
        self._busy: set[ClientConnection] = set()
        self._waiting: deque[int] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_over(self) -> bool:
        """Everything that was meant to be sent has ended."""
        return self.is_paced_out and self._ended == len(self.status)

    def begin(self, intended: float) -> None:
        """One more request, meant for the moment ``intended``."""
        number = len(self.status)
        self.intended.append(intended)
        self.sent.append(0)
        self.answered.append(0)
        self.status.append(RequestOutcome.WAITING)
        self.retry_after.append(0)
        self.job_ids.append(b"")
        if self._idle:
            self._send(self._idle.pop(), number)
            return
        self._waiting.append(number)
        self._open_more()

    def is_ready(self, connection: ClientConnection) -> None:
        """A connection is there, or free again."""
        self._busy.discard(connection)
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def is_lost(self, connection: ClientConnection, number: int | None) -> None:
        """A connection is gone; with it the request it was busy with."""
        self._opened -= 1
        self._busy.discard(connection)
        if number is not None:
            self._end(number, RequestOutcome.BROKEN)
        elif connection in self._idle:
            self._idle.remove(connection)
        self._open_more()

    def on_answer(self, number: int, status: int, head: bytes, body: bytes) -> None:
        """The answer to request ``number`` has come: note its status and the ids of its jobs."""
        if status in (200, 202, 207):
            found = _JOB_ID.findall(body)
            self.accepted += len(found)
            self.job_ids[number] = b",".join(found)
        elif header(head, b"retry-after"):
            self.retry_after[number] = 1
        self._end(number, status)

    def end_overdue(self) -> None:
        """Give up what has waited for too long."""
        limit = time.monotonic() - TIMEOUT_SECONDS
        for connection in [connection for connection in self._busy if connection.since < limit]:
            number = connection.give_up()
            if number is not None:
                self._end(number, RequestOutcome.TIMED_OUT)
        while self._waiting and self.intended[self._waiting[0]] < limit:
            self._end(self._waiting.popleft(), RequestOutcome.NEVER_SENT)

    def close(self) -> None:
        """Let go of all connections."""
        for connection in [*self._idle, *self._busy]:
            connection.close()
        self._idle.clear()

    def _send(self, connection: ClientConnection, number: int) -> None:
        self._busy.add(connection)
        self.sent[number] = connection.send(number, self.mix.request(self._head, number))

    def _end(self, number: int, status: int) -> None:
        self.answered[number] = time.monotonic()
        self.status[number] = status
        self._ended += 1
        self.on_end()

    def _open_more(self) -> None:
        if self._waiting and self._opened < self._most:
            self._opened += 1
            task = asyncio.get_running_loop().create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        try:
            connection = await self._address.connect(self)
        except OSError:
            self._opened -= 1
            await asyncio.sleep(0.1)
            self._open_more()
        else:
            self.is_ready(connection)


class Load:
    """All phases, and the commands that the benchmark gives them."""

    def __init__(self, address: Address, api_key: str) -> None:
        self._address = address
        self._api_key = api_key
        self._phases: dict[str, LoadPhase] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def pace(
        self,
        name: str,
        rate: float,
        seconds: float,
        mix: dict[str, object],
        connections: int = CONNECTIONS,
    ) -> None:
        """Open-loop: ``rate`` requests a second at even intervals for ``seconds``."""
        phase = self._begin(name, mix, connections)
        self._start(self._keep_pace(phase, rate, seconds))

    def flood(self, name: str, count: int, mix: dict[str, object], connections: int = CONNECTIONS) -> None:
        """Closed-loop: ``count`` requests, as fast as they are answered."""
        phase = self._begin(name, mix, connections)

        def next_one() -> None:
            if len(phase.status) < count:
                phase.begin(time.monotonic())
            else:
                phase.is_paced_out = True

        phase.on_end = next_one
        for _ in range(min(connections, count)):
            next_one()

    def progress(self, name: str) -> dict[str, object]:
        """Counts so far."""
        phase = self._phases[name]
        return {"begun": len(phase.status) * phase.mix.size, "accepted": phase.accepted, "is_over": phase.is_over}

    def close(self, name: str) -> None:
        """Hang up the phase's connections."""
        self._phases[name].close()

    def write(self, name: str, path: str) -> None:
        """A line ``intended sent answered status retry-after job ids`` for each request of the phase, into ``path``."""
        phase = self._phases[name]
        moments = phase.intended, phase.sent, phase.answered
        rows = zip(*moments, phase.status, phase.retry_after, phase.job_ids, strict=True)
        with Path(path).open("wb") as file:
            file.writelines(b"%.6f %.6f %.6f %d %d %b\n" % row for row in rows)

    def forget(self, name: str) -> None:
        """Free the memory of a phase that has been written."""
        self._phases.pop(name).close()

    def _begin(self, name: str, mix: dict[str, object], connections: int) -> LoadPhase:
        chosen = Mix(**mix)  # type: ignore[arg-type]
        path = "/api/notifications" if chosen.size == 1 else "/api/notifications/batch"
        head = self._address.post_head(path, self._api_key)
        phase = self._phases[name] = LoadPhase(name, head, self._address, chosen, connections)
        self._start(self._watch(phase))
        return phase

    def _start(self, work: object) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))  # type: ignore[arg-type]

    @staticmethod
    async def _keep_pace(phase: LoadPhase, rate: float, seconds: float) -> None:
        started = time.monotonic() + 0.05
        total = round(rate * seconds)
        begun = 0
        while begun < total:
            now = time.monotonic()
            while begun < total and (intended := started + begun / rate) <= now:
                phase.begin(intended)
                begun += 1
            await asyncio.sleep(max(0.0, started + begun / rate - time.monotonic()))
        phase.is_paced_out = True

    @staticmethod
    async def _watch(phase: LoadPhase) -> None:
        while not phase.is_over:
            await asyncio.sleep(_SWEEP_SECONDS)
            phase.end_overdue()


async def run(control_port: int, url: str, api_key: str) -> None:
    """Serve until the process is ended."""
    load = Load(Address.of(url), api_key)
    commands: dict[str, control.CommandHandler] = {
        "pace": load.pace,
        "flood": load.flood,
        "progress": load.progress,
        "close": load.close,
        "write": load.write,
        "forget": load.forget,
    }
    await control.serve(control_port, commands)


def main() -> None:
    """``WAVECOM_API_KEY=... python -m harness.load --control-port 7000 --url http://127.0.0.1:8000``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--url", required=True)
    arguments = parser.parse_args()
    # A collection that walks a million records would be seen as the system's latency.
    gc.disable()
    asyncio.run(run(arguments.control_port, arguments.url, os.environ["WAVECOM_API_KEY"]))


if __name__ == "__main__":
    main()
