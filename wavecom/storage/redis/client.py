"""How WaveCom connects to Redis: bounded waits, because Redis is never the truth and always optional."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from wavecom.redis_address import SENTINEL_SCHEMES, SentinelAddress

#: Longer than any script of ours takes, shorter than anybody wants to wait for something optional.
TIMEOUT_SECONDS = 0.4


def connect(url: str, *, max_connections: int = 32, timeout_seconds: float = TIMEOUT_SECONDS) -> redis.Redis:
    """A thread-safe client for ``redis://``, ``rediss://``, ``unix://`` or sentinels; connects on first use.

    Every call ends within about twice ``timeout_seconds``, also with more than ``max_connections`` threads, or raises
    ``redis.RedisError``; with sentinels, each that is frozen adds as much once. Text comes back as ``str``. Close it
    with ``close()``.
    """
    waits: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        # RESP3 brings nothing here, and costs a second handshake on every connection.
        "protocol": 2,
        "decode_responses": True,
    }
    options: dict[str, Any] = {
        "max_connections": max_connections,
        "timeout": timeout_seconds,
        # Once, at once, and only for a connection that turned out to be dead (a restarted server), or led to a server
        # that leads no more: what timed out may have been done, and who waits has something better to do.
        "retry": Retry(NoBackoff(), 1, (redis.ConnectionError,)),
        "health_check_interval": 30,
        **waits,
    }
    if not url.startswith(SENTINEL_SCHEMES):
        return redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(url, **options))
    address = SentinelAddress.parse(url)
    tls: dict[str, Any] = {"ssl": True, **address.tls_files} if address.is_encrypted else {}
    options["connection_class"] = _EncryptedLeaderConnection if address.is_encrypted else _LeaderConnection
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        address.sentinels,
        sentinel_kwargs={
            "username": address.sentinel_user,
            "password": address.sentinel_password,
            "max_connections": max_connections,
            # One that is frozen or away is passed over.
            "retry": options["retry"],
            **waits,
            **tls,
        },
    )
    login = {"username": address.user, "password": address.password, "db": address.database}
    pool = _BlockingSentinelPool(address.service, sentinel, **options, **login, **tls)  # type: ignore[no-untyped-call]
    return redis.Redis.from_pool(pool)


class _LeaderConnection(SentinelManagedConnection):
    """A connection that is closed when an answer does not come in time, so that the next one asks the sentinels.

    redis-py closes all others then, and keeps those of sentinels: a server that is frozen would be asked for ever.
    """

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """As in redis-py."""
        return super().read_response(*arguments, **{"disconnect_on_error": True} | options)


class _EncryptedLeaderConnection(_LeaderConnection, SentinelManagedSSLConnection):
    """The same by TLS."""


class _BlockingSentinelPool(SentinelConnectionPool, redis.BlockingConnectionPool):
    """Connections to the server that leads, for which one waits as in any other pool of ours.

    redis-py's own for sentinels raises an error at once where all are in use. Each new connection asks the sentinels.
    """

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Of all connections, those to the sentinels too; they are opened again when they are needed."""
        super().disconnect(inuse_connections)
        if inuse_connections:
            self.sentinel_manager.close()
