"""A memory that forgets by age, and the oldest first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.fakes import FakeClock
from wavecom.accounts.expiring_cache import ExpiringCache


def test_a_value_is_kept_for_its_time_and_no_longer() -> None:
    clock = FakeClock()
    memory: ExpiringCache[str] = ExpiringCache(clock.monotonic, seconds=10, capacity=5)
    memory.put("a", "1")

    clock.advance(9.9)
    assert memory.get("a") == "1"
    clock.advance(0.1)

    assert memory.get("a") is None


def test_the_oldest_makes_room() -> None:
    memory: ExpiringCache[int] = ExpiringCache(FakeClock().monotonic, seconds=10, capacity=2)

    for number in range(3):
        memory.put(str(number), number)

    assert [memory.get(name) for name in "012"] == [None, 1, 2]


def test_putting_again_makes_young_again() -> None:
    clock = FakeClock()
    memory: ExpiringCache[int] = ExpiringCache(clock.monotonic, seconds=10, capacity=2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.put("a", 3)

    memory.put("c", 4)

    assert [memory.get(name) for name in "abc"] == [3, None, 4]


def test_what_is_forgotten_is_gone() -> None:
    memory: ExpiringCache[int] = ExpiringCache(FakeClock().monotonic, seconds=10, capacity=2)
    memory.put("a", 1)

    memory.forget("a")
    memory.forget("never there")

    assert memory.get("a") is None


def test_many_threads_never_make_it_grow_over_its_capacity() -> None:
    memory: ExpiringCache[int] = ExpiringCache(FakeClock().monotonic, seconds=10, capacity=10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: memory.put(str(number % 50), number), range(2000)))

    assert sum(memory.get(str(number)) is not None for number in range(50)) == 10
