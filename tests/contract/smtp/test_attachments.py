"""Attachments that are stored apart are read when they are sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.smtp.mailbox import Mailbox
from tests.contract.smtp.mails import BANK, Make, message
from tests.peers import SmtpPeer
from wavecom.core.job import Outcome
from wavecom.core.ports import Message, MissingFileError
from wavecom.errors import StoreError

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


class HeldFiles:
    """Files by name; notes what is asked of it."""

    def __init__(self, **held: bytes) -> None:
        self.held = held
        self.events: list[str] = []
        self.error: Exception | None = None

    def read(self, name: str) -> bytes:
        self.events.append(f"read {name}")
        if self.error is not None and name == "second":
            raise self.error
        return self.held[name]

    def handed_over(self) -> None:
        self.events.append("handed over")


def with_files(files: HeldFiles, **changes: Any) -> Message:
    attachments = [
        {"filename": f"{name}.bin", "contentType": "application/octet-stream", "blob": name, "size": len(held)}
        for name, held in files.held.items()
    ]
    return message(payload=BANK | {"attachments": attachments}, files=files, **changes)


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 1024, 57 * 1024 + 1, 300_000])
def test_files_are_read_when_they_are_sent_and_released_before_the_server_answers(
    start: Callable[..., tuple[Mailbox, int]], make: Make, size: int
) -> None:
    files = HeldFiles(first=bytes(range(256)) * (size // 256) + b"x" * (size % 256), second=b".\r\n.\r\n")
    mailbox, port = start(data_size_limit=2**20)

    answer = make(port).send(with_files(files))

    assert answer.outcome is Outcome.ACCEPTED
    assert [part.get_content() for part in mailbox.mail().iter_attachments()] == list(files.held.values())
    assert files.events == ["read first", "read second", "handed over"]
    [size_told] = [int(each[5:]) for each in mailbox.envelopes[0].mail_options if each.startswith("SIZE=")]
    assert isinstance(mailbox.envelopes[0].original_content, bytes)
    assert size_told == len(mailbox.envelopes[0].original_content)


def test_a_refused_recipient_costs_no_reading(make: Make) -> None:
    files = HeldFiles(first=b"x" * 100)
    with SmtpPeer(RCPT=b"550 5.1.1 unknown") as peer:
        make(peer.port).send(with_files(files))

    assert files.events == []


@pytest.mark.parametrize("error", [StoreError("away"), MissingFileError("second")])
def test_a_file_that_can_not_be_read_ends_the_mail_unsent(make: Make, error: Exception) -> None:
    files = HeldFiles(first=b"x" * 100_000, second=b"y")
    files.error = error
    with SmtpPeer() as peer:
        provider = make(peer.port)
        with pytest.raises(type(error)):
            provider.send(with_files(files))
        files.error = None

        assert peer.closed_one.wait(10)
        assert peer.mails == []
        assert provider.send(with_files(files)).outcome is Outcome.ACCEPTED
        assert (peer.connections, len(peer.mails)) == (2, 1)
