"""The benchmark's recording provider: counts each delivery key, and when it came first.

It shares the processor with what it measures, so it reads no more of a request than its length and its
``Idempotency-Key``. Told to, it reports what it has answered 200 (``harness.receipts``).
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from array import array
from pathlib import Path
from typing import Any

from harness import control
from harness.http_messages import header
from harness.provider_server import Fault, ProviderServer, provider_parser, provider_ports, serve
from harness.receipts import ReceiptSender, receipt_commands
from wavecom.local.ports import LOOPBACK


class ReceivedKeys:
    """What one provider has received."""

    def __init__(self) -> None:
        #: Delivery key -> when the first request that was answered 2xx had arrived (monotonic, shared by all processes)
        self.first: dict[bytes, float] = {}
        #: Delivery key -> how many more such requests there were
        self.repeated: dict[bytes, int] = {}
        #: When every request arrived, whatever it was answered.
        self.calls = array("d")
        self.refused = 0


class KeyRecorder:
    """A ``Recorder`` of all providers, and the commands by which the benchmark asks for what it has."""

    def __init__(self, providers: list[str]) -> None:
        self._received = {name: ReceivedKeys() for name in providers}
        self.receipt_senders = {name: ReceiptSender() for name in providers}

    def requested_fault(self, body: bytes) -> Fault | None:
        """See ``Recorder``: none."""
        return None

    def begin(self, provider: str, head: bytes, body: bytes, fault: Fault | None) -> tuple[str, bytes]:
        """See ``Recorder``; the record of a request is its provider and its key."""
        now = time.monotonic()
        key = header(head, b"idempotency-key")
        received = self._received[provider]
        received.calls.append(now)
        if fault is not None:
            received.refused += 1
        elif received.first.setdefault(key, now) != now:
            received.repeated[key] = received.repeated.get(key, 0) + 1
        return provider, key

    def end(self, record: tuple[str, bytes], answer: str, *, is_sent: bool) -> None:
        """See ``Recorder``: all that counts is known at the beginning; receipts come for what was answered 200."""
        if answer == "200":
            provider, key = record
            # Of a job that was never replayed, and no benchmark replays any, the key is the job's id.
            self.receipt_senders[provider].take(key)

    def progress(self) -> dict[str, int]:
        """Counts so far: ``received`` different keys, ``calls`` in all, ``refused`` of these."""
        each = self._received.values()
        return {
            "received": sum(len(received.first) for received in each),
            "calls": sum(len(received.calls) for received in each),
            "refused": sum(received.refused for received in each),
        }

    def write(self, path: str) -> None:
        """All that was received into the file ``path``: a line ``key moment times provider`` for each key."""
        with Path(path).open("wb") as file:
            for name, received in self._received.items():
                repeated = received.repeated
                file.writelines(
                    b"%b %.6f %d %b\n" % (key, moment, 1 + repeated.get(key, 0), name.encode())
                    for key, moment in received.first.items()
                )

    def calls(self, provider: str, since: float) -> dict[str, Any]:
        """The calls after the moment ``since``: how many in each second, and in the busiest span of one second."""
        moments = [moment for moment in self._received[provider].calls if moment >= since]
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
    recorder = KeyRecorder(list(ports))
    providers = {
        name: ProviderServer(name, port, recorder, random.Random(0), host=host) for name, port in ports.items()
    }
    commands: dict[str, control.CommandHandler] = {
        **receipt_commands(recorder.receipt_senders),
        "progress": recorder.progress,
        "write": recorder.write,
        "calls": recorder.calls,
    }
    await serve(control_port, providers, commands)


def main() -> None:
    """``python -m harness.provider --control-port 7000 --provider fast=7001``."""
    parser = provider_parser(__doc__)
    parser.add_argument("--host", default=LOOPBACK, help="where it listens")
    arguments = parser.parse_args()
    # Nothing here makes cycles, and a collection that walks a million records would be seen as the system's latency.
    gc.disable()
    asyncio.run(run(arguments.control_port, provider_ports(arguments), arguments.host))


if __name__ == "__main__":
    main()
