"""Single sign-on as the settings have it; nothing of it is imported where they do not ask for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from wavecom.accounts.sign_on import SignOn
from wavecom.accounts.users import Users
from wavecom.core.ports import Clock
from wavecom.core.roles import Role
from wavecom.core.sign_on import ClaimRules
from wavecom.errors import Problem, SettingsError
from wavecom.settings import Settings

if TYPE_CHECKING:
    from wavecom.accounts.identity_provider import IdentityProvider


def claim_rules_of(settings: Settings) -> ClaimRules:
    """Which claims are read, and which groups have which role."""
    return ClaimRules(
        roles={Role(role): groups for role, groups in settings.oidc_roles.items()},
        roles_claim=settings.oidc_roles_claim,
        name_claim=settings.oidc_name_claim,
    )


def identity_provider_of(
    settings: Settings, *, now: Callable[[], datetime], monotonic: Callable[[], float]
) -> IdentityProvider | None:
    """The identity provider of the settings; None: there is none. Connects to nothing.

    Raises ``SettingsError`` where the extra is not installed.
    """
    if settings.oidc_issuer is None:
        return None
    try:
        from wavecom.accounts.identity_provider import ClientRegistration, IdentityProvider
    except ModuleNotFoundError as error:
        reason = f"needs what is not installed here ({error.name}): pip install 'wavecom[oidc]'"
        raise SettingsError([Problem("WAVECOM_OIDC_ISSUER", reason)]) from error
    registration = ClientRegistration(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        scopes=settings.oidc_scopes,
        ca_file=settings.oidc_ca_file,
    )
    return IdentityProvider(registration, now=now, monotonic=monotonic)


def sign_on_of(settings: Settings, users: Users, clock: Clock) -> SignOn | None:
    """Signing in by the identity provider of the settings; None: there is none. Raises ``SettingsError``."""
    provider = identity_provider_of(settings, now=clock.now, monotonic=clock.monotonic)
    if provider is None:
        return None
    return SignOn(
        provider=provider,
        rules=claim_rules_of(settings),
        users=users,
        seconds_since_1970=lambda: clock.now().timestamp(),
        monotonic=clock.monotonic,
    )
