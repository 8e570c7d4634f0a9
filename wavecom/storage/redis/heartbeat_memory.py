"""The latest heartbeat of the store, in Redis: what a store that was restored is compared with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import redis

from wavecom.core.store_guard import Heartbeat, RememberedBeat
from wavecom.errors import UnavailableError
from wavecom.storage.redis.scripts import RedisScripts

_PREFIX: Final = "wavecom:heartbeat:"


class RedisHeartbeatMemory:
    """Implements ``wavecom.core.store_guard.HeartbeatMemory``. Thread-safe.

    Kept without an end: an installation that was off for a month must still notice that it was restored.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts = RedisScripts(client)

    def latest(self, store_id: str) -> RememberedBeat | None:
        """See the port."""
        try:
            found: Any = self._client.hgetall(_PREFIX + store_id)
        except redis.RedisError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error
        if not found:
            return None
        return RememberedBeat(int(found["number"]), datetime.fromtimestamp(int(found["at"]) / 1000, UTC))

    def note(self, heartbeat: Heartbeat) -> None:
        """See the port."""
        at = int(heartbeat.at.timestamp() * 1000)
        self._scripts.run("heartbeat_note", [_PREFIX + heartbeat.store_id], {"number": heartbeat.number, "at": at})
