"""The check before a call over a real store, whose own time says what was changed since."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from pymongo.database import Database

from tests.factories import make_job
from wavecom.core.job import Job
from wavecom.core.lanes import Channel
from wavecom.core.suppression_check import SuppressionCheck
from wavecom.core.suppressions import NewSuppression, SuppressionScope, SuppressionSource
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.suppressions import MongoSuppressionStore


def _new(job: Job, **overrides: Any) -> NewSuppression:
    fields: dict[str, Any] = {
        "account": job.client,
        "channel": job.type,
        "recipient": job.to["email"],
        "source": SuppressionSource.MANUAL,
        "scope": SuppressionScope.ALL,
        "by": "operator",
    }
    return NewSuppression(**fields | overrides)


def test_whatever_was_stored_before_a_reading_began_is_found_after_it(database: Database[dict[str, Any]]) -> None:
    ensure_indexes(database)
    numbers = itertools.count()
    store = MongoSuppressionStore(database, new_id=lambda: f"entry-{next(numbers)}")
    clock = StoreClock(MongoJobRepository(database["jobs"]).now)
    clock.look()
    check = SuppressionCheck(store, clock)
    jobs = [make_job(type=Channel.EMAIL, to={"email": f"person{number}@example.com"}) for number in range(120)]
    missed: list[Job] = []
    reading = threading.Lock()

    def write(part: list[Job]) -> None:
        for job in part:
            # Lifted and added again, so that old documents change too.
            [added] = store.add([_new(job)], clock.now())
            store.lift(added.suppression_id, None, by="operator", reason="", now=clock.now())
            store.add([_new(job)], clock.now())
            with reading:
                check.refresh()
                if job.job_id not in check.find([job]):
                    missed.append(job)

    check.refresh()
    writers = [threading.Thread(target=write, args=(jobs[first::4],)) for first in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert missed == []
    assert check.find(jobs).keys() == {job.job_id for job in jobs}
    strangers = [make_job(type=Channel.EMAIL, to={"email": f"stranger{number}@example.com"}) for number in range(50)]
    assert check.find(strangers) == {}
