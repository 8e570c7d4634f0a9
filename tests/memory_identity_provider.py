"""An identity provider without a server, for tests of what happens before and after it is asked."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.fakes import FakeClock
from wavecom.accounts.sign_on import SignOn
from wavecom.accounts.users import Users
from wavecom.core.roles import Role
from wavecom.core.sign_on import ClaimRules, SignOnError
from wavecom.errors import UnavailableError

ISSUER = "https://login.bank.example"
RULES = ClaimRules(roles={Role.ADMIN: ["admins"], Role.OPERATOR: ["shift"], Role.VIEWER: ["staff"]})


@dataclass
class Redeemed:
    claims: Mapping[str, Any]
    id_token: str = "id-token"


@dataclass
class SignedOut:
    subject: str | None
    session: str | None
    issued_at: float


@dataclass
class MemoryIdentityProvider:
    """``accounts.sign_on.CodeFlow`` without a server: knows one person, and one code for each nonce."""

    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "7", "preferred_username": "ada", "groups": ["staff"]}
    )
    is_up: bool = True
    issuer: str = ISSUER
    redeemed: list[dict[str, str]] = field(default_factory=list)
    #: Logout tokens, and whom each names.
    signed_out_by: dict[str, SignedOut] = field(default_factory=dict)

    def authorization_url(self, **given: str) -> str:
        self._check()
        return f"{ISSUER}/authorize?{urlencode(given)}"

    def check_issuer_of_answer(self, issuer: str | None) -> None:
        if issuer not in {None, self.issuer}:
            raise SignOnError("another", "wrong_issuer")

    def redeem(self, code: str, *, wanted: Sequence[str] = (), **given: str) -> Redeemed:
        self._check()
        assert tuple(wanted) == RULES.wanted
        if code != "right" or given in self.redeemed:
            raise SignOnError("refused", "code_refused")
        self.redeemed.append(given)
        if "sid" not in self.claims:
            return Redeemed({"iss": self.issuer, **self.claims})
        payload = urlsafe_b64encode(json.dumps(self.claims).encode()).decode().rstrip("=")
        return Redeemed({"iss": self.issuer, **self.claims}, f"header.{payload}.signature")

    def logout_url(self, id_token: str | None, return_to: str) -> str | None:
        return f"{ISSUER}/logout?{urlencode({'hint': id_token or '', 'to': return_to})}"

    def signed_out(self, logout_token: str) -> SignedOut:
        self._check()
        if logout_token not in self.signed_out_by:
            raise SignOnError("forged", "forged")
        return self.signed_out_by[logout_token]

    def _check(self) -> None:
        if not self.is_up:
            raise UnavailableError("away")


def sign_on_with(provider: MemoryIdentityProvider, users: Users, clock: FakeClock) -> SignOn:
    return SignOn(
        provider=provider,
        rules=RULES,
        users=users,
        seconds_since_1970=lambda: clock.now().timestamp(),
        monotonic=clock.monotonic,
    )
