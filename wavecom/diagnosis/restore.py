"""Whether the servers are of one time: a MongoDB that was restored is older than what Redis remembers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import redis
from pymongo.errors import PyMongoError

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.core.job import JobId
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.diagnosis.mongodb import open_database
from wavecom.diagnosis.redis import open_redis
from wavecom.errors import StoreError
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.redis.quota import latest_answered_jobs

_SAMPLE: Final = 1_000
_FORGET: Final = 'redis-cli -u "$REDIS_URL" flushdb'


def check_restore(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Whether MongoDB has the notifications that Redis answers repeated requests with.

    Where it has not, who repeats a request that is lost is told that it was accepted, and nothing is sent.
    """
    try:
        with open_redis(context) as client:
            answered = latest_answered_jobs(client, _SAMPLE)
        with open_database(context) as database:
            known = MongoJobRepository(database["jobs"]).by_ids([JobId(each) for each in answered]) if answered else {}
    except (redis.RedisError, PyMongoError, StoreError):
        text = "not known while Redis or MongoDB does not answer"
        yield CheckResult("restore", "Redis", Severity.WARNING, text, "wavecom doctor redis mongodb")
        return
    lost = len(set(answered) - set(known))
    if lost:
        text = (
            f"of the latest {len(answered)} answers to idempotency keys {lost} name notifications that MongoDB has "
            "not, as after a restore: their repetitions are answered and not sent; let Redis forget"
        )
        yield CheckResult("restore", "Redis", Severity.ERROR, text, _FORGET)
    else:
        yield CheckResult("restore", "Redis", Severity.OK, "answers repeated requests with what MongoDB has")
