"""What people may do at the pages: the permissions, and the least role that has each. One table for every action."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """What somebody who runs WaveCom is there for. Each role may do all that the ones before it may."""

    #: Looks; sees recipients masked and no message's text, unless he says why he must.
    VIEWER = "viewer"
    #: Acts on notifications and providers, too.
    OPERATOR = "operator"
    #: Decides who may do what, too.
    ADMIN = "admin"


class Permission(StrEnum):
    """What an address of the pages asks for."""

    #: Lists, figures, one notification.
    LOOK = "look"
    #: Recipients and texts in full.
    READ_MESSAGES = "read_messages"
    #: Recipient and text of one notification, for a reason that is written down.
    REVEAL = "reveal"
    SEND = "send"
    #: Cancel, retry, settle, suppress; a client's callbacks.
    CHANGE = "change"
    #: The same for all that a filter finds.
    BULK = "bulk"
    #: A client's message once more, to an address that the client did not give.
    SEND_ELSEWHERE = "send_elsewhere"
    #: How providers stand; they are everybody's, and nobody's client's business.
    SEE_PROVIDERS = "see_providers"
    CONTROL_PROVIDERS = "control_providers"
    #: Workers, queues, settings, clients with their keys.
    SEE_SYSTEM = "see_system"
    #: Who did what.
    SEE_AUDIT = "see_audit"
    #: One's own sessions.
    OWN_SESSIONS = "own_sessions"
    #: One's own password.
    OWN_PASSWORD = "own_password"  # noqa: S105 - the name of a permission
    #: Users, and everybody's sessions.
    MANAGE_USERS = "manage_users"


#: The whole rule: the least role that may do it.
LEAST_ROLE: Final[Mapping[Permission, Role]] = MappingProxyType(
    {
        Permission.LOOK: Role.VIEWER,
        Permission.READ_MESSAGES: Role.OPERATOR,
        Permission.REVEAL: Role.VIEWER,
        Permission.SEND: Role.OPERATOR,
        Permission.CHANGE: Role.OPERATOR,
        Permission.BULK: Role.OPERATOR,
        Permission.SEND_ELSEWHERE: Role.OPERATOR,
        Permission.SEE_PROVIDERS: Role.VIEWER,
        Permission.CONTROL_PROVIDERS: Role.OPERATOR,
        Permission.SEE_SYSTEM: Role.VIEWER,
        Permission.SEE_AUDIT: Role.OPERATOR,
        Permission.OWN_SESSIONS: Role.VIEWER,
        Permission.OWN_PASSWORD: Role.VIEWER,
        Permission.MANAGE_USERS: Role.ADMIN,
    }
)

_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


def allows(role: Role, permission: Permission) -> bool:
    """Whether ``role`` has ``permission``."""
    return _RANKS[role] >= _RANKS[LEAST_ROLE[permission]]


def permissions_of(role: Role) -> frozenset[Permission]:
    """All that ``role`` may do."""
    return frozenset(permission for permission in Permission if allows(role, permission))
