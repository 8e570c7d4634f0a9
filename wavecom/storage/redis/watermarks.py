"""How far the workers have got in each queue, so that the sweep can tell lost messages from waiting ones."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import redis
import structlog

from wavecom.errors import UnavailableError
from wavecom.storage.redis.scripts import RedisScripts

log = structlog.get_logger()

KEY = "wavecom:watermarks"
WRITE_SECONDS = 1.0


class RedisWatermarks:
    """The latest ``queuedAt`` of a delivery message taken from each queue, by any worker. Thread-safe.

    ``note`` keeps the highest in memory, for it stands between a claim and its calls; ``write`` tells Redis, and is
    called every second by a thread of its own. What Redis loses, or can't take, makes the sweep wait longer with a lost
    delivery message in a deep queue, nothing else.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts = RedisScripts(client)
        self._lock = threading.Lock()
        self._unwritten: dict[str, int] = {}

    def note(self, queue: str, queued_at: datetime) -> None:
        """A delivery message that reached ``queue`` at ``queued_at`` has been taken."""
        reached = int(queued_at.timestamp() * 1000)
        with self._lock:
            if reached > self._unwritten.get(queue, 0):
                self._unwritten[queue] = reached

    def write(self) -> None:
        """Tell Redis of what has been noted since the last time."""
        with self._lock:
            marks, self._unwritten = self._unwritten, {}
        if not marks:
            return
        try:
            self._scripts.run("watermark_raise", [KEY], marks)
        except UnavailableError:
            log.debug("watermarks_unwritten")

    def reached(self, queue: str) -> datetime | None:
        """The latest of all workers for ``queue``; None when there is none, or when Redis is away."""
        try:
            value = self._client.hget(KEY, queue)
        except redis.RedisError:
            return None
        return datetime.fromtimestamp(int(str(value)) / 1000, UTC) if value is not None else None
