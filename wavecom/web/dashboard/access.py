"""Who may look at the pages, and at what: an API key sees its client's notifications, the operator sees all."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

from wavecom.accounts import Caller, KeyRing, KeyScope
from wavecom.accounts.keyring import is_same_secret
from wavecom.accounts.sessions import Sessions
from wavecom.core.account import client_of
from wavecom.core.actor import OPERATOR, THE_OPERATOR, Actor
from wavecom.core.ports import JobFilter
from wavecom.errors import ForbiddenError, UnauthenticatedError


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who is logged in. ``client`` None: sees every client's notifications."""

    id: str
    name: str
    client: str | None
    #: On whose behalf it sends.
    actor: Actor
    may_send: bool
    #: Of the key that opened the session; None for the operator.
    key_id: str | None = None
    #: Of the session in which this is asked.
    session_id: str = ""
    #: May cancel, retry and settle.
    may_manage: bool = False

    # What flask-login asks of its users.
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """The name by which flask-login knows the session."""
        return self.id

    def narrowed(self, where: JobFilter) -> JobFilter:
        """``where``, so that it finds nothing which this viewer may not see."""
        return where if self.client is None else replace(where, client=self.client)


class ViewerAuthenticator:
    """Tells viewers by what they typed at the login, and afterwards by their session."""

    def __init__(self, keys: KeyRing, sessions: Sessions, operator_password: str | None, session_secret: bytes) -> None:
        self._keys = keys
        self._sessions = sessions
        self._operator_password = operator_password
        self._session_secret = session_secret

    def viewer_for(self, secret: str) -> Viewer | None:
        """The viewer with this key or password; None for nobody.

        Raises ``ForbiddenError`` for a key that may not look, and ``StoreError`` when keys can't be looked up.
        """
        if self._operator_password is not None and is_same_secret(secret, self._operator_password):
            return _operator()
        try:
            caller = self._keys.authenticate(secret)
        except UnauthenticatedError:
            return None
        if KeyScope.READ not in caller.scopes:
            raise ForbiddenError(
                f"This key may not look at notifications: it needs the scope {KeyScope.READ}.", caller.key_id
            )
        return _viewer(caller)

    def open_session(self, viewer: Viewer, address: str, browser: str) -> str:
        """A session for somebody who has just logged in; answers its token. Raises ``StoreError``."""
        mark = self._mark() if viewer.client is None else None
        return self._sessions.open(
            viewer.id, key_id=viewer.key_id, password_mark=mark, address=address, browser=browser
        )

    def end_session(self, token: str) -> None:
        """End the session, wherever its cookie was copied to. Raises ``StoreError``."""
        self._sessions.end(token)

    def viewer_of(self, token: str, *, is_activity: bool) -> Viewer | None:
        """The viewer whose session this is, with the rights of today.

        None when the session is over, when its key has ended or may not look any more (told within seconds, see
        ``KeyRing``), or when the operator's password is another now. Raises ``StoreError`` when it can't be looked up.
        """
        session = self._sessions.find(token, is_activity=is_activity)
        if session is None:
            return None
        if session.key_id is not None:
            caller = self._keys.caller_of(session.key_id)
            if caller is None or KeyScope.READ not in caller.scopes:
                return None
            return replace(_viewer(caller), session_id=session.session_id)
        if session.password_mark is None or not is_same_secret(session.password_mark, self._mark()):
            return None
        return replace(_operator(), session_id=session.session_id)

    def _mark(self) -> str:
        """Changes with the operator's password."""
        password = (self._operator_password or "").encode()
        return hmac.digest(self._session_secret, b"operator " + password, "sha256").hex()[:16]


def _viewer(caller: Caller) -> Viewer:
    name = client_of(caller.client)
    return Viewer(
        id=f"key {caller.key_id}",
        name=name if caller.is_live else f"{name} (test)",
        client=caller.client,
        actor=caller,
        may_send=KeyScope.SEND in caller.scopes,
        may_manage=KeyScope.MANAGE in caller.scopes,
        key_id=caller.key_id,
    )


def _operator() -> Viewer:
    return Viewer(OPERATOR, "operator", client=None, actor=THE_OPERATOR, may_send=True, may_manage=True)
