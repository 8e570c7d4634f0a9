"""Which queues have a worker of their own region, in Redis. What it loses is written anew within seconds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final

import redis

from wavecom.core.lanes import LaneQueue
from wavecom.errors import UnavailableError

KEY: Final = "wavecom:regions:attended"


class RedisAttendance:
    """Implements ``wavecom.core.region_attendance.AttendanceBoard``. Thread-safe. ``now``: a clock that all share."""

    def __init__(self, client: redis.Redis, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now

    def note(self, queues: Collection[LaneQueue]) -> None:
        """See the port."""
        at = self._now().timestamp()
        mapping: Any = dict.fromkeys(queues, at)
        if mapping:
            try:
                self._client.hset(KEY, mapping=mapping)
            except redis.RedisError as error:
                raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error

    def ages(self) -> Mapping[LaneQueue, float]:
        """See the port."""
        try:
            found: Any = self._client.hgetall(KEY)
        except redis.RedisError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error
        now = self._now().timestamp()
        return {LaneQueue(queue): max(0.0, now - float(at)) for queue, at in found.items()}
