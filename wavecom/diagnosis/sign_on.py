"""Single sign-on: whether the identity provider answers, and offers what WaveCom asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.errors import SettingsError, UnavailableError
from wavecom.services.sign_on import identity_provider_of

if TYPE_CHECKING:
    from wavecom.accounts.identity_provider import IdentityProvider, ProviderMetadata
    from wavecom.settings import Settings

_CHECK: Final = "login"
_SUBJECT: Final = "WAVECOM_OIDC_ISSUER"


def check_sign_on(context: DiagnosisContext) -> Iterator[CheckResult]:
    """What a sign-in would find; nobody is signed in, and the client's secret is not tried."""
    settings = context.settings
    try:
        provider = identity_provider_of(settings, now=context.now, monotonic=context.monotonic)
    except SettingsError as error:
        yield CheckResult(_CHECK, _SUBJECT, Severity.ERROR, error.problems[0].message, "pip install 'wavecom[oidc]'")
        return
    if provider is None:
        yield CheckResult(_CHECK, _SUBJECT, Severity.OK, "is not set: people sign in with passwords")
        return
    try:
        metadata = provider.metadata()
        keys = len(provider.keys().keys)
    except UnavailableError as error:
        remedy = f"curl -i {provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        yield CheckResult(_CHECK, _SUBJECT, Severity.ERROR, f"{error} Nobody can sign in by it", remedy)
        return
    text = f"answers, with {keys} keys; it must know the address WHERE_THE_PAGES_ARE/login/sso/callback"
    yield CheckResult(_CHECK, _SUBJECT, Severity.OK, text)
    yield from _missing(settings, provider, metadata)


def _missing(settings: Settings, provider: IdentityProvider, metadata: ProviderMetadata) -> Iterator[CheckResult]:
    shown = f"curl -s {provider.issuer.rstrip('/')}/.well-known/openid-configuration"
    unknown = [each for each in settings.oidc_scopes if metadata.scopes is not None and each not in metadata.scopes]
    if unknown:
        text = f"the identity provider does not list {', '.join(unknown)}"
        yield CheckResult(_CHECK, "WAVECOM_OIDC_SCOPES", Severity.WARNING, text, shown)
    for variable, path in (
        ("WAVECOM_OIDC_ROLES_CLAIM", settings.oidc_roles_claim),
        ("WAVECOM_OIDC_NAME_CLAIM", settings.oidc_name_claim),
    ):
        known = metadata.claims
        if known is not None and path not in known and path.partition(".")[0] not in known:
            text = f"the identity provider does not list the claim {path}; it need not list all"
            yield CheckResult(_CHECK, variable, Severity.WARNING, text, shown)
    if metadata.challenge_methods is not None and "S256" not in metadata.challenge_methods:
        text = "the identity provider does not list PKCE with S256, by which codes are of no use to who steals them"
        yield CheckResult(_CHECK, _SUBJECT, Severity.WARNING, text, shown)
    if metadata.end_session_endpoint is None:
        text = "the identity provider has no logout (end_session_endpoint): who signs out here stays signed in there"
        yield CheckResult(_CHECK, _SUBJECT, Severity.WARNING, text, shown)
