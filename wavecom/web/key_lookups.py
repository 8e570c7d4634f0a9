"""Whose key a request carries, asked of the store at most once at a time for each key, and not for long.

A process that remembers a key need not ask; all others wait here, on the event loop, for a thread that does. While the
store is away each look-up takes seconds: without this module's two rules every request of every client would take its
turn among them, and be told after minutes what it should be told at once.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from wavecom.accounts import KeyRing
from wavecom.errors import StoreError, UnauthenticatedError, UnavailableError
from wavecom.web.authentication import bearer
from wavecom.web.request_threads import RequestThreads

log = structlog.get_logger()

#: Longer than a store that is there ever takes.
WAIT_SECONDS = 5


class KeyLookups:
    """For the thread of the event loop.

    ``known`` has the threads that ask about keys which were somebody's a while ago, ``strange`` those for all others.
    """

    def __init__(
        self, keys: KeyRing, known: RequestThreads, strange: RequestThreads, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._keys = keys
        self._known = known
        self._strange = strange
        self._wait_seconds = wait_seconds
        #: Under way, by key: what came of each is the text of the store's error, or nothing.
        self._under_way: dict[str, asyncio.Task[str | None]] = {}

    async def client(self, authorization: str | None) -> str | None:
        """Whose key this is, live or test; None: nobody's that is known, and the application will say so.

        Raises ``StoreError`` where the store does not tell, ``UnavailableError`` where it does not answer in time.
        """
        try:
            key = bearer(authorization)
        except UnauthenticatedError:
            return None
        client = self._keys.remembered_client(key)
        if client is not None:
            return client
        lookup = self._under_way.get(key)
        if lookup is None:
            lookup = self._under_way[key] = asyncio.create_task(self._look_up(key))
        try:
            async with asyncio.timeout(self._wait_seconds):
                # Others wait for it too: it goes on whatever becomes of this request.
                error = await asyncio.shield(lookup)
        except TimeoutError as late:
            raise UnavailableError("the store did not tell in time whose key this is") from late
        if error is not None:
            raise StoreError(error)
        return self._keys.remembered_client(key)

    async def _look_up(self, key: str) -> str | None:
        errors: list[str] = []
        try:
            threads = self._known if self._keys.has_seen(key) else self._strange
            await threads.submit(partial(self._ask, key, errors))
        finally:
            del self._under_way[key]
        return errors[0] if errors else None

    def _ask(self, key: str, errors: list[str]) -> None:
        """In a thread."""
        try:
            self._keys.authenticate(key)
        except UnauthenticatedError:
            return  # To be said by the application, which asks again.
        except StoreError as error:
            errors.append(str(error))
        except Exception:
            log.exception("key_lookup_failed")
