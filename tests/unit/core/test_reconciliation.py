"""The dead-letter queue, made to agree with the store."""

from __future__ import annotations

import pytest

from tests.dead_letter_environment import OPTIONS, DeadLetterEnvironment, foreign_message
from tests.factories import NOW, later, make_job
from wavecom.core.dead_letter_publishing import dead_letter_of
from wavecom.core.job import JobId
from wavecom.core.states import Status


@pytest.fixture
def environment() -> DeadLetterEnvironment:
    return DeadLetterEnvironment()


def reconciled(environment: DeadLetterEnvironment) -> list[JobId | None]:
    """The queue after two ticks: what is missing must be missed twice."""
    for _ in range(2):
        environment.clock.advance(60)
        environment.reconciliation.run_if_needed()
    return environment.queue.ids()


def test_nothing_is_scanned_while_the_counts_agree(environment: DeadLetterEnvironment) -> None:
    environment.dead(3)
    environment.reconciliation.run()
    scans = environment.queue.scans

    assert environment.reconciliation.run_if_needed() is None
    assert environment.queue.scans == scans


def test_the_dead_letters_of_replayed_and_discarded_jobs_leave_the_queue(environment: DeadLetterEnvironment) -> None:
    replayed, discarded, kept = environment.dead(3)
    environment.dead_letters.replay((replayed.job_id,), OPTIONS)
    # Killed here, between the write to the store and the queue.
    environment.dead_letters.discard((discarded.job_id,), OPTIONS)

    assert reconciled(environment) == [kept.job_id]


def test_a_purged_queue_gets_its_dead_letters_back(environment: DeadLetterEnvironment) -> None:
    jobs = environment.dead(5)
    environment.dead_letters.discard((jobs[0].job_id,), OPTIONS)
    environment.queue.content = []

    assert reconciled(environment) == [job.job_id for job in jobs[1:]]


def test_what_comes_back_from_a_killed_scan_is_not_published_again(
    environment: DeadLetterEnvironment,
) -> None:
    environment.dead(5)
    elsewhere, environment.queue.content = environment.queue.content, []
    environment.clock.advance(60)
    environment.reconciliation.run_if_needed()
    environment.queue.content = list(elsewhere)

    reconciled(environment)

    assert environment.queue.content == elsewhere
    assert len(environment.queue.dead_letters) == 5


def test_a_dead_letter_published_a_moment_ago_is_not_missing_yet(environment: DeadLetterEnvironment) -> None:
    environment.dead(1, dead_lettered_at=environment.clock.now())
    environment.queue.content = []

    environment.reconciliation.run()
    environment.clock.advance(14)
    early = environment.reconciliation.run()
    environment.clock.advance(2)
    late = environment.reconciliation.run()

    assert (early.published_again, late.published_again) == (0, 1)


def test_a_dead_letter_that_comes_twice_is_kept_once(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead()
    environment.queue.publish_dead_letters([dead_letter_of(job, NOW)])

    assert reconciled(environment) == [job.job_id]


def test_of_two_failures_of_a_job_the_dead_letter_of_the_last_stays(
    environment: DeadLetterEnvironment,
) -> None:
    [job] = environment.dead(1, finished_at=later(100))
    former = make_job(status=Status.FAILED, job_id=job.job_id, finished_at=later(50))
    environment.queue.content.insert(0, environment.queue.content[0])
    environment.queue.publish_dead_letters([dead_letter_of(former, NOW)])

    reconciled(environment)

    assert [(dead_letter.job_id, dead_letter.failed_at) for dead_letter in environment.queue.content] == [
        (job.job_id, later(100))
    ]


def test_the_dead_letter_of_a_job_that_is_about_to_be_noted_stays(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead(1, dead_lettered_at=None, due_at=later(7200))

    assert reconciled(environment) == [job.job_id]


def test_the_dead_letter_of_a_job_whose_retention_ended_goes(environment: DeadLetterEnvironment) -> None:
    environment.queue.publish_dead_letters([dead_letter_of(make_job(status=Status.FAILED), NOW)])

    assert reconciled(environment) == []


def test_foreign_messages_stay_and_are_no_reason_to_scan_again(environment: DeadLetterEnvironment) -> None:
    environment.dead(2)
    environment.queue.content.append(foreign_message())
    assert len(reconciled(environment)) == 3
    scans = environment.queue.scans

    environment.clock.advance(60)
    environment.reconciliation.run_if_needed()

    assert environment.queue.scans == scans


def test_one_too_many_and_one_too_few_are_found_in_time(environment: DeadLetterEnvironment) -> None:
    replayed, kept = environment.dead(2)
    environment.reconciliation.run()
    environment.dead_letters.replay((replayed.job_id,), OPTIONS)
    [missing] = environment.dead()
    environment.queue.content.pop()
    assert environment.queue.depth() == environment.repository.count()

    environment.clock.advance(400)

    assert reconciled(environment) == [kept.job_id, missing.job_id]


def test_scanning_takes_a_tenth_of_the_time_at_most(environment: DeadLetterEnvironment) -> None:
    environment.dead(2)
    environment.queue.on_scan = lambda: environment.clock.advance(20)
    environment.reconciliation.run()
    environment.queue.content.pop()

    environment.clock.advance(170)
    too_early = environment.reconciliation.run_if_needed()
    environment.clock.advance(20)
    in_time = environment.reconciliation.run_if_needed()

    assert too_early is None
    assert in_time is not None


@pytest.mark.parametrize("trouble", ["broker away", "queue busy", "store away"])
def test_servers_that_are_away_are_waited_for(environment: DeadLetterEnvironment, trouble: str) -> None:
    environment.dead(1)
    environment.queue.content = []
    environment.queue.is_up = trouble != "broker away"
    environment.queue.is_busy = trouble == "queue busy"
    environment.repository.is_away = trouble == "store away"

    assert environment.reconciliation.run_if_needed() is None

    environment.queue.is_up, environment.queue.is_busy, environment.repository.is_away = True, False, False
    assert len(reconciled(environment)) == 1
