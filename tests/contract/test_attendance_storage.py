"""One suite for every ``AttendanceBoard``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.factories import NOW
from tests.fakes import FakeClock
from tests.memory_storage import MemoryAttendance
from wavecom.core.lanes import LaneQueue
from wavecom.core.region_attendance import AttendanceBoard
from wavecom.errors import UnavailableError
from wavecom.storage.redis.attendance import RedisAttendance
from wavecom.storage.redis.client import connect

EU, US = LaneQueue("eu.sms.high"), LaneQueue("us.sms.high")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Callable[[], AttendanceBoard]]:
    if request.param == "memory":
        board = MemoryAttendance(clock.monotonic)
        yield lambda: board
        return
    client = connect(request.getfixturevalue("redis_url"))
    yield lambda: RedisAttendance(client, clock.now)
    client.close()


def test_a_queue_is_as_old_as_its_latest_note_of_any_worker(
    make: Callable[[], AttendanceBoard], clock: FakeClock
) -> None:
    one, other = make(), make()
    one.note([EU, US])
    clock.advance(40)
    other.note([EU])
    clock.advance(2)

    assert one.ages() == {EU: pytest.approx(2), US: pytest.approx(42)}


def test_at_first_nobody_was_seen(make: Callable[[], AttendanceBoard]) -> None:
    board = make()
    board.note([])

    assert board.ages() == {}


def test_a_clock_that_is_behind_makes_nobody_younger_than_now(redis_url: str) -> None:
    client = connect(redis_url)
    RedisAttendance(client, lambda: NOW + timedelta(seconds=5)).note([EU])

    assert RedisAttendance(client, lambda: NOW).ages() == {EU: 0}
    client.close()


def test_while_redis_is_away_nobody_can_say() -> None:
    board = RedisAttendance(connect("redis://127.0.0.1:1/0"), lambda: NOW)

    with pytest.raises(UnavailableError):
        board.note([EU])
    with pytest.raises(UnavailableError):
        board.ages()
