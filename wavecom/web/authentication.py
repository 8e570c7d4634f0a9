"""Who is calling, and may they: the API key in ``Authorization: Bearer``, and the scope a view asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from wavecom.accounts import Caller, KeyRing, Scope
from wavecom.errors import ForbiddenError, UnauthenticatedError

P = ParamSpec("P")
R = TypeVar("R")

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

    def requires(self, scope: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
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

    def authenticate(self, authorization: str | None, scope: Scope) -> Caller:
        """Who sends this ``Authorization`` header. Raises ``UnauthenticatedError``, and ``ForbiddenError`` without
        ``scope``."""
        found = self._keys.authenticate(bearer(authorization))
        if scope not in found.scopes:
            raise ForbiddenError(f"This API key may not do this: it needs the scope {scope}.", found.key_id)
        return found

    def remembered(self, authorization: str | None, scope: Scope) -> Caller | None:
        """``authenticate`` without asking the store; None: it would have to be asked, or the request refused."""
        try:
            found = self._keys.remembered(bearer(authorization))
        except UnauthenticatedError:
            return None
        return found if found is not None and scope in found.scopes else None


def bearer(header: str | None) -> str:
    """The key in an ``Authorization`` header. Raises ``UnauthenticatedError``."""
    if header is None:
        raise UnauthenticatedError("There is no API key. Send it in the header Authorization: Bearer <key>.", "no_key")
    kind, _, value = header.partition(" ")
    if kind.lower() != "bearer" or not value.strip():
        raise UnauthenticatedError("The Authorization header has another form than Bearer <key>.", "no_bearer")
    return value.strip()
