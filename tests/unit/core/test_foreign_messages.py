"""Messages in the dead-letter queue that belong to no job of ours."""

from __future__ import annotations

import pytest

from tests.dead_letter_environment import DRY, OPTIONS, DeadLetterEnvironment, foreign_message
from wavecom.core.audit import AuditAction, FailureReason
from wavecom.core.bulk_operations import BulkOperation
from wavecom.errors import StoreError


@pytest.fixture
def environment() -> DeadLetterEnvironment:
    return DeadLetterEnvironment()


def test_they_are_found_among_the_dead_letters_and_stay(
    environment: DeadLetterEnvironment,
) -> None:
    environment.dead(3)
    environment.queue.content[1:1] = [foreign_message(), foreign_message("delivery_limit")]

    found, count = environment.foreign_messages.first(limit=1)

    assert ([dead_letter.reason for dead_letter in found], count) == (["rejected"], 2)
    assert len(environment.queue.content) == 5


def test_dropping_them_spares_dead_letters_and_leaves_an_audit_entry(environment: DeadLetterEnvironment) -> None:
    jobs = environment.dead(3)
    environment.queue.content[1:1] = [foreign_message(), foreign_message("delivery_limit"), foreign_message()]

    environment.foreign_messages.discard(OPTIONS)

    assert environment.queue.ids() == [job.job_id for job in jobs]
    entry = environment.audit.only()
    assert (entry.action, entry.done) == (AuditAction.DISCARD_RAW, 3)
    assert entry.reasons[FailureReason("rejected", "notifications.sms.normal")] == 2


def test_a_dry_run_drops_none_of_them(environment: DeadLetterEnvironment) -> None:
    environment.queue.content = [foreign_message()]

    run = environment.foreign_messages.discard(DRY)

    assert (run.done, len(environment.queue.content)) == (1, 1)


def test_none_is_dropped_without_an_audit_entry(environment: DeadLetterEnvironment) -> None:
    environment.queue.content = [foreign_message()]

    def store_goes_away(run: BulkOperation) -> None:
        if run.done:
            raise StoreError("away")

    environment.audit.on_record = store_goes_away

    with pytest.raises(StoreError):
        environment.foreign_messages.discard(OPTIONS)

    assert len(environment.queue.content) == 1


def test_a_queue_that_somebody_reads_is_waited_for(environment: DeadLetterEnvironment) -> None:
    environment.queue.is_busy = True
    environment.queue.content = [foreign_message()]

    def others_finish() -> None:
        environment.queue.is_busy = len(environment.slept) < 3

    environment.on_sleep = others_finish
    found, _ = environment.foreign_messages.first(1)

    assert (len(found), len(environment.slept)) == (1, 3)
