"""Servers that the environment names in place of private ones: whether each can be reached, and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import amqp
import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from wavecom.amqp_address import AmqpAddress
from wavecom.broker.connection import connect
from wavecom.settings import Settings
from wavecom.storage.redis.client import connect as connect_redis

_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class GivenServer:
    """``variable`` holds its address, ``name`` is what people call it, ``place`` is where it is, without a password."""

    variable: str
    name: str
    place: str
    _ping: Callable[[], None]

    @property
    def title(self) -> str:
        """``RabbitMQ at rabbit:5672 (AMQP_URL)``: without user and password."""
        return f"{self.name} at {self.place} ({self.variable})"

    def trouble(self) -> str | None:
        """Why it can't be used, in a few words; None: it answers. Takes some seconds at most."""
        try:
            self._ping()
        except (OSError, amqp.AMQPError, redis.RedisError, PyMongoError, ValueError) as error:
            return _reason(error)
        return None


def given_servers(environment: Mapping[str, str]) -> list[GivenServer]:
    """Those whose addresses ``environment`` has. Raises ``SettingsError`` for what can't be read."""
    found = []
    if environment.get("AMQP_URL", "").strip():
        address = Settings.from_environment(environment).amqp
        found.append(GivenServer("AMQP_URL", "RabbitMQ", str(address), partial(_ping_rabbitmq, address)))
    for variable, name, ping in (("REDIS_URL", "Redis", _ping_redis), ("MONGODB_URI", "MongoDB", _ping_mongodb)):
        if url := environment.get(variable, "").strip():
            parts = urlsplit(url)
            place = parts.netloc.rpartition("@")[2] or parts.path
            found.append(GivenServer(variable, name, place, partial(ping, url)))
    return found


def _ping_rabbitmq(address: AmqpAddress) -> None:
    # Without a handshake at the end: one that is blocked by an alarm is there all the same.
    connect(address, _TIMEOUT_SECONDS, "wavecom start").collect()


def _ping_redis(address: str) -> None:
    with connect_redis(address, max_connections=1, timeout_seconds=_TIMEOUT_SECONDS) as one:
        one.ping()


def _ping_mongodb(address: str) -> None:
    with MongoClient[dict[str, object]](address, serverSelectionTimeoutMS=int(_TIMEOUT_SECONDS * 1000)) as client:
        client.admin.command("ping")


def _reason(error: Exception) -> str:
    """The first sentence; drivers go on about their topology for a page."""
    text = " ".join(str(error).split()).split(" (configured timeouts")[0].split(", Timeout:")[0]
    return text[:200].rstrip(".") or type(error).__name__
