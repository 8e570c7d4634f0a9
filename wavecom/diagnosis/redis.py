"""Redis: whether it answers, how quickly, which version, whether it takes writes; and what the sweep says in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import redis

from wavecom.broker import topology
from wavecom.core import diagnosis
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.core.progress import progress_problem
from wavecom.diagnosis.context import DiagnosisContext, shortest_seconds
from wavecom.diagnosis.mongodb import open_database
from wavecom.errors import StoreError, UnavailableError
from wavecom.readiness import NotReadyError, redis_check
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.progress import RedisProgress

NAME: Final = "Redis"
_OLDEST: Final = (6, 0)
_TIMEOUT_SECONDS: Final = 3.0
_SHOW: Final = 'redis-cli -u "$REDIS_URL" info'
#: First word of what the sweep found → the command that helps.
_REMEDIES: Final = {
    "sweep_silent": "wavecom start ops",
    "deliveries_stalled": "wavecom start worker",
    "consumer_cancelled": "wavecom start worker",
}


@contextmanager
def open_redis(context: DiagnosisContext) -> Iterator[redis.Redis]:
    """A client that ends with the block, and waits longer than a notification would."""
    client = connect(context.settings.redis_url, max_connections=2, timeout_seconds=_TIMEOUT_SECONDS)
    try:
        yield client
    finally:
        client.close()


def check_server(context: DiagnosisContext) -> Iterator[CheckResult]:
    """The server itself."""
    try:
        with open_redis(context) as client:
            information: Any = client.info("server")
            yield diagnosis.latency(
                "redis", NAME, shortest_seconds(client.ping, context.monotonic), 'redis-cli -u "$REDIS_URL" slowlog get'
            )
            yield diagnosis.version("redis", NAME, str(information.get("redis_version", "")), _OLDEST)
            yield _writes(redis_check(client))
            memory: Any = client.info("memory")
            yield _eviction(str(memory.get("maxmemory_policy", "noeviction")), int(memory.get("maxmemory", 0)))
    except redis.RedisError as error:
        yield unreachable(error, "redis")


def check_deliveries(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Whether due work moves, by what the sweep found last."""
    now = _store_clock(context).now
    try:
        with open_redis(context) as client:
            progress = RedisProgress(client, topology.queue_name, now)
            report = progress.stall_report()
            problem = progress_problem(report, progress.cancelled(), now())
    except UnavailableError:
        text = "not known while Redis does not answer"
        yield CheckResult("deliveries", "sweep", Severity.WARNING, text, _SHOW)
        return
    if problem:
        remedy = _REMEDIES[problem.partition(":")[0]]
        yield CheckResult("deliveries", "sweep", Severity.ERROR, problem, remedy)
    elif report is None:
        text = "nobody has swept within a day: are beat and ops running?"
        yield CheckResult("deliveries", "sweep", Severity.WARNING, text, "wavecom start beat")
    else:
        yield CheckResult("deliveries", "sweep", Severity.OK, "due work moves")


def _store_clock(context: DiagnosisContext) -> StoreClock:
    """The clock by which the sweep and the workers write: the store's, as far as it can be asked."""
    with open_database(context) as database:
        clock = StoreClock(
            MongoJobRepository(database["jobs"]).now, system_now=context.now, monotonic=context.monotonic
        )
        # Without it this machine's; that the store is away, its own check says.
        with suppress(StoreError):
            clock.refresh()
    return clock


def unreachable(error: redis.RedisError, check: str) -> CheckResult:
    """What an error of the client says, without its text, which may name an address."""
    if isinstance(error, redis.AuthenticationError):
        return CheckResult(check, NAME, Severity.ERROR, "refuses user or password of REDIS_URL", _SHOW)
    text = f"can't be used ({type(error).__name__}): check REDIS_URL and that it runs"
    return CheckResult(check, NAME, Severity.ERROR, text, _SHOW)


def _writes(check: Callable[[], None]) -> CheckResult:
    try:
        check()
    except NotReadyError as error:
        return CheckResult("redis", NAME, Severity.ERROR, error.code, 'redis-cli -u "$REDIS_URL" info replication')
    except UnavailableError as error:
        return CheckResult("redis", NAME, Severity.ERROR, f"takes no writes: {error}", _SHOW)
    return CheckResult("redis", NAME, Severity.OK, "takes writes")


def _eviction(policy: str, limit_bytes: int) -> CheckResult:
    if policy == "noeviction" or not limit_bytes:
        return CheckResult("redis", NAME, Severity.OK, "forgets nothing to make room")
    text = f"maxmemory-policy is {policy}: when it is full it forgets limits and breakers instead of refusing"
    remedy = 'redis-cli -u "$REDIS_URL" config set maxmemory-policy noeviction'
    return CheckResult("redis", NAME, Severity.WARNING, text, remedy)
