"""Deliveries that have stalled are noticed, and said once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from structlog.testing import capture_logs

from tests.factories import later
from tests.unit.core.sweep.environment import SweepEnvironment
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.states import Status

SMS_NORMAL = Lane(Channel.SMS, Priority.NORMAL).queue
QUEUE = "notifications.sms.normal"


def swept_for(
    environment: SweepEnvironment, seconds: int, meanwhile: Callable[[], object] = lambda: None
) -> tuple[str, ...]:
    """The stalled queues after so many seconds of runs."""
    for _ in range(seconds // 5):
        environment.sweep.run()
        meanwhile()
        environment.clock.advance(5)
    environment.sweep.run()
    return tuple(environment.board.report.stalled) if environment.board.report else ()


def test_work_that_waits_while_nobody_takes_anything_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    before = swept_for(environment, 55)
    after = swept_for(environment, 10)

    assert (before, after) == ((), (QUEUE,))


def test_it_is_said_once_when_it_begins_and_once_when_it_ends() -> None:
    environment = SweepEnvironment()
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    with capture_logs() as logs:
        swept_for(environment, 90)
        environment.board.moved[SMS_NORMAL] = environment.clock.now()
        swept_for(environment, 10)

    said = [(entry["event"], tuple(entry["queues"])) for entry in logs if "deliveries" in entry["event"]]
    assert said == [("deliveries_stalled", (QUEUE,)), ("deliveries_move_again", (QUEUE,))]
    assert environment.said[-1] == ()
    assert (QUEUE,) in environment.said


def test_a_deep_queue_from_which_nobody_takes_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.backlog.are_tests_deep = True

    assert swept_for(environment, 65) == ("notifications.test",)


def test_overdue_work_behind_a_broker_that_cannot_be_asked_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_unknown = True
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    assert swept_for(environment, 65) == (QUEUE,)


def test_a_backlog_that_is_being_worked_through_or_held_is_not_stalled() -> None:
    environment = SweepEnvironment()
    environment.backlog.is_deep = True

    def move() -> None:
        for channel in Channel:
            environment.board.moved |= {Lane(channel, priority).queue: environment.clock.now() for priority in Priority}

    assert swept_for(environment, 600, move) == ()


def test_a_lane_that_was_idle_for_hours_is_not_stalled_when_its_first_job_comes() -> None:
    environment = SweepEnvironment()
    environment.board.moved[SMS_NORMAL] = later(-9000)
    swept_for(environment, 300)
    environment.job(
        type=Channel.SMS, due_at=environment.clock.now(), queued_at=environment.clock.now() - timedelta(seconds=30)
    )

    assert swept_for(environment, 30) == ()


def test_where_nothing_is_due_nothing_is_stalled() -> None:
    environment = SweepEnvironment()
    environment.job(type=Channel.SMS, status=Status.SCHEDULED, due_at=later(9000), send_at=later(9000))

    assert swept_for(environment, 600) == ()
    assert environment.board.report is not None


def test_while_nobody_can_say_what_moves_nothing_is_said() -> None:
    environment = SweepEnvironment()
    environment.board.is_away = True
    environment.job(type=Channel.SMS, due_at=later(-1), queued_at=later(-31))

    assert swept_for(environment, 90) == ()
    assert environment.board.report is None
