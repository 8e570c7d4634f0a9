"""Of a deep queue nothing is published again unless it was lost."""

from __future__ import annotations

from tests.factories import later
from tests.unit.core.sweep.environment import SweepEnvironment


def test_a_deep_backlog_is_neither_published_nor_written_again() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    for _ in range(20):
        environment.job(due_at=later(-600), queued_at=later(-630))

    environment.sweep.run()

    assert (environment.publisher.delivery_messages, environment.jobs.writes) == ([], 0)


def test_in_a_deep_queue_a_message_much_older_than_those_already_taken_is_lost() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    environment.backlog.lost = later(-100)
    lost = environment.job(due_at=later(-600), queued_at=later(-630))
    environment.job(due_at=later(-5), queued_at=later(-35))

    environment.sweep.run()

    assert environment.published() == [lost.job_id]


def test_a_parked_job_is_published_when_its_time_has_come_however_deep_its_queue_is() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    job = environment.job(due_at=later(0), queued_at=None, next_attempt_at=later(0))

    environment.sweep.run()

    assert environment.published() == [job.job_id]


def test_a_deep_live_queue_says_nothing_about_the_lost_message_of_a_test() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True
    environment.job(due_at=later(-1), queued_at=later(-31))
    test = environment.job(client="acme:test", due_at=later(-1), queued_at=later(-31))

    environment.sweep.run()

    assert environment.published() == [test.job_id]
    assert environment.publisher.delivery_messages[0].lane.is_test


def test_a_deep_queue_of_tests_is_left_alone_too() -> None:
    environment = SweepEnvironment()
    environment.backlog.are_tests_deep = True
    live = environment.job(due_at=later(-1), queued_at=later(-31))
    environment.job(client="acme:test", due_at=later(-1), queued_at=later(-31))

    environment.sweep.run()

    assert environment.published() == [live.job_id]
