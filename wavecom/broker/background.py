"""Publishing delivery messages in the background, so that no request waits for the broker's confirms.

A notification is accepted when it is stored; its delivery message only makes a worker look sooner than the sweep
would. So the thread that has stored a batch leaves the delivery messages here and answers its clients, and one thread
publishes whatever has come meanwhile, confirmed as ever.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from wavecom.core.job import DeliveryMessage
from wavecom.core.ports import Publisher

log = structlog.get_logger()

#: As many are confirmed well within the publisher's time for one batch.
_BATCH = 500
#: A broker that is so far behind slows down those who accept.
_MOST_WAITING = 20_000
_PATIENCE_SECONDS = 3.0


class BackgroundPublisher:
    """Publishes delivery messages on a thread of its own, without reporting which were confirmed. Thread-safe.

    What waits when the interpreter ends is still published: it waits for executors. What a killed process leaves
    behind, and what the broker does not confirm, the sweep publishes.
    """

    def __init__(self, publisher: Publisher, *, most_waiting: int = _MOST_WAITING) -> None:
        self._publisher = publisher
        self._most_waiting = most_waiting
        self._waiting: deque[DeliveryMessage] = deque()
        self._room = threading.Condition()
        self._is_running = False
        self._executor = ThreadPoolExecutor(1, "publisher")

    def publish(self, delivery_messages: Sequence[DeliveryMessage]) -> None:
        """Leave messages to be published. Returns at once; if too many wait, when there is room, or after seconds."""
        if not delivery_messages:
            return
        with self._room:
            if len(self._waiting) >= self._most_waiting:
                self._room.wait_for(lambda: len(self._waiting) < self._most_waiting, _PATIENCE_SECONDS)
            self._waiting.extend(delivery_messages)
            if self._is_running:
                return
            self._is_running = True
        try:
            self._executor.submit(self._run)
        except RuntimeError:
            # The interpreter is ending.
            self._run()

    def close(self) -> None:
        """Publish what waits, then stop."""
        self._executor.shutdown()

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._publisher.publish(batch)
            except Exception:
                # The jobs are stored: the sweep publishes what we could not.
                log.exception("publish_failed")

    def _take(self) -> list[DeliveryMessage]:
        with self._room:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._is_running = bool(batch)
            self._room.notify_all()
        return batch
