"""Who may look at the pages, and at what: an API key sees its client's notifications, people who run WaveCom see all.

What somebody may do is a set of permissions: a user's come with his role (``core.roles``), a key's with its scopes.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from wavecom.accounts import Caller, KeyRing, KeyScope
from wavecom.accounts.keyring import is_same_secret
from wavecom.accounts.sessions import Sessions
from wavecom.accounts.users import Users
from wavecom.core.account import client_of
from wavecom.core.actor import OPERATOR, THE_OPERATOR, Actor
from wavecom.core.ports import JobFilter
from wavecom.core.roles import LEAST_ROLE, Permission, Role, permissions_of
from wavecom.core.users import UserRecord
from wavecom.errors import ForbiddenError, UnauthenticatedError

#: What a key may do at the pages, by scope: never anything that is not its own client's.
SCOPES: Final[Mapping[Permission, KeyScope]] = MappingProxyType(
    {
        Permission.LOOK: KeyScope.READ,
        Permission.READ_MESSAGES: KeyScope.READ,
        Permission.OWN_SESSIONS: KeyScope.READ,
        Permission.SEND: KeyScope.SEND,
        Permission.CHANGE: KeyScope.MANAGE,
    }
)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who is logged in. ``client`` None: sees every client's notifications."""

    id: str
    name: str
    client: str | None
    #: On whose behalf it sends.
    actor: Actor
    permissions: frozenset[Permission]
    #: Of the key that opened the session; None for people.
    key_id: str | None = None
    #: Of the user who opened it; None for a key, and for the operators' password.
    user: str | None = None
    #: Whether an identity provider vouches for him.
    is_federated: bool = False
    #: None for a key.
    role: Role | None = None
    #: Of the credentials that the user has signed in with; empty for all others.
    credentials_id: str = field(default="", repr=False)
    #: Of the session in which this is asked.
    session_id: str = ""

    # What flask-login asks of its users.
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """The name by which flask-login knows the session."""
        return self.id

    def may(self, permission: Permission) -> bool:
        """Whether this viewer has the permission."""
        return permission in self.permissions

    @property
    def may_send(self) -> bool:
        """Whether this viewer sends notifications."""
        return self.may(Permission.SEND)

    @property
    def may_manage(self) -> bool:
        """Whether this viewer cancels, retries and settles."""
        return self.may(Permission.CHANGE)

    @property
    def reads_messages(self) -> bool:
        """Whether recipients and texts are shown to this viewer in full."""
        return self.may(Permission.READ_MESSAGES)

    def check(self, permission: Permission) -> None:
        """Raises ``ForbiddenError``, which says what is missing, unless this viewer has the permission."""
        if self.may(permission):
            return
        if permission is Permission.OWN_PASSWORD and self.role is not None:
            text = "Only users with a password of their own have one to change."
        elif self.role is not None:
            text = f"Your role is {self.role}; this needs {LEAST_ROLE[permission]}. Who is admin can change roles."
        elif permission in SCOPES:
            what = "not send" if permission is Permission.SEND else "not change anything"
            text = f"This key may look, but {what}: it needs the scope {SCOPES[permission]}."
        else:
            text = "This page is for people who run WaveCom. No key opens it."
        raise ForbiddenError(text, self.key_id)

    def narrowed(self, where: JobFilter) -> JobFilter:
        """``where``, so that it finds nothing which this viewer may not see."""
        return where if self.client is None else replace(where, client=self.client)


class ViewerAuthenticator:
    """Tells viewers by what they typed at the login, and afterwards by their session."""

    def __init__(
        self,
        keys: KeyRing,
        users: Users,
        sessions: Sessions,
        operator_password: str | None,
        session_secret: bytes,
        *,
        takes_passwords: bool = True,
        issuer: str | None = None,
    ) -> None:
        """``issuer``: the identity provider that vouches for people now; None: none does."""
        self._keys = keys
        self._users = users
        self._sessions = sessions
        self._operator_password = operator_password
        self._session_secret = session_secret
        self._takes_passwords = takes_passwords
        self._issuer = issuer

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

    def user_for(self, name: str, password: str, code: str, address: str) -> tuple[Viewer | None, float]:
        """The user who signs in so, or None and the seconds to wait (0: none). Raises ``StoreError``."""
        login = self._users.sign_in(name, password, code, address)
        return (None if login.user is None else _user(login.user)), login.wait_seconds

    def viewer_of_user(self, user: UserRecord) -> Viewer:
        """The user, with the rights of his role."""
        return _user(user)

    def open_session(self, viewer: Viewer, address: str, browser: str, id_token: str = "") -> str:
        """A session for somebody who has just logged in; answers its token. Raises ``StoreError``.

        A user's ends with the credentials that he has shown, be it before it begins: somebody may just have reset them.
        """
        mark = self._mark() if viewer.client is None else None
        if viewer.user is not None:
            mark = viewer.credentials_id
        return self._sessions.open(
            viewer.id,
            key_id=viewer.key_id,
            password_mark=mark,
            address=address,
            browser=browser,
            id_token=id_token,
        )

    def end_session(self, token: str) -> None:
        """End the session, wherever its cookie was copied to. Raises ``StoreError``."""
        self._sessions.end(token)

    def viewer_of(self, token: str, *, is_activity: bool) -> Viewer | None:
        """The viewer whose session this is, with the rights of today.

        None when the session is over, when its key has ended or may not look any more (told within seconds, see
        ``KeyRing``), when its user is kept out or has new credentials, or when the operator's password is another now.
        Raises ``StoreError`` when it can't be looked up.
        """
        session = self._sessions.find(token, is_activity=is_activity)
        if session is None:
            return None
        if session.key_id is not None:
            caller = self._keys.caller_of(session.key_id)
            if caller is None or KeyScope.READ not in caller.scopes:
                return None
            return replace(_viewer(caller), session_id=session.session_id)
        mark = session.password_mark
        kind, _, name = session.viewer.partition(" ")
        if kind == "user":
            user = self._users.find(name)
            if user is None or mark is None or not is_same_secret(mark, user.credentials_id):
                return None
            # What opened it must open sessions still.
            if not (user.issuer == self._issuer if user.is_federated else self._takes_passwords):
                return None
            return replace(_user(user), session_id=session.session_id)
        if mark is None or self._operator_password is None or not is_same_secret(mark, self._mark()):
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
        permissions=frozenset(permission for permission, scope in SCOPES.items() if scope in caller.scopes),
        key_id=caller.key_id,
    )


def _user(user: UserRecord) -> Viewer:
    return Viewer(
        id=f"user {user.name}",
        name=f"{user.name} ({user.role})",
        client=None,
        actor=replace(THE_OPERATOR, name=f"user {user.name}"),
        permissions=permissions_of(user.role) - ({Permission.OWN_PASSWORD} if user.is_federated else set()),
        user=user.name,
        is_federated=user.is_federated,
        role=user.role,
        credentials_id=user.credentials_id,
    )


def _operator() -> Viewer:
    """Who has the operators' password: an admin without a name."""
    permissions = permissions_of(Role.ADMIN) - {Permission.OWN_PASSWORD}
    return Viewer(OPERATOR, "operator", client=None, actor=THE_OPERATOR, permissions=permissions, role=Role.ADMIN)
