"""Receipts of the recording providers of benchmark and fault drill: each message that one has taken gets two, as text
messages do: it was passed on, it was delivered. A request with receipts is posted until it is answered 200.

They are signed by Standard Webhooks (https://www.standardwebhooks.com). They come one by one while the load goes on, or
all that were withheld so far in large batches.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from harness.control import CommandHandler
from harness.http_client import Address, ClientConnection, post
from harness.provider_server import DelayedCalls

#: What a receipt says -> how many seconds after the message it comes.
DELAYS: Final = {"ACCEPTD": 0.5, "DELIVRD": 2.0}
PER_MESSAGE: Final = len(DELAYS)
SECRET: Final = "whsec_" + base64.b64encode(b"a secret for measurements").decode()

#: The table ``receipts`` of a provider of type http that reports so.
TABLE: Final = f"""\
signature = "standard_webhooks"
secret = "{SECRET}"
events = "/events"
event_id = "/id"
kind = "/status"
job_id = "/reference"
kinds = {{ routine = ["ACCEPTD"], delivered = ["DELIVRD"] }}
"""

#: Who reports waits for an answer so long; what was not answered 200 is posted again after so long.
_TIMEOUT_SECONDS = 60.0
_REPEAT_SECONDS = 1.0
_RECONNECT_SECONDS = 0.2
_SWEEP_SECONDS = 1.0
#: As many requests are under way at once as a provider of a thousand messages a second has.
_CONNECTIONS = 256
_OK = 200
_KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request with receipts. ``due_at`` (monotonic): when it was to be posted for the first time."""

    message_id: str
    #: Of each receipt what it says (a key of ``DELAYS``), and the id of the job of whose message it says so.
    events: Sequence[tuple[str, bytes]]
    due_at: float

    # Not kept: a hundred thousand receipts put into words at once would hold up the answers to messages.
    def body(self) -> bytes:
        """JSON, as ``TABLE`` says."""
        rows = (
            b'{"id":"%b","status":"%b","reference":"%b"}'
            % (event_id_of(job_id.decode(), word).encode(), word.encode(), job_id)
            for word, job_id in self.events
        )
        return b'{"events":[%b]}' % b",".join(rows)


class ReceiptSender:
    """Posts the receipts of one provider to one address, over kept-alive connections. For one event loop.

    Until it is told to report or to withhold, it keeps nothing of what the provider takes.
    """

    def __init__(self) -> None:
        #: Job ids of the messages whose receipts were posted, or will be, and of those whose receipts are withheld.
        self.reported: dict[bytes, None] = {}
        self.withheld: dict[bytes, None] = {}
        #: Receipts that were to be posted, and those of them that were answered 200, as ``WebhookRequest.events``.
        self.due = 0
        self.confirmed: list[tuple[str, bytes]] = []
        #: Requests that were posted again.
        self.repeated = 0
        #: Of each request that was answered 200: when it was due and when it was answered (monotonic).
        self.answered: list[tuple[float, float]] = []
        self._address: Address | None = None
        self._is_withholding = False
        self._delayed = DelayedCalls()
        self._numbers = itertools.count(1)
        self._waiting: deque[WebhookRequest] = deque()
        #: By the numbers of ``ClientConnection``.
        self._under_way: dict[int, WebhookRequest] = {}
        self._idle: list[ClientConnection] = []
        self._busy: set[ClientConnection] = set()
        #: Connections that are being opened, and how many requests may be under way at once.
        self._opening = 0
        self._most = _CONNECTIONS
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None

    def report_to(self, url: str) -> None:
        """From now on report each message that is taken, to ``url``. Raises ``ValueError`` when that is no address."""
        self._address, self._is_withholding, self._most = Address.of(url), False, _CONNECTIONS

    def withhold(self, url: str) -> None:
        """From now on keep the receipts of what is taken for ``burst``. What was taken before is reported still."""
        self._address, self._is_withholding = Address.of(url), True

    def take(self, job_id: bytes) -> None:
        """The provider has taken the message of this job. May be told again: a message gets its receipts once."""
        if self._address is None or job_id in self.reported or job_id in self.withheld:
            return
        if self._is_withholding:
            self.withheld[job_id] = None
            return
        self.reported[job_id] = None
        self.due += PER_MESSAGE
        now = time.monotonic()
        for word, delay_seconds in DELAYS.items():
            self._delayed.add(delay_seconds, partial(self._post, [(word, job_id)], now + delay_seconds))

    def burst(self, batch: int, messages: int, connections: int) -> int:
        """Post the receipts of so many messages that were withheld, as fast as they are answered.

        ``batch`` receipts in a request, so many requests at once as ``connections``. Returns how many receipts it is.
        """
        job_ids = list(itertools.islice(self.withheld, messages))
        for job_id in job_ids:
            del self.withheld[job_id]
            self.reported[job_id] = None
        self._most = connections
        events = [(word, job_id) for word in DELAYS for job_id in job_ids]
        self.due += len(events)
        now = time.monotonic()
        for start in range(0, len(events), batch):
            self._post(events[start : start + batch], now)
        return len(events)

    def close(self) -> None:
        """Hang up, and post nothing more. What is taken afterwards is not kept."""
        self._address = None
        self._waiting.clear()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for task in self._tasks:
            task.cancel()
        for connection in [*self._idle, *self._busy]:
            connection.close()

    # --- ConnectionOwner ------------------------------------------------------------------------------------------

    def is_ready(self, connection: ClientConnection) -> None:
        """See ``ConnectionOwner``."""
        self._busy.discard(connection)
        self._idle.append(connection)
        self._send_waiting()

    def on_answer(self, number: int, status: int, head: bytes, body: bytes) -> None:
        """See ``ConnectionOwner``."""
        if status != _OK:
            self._repeat(number)
            return
        request = self._under_way.pop(number)
        self.confirmed += request.events
        self.answered.append((request.due_at, time.monotonic()))

    def is_lost(self, connection: ClientConnection, number: int | None) -> None:
        """See ``ConnectionOwner``."""
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if number is not None:
            self._repeat(number)
        self._send_waiting()

    # --- pieces ---------------------------------------------------------------------------------------------------

    def _post(self, events: Sequence[tuple[str, bytes]], due_at: float) -> None:
        message_id = f"report-{next(self._numbers)}"
        self._enqueue(WebhookRequest(message_id, events, due_at))

    def _enqueue(self, request: WebhookRequest) -> None:
        self._waiting.append(request)
        self._send_waiting()

    def _repeat(self, number: int) -> None:
        request = self._under_way.pop(number)
        self.repeated += 1
        self._delayed.add(_REPEAT_SECONDS, partial(self._enqueue, request))

    def _send_waiting(self) -> None:
        while self._address is not None and self._waiting and len(self._busy) < self._most:
            if not self._idle:
                self._open_more(self._address)
                return
            request, connection, number = self._waiting.popleft(), self._idle.pop(), next(self._numbers)
            self._under_way[number] = request
            self._busy.add(connection)
            connection.send(number, signed_post(self._address, request))
            if self._sweep_timer is None:
                self._sweep_timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _open_more(self, address: Address) -> None:
        while self._opening < min(len(self._waiting), self._most - len(self._busy)):
            self._opening += 1
            task = asyncio.get_running_loop().create_task(self._open(address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, address: Address) -> None:
        try:
            connection = await address.connect(self)
        except OSError:
            await asyncio.sleep(_RECONNECT_SECONDS)
            self._opening -= 1
            self._send_waiting()
        else:
            self._opening -= 1
            self.is_ready(connection)

    def _sweep(self) -> None:
        """Give up the requests that have waited for an answer too long."""
        limit = time.monotonic() - _TIMEOUT_SECONDS
        for connection in [connection for connection in self._busy if connection.since < limit]:
            number = connection.give_up()
            if number is not None:
                self._repeat(number)
        self._sweep_timer = None
        if self._under_way:
            self._sweep_timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)


def receipt_commands(senders: Mapping[str, ReceiptSender]) -> dict[str, CommandHandler]:
    """The commands for receipts of whoever started the providers: provider -> its sender.

    ``receipts`` counts: receipts ``due``, those ``confirmed`` by a 200, requests ``repeated``, messages ``withheld``.
    ``confirmed``: what those say, each with its job's id. ``receipt_answers``: see ``ReceiptSender.answered``.
    """

    def receipts(provider: str) -> dict[str, int]:
        sender = senders[provider]
        return {
            "due": sender.due,
            "confirmed": len(sender.confirmed),
            "repeated": sender.repeated,
            "withheld": len(sender.withheld),
        }

    return {
        "report_to": lambda provider, url: senders[provider].report_to(url),
        "withhold": lambda provider, url: senders[provider].withhold(url),
        "burst": lambda provider, **how: senders[provider].burst(**how),
        "receipts": receipts,
        "confirmed": lambda provider: [(word, job_id.decode()) for word, job_id in senders[provider].confirmed],
        "receipt_answers": lambda provider: senders[provider].answered,
    }


def event_id_of(job_id: str, word: str) -> str:
    """The name of the event that this receipt (a key of ``DELAYS``) of this job's message tells of."""
    return f"{job_id}-{word}"


def signed_post(address: Address, request: WebhookRequest) -> bytes:
    """The whole HTTP request that posts ``request`` to ``address`` now, signed as Standard Webhooks asks for."""
    timestamp, body = str(int(time.time())), request.body()
    signed = b".".join((request.message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(_KEY, signed, hashlib.sha256)).decode()
    lines = (
        f"POST {address.prefix} HTTP/1.1",
        f"Host: {address.authority}",
        "Content-Type: application/json",
        f"webhook-id: {request.message_id}",
        f"webhook-timestamp: {timestamp}",
        f"webhook-signature: v1,{signature}",
        "",
    )
    return post("\r\n".join(lines).encode(), body, None)
