"""The worker: one task for each notification, one update for each step."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any

import requests
from celery import Celery, Task, signals
from kombu import Queue
from pymongo import MongoClient
from pymongo.collection import Collection

app = Celery("reference", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="reference",
    task_queues=[Queue("reference", queue_arguments={"x-queue-type": "quorum"})],
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=1,
    worker_pool="threads",
    worker_concurrency=40,
)

session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=40))


@cache
def jobs() -> Collection[dict[str, Any]]:
    """Connected in the worker, not where the task is only called."""
    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"])
    return client.get_default_database()["jobs"]


def _update(job_id: str, status: str, event: str, **more: Any) -> None:
    now = datetime.now(UTC)
    jobs().update_one(
        {"jobId": job_id},
        {"$set": {"status": status, "updatedAt": now, **more}, "$push": {"logs": {"at": now, "event": event}}},
    )


@app.task(bind=True, name="reference.send", max_retries=5)
def send_notification(self: Task[Any, Any], job_id: str) -> None:
    """Load, mark, call, mark."""
    job = jobs().find_one({"jobId": job_id})
    if job is None or job["status"] in ("sent", "failed"):
        return
    _update(job_id, "processing", "processing")
    content = {"jobId": job_id, **{name: job[name] for name in ("type", "to", "payload", "metadata")}}
    url = os.environ[f"PROVIDER_{job['type'].upper()}"]
    try:
        response = session.post(url, json=content, headers={"Idempotency-Key": job_id}, timeout=10)
        response.raise_for_status()
    except requests.RequestException as error:
        _update(job_id, "retrying", str(error))
        raise self.retry(exc=error, countdown=2**self.request.retries) from error
    _update(job_id, "sent", "sent", providerMessageId=response.json()["id"])


@signals.worker_ready.connect
def _report_ready(**_: Any) -> None:
    sys.stdout.write("ready.\n")
    sys.stdout.flush()
