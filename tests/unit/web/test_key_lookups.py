"""Whose key a request carries: asked once at a time for each key, and not waited for long."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes import FakeClock
from tests.memory_storage import MemoryKeyStore
from wavecom.accounts import KeyRing, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.errors import StoreError, UnavailableError
from wavecom.web.authentication import KeyLookups
from wavecom.web.request_threads import RequestThreads

KEY = "wc_live_" + "k" * 43
BEARER = f"Bearer {KEY}"


class _SlowStore(MemoryKeyStore):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.is_let = threading.Event()
        self.is_away = False
        self.asked = 0
        #: Whether the client's key is answered, though no other is.
        self.lets_clients = False

    def find(self, hash_: str) -> KeyRecord | None:
        self.asked += 1
        assert (self.lets_clients and hash_ == hash_of(KEY)) or self.is_let.wait(60)
        if self.is_away:
            raise StoreError("no answer from the store")
        return super().find(hash_)


def _within(
    play: Callable[[KeyLookups, _SlowStore], Awaitable[None]], threads: int = 2, wait_seconds: float = 60
) -> None:
    store = _SlowStore()
    store.is_let.set()
    ring = KeyRing(store, store.clock)
    # By another, so that this one remembers nothing.
    KeyRing(store, FakeClock()).ensure_first_key(KEY)
    store.asked = 0
    store.is_let.clear()

    async def main() -> None:
        known, strange = (RequestThreads(name, threads, asyncio.get_running_loop()) for name in ("known", "strange"))
        try:
            async with asyncio.timeout(60):
                await play(KeyLookups(ring, known, strange, wait_seconds), store)
        finally:
            store.is_let.set()

    asyncio.run(main())


def test_all_who_come_with_one_key_wait_for_one_answer() -> None:
    async def play(lookups: KeyLookups, store: _SlowStore) -> None:
        waiting = [asyncio.ensure_future(lookups.client(BEARER)) for _ in range(50)]
        await asyncio.sleep(0)
        store.is_let.set()

        assert await asyncio.gather(*waiting) == ["default"] * 50
        assert store.asked == 1
        # And it is remembered.
        assert await lookups.client(BEARER) == "default"
        assert store.asked == 1

    _within(play)


def test_a_store_that_is_away_is_said_to_all_at_once_and_asked_again_by_the_next() -> None:
    async def play(lookups: KeyLookups, store: _SlowStore) -> None:
        store.is_away = True
        waiting = [asyncio.ensure_future(lookups.client(BEARER)) for _ in range(50)]
        await asyncio.sleep(0)
        store.is_let.set()

        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in told} == {StoreError}
        assert store.asked == 1
        store.is_away = False
        assert await lookups.client(BEARER) == "default"

    _within(play)


def test_nobody_waits_long_for_a_store_that_hangs_nor_for_those_who_came_before() -> None:
    async def play(lookups: KeyLookups, store: _SlowStore) -> None:
        # Strangers whose keys are not looked up yet have all the threads.
        strangers = [asyncio.ensure_future(lookups.client(f"Bearer wc_live_{n:043}")) for n in range(10)]
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await lookups.client(BEARER)
        with pytest.raises(UnavailableError):
            await strangers[0]
        store.is_let.set()
        await asyncio.gather(*strangers, return_exceptions=True)
        # What was asked for meanwhile, is known when the store is back; until a thread has told, nobody waits for it.
        client = None
        while client is None:
            with contextlib.suppress(UnavailableError):
                client = await lookups.client(BEARER)
        assert client == "default"

    _within(play, wait_seconds=0)


def test_who_was_here_before_does_not_wait_for_the_keys_that_strangers_invent() -> None:
    async def play(lookups: KeyLookups, store: _SlowStore) -> None:
        store.lets_clients = True
        assert await lookups.client(BEARER) == "default"
        strangers = [asyncio.ensure_future(lookups.client(f"Bearer wc_live_{n:043}")) for n in range(10)]
        await asyncio.sleep(0)
        # No longer remembered.
        store.clock.advance(60)

        assert await lookups.client(BEARER) == "default"
        assert store.asked >= 2
        assert not any(each.done() for each in strangers)
        store.is_let.set()
        assert await asyncio.gather(*strangers) == [None] * 10

    _within(play)


def test_who_goes_away_takes_nobody_along() -> None:
    async def play(lookups: KeyLookups, store: _SlowStore) -> None:
        gone, staying = (asyncio.ensure_future(lookups.client(BEARER)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        store.is_let.set()

        assert await staying == "default"
        assert store.asked == 1
        with pytest.raises(asyncio.CancelledError):
            await gone

    _within(play)


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer nobody", "Bearer " + "x" * 600])
def test_nobodys_key_is_nobodys(header: str | None) -> None:
    async def play(lookups: KeyLookups, store: _SlowStore) -> None:
        store.is_let.set()

        assert await lookups.client(header) is None

    _within(play)
