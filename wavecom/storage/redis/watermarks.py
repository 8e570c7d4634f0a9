"""How far the workers have got in each queue, so that the sweep can tell lost messages from waiting ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import redis
import structlog

from wavecom.errors import UnavailableError
from wavecom.storage.redis.scripts import RedisScripts

log = structlog.get_logger()

KEY = "wavecom:watermarks"
_TELL_SECONDS = 1.0


class RedisWatermarks:
    """The latest ``queuedAt`` of a delivery message taken from each queue, by any worker. Thread-safe.

    ``note`` is cheap: it keeps the highest in memory and tells Redis about once a second. What Redis loses, or can't be
    told, makes the sweep wait longer with a lost delivery message in a deep queue, nothing else.
    """

    def __init__(self, client: redis.Redis, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._scripts = RedisScripts(client)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._untold: dict[str, int] = {}
        self._tell_after = float("-inf")

    def note(self, queue: str, queued_at: datetime) -> None:
        """A delivery message that reached ``queue`` at ``queued_at`` has been taken."""
        reached = int(queued_at.timestamp() * 1000)
        with self._lock:
            if reached > self._untold.get(queue, 0):
                self._untold[queue] = reached
            now = self._monotonic()
            if now < self._tell_after:
                return
            self._tell_after = now + _TELL_SECONDS
            told, self._untold = self._untold, {}
        try:
            self._scripts.run("watermark_raise", [KEY], told)
        except UnavailableError:
            log.debug("watermarks_untold")

    def reached(self, queue: str) -> datetime | None:
        """What all workers together have told of ``queue``; None when nothing, or when Redis is away."""
        try:
            value = self._client.hget(KEY, queue)
        except redis.RedisError:
            return None
        return datetime.fromtimestamp(int(str(value)) / 1000, UTC) if value is not None else None
