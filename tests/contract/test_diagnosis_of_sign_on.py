"""``wavecom doctor login``: what an identity provider must offer, and what it is told when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.diagnosis_faults import faults
from tests.factories import NOW
from tests.forging_provider import CLIENT_ID, ForgingProvider, forging_provider
from wavecom.core.diagnosis import Severity
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.diagnosis.sign_on import check_sign_on
from wavecom.settings import Settings


@pytest.fixture
def there() -> Iterator[ForgingProvider]:
    with forging_provider(NOW.timestamp()) as provider:
        yield provider


def settings_of(there: ForgingProvider, **overrides: Any) -> Settings:
    return Settings(
        **{"oidc_issuer": there.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": "hunter2"} | overrides
    )


def test_a_provider_that_offers_all_is_well(there: ForgingProvider) -> None:
    [found] = check_sign_on(DiagnosisContext(settings=settings_of(there)))

    assert found.severity is Severity.OK
    assert "/login/sso/callback" in found.text


def test_without_a_provider_there_is_nothing_to_look_at() -> None:
    assert faults(check_sign_on, Settings()) == []


@pytest.mark.parametrize(
    ("metadata", "subject", "says"),
    [
        ({"scopes_supported": ["openid"]}, "WAVECOM_OIDC_SCOPES", "profile"),
        ({"claims_supported": ["sub", "preferred_username"]}, "WAVECOM_OIDC_ROLES_CLAIM", "groups"),
        ({"claims_supported": ["sub", "groups"]}, "WAVECOM_OIDC_NAME_CLAIM", "preferred_username"),
        ({"code_challenge_methods_supported": ["plain"]}, "WAVECOM_OIDC_ISSUER", "PKCE"),
        ({"end_session_endpoint": None}, "WAVECOM_OIDC_ISSUER", "logout"),
    ],
)
def test_what_it_does_not_offer_is_named(
    there: ForgingProvider, metadata: dict[str, Any], subject: str, says: str
) -> None:
    there.metadata = metadata

    [fault] = faults(check_sign_on, settings_of(there))

    assert (fault.subject, fault.severity) == (subject, Severity.WARNING)
    assert says in fault.text


def test_a_claim_within_another_is_listed_by_the_outer_ones_name(there: ForgingProvider) -> None:
    there.metadata["claims_supported"] = ["preferred_username", "realm_access"]

    assert faults(check_sign_on, settings_of(there, oidc_roles_claim="realm_access.roles")) == []


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks"])
def test_one_that_does_not_answer_is_an_error(there: ForgingProvider, path: str) -> None:
    there.statuses[path] = 500

    [fault] = faults(check_sign_on, settings_of(there))

    assert fault.severity is Severity.ERROR
    assert "hunter2" not in str(fault)


def test_one_that_calls_itself_otherwise_and_one_without_keys_are_errors(there: ForgingProvider) -> None:
    [misnamed] = faults(check_sign_on, settings_of(there, oidc_issuer=f"{there.issuer}/"))
    there.keys.clear()
    [keyless] = faults(check_sign_on, settings_of(there))

    assert (misnamed.severity, keyless.severity) == (Severity.ERROR, Severity.ERROR)
    assert "calls itself" in misnamed.text
    assert "no key that signs" in keyless.text
