"""The drill's recording provider: remembers every request, and what it was answered.

It is the judge of what was sent, so it knows nothing of WaveCom. *Sent* is each 2xx and each silence after a whole
body: a provider that falls silent may have passed the message on. Told to, it reports what it has answered 200, by
receipts (``harness.receipts``).

A request may ask how it is to be answered: ``metadata.provider`` = ``reject`` is always answered 422, ``unavailable``
always 500.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from harness import control
from harness.http_messages import header
from harness.provider_server import Fault, ProviderServer, provider_parser, provider_ports, serve
from harness.receipts import ReceiptSender, receipt_commands

REJECT, UNAVAILABLE = "reject", "unavailable"
_REQUESTED = {REJECT: Fault(status=422), UNAVAILABLE: Fault(status=500)}


@dataclass(slots=True)
class Record:
    """One request. ``answer``: a status, ``silence``, ``reset``, ``early_reset``, ``gone`` (nobody waited for it)."""

    #: Seconds since the epoch, when it was whole; when its head was, where the connection was reset before its body.
    at: float
    provider: str
    delivery_key: str
    job_id: str
    attempt: int
    answer: str = "silence"
    is_sent: bool = True
    answered_at: float | None = None


class RequestRecorder:
    """A ``Recorder`` of all providers, and the commands by which the drill asks for what it has."""

    def __init__(self, providers: Iterable[str]) -> None:
        self._records: list[Record] = []
        self.receipt_senders = {name: ReceiptSender() for name in providers}

    def requested_fault(self, body: bytes) -> Fault | None:
        """See ``Recorder``."""
        return _REQUESTED.get((json.loads(body).get("metadata") or {}).get("provider"))

    def begin(self, provider: str, head: bytes, body: bytes, fault: Fault | None) -> Record:
        """See ``Recorder``."""
        key = header(head, b"idempotency-key").decode("latin-1")
        content = json.loads(body) if body else {"jobId": key.partition(":")[0], "attempt": 0}
        record = Record(time.time(), provider, key, content["jobId"], content["attempt"])
        self._records.append(record)
        return record

    def end(self, record: Record, answer: str, *, is_sent: bool) -> None:
        """See ``Recorder``."""
        record.answer, record.is_sent, record.answered_at = answer, is_sent, time.time()
        if answer == "200":
            self.receipt_senders[record.provider].take(record.job_id.encode())

    def fetch(self) -> list[dict[str, Any]]:
        """Every request so far."""
        return [asdict(record) for record in self._records]

    def sent_per_second(self, provider: str, seconds: float) -> float:
        """How many 2xx a second ``provider`` gave over the last ``seconds``."""
        since = time.time() - seconds
        recent: deque[Record] = deque()
        for record in reversed(self._records):
            if record.at < since:
                break
            recent.append(record)
        return sum(record.provider == provider and record.answer == "200" for record in recent) / seconds


async def run(control_port: int, ports: dict[str, int], seed: int) -> None:
    """Serve until the process is ended."""
    recorder = RequestRecorder(ports)
    providers = {
        name: ProviderServer(name, port, recorder, random.Random(f"{seed}/{name}")) for name, port in ports.items()
    }
    commands: dict[str, control.CommandHandler] = {
        **receipt_commands(recorder.receipt_senders),
        "fetch": recorder.fetch,
        "sent_per_second": recorder.sent_per_second,
    }
    await serve(control_port, providers, commands)


def main() -> None:
    """``python -m tests.faults.recorder --control-port 7000 --provider first=7001 --provider second=7002``."""
    parser = provider_parser(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.control_port, provider_ports(arguments), arguments.seed))


if __name__ == "__main__":
    main()
