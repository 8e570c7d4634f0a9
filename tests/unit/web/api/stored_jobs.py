"""Jobs that tests store, and their status afterwards."""

from __future__ import annotations

from typing import Any

from tests.factories import make_job
from tests.unit.web.conftest import NOW, WebEnvironment, later
from wavecom.core.job import Job
from wavecom.core.states import Status

REPLAY = "/api/notifications/replay"


def store(environment: WebEnvironment, **fields: Any) -> Job:
    job = make_job(**({"client": "default", "created_at": NOW} | fields))
    assert environment.jobs.insert([job]) == [None]
    return job


def store_failed(environment: WebEnvironment, number: int = 0, **fields: Any) -> Job:
    """A dead letter that failed so many seconds before ``NOW``."""
    dates = {"finished_at": later(-number), "dead_lettered_at": later(-number), "due_at": None}
    return store(environment, status=Status.FAILED, created_at=later(-3600), **dates | fields)


def status_of(environment: WebEnvironment, job: Job) -> Status:
    stored = environment.jobs.get(job.job_id)
    assert stored is not None
    return stored.status
