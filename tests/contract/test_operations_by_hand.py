"""What docs/operations.md has an operator type into MongoDB's shell does what it says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.factories import NOW, make_job
from wavecom.core.states import Status
from wavecom.storage.mongo.jobs import MongoJobRepository

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_a_persons_notifications_are_deleted_by_recipient(database: Database[dict[str, Any]]) -> None:
    jobs = MongoJobRepository(database["jobs"], message_grace=timedelta(seconds=30))
    gone = make_job(status=Status.DELIVERED, finished_at=NOW)
    still_open = make_job(status=Status.QUEUED)
    jobs.insert([gone, still_open])
    recipient = next(iter(gone.to.values()))
    assert 'finishedAt: {$type: "date"}}' in PAGE

    database["jobs"].delete_many({"recipient": {"$in": [recipient]}, "finishedAt": {"$type": "date"}})

    assert jobs.get(gone.job_id) is None
    assert jobs.get(still_open.job_id) is not None
