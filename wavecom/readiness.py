"""What a process must be able to do before it is ready: each check raises ``NotReadyError`` or what its client raises.

Answering is not enough: a broker under an alarm answers and takes no message, a Redis that is full answers and takes
no count, and workers may live without moving anything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import redis

from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.progress import progress_problem
from wavecom.errors import BrokerError, UnavailableError
from wavecom.storage.redis.progress import RedisProgress

Check = Callable[[], None]

_PROBE_KEY = "wavecom:readiness"


class NotReadyError(Exception):
    """``code`` is a stable word, with the queues or workers concerned after it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def broker_check(publisher: AmqpPublisher) -> Check:
    """RabbitMQ takes a message and hands it out again."""

    def check() -> None:
        if not publisher.ping():
            raise BrokerError("RabbitMQ does not answer, or takes no messages.")

    return check


def redis_check(client: redis.Redis) -> Check:
    """Redis takes a write: one that is full or read-only counts nothing, so nobody has limits."""

    def check() -> None:
        try:
            client.set(_PROBE_KEY, "1", ex=60)
        except redis.ConnectionError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error
        except redis.ResponseError as error:
            raise NotReadyError(_why_unwritten(error)) from error
        except redis.RedisError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error

    return check


def deliveries_check(progress: RedisProgress, now: Callable[[], datetime], is_store_older: Callable[[], bool]) -> Check:
    """Due work moves, every worker consumes what it should, and somebody sweeps. All well until somebody has swept.

    ``is_store_older``: whether all of this is held, because the store was restored from an older copy (ADR 54).
    """

    def check() -> None:
        if is_store_older():
            raise NotReadyError("store_older")
        try:
            report, cancelled = progress.stall_report(), progress.cancelled()
        except UnavailableError:
            return  # nobody can say; that Redis is away, its own check says
        problem = progress_problem(report, cancelled, now())
        if problem is not None:
            raise NotReadyError(problem)

    return check


def _why_unwritten(error: redis.ResponseError) -> str:
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "maxmemory" in str(error):
        return "full: it takes no writes"
    return "read_only: it takes no writes"
