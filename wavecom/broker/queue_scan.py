"""Scans a queue: shows all that waits in it, and removes what must go.

A queue gives up messages only from its head, so whoever wants one out of the middle must take them all. They are taken
without being acknowledged, in batches, and only those that must go are acknowledged; when the channel ends, the broker
puts the others back where they were. That costs nothing (50,000: some milliseconds), whereas a quorum queue without a
delivery limit appends each *rejected* message again (50,000: half a minute, and nobody can publish meanwhile), so
nothing is rejected here. A scan that dies anywhere leaves the queue whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from amqp.exceptions import NotFound

from wavecom.core.dead_letters import Scan

T = TypeVar("T")

#: Messages that one consumer may hold; AMQP counts them in 16 bits. A deeper queue gets several consumers.
_PREFETCH: Final = 60_000
_BATCH: Final = 500


def scan(
    connection: Any,
    channel: Any,
    queue: str,
    *,
    read: Callable[[Any], T],
    must_be_removed: Callable[[Sequence[T]], Sequence[bool]],
    silence_seconds: float,
    monotonic: Callable[[], float],
    deadline: float = float("inf"),
) -> Scan:
    """Go through ``queue`` on a channel of the caller's, who closes it and so gives back what is kept.

    ``read`` makes of a message what ``must_be_removed`` is asked about, batch by batch. A broker that says nothing for
    ``silence_seconds``, though messages are left, is in trouble or has others reading: the scan is incomplete then, as
    it is after ``deadline`` (by ``monotonic``). Raises ``amqp.AMQPError`` and ``OSError``.
    """
    try:
        found = channel.queue_declare(queue, passive=True)
    except NotFound:
        # Nothing has been declared yet, so nothing is there.
        return Scan(0, 0, is_complete=False)
    # Ready ones only: nobody else scans, but a consumer that is not ours would hold some of them.
    waiting, is_shared = found.message_count, found.consumer_count > 0
    batches = _Batches(channel, read, must_be_removed)
    consumers = [f"scan-{number}" for number in range(waiting // _PREFETCH + 1)] if waiting else []
    channel.basic_qos(0, _PREFETCH, False)
    for consumer in consumers:
        # nowait: the answer would stand in line behind what the first consumers are sent.
        channel.basic_consume(queue, consumer, callback=batches.take, nowait=True, no_ack=False)
    while batches.taken < waiting and monotonic() < deadline:
        try:
            connection.drain_events(timeout=silence_seconds)
        except TimeoutError:
            break
        if len(batches.batch) >= _BATCH:
            batches.settle()
    batches.settle()
    seen, is_complete = batches.taken, batches.taken >= waiting
    if is_complete:
        for consumer in consumers:
            channel.basic_cancel(consumer)
    return Scan(seen, batches.removed, is_complete and not is_shared)


def wait_for_return(
    connection: Any, queue: str, kept: int, *, patience_seconds: float, monotonic: Callable[[], float]
) -> None:
    """Wait until the messages are back after their channel has ended, some tenths of a second: who comes next must not
    find an empty queue."""
    deadline = monotonic() + patience_seconds
    channel = connection.channel()
    while channel.queue_declare(queue, passive=True).message_count < kept:
        if monotonic() > deadline:
            return
        time.sleep(0.05)


class _Batches(Generic[T]):
    """The messages that one scan holds unacknowledged, and what was decided about those before them."""

    def __init__(
        self, channel: Any, read: Callable[[Any], T], must_be_removed: Callable[[Sequence[T]], Sequence[bool]]
    ) -> None:
        self.batch: list[tuple[int, T]] = []
        self.taken = 0
        self.removed = 0
        self._channel = channel
        self._read = read
        self._must_be_removed = must_be_removed

    def take(self, message: Any) -> None:
        """One delivery."""
        self.batch.append((message.delivery_tag, self._read(message)))
        self.taken += 1

    def settle(self) -> None:
        """Ask about the batch, and acknowledge what must be removed."""
        if not self.batch:
            return
        tags = [tag for tag, _ in self.batch]
        removals = self._must_be_removed([item for _, item in self.batch])
        removed = [tag for tag, is_removed in zip(tags, removals, strict=True) if is_removed]
        if len(removed) == len(tags) and self.removed + len(tags) == self.taken:
            # Nothing was kept so far: one acknowledgement does for all, and spares the broker 499.
            self._channel.basic_ack(tags[-1], multiple=True)
        else:
            for tag in removed:
                self._channel.basic_ack(tag)
        self.removed += len(removed)
        self.batch = []
