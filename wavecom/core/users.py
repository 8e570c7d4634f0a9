"""People who sign in to the pages by name: what is kept of a user, and the ports of the store and of the audit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from wavecom.core.roles import Role

USER_NAME_RULE: Final = "2 to 40 of a-z, 0-9, dot, hyphen and underscore, and begins with a letter"
_USER_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{1,39}")


def is_user_name(name: str) -> bool:
    """Whether a user may be called so (``USER_NAME_RULE``)."""
    return _USER_NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A user as it is kept. Times are aware UTC with millisecond precision."""

    name: str
    role: Role
    created_at: datetime
    #: Argon2id, in its usual text form with salt and costs.
    password_hash: str = field(repr=False)
    #: Encrypted shared secret of the second factor (``accounts.second_factor``); None: signs in without one.
    second_factor: bytes | None = field(default=None, repr=False)
    #: Random, another with every new password or second factor: sessions that were opened before have ended.
    credentials_id: str = field(default="", repr=False)
    #: The time step of the last code that was taken (RFC 6238): none is taken twice. -1: none was.
    last_step: int = -1
    #: Since then the user can't sign in; None: may.
    disabled_at: datetime | None = None
    #: Of whom an identity provider vouches for (``core.sign_on``): the provider, and its name of the person. He has no
    #: password here. Empty: a user made by ``wavecom users``.
    issuer: str = ""
    subject: str = ""

    @property
    def is_federated(self) -> bool:
        """Whether an identity provider vouches for this user, and its groups decide on the role."""
        return bool(self.subject)


class UserStore(Protocol):
    """All users. Raises ``StoreError`` when the store can't be reached. May be called from several threads."""

    def find(self, name: str) -> UserRecord | None:
        """The user of this name."""
        ...

    def find_by_subject(self, issuer: str, subject: str) -> UserRecord | None:
        """The user for whom this identity provider vouches under this name of its own."""
        ...

    def all(self) -> Sequence[UserRecord]:
        """Every user, by name."""
        ...

    def add(self, record: UserRecord) -> bool:
        """Keep a new user; False when there is one of this name or subject, who is left as he is."""
        ...

    def set_role(self, name: str, role: Role) -> bool:
        """Change the role and nothing else; False when there is no such user. May be repeated."""
        ...

    def set_disabled(self, name: str, at: datetime | None) -> bool:
        """Keep the user out from ``at`` on; None: let him in. False when there is none. May be repeated."""
        ...

    def set_credentials(
        self,
        name: str,
        *,
        password_hash: str,
        second_factor: bytes | None,
        credentials_id: str,
        replaces: str | None = None,
    ) -> bool:
        """Replace what the user signs in with; False when there is no such user. May be repeated.

        ``replaces``: only if it is this ``credentials_id`` still; False when somebody was first.
        """
        ...

    def take_step(self, name: str, step: int) -> bool:
        """Note that the code of ``step`` was used; False when it, or a later one, was used before."""
        ...


class UserAction(StrEnum):
    """What can be done to a user: the ``action`` of an audit entry."""

    ADD = "add_user"
    CHANGE_ROLE = "change_role"
    DISABLE = "disable_user"
    ENABLE = "enable_user"
    RESET = "reset_user"
    CHANGE_PASSWORD = "change_password"  # noqa: S105 - the name of an action
    #: By an identity provider: with whose name of the person, and the role that his groups had then.
    SIGN_ON = "sign_on"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent:
    """That somebody did something to a user: an entry of the audit."""

    event_id: str
    action: UserAction
    actor: str
    at: datetime
    user: str
    #: What else is worth knowing later; nothing of a password.
    details: Mapping[str, object] = field(default_factory=dict)


class UserAudit(Protocol):
    """Who did what to which user, kept for good. Raises ``StoreError``."""

    def record_user_event(self, event: UserEvent) -> None:
        """Write the entry. May be repeated."""
        ...
