"""What can't be understood goes to the dead letters once, however often it is reported."""

from __future__ import annotations

from typing import Any

from kombu.message import Message

from wavecom.worker.delivery_consumer import reject


class Channel:
    def __init__(self) -> None:
        self.rejected: list[tuple[int, bool]] = []

    def basic_reject(self, tag: int, requeue: bool) -> None:
        self.rejected.append((tag, requeue))


def test_a_message_that_is_reported_twice_is_rejected_once() -> None:
    channel: Any = Channel()
    message = Message(b"{", delivery_tag=7, content_type="application/json", channel=channel)

    reject(message)
    reject(message)

    assert channel.rejected == [(7, False)]
