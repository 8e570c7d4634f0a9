"""The endpoints of the drill's clients: each takes the events that are sent to it, and remembers every call.

It is the judge of what clients were told, so it knows nothing of WaveCom: signatures are verified by the reference
library of Standard Webhooks, events are read as documents. *Taken* is what was answered 2xx and still waited for.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import asdict, dataclass
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from harness import control
from harness.http_messages import header
from harness.provider_server import Fault, ProviderServer, provider_parser, provider_ports, serve


@dataclass(slots=True)
class ReceivedCall:
    """One call of an endpoint. ``answer``: as of a provider's ``Record``; times in seconds since the epoch."""

    at: float
    endpoint: str
    #: The header ``webhook-id``, by which a receiver knows a repetition.
    event_id: str = ""
    type: str = ""
    job_id: str = ""
    version: int = 0
    #: When it happened what the event tells of, as the event says (RFC 3339).
    happened_at: str = ""
    #: The signature was right, and the event's own id that of the header.
    is_genuine: bool = False
    answer: str = "silence"
    is_taken: bool = False


class CallRecorder:
    """A ``Recorder`` of all endpoints. ``secrets``: by endpoint, what its events are signed with."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self._calls: list[ReceivedCall] = []

    def requested_fault(self, body: bytes) -> Fault | None:
        """See ``Recorder``: an event asks for none."""
        return None

    def begin(self, provider: str, head: bytes, body: bytes, fault: Fault | None) -> ReceivedCall:
        """See ``Recorder``; ``provider`` is the endpoint."""
        call = ReceivedCall(time.time(), provider)
        self._calls.append(call)
        if body:
            self._read(call, head, body)
        return call

    def end(self, record: ReceivedCall, answer: str, *, is_sent: bool) -> None:
        """See ``Recorder``."""
        record.answer = answer
        record.is_taken = is_sent and answer.isdigit()

    def fetch(self) -> list[dict[str, Any]]:
        """Every call so far."""
        return [asdict(call) for call in self._calls]

    def _read(self, call: ReceivedCall, head: bytes, body: bytes) -> None:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        headers = {name: header(head, name.encode()).decode("latin-1") for name in names}
        call.event_id = headers["webhook-id"]
        try:
            Webhook(self.secrets[call.endpoint]).verify(body, headers)
        except WebhookVerificationError:
            return
        event = json.loads(body)
        call.is_genuine = event["eventId"] == call.event_id
        call.type, call.happened_at = event["type"], event["timestamp"]
        call.job_id, call.version = event["data"]["jobId"], event["data"]["version"]


async def run(control_port: int, ports: dict[str, int], seed: int) -> None:
    """Serve until the process is ended."""
    recorder = CallRecorder()
    endpoints = {
        name: ProviderServer(name, port, recorder, random.Random(f"{seed}/{name}")) for name, port in ports.items()
    }
    commands: dict[str, control.CommandHandler] = {
        "set_secret": lambda endpoint, secret: recorder.secrets.update({endpoint: secret}),
        "fetch": recorder.fetch,
    }
    await serve(control_port, endpoints, commands)


def main() -> None:
    """``python -m tests.faults.receiver --control-port 7000 --provider endpoint-1=7001 --provider endpoint-2=7002``."""
    parser = provider_parser(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.control_port, provider_ports(arguments), arguments.seed))


if __name__ == "__main__":
    main()
