"""Mails with large attachments take no more memory than the worker may have for them, however many are under way."""

from __future__ import annotations

import os
import sys
import threading
from base64 import b64encode
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.factories import NOW
from tests.peers import Peer, PeerConnection
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.allocator import return_large_blocks
from wavecom.core.attachments import detach
from wavecom.core.files import ByteBudget
from wavecom.core.job import Job, JobId, Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import Permit
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.smtp import SmtpOptions, SmtpProvider

pytestmark = [
    pytest.mark.timeout(170),
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for what the process takes"),
]

MIB = 1024 * 1024
MAILS, SIZE = 16, 9 * MIB


class Sink(Peer):
    """A mail server that throws away what it gets, and answers once all mails of the test are with it."""

    def __init__(self) -> None:
        super().__init__()
        self.all_here = threading.Barrier(MAILS, timeout=120)

    def converse(self, connection: PeerConnection) -> None:
        connection.send(b"220 sink\r\n")
        with connection.socket.makefile("rb") as lines:
            for line in lines:
                if line.upper().startswith(b"QUIT"):
                    return
                if line.upper().startswith(b"DATA"):
                    connection.send(b"354 go on\r\n")
                    while next(lines) != b".\r\n":
                        pass
                    self.all_here.wait()
                connection.send(b"250 ok\r\n")


class MadeUpBlobs:
    """Files that are made anew for each reading, as a server's answers are."""

    def put(self, blobs: Mapping[str, bytes], purge_at: datetime) -> None:
        raise AssertionError("nothing is stored here")

    def missing(self, names: Collection[str]) -> set[str]:
        return set()

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        return {name: os.urandom(1) * SIZE for name in names}


class Clock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def resident_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def test_sixteen_mails_of_nine_mebibytes_wait_for_their_answers_with_little_memory() -> None:
    """Held whole they take 30 MiB each, 480 together."""
    return_large_blocks()
    payload, _ = detach(
        {
            "subject": "x",
            "text": "y",
            "attachments": [
                {"filename": "a.pdf", "contentType": "application/pdf", "content": b64encode(bytes(SIZE)).decode()}
            ],
        }
    )
    outcomes: list[Outcome] = []
    unused: Any = None
    with Sink() as sink:
        options = SmtpOptions(host="127.0.0.1", port=sink.port, helo_name="wavecom.test")
        config = ProviderConfig(name="first", type="smtp", options=options, timeout_seconds=60)
        provider = SmtpProvider(
            config, ProviderDependencies(transport=unused, outbox=unused, clock=Clock(), sleep=unused, chance=unused)
        )
        # Room for two at a time while they are handed over; those that the server has need none.
        budget = ByteBudget(64 * MIB, wait_seconds=60)
        environment = DeliveryEnvironment(provider, blobs=MadeUpBlobs(), budget=budget)
        jobs = [
            environment.job(
                type=Channel.EMAIL,
                job_id=JobId(f"0190b0de-0000-7000-8000-{number:012d}"),
                to={"email": "ada@example.org"},
                payload=payload,
            )
            for number in range(MAILS)
        ]
        before, peak, is_over = resident_mib(), [0.0], threading.Event()

        def watch() -> None:
            while not is_over.wait(0.01):
                peak[0] = max(peak[0], resident_mib())

        def send(job: Job) -> None:
            [claimed] = environment.delivery.claim([job.job_id])
            assert claimed is not None
            outcomes.extend(
                each.answer.outcome for each in environment.delivery.attempts.attempt(claimed, Permit("first")).calls
            )

        watcher = threading.Thread(target=watch)
        threads = [threading.Thread(target=send, args=(job,)) for job in jobs]
        for thread in (watcher, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        is_over.set()
        watcher.join()
        provider.close()

    assert outcomes == [Outcome.ACCEPTED] * MAILS
    assert peak[0] - before < 150
