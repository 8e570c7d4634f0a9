"""Single sign-on: whom the claims of an identity provider name, and which role his groups give him here.

Claims are those of an ID token or of the userinfo endpoint, checked already:
https://openid.net/specs/openid-connect-core-1_0.html, sections 2 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wavecom.core.roles import Role
from wavecom.errors import RefusedError

#: Begins the name of every user whom an identity provider vouches for; no user with a password may be called so.
PREFIX: Final = "sso:"
_LONGEST_NAME: Final = 64
#: Core 1.0, section 2: "sub" has at most 255 ASCII characters.
_LONGEST_SUBJECT: Final = 255
#: All else would have to be quoted in addresses, commands or logs.
_NOT_IN_A_NAME: Final = re.compile(r"[^\w.@+-]")


class SignOnError(RefusedError):
    """Nobody is let in. The text is for the person; ``reason`` is one word for the log, and quotes nothing."""

    code = "sign_on"

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class NoRoleError(SignOnError):
    """The identity provider knows the person, and none of his groups has a role here."""

    code = "no_role"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person as an identity provider vouches for him. ``issuer`` and ``subject`` together are his for ever."""

    issuer: str
    subject: str
    #: What people call him, fit for a user's name: letters, digits and ``. _ @ + -``.
    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """Which claims are read, and which groups have which role.

    A claim within another is named by a path: ``realm_access.roles``. A claim that is called so as a whole comes first.
    """

    roles: Mapping[Role, Sequence[str]]
    roles_claim: str = "groups"
    name_claim: str = "preferred_username"

    @property
    def wanted(self) -> tuple[str, str]:
        """The claims without which nobody can be told apart or let in."""
        return (self.name_claim, self.roles_claim)


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The value of a claim, named as ``ClaimRules`` says; None where it is missing."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def identity_of(claims: Mapping[str, Any], rules: ClaimRules) -> Identity:
    """The person whom checked claims name.

    Raises ``NoRoleError``, and ``SignOnError`` where there is no usable subject.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isascii():
        raise SignOnError("The identity provider did not say who you are.", "no_subject")
    role = _role_of(claim(claims, rules.roles_claim), rules.roles)
    if role is None:
        raise NoRoleError(
            "You are signed in to your organisation, but none of your groups has a role in WaveCom. Ask who runs it "
            "to put you into one.",
            "no_role",
        )
    return Identity(issuer=str(claims["iss"]), subject=subject, name=_name_of(claims, rules, subject), role=role)


def _role_of(groups: Any, roles: Mapping[Role, Sequence[str]]) -> Role | None:
    """The highest role that one of the groups has; some providers send one group as a plain string."""
    mine = {groups} if isinstance(groups, str) else {each for each in groups or () if isinstance(each, str)}
    return next((role for role in reversed(Role) if mine.intersection(roles.get(role, ()))), None)


def _name_of(claims: Mapping[str, Any], rules: ClaimRules, subject: str) -> str:
    given = claim(claims, rules.name_claim)
    name = given.strip() if isinstance(given, str) else ""
    return _NOT_IN_A_NAME.sub("_", name or subject)[:_LONGEST_NAME]
