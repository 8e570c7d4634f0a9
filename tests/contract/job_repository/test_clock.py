from __future__ import annotations

from datetime import UTC, datetime, timedelta

from wavecom.core.ports import JobRepository


def test_the_store_tells_the_time(jobs: JobRepository) -> None:
    before = datetime.now(UTC)

    now = jobs.now()

    assert now.utcoffset() == timedelta(0)
    assert now.microsecond % 1000 == 0
    assert abs(now - before) < timedelta(minutes=1)


def test_a_store_that_is_there_answers(jobs: JobRepository) -> None:
    jobs.ping()
