from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_type_hints

import pytest

from tests.factories import later, make_job
from wavecom.core.job import LOG_LIMIT, Claim, DeliveryMessage, Job, JobChanges, LogEntry
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.states import Status


def entries(count: int) -> tuple[LogEntry, ...]:
    return tuple(LogEntry(later(number), "queued", attempt=number) for number in range(count))


def test_the_delivery_key_is_the_same_for_every_attempt() -> None:
    job = make_job()

    later_attempt = job.with_changes({"attempts": 3})

    assert job.delivery_key == later_attempt.delivery_key == job.job_id


def test_the_delivery_key_is_new_after_each_replay() -> None:
    job = make_job()

    keys = [job.with_changes({"replays": replays}).delivery_key for replays in range(3)]

    assert keys == [job.job_id, f"{job.job_id}:1", f"{job.job_id}:2"]


def test_a_message_carries_the_lane_and_no_content() -> None:
    job = make_job(type=Channel.EMAIL, priority=Priority.HIGH)

    delivery_message = job.delivery_message(7)

    assert delivery_message == DeliveryMessage(job.job_id, Lane(Channel.EMAIL, Priority.HIGH), 7)


def test_a_change_leaves_the_job_it_was_made_from_alone() -> None:
    job = make_job(logs=())

    changed = job.with_changes({"status": Status.CANCELLED, "queued_at": None}, entries(1))

    assert (job.status, job.logs, job.log_count) == (Status.QUEUED, (), 0)
    assert (changed.status, changed.queued_at, changed.logs, changed.log_count) == (
        Status.CANCELLED,
        None,
        entries(1),
        1,
    )


def test_the_log_keeps_its_last_entries_and_the_count_of_all() -> None:
    job = make_job(logs=entries(LOG_LIMIT), log_count=LOG_LIMIT)
    newest = LogEntry(later(1000), "delivered")

    grown = job.with_changes({}, (newest,))

    assert len(grown.logs) == LOG_LIMIT
    assert grown.logs[-1] == newest
    assert grown.logs[0] == job.logs[1]
    assert grown.log_count == LOG_LIMIT + 1


def test_the_count_goes_on_for_a_job_that_was_read_without_its_log() -> None:
    job = make_job(logs=(), log_count=60)

    grown = job.with_changes({}, entries(2))

    assert (len(grown.logs), grown.log_count) == (2, 62)


def test_changes_have_the_types_of_the_fields_that_they_change() -> None:
    fields = get_type_hints(Job)
    changes = get_type_hints(JobChanges)
    # A hold is replaced, never taken away.
    fields["claim"] = Claim

    assert changes == {name: fields[name] for name in changes}


def test_a_field_that_does_not_exist_can_t_be_changed() -> None:
    job = make_job()

    with pytest.raises(TypeError):
        job.with_changes({"stauts": Status.FAILED})


def test_a_job_can_t_be_changed_in_place() -> None:
    job = make_job()

    with pytest.raises(FrozenInstanceError):
        job.status = Status.DELIVERED  # type: ignore[misc]
