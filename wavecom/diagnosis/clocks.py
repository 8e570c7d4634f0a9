"""This machine's clock against those of the servers: MongoDB, Redis, and RabbitMQ by its management API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import redis
import requests
from pymongo.errors import PyMongoError

from wavecom.core import diagnosis
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis import mongodb
from wavecom.diagnosis import redis as redis_server
from wavecom.diagnosis.context import DiagnosisContext

_TIMEOUT_SECONDS: Final = 3.0
#: A date in HTTP has whole seconds.
_HTTP_UNCERTAINTY_SECONDS: Final = 1.0
_AWAY: Final = (PyMongoError, redis.RedisError, requests.RequestException, OSError, ValueError, KeyError)


def check_clocks(context: DiagnosisContext) -> Iterator[CheckResult]:
    """One result a server. What can't be asked has none of its own fault here: the server's check tells that."""
    readings: dict[str, tuple[Callable[[DiagnosisContext], datetime], float]] = {
        mongodb.NAME: (_mongodb_time, 0.0),
        redis_server.NAME: (_redis_time, 0.0),
    }
    if context.settings.rabbitmq_api_url:
        readings["RabbitMQ"] = (_rabbitmq_time, _HTTP_UNCERTAINTY_SECONDS)
    for server, (read, uncertainty) in readings.items():
        yield _compare(context, server, read, uncertainty)


def _compare(
    context: DiagnosisContext, server: str, read: Callable[[DiagnosisContext], datetime], uncertainty_seconds: float
) -> CheckResult:
    try:
        before = context.now()
        theirs = read(context)
        after = context.now()
    except _AWAY:
        return CheckResult("clocks", server, Severity.WARNING, "its clock can't be read", "wavecom doctor")
    half = (after - before) / 2
    ahead = (before + half - theirs).total_seconds()
    return diagnosis.clock(server, ahead, uncertainty_seconds + half.total_seconds())


def _mongodb_time(context: DiagnosisContext) -> datetime:
    with mongodb.open_database(context) as database:
        told: datetime = database.client.admin.command("hello")["localTime"]
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def _redis_time(context: DiagnosisContext) -> datetime:
    with redis_server.open_redis(context) as client:
        told: Any = client.time()
    seconds, microseconds = told
    return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)


def _rabbitmq_time(context: DiagnosisContext) -> datetime:
    answer = requests.head(context.settings.rabbitmq_api_url, timeout=_TIMEOUT_SECONDS)
    return parsedate_to_datetime(answer.headers["Date"])
