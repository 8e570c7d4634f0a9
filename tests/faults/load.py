"""Clients of a bank: they submit notifications at a steady rate, wait 10 s at most, and keep what they were told.

A share of them uses idempotency keys and repeats whatever was not answered; the others repeat only what was certainly
not taken. What each was told is the left-hand side of the reconciliation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from harness import control
from harness.http_client import TIMEOUT_SECONDS, Address, ClientConnection, post
from harness.http_messages import header
from harness.notifications import CHANNELS, content
from tests.faults.recorder import REJECT, UNAVAILABLE

#: A client with an idempotency key repeats for this long.
PERSISTENCE_SECONDS = 240.0
#: So many clients wait at once; a bank's systems do not queue up without bound either.
MOST_WAITING = 400


class SubmissionOutcome(StrEnum):
    """What became of a request, as its client sees it."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    #: Answered 503 "may have been accepted", and not repeated: there was no key.
    MAYBE_ACCEPTED = "maybe_accepted"
    #: The connection broke or the answer did not come, and not repeated: there was no key.
    UNANSWERED = "unanswered"
    #: Patience ended while the system said, truly, that it can't take it.
    GAVE_UP = "gave_up"
    #: An answer that no healthy or ailing WaveCom should give.
    UNEXPECTED = "unexpected"


class NotificationKind(StrEnum):
    """What is special about a notification, and so how it is meant to end."""

    PLAIN = "plain"
    REJECT = REJECT
    UNAVAILABLE = UNAVAILABLE
    SCHEDULED = "scheduled"
    SHORT_LIVED = "short_lived"


@dataclass(slots=True)
class Notification:
    """One notification that a client wants to send, and what it was told."""

    number: int
    channel: str
    priority: str
    policy: str
    kind: NotificationKind
    key: str | None
    #: Submitted twice at the same moment, as impatient people do.
    is_doubled: bool
    started_at: float
    outcome: SubmissionOutcome = SubmissionOutcome.WAITING
    accepted_at: float | None = None
    #: Of the request that was answered 202.
    latency_seconds: float | None = None
    job_ids: list[str] = field(default_factory=list)
    #: Statuses, and ``timeout``, ``refused``, ``broken``, with counts.
    answers: dict[str, int] = field(default_factory=dict)
    #: 503 "may have been accepted" was among them.
    was_told_maybe: bool = False
    unexpected: str | None = None

    def body(self) -> bytes:
        """The request's body; the same for every repetition."""
        metadata = {"number": str(self.number)}
        if self.kind in (NotificationKind.REJECT, NotificationKind.UNAVAILABLE):
            metadata["provider"] = self.kind.value
        notification: dict[str, Any] = {
            "type": self.channel,
            "priority": self.priority,
            "onUnknownOutcome": self.policy,
            "metadata": metadata,
            **content(self.channel, self.number),
        }
        if self.kind is NotificationKind.UNAVAILABLE:
            notification["maxAttempts"] = 2
        if self.kind is NotificationKind.SCHEDULED:
            send_at = datetime.fromtimestamp(self.started_at, UTC) + timedelta(seconds=4)
            notification["sendAt"] = send_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self.kind is NotificationKind.SHORT_LIVED:
            notification["ttlSeconds"] = 15
        return json.dumps(notification).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered."""

    status: int
    head: bytes
    body: bytes


class RequestBrokenError(Exception):
    """No whole answer came. ``kind``: ``refused`` (nothing was sent), ``broken``, ``timeout``."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class ApiClient:
    """Submits notifications over kept-alive connections, as many as are needed at once."""

    def __init__(self, url: str, api_key: str) -> None:
        self._address = Address.of(url)
        self._head = self._address.post_head("/api/notifications", api_key)
        #: Every second request comes over a connection of its own.
        self.connects_anew = False
        self._idle: list[ClientConnection] = []
        self._requests = 0
        #: Of those that wait, by their numbers.
        self._answers: dict[int, asyncio.Future[Answer]] = {}

    async def submit(self, body: bytes, key: str | None) -> Answer:
        """The answer. Raises ``RequestBrokenError``."""
        self._requests += 1
        number = self._requests
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                connection = await self._connection(number)
                answer = self._answers[number] = asyncio.get_running_loop().create_future()
                connection.send(number, post(self._head, body, key.encode() if key is not None else None))
                return await answer
        except TimeoutError:
            if number in self._answers:  # it has been sent
                connection.give_up()
            raise RequestBrokenError("timeout") from None
        except OSError as error:
            raise RequestBrokenError("refused") from error
        finally:
            self._answers.pop(number, None)

    async def _connection(self, number: int) -> ClientConnection:
        if self._idle and not (self.connects_anew and number % 2):
            return self._idle.pop()
        return await self._address.connect(self)

    def on_answer(self, number: int, status: int, head: bytes, body: bytes) -> None:
        """See ``ConnectionOwner``."""
        self._end(number, lambda answer: answer.set_result(Answer(status, head, body)))

    def is_ready(self, connection: ClientConnection) -> None:
        """See ``ConnectionOwner``."""
        self._idle.append(connection)

    def is_lost(self, connection: ClientConnection, number: int | None) -> None:
        """See ``ConnectionOwner``."""
        if connection in self._idle:
            self._idle.remove(connection)
        if number is not None:
            self._end(number, lambda answer: answer.set_exception(RequestBrokenError("broken")))

    def _end(self, number: int, set_end: Callable[[asyncio.Future[Answer]], None]) -> None:
        answer = self._answers.get(number)
        # At the very end of its time it may be given up, and answered, in the same turn of the event loop.
        if answer is not None and not answer.done():
            set_end(answer)


class Load:
    """All clients, and the commands that the drill gives them."""

    def __init__(self, url: str, api_key: str, seed: int) -> None:
        self._api = ApiClient(url, api_key)
        self._dice = random.Random(f"{seed}/load")
        self._run = f"{seed}-{uuid.uuid4().hex[:8]}"
        self.notifications: list[Notification] = []
        self._clients: set[asyncio.Task[None]] = set()
        self._rate = 0.0
        self._pacer: asyncio.Task[None] | None = None
        #: second -> answer -> count
        self._answers: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def pace(self, rate: float, connects_anew: bool = False) -> None:
        """Begin ``rate`` notifications a second from now on; 0: no more. Every second over a connection of its own?"""
        self._rate = rate
        self._api.connects_anew = connects_anew
        if self._pacer is None:
            self._pacer = asyncio.get_running_loop().create_task(self._keep_pace())

    def progress(self) -> dict[str, int]:
        """Counts so far."""
        outcomes = Counter(notification.outcome for notification in self.notifications)
        return {
            "begun": len(self.notifications),
            "waiting": len(self._clients),
            "accepted": outcomes[SubmissionOutcome.ACCEPTED],
        }

    def fetch(self) -> dict[str, Any]:
        """What every client was told, and all answers per second."""
        return {
            "notifications": [asdict(notification) for notification in self.notifications],
            "answers": {str(second): dict(counts) for second, counts in self._answers.items()},
        }

    async def _keep_pace(self) -> None:
        owed, before = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.02)
            now = time.monotonic()
            owed, before = min(owed + (now - before) * self._rate, self._rate), now
            while owed >= 1:
                owed -= 1
                if len(self._clients) < MOST_WAITING:
                    self._begin()

    def _begin(self) -> None:
        notification = self._make(len(self.notifications))
        self.notifications.append(notification)
        client = asyncio.get_running_loop().create_task(self._insist(notification))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    def _make(self, number: int) -> Notification:
        dice = self._dice
        key = f"order-{self._run}-{number}" if dice.random() < 0.6 else None
        kinds = (
            NotificationKind.PLAIN,
            NotificationKind.REJECT,
            NotificationKind.UNAVAILABLE,
            NotificationKind.SCHEDULED,
            NotificationKind.SHORT_LIVED,
        )
        return Notification(
            number=number,
            channel=CHANNELS[number % len(CHANNELS)],
            priority=dice.choices(("high", "normal", "bulk"), (2, 6, 2))[0],
            policy=dice.choices(("retry", "stop"), (9, 1))[0],
            kind=dice.choices(kinds, (92, 2, 1, 3, 2))[0],
            key=key,
            is_doubled=key is not None and dice.random() < 0.05,
            started_at=time.time(),
        )

    async def _insist(self, notification: Notification) -> None:
        """Submit until there is an answer to go by."""
        if notification.is_doubled:
            await asyncio.gather(self._submit_until_told(notification), self._submit_until_told(notification))
        else:
            await self._submit_until_told(notification)

    async def _submit_until_told(self, notification: Notification) -> None:
        deadline = time.monotonic() + PERSISTENCE_SECONDS
        pause_seconds = 0.5
        while True:
            wait_seconds = await self._submit_once(notification)
            if wait_seconds is None:
                return
            if time.monotonic() > deadline:
                if notification.outcome is SubmissionOutcome.WAITING:
                    notification.outcome = SubmissionOutcome.GAVE_UP
                return
            await asyncio.sleep(max(wait_seconds, pause_seconds) * (0.5 + self._dice.random()))
            pause_seconds = min(8, pause_seconds * 2)

    async def _submit_once(self, notification: Notification) -> float | None:
        """One request; None when this client has its answer, else the least pause before the next."""
        started = time.monotonic()
        try:
            answer = await self._api.submit(notification.body(), notification.key)
        except RequestBrokenError as error:
            self._note(notification, error.kind)
            if error.kind == "refused" or notification.key is not None:
                return 0
            self._end(notification, SubmissionOutcome.UNANSWERED)
            return None
        status = answer.status
        self._note(notification, str(status))
        told: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            told = json.loads(answer.body)
        if status == 202:
            notification.job_ids.append(told["jobId"])
            notification.latency_seconds = time.monotonic() - started
            notification.accepted_at = time.time()
            notification.outcome = SubmissionOutcome.ACCEPTED
            return None
        if status in (429, 503):
            is_maybe = told.get("code") == "store_uncertain"
            notification.was_told_maybe |= is_maybe
            if is_maybe and notification.key is None:
                self._end(notification, SubmissionOutcome.MAYBE_ACCEPTED)
                return None
            return min(5, float(header(answer.head, b"retry-after") or 0))
        if (
            status == 422
            and notification.kind is NotificationKind.SCHEDULED
            and time.time() > notification.started_at + 60
        ):
            # The moment it was to leave at has passed while the system was away: pointless by now.
            self._end(notification, SubmissionOutcome.GAVE_UP)
            return None
        notification.unexpected = f"{status} {answer.body[:300].decode(errors='replace')}"
        self._end(notification, SubmissionOutcome.UNEXPECTED)
        return None

    def _end(self, notification: Notification, outcome: SubmissionOutcome) -> None:
        # Of two submissions of the same notification the one that was accepted counts.
        if notification.outcome is SubmissionOutcome.WAITING:
            notification.outcome = outcome

    def _note(self, notification: Notification, answer: str) -> None:
        notification.answers[answer] = notification.answers.get(answer, 0) + 1
        self._answers[int(time.time())][answer] += 1


async def run(control_port: int, url: str, api_key: str, seed: int) -> None:
    """Serve until the process is ended."""
    load = Load(url, api_key, seed)
    commands: dict[str, control.CommandHandler] = {"pace": load.pace, "progress": load.progress, "fetch": load.fetch}
    await control.serve(control_port, commands)


def main() -> None:
    """``WAVECOM_API_KEY=... python -m tests.faults.load --control-port 7000 --url http://127.0.0.1:8000``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.control_port, arguments.url, os.environ["WAVECOM_API_KEY"], arguments.seed))


if __name__ == "__main__":
    main()
