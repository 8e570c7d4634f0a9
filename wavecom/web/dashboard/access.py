"""Who may look at the pages, and at what: an API key sees its client's notifications, the operator sees all."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from wavecom.accounts import KeyRing, Scope
from wavecom.core.ports import JobFilter
from wavecom.errors import ForbiddenError, UnauthenticatedError
from wavecom.web.dashboard.sessions import LIFETIME

OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who is logged in. ``client`` None: sees every client's notifications."""

    id: str
    name: str
    client: str | None
    sends_as: str
    may_send: bool

    # What flask-login asks of its users.
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """For flask-login."""
        return self.id

    def narrowed(self, where: JobFilter) -> JobFilter:
        """``where``, so that it finds nothing which this viewer may not see."""
        return where if self.client is None else replace(where, client=self.client)


class Access:
    """Tells viewers by what they typed at the login, and afterwards by their session."""

    def __init__(self, keys: KeyRing, operator_password: str | None, session_secret: bytes) -> None:
        self._keys = keys
        self._operator_password = operator_password
        self._session_secret = session_secret

    def viewer_for(self, secret: str) -> Viewer | None:
        """The viewer with this key or password; None for nobody.

        Raises ``ForbiddenError`` for a key that may not look, and ``StoreError`` when keys can't be looked up.
        """
        if self._operator_password is not None and _is_same(secret, self._operator_password):
            return _operator()
        try:
            caller = self._keys.authenticate(secret)
        except UnauthenticatedError:
            return None
        if Scope.READ not in caller.scopes:
            raise ForbiddenError(f"This key may not look at notifications: it needs the scope {Scope.READ}.")
        may_send = Scope.SEND in caller.scopes
        return Viewer(f"key {caller.key_id}", caller.client, caller.client, caller.client, may_send)

    def ticket(self, viewer: Viewer, now: datetime) -> dict[str, Any]:
        """What a session keeps of its viewer: nothing secret, because a session is signed but not hidden."""
        ticket: dict[str, Any] = {"id": viewer.id, "since": int(now.timestamp())}
        if viewer.client is None:
            return ticket | {"mark": self._mark()}
        return ticket | {"client": viewer.client, "may_send": viewer.may_send}

    def viewer_of(self, ticket: Mapping[str, Any], now: datetime) -> Viewer | None:
        """The viewer whose session this is; None when it is too old, or the operator's password is another now."""
        if now.timestamp() - ticket["since"] >= LIFETIME.total_seconds():
            return None
        if ticket["id"] != OPERATOR:
            return Viewer(ticket["id"], ticket["client"], ticket["client"], ticket["client"], ticket["may_send"])
        return _operator() if _is_same(ticket["mark"], self._mark()) else None

    def _mark(self) -> str:
        """Changes with the operator's password."""
        password = (self._operator_password or "").encode()
        return hmac.digest(self._session_secret, b"operator " + password, "sha256").hex()[:16]


def _operator() -> Viewer:
    return Viewer(OPERATOR, "operator", client=None, sends_as=OPERATOR, may_send=True)


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
