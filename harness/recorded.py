"""How long jobs took by what the store says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient


def recorded_after(mongodb_uri: str, *, seconds_ago: float) -> dict[str, float]:
    """Job id -> seconds from ``createdAt`` to ``finishedAt``, of jobs created since then that have ended.

    Reads them all, in the order of an index; raises ``PyMongoError``.
    """
    since = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        jobs = client.get_default_database("wavecom")["jobs"]
        found = jobs.find({"createdAt": {"$gte": since}}, {"_id": 0, "jobId": 1, "createdAt": 1, "finishedAt": 1})
        return {
            job["jobId"]: (job["finishedAt"] - job["createdAt"]).total_seconds()
            for job in found.batch_size(10_000)
            if "finishedAt" in job
        }
