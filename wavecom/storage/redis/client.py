"""How WaveCom connects to Redis: bounded waits, because Redis is never the truth and always optional."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Longer than any script of ours takes, shorter than anybody wants to wait for something optional.
TIMEOUT_SECONDS = 0.4


def connect(url: str, *, max_connections: int = 32, timeout_seconds: float = TIMEOUT_SECONDS) -> redis.Redis:
    """A thread-safe client for ``redis://``, ``rediss://`` or ``unix://``; connects on first use.

    Every call ends within about twice ``timeout_seconds``, also with more than ``max_connections`` threads, or raises
    ``redis.RedisError``. Text comes back as ``str``. Close it with ``close()``.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        # Once, at once, and only for a connection that turned out to be dead (a restarted server): what timed out may
        # have been done, and who waits has something better to do.
        retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),
        health_check_interval=30,
        decode_responses=True,
        # RESP3 brings nothing here, and costs a second handshake on every connection.
        protocol=2,
    )
    return redis.Redis.from_pool(pool)
