"""Who is calling, and may they: the API key in ``Authorization: Bearer``, and the scope a view asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import structlog
from flask import g, request

from wavecom.accounts import Caller, KeyRing, KeyScope
from wavecom.errors import ForbiddenError, StoreError, UnauthenticatedError, UnavailableError
from wavecom.web.request_threads import RequestThreads

log = structlog.get_logger()

P = ParamSpec("P")
R = TypeVar("R")

#: Longer than a store that is there ever takes.
WAIT_SECONDS = 5
#: The attribute of a guarded view that names the scope it asks for.
SCOPE = "scope"


def caller() -> Caller:
    """Who calls the current view; only in views behind ``requires``."""
    found: Caller = g.caller
    return found


class Authenticator:
    """Lets calls through that carry a key with the right scope."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def requires(self, scope: KeyScope) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a view; outermost, so that nothing of a stranger's request is read."""

        def decorate(view: Callable[P, R]) -> Callable[P, R]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                g.caller = self.authenticate(request.headers.get("Authorization"), scope)
                return view(*args, **kwargs)

            # For the OpenAPI document.
            setattr(guarded, SCOPE, scope)
            return guarded

        return decorate

    def authenticate(self, authorization: str | None, scope: KeyScope) -> Caller:
        """Who sends this ``Authorization`` header. Raises ``UnauthenticatedError``, and ``ForbiddenError`` without
        ``scope``."""
        found = self._keys.authenticate(bearer(authorization))
        if scope not in found.scopes:
            raise ForbiddenError(f"This API key may not do this: it needs the scope {scope}.", found.key_id)
        return found

    def remembered(self, authorization: str | None, scope: KeyScope) -> Caller | None:
        """``authenticate`` without asking the store; None: it would have to be asked, or the request refused."""
        try:
            found = self._keys.remembered(bearer(authorization))
        except UnauthenticatedError:
            return None
        return found if found is not None and scope in found.scopes else None


class KeyLookups:
    """Whose key a request carries, for the event loop: the store is asked once at a time for each key, not for long.

    A process that remembers a key need not ask; all others wait here for a thread that does. While the store is away
    each look-up takes seconds: else every request of every client would take its turn among them, and be told after
    minutes what it should be told at once.

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


def bearer(header: str | None) -> str:
    """The key in an ``Authorization`` header. Raises ``UnauthenticatedError``."""
    if header is None:
        raise UnauthenticatedError("There is no API key. Send it in the header Authorization: Bearer <key>.", "no_key")
    kind, _, value = header.partition(" ")
    if kind.lower() != "bearer" or not value.strip():
        raise UnauthenticatedError("The Authorization header has another form than Bearer <key>.", "no_bearer")
    return value.strip()
