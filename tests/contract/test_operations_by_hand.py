"""What docs/operations.md has an operator type into MongoDB's shell does what it says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.factories import NOW, make_claim, make_job
from wavecom.core.engine import decide
from wavecom.core.events import SettleRequested
from wavecom.core.lanes import Priority
from wavecom.core.states import Status
from wavecom.storage.mongo.jobs import MongoJobRepository

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_what_was_open_in_a_backup_is_set_aside_and_can_be_settled(database: Database[dict[str, Any]]) -> None:
    jobs = MongoJobRepository(database["jobs"], message_grace=timedelta(seconds=30))
    opened = [
        make_job(status=Status.QUEUED),
        make_job(status=Status.PROCESSING, claim=make_claim("theirs")),
        make_job(status=Status.RETRYING, attempts=1, queued_at=None, due_at=NOW),
    ]
    ended = make_job(status=Status.DELIVERED)
    jobs.insert([*opened, ended])
    for words in ('{status: {$in: ["queued", "processing", "retrying"]}}', "mayHaveBeenSent: true", 'parkedUntil: ""'):
        assert words in PAGE

    database["jobs"].update_many(
        {"status": {"$in": ["queued", "processing", "retrying"]}},
        {
            "$set": {"status": "unconfirmed", "mayHaveBeenSent": True, "dueAt": NOW + timedelta(hours=72)},
            "$unset": {"claim": "", "nextAttemptAt": "", "queuedAt": "", "parkedUntil": ""},
        },
    )

    # Those that waited for a retry are looked for apart; what stayed in that index would hide the ones that are due.
    assert [job for priority in Priority for job in jobs.parked(priority, NOW + timedelta(days=30), 10)] == []
    for job in opened:
        stored = jobs.get(job.job_id)
        assert stored is not None
        assert stored.status is Status.UNCONFIRMED
        settled = decide(stored, SettleRequested(True, "reported by the provider", by="ada@ops"), NOW)
        assert settled is not None
        assert jobs.apply([settled]) == [True]
    untouched = jobs.get(ended.job_id)
    assert untouched is not None
    assert untouched.status is Status.DELIVERED


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
