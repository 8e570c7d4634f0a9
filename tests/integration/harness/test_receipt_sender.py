"""The recording provider posts its receipts until they are answered 200: whoever judges by them relies on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from harness.receipts import DELAYS, PER_MESSAGE, ReceiptSender, event_id_of
from wavecom.local.ports import LOOPBACK

JOB_IDS = [b"job-1", b"job-2", b"job-3"]
ALL = sorted(event_id_of(job_id.decode(), word) for job_id in JOB_IDS for word in DELAYS)
HANG_UP = 0
#: Generous: the machine may be busy with other tests.
SECONDS = 90


class Application:
    """Answers one request after the other as it is told to, then 200; ``HANG_UP``: closes without an answer."""

    def __init__(self, *answers: int) -> None:
        self.confirmed: list[str] = []
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                events = json.loads(await reader.readexactly(length))["events"]
                status = self._answers.pop(0) if self._answers else 200
                if status == HANG_UP:
                    return
                if status == 200:
                    self.confirmed += [event["id"] for event in events]
                writer.write(f"HTTP/1.1 {status} It\r\nContent-Length: 0\r\n\r\n".encode())
        except asyncio.IncompleteReadError:
            pass  # who asked has hung up
        finally:
            writer.close()


def run(application: Application, begin: Callable[[ReceiptSender, str], None]) -> ReceiptSender:
    """The sender after it has begun so, once the application has confirmed two receipts of each message."""

    async def play() -> ReceiptSender:
        server = await asyncio.start_server(application.serve, LOOPBACK, 0)
        sender = ReceiptSender()
        async with server, asyncio.timeout(SECONDS):
            begin(sender, f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/receipts/main")
            while len(sender.confirmed) < PER_MESSAGE * len(JOB_IDS):
                await asyncio.sleep(0.01)
            sender.close()
        return sender

    return asyncio.run(play())


def burst(batch: int) -> Callable[[ReceiptSender, str], None]:
    def begin(sender: ReceiptSender, url: str) -> None:
        sender.withhold(url)
        for job_id in JOB_IDS:
            sender.take(job_id)
        assert sender.burst(batch, len(JOB_IDS), 2) == len(ALL)

    return begin


def test_what_was_withheld_is_posted_in_batches() -> None:
    application = Application()

    sender = run(application, burst(batch=4))

    assert sorted(application.confirmed) == ALL
    assert (sender.due, sender.repeated, len(sender.answered), list(sender.withheld)) == (len(ALL), 0, 2, [])


def test_what_is_not_answered_200_is_posted_again() -> None:
    application = Application(503, HANG_UP)

    sender = run(application, burst(batch=1))

    assert sorted(application.confirmed) == ALL
    assert sender.repeated == 2


def test_a_message_that_is_taken_twice_gets_its_receipts_once() -> None:
    def begin(sender: ReceiptSender, url: str) -> None:
        sender.report_to(url)
        for job_id in [*JOB_IDS, *JOB_IDS]:
            sender.take(job_id)

    application = Application()

    sender = run(application, begin)

    assert sorted(application.confirmed) == ALL
    assert (list(sender.reported), sender.due) == (JOB_IDS, len(ALL))
