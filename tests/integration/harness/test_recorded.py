"""How long jobs took, read from a real store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from harness.recorded import recorded_after


def test_jobs_of_this_load_that_have_ended_are_told_with_their_seconds(
    database: Database[dict[str, Any]], mongodb_uri: str
) -> None:
    now = datetime.now(UTC)
    database["jobs"].insert_many(
        [
            {"jobId": "ended", "createdAt": now, "finishedAt": now + timedelta(seconds=0.125)},
            {"jobId": "waits", "createdAt": now},
            {"jobId": "before", "createdAt": now - timedelta(hours=1), "finishedAt": now},
        ]
    )

    assert recorded_after(mongodb_uri, seconds_ago=60) == {"ended": 0.125}
