"""Threads for requests: as many as are needed, never more than allowed, and each call is run once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from wavecom.web.request_threads import RequestThreads


def _within(play: Callable[[asyncio.AbstractEventLoop], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await play(asyncio.get_running_loop())

    asyncio.run(main())


def test_every_call_is_run_once_however_many_come() -> None:
    ran: list[int] = []

    async def play(loop: asyncio.AbstractEventLoop) -> None:
        threads = RequestThreads("test", 3, loop)
        for turn in range(20):
            await asyncio.gather(*(threads.submit(lambda n=turn * 50 + each: ran.append(n)) for each in range(50)))
        assert threads.depth == 0

    _within(play)

    assert sorted(ran) == list(range(1000))


def test_calls_wait_when_all_threads_work() -> None:
    names: set[str] = set()
    go_on = threading.Event()

    def call() -> None:
        names.add(threading.current_thread().name)
        assert go_on.wait(60)

    async def play(loop: asyncio.AbstractEventLoop) -> None:
        threads = RequestThreads("group", 2, loop)
        futures = [threads.submit(call) for _ in range(5)]
        assert threads.depth == 5
        go_on.set()
        await asyncio.gather(*futures)

    _within(play)

    assert names <= {"group-1", "group-2"}


def test_one_thread_is_enough_for_calls_that_come_one_after_another() -> None:
    names: set[str] = set()

    async def play(loop: asyncio.AbstractEventLoop) -> None:
        threads = RequestThreads("group", 8, loop)
        for _ in range(20):
            await threads.submit(lambda: names.add(threading.current_thread().name))

    _within(play)

    assert len(names) <= 2


def test_a_group_that_hangs_holds_up_no_other() -> None:
    never = threading.Event()

    async def play(loop: asyncio.AbstractEventLoop) -> None:
        hanging, other = RequestThreads("hanging", 1, loop), RequestThreads("other", 1, loop)
        held = [hanging.submit(lambda: never.wait(60)) for _ in range(3)]
        await other.submit(lambda: None)
        assert not any(future.done() for future in held)
        never.set()
        await asyncio.gather(*held)

    _within(play)


def test_a_call_that_raises_costs_no_thread_and_no_place() -> None:
    def call() -> None:
        raise TypeError("a bug of ours")

    async def play(loop: asyncio.AbstractEventLoop) -> None:
        threads = RequestThreads("group", 1, loop)
        for _ in range(3):
            await threads.submit(call)
        await threads.submit(lambda: None)
        assert threads.depth == 0

    _within(play)
