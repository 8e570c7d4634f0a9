"""What is believed of an OpenID provider, over real HTTP: forged, old and foreign tokens, and keys that change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import OctKey

from tests.fakes import FakeClock
from tests.forging_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    CODE,
    NONCE,
    ForgingProvider,
    forging_provider,
    new_key,
    signed,
    signed_by_public_key,
    unsigned,
)
from wavecom.accounts.identity_provider import (
    KEPT_SECONDS,
    LEAST_REFRESH_SECONDS,
    LOGOUT_EVENT,
    IdentityProvider,
    IdentityProviderError,
    SignedOn,
)
from wavecom.core.sign_on import SignOnError

BACK = "https://notify.bank.example/login/sso/callback"
VERIFIER = "v" * 43


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def there(clock: FakeClock) -> Iterator[ForgingProvider]:
    with forging_provider(clock.now().timestamp()) as provider:
        yield provider


@pytest.fixture
def here(there: ForgingProvider, clock: FakeClock) -> IdentityProvider:
    return client_of(there, clock)


def client_of(there: ForgingProvider, clock: FakeClock, **registration: Any) -> IdentityProvider:
    return IdentityProvider(there.registration(**registration), now=clock.now, monotonic=clock.monotonic)


def redeem(here: IdentityProvider, *wanted: str) -> SignedOn:
    return here.redeem(CODE, verifier=VERIFIER, redirect_uri=BACK, nonce=NONCE, wanted=wanted)


def test_a_browser_is_sent_with_state_nonce_and_a_challenge(here: IdentityProvider, there: ForgingProvider) -> None:
    url = here.authorization_url(redirect_uri=BACK, state="s", nonce="n", verifier=VERIFIER)

    assert url.startswith(f"{there.issuer}/authorize?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "audience": "staff",
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": BACK,
        "scope": "openid profile",
        "state": "s",
        "nonce": "n",
        "code_challenge": create_s256_code_challenge(VERIFIER),
        "code_challenge_method": "S256",
    }


def test_a_code_is_exchanged_with_the_verifier_for_checked_claims(
    here: IdentityProvider, there: ForgingProvider
) -> None:
    found = redeem(here)

    assert (found.claims["sub"], found.claims["preferred_username"]) == ("sub-1", "ada")
    assert there.token_requests == [
        {
            "grant_type": "authorization_code",
            "code": CODE,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            "login": f"{CLIENT_ID}:{CLIENT_SECRET}",
        }
    ]
    assert CLIENT_SECRET not in repr((here, there.registration(), found))
    assert found.id_token not in repr(found)


@pytest.mark.parametrize(
    ("methods", "secret", "shown"),
    [
        (["client_secret_post"], CLIENT_SECRET, {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "login": ""}),
        (["none"], None, {"client_id": CLIENT_ID, "login": ""}),
    ],
)
def test_the_client_logs_in_as_the_provider_takes_it(
    there: ForgingProvider, clock: FakeClock, methods: list[str], secret: str | None, shown: dict[str, str]
) -> None:
    there.metadata["token_endpoint_auth_methods_supported"] = methods

    redeem(client_of(there, clock, client_secret=secret))

    assert shown.items() <= there.token_requests[0].items()


FORGED: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "for another client": {"aud": "another"},
    "for another client, though we have asked for it": {"aud": "another", "azp": CLIENT_ID},
    "for others too, and nobody says by whom": {"aud": [CLIENT_ID, "another"]},
    "asked for by another client": {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "no audience": {"aud": None},
    "another sign-in's": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "an empty nonce": {"nonce": ""},
    "expired": {"exp": 1},
    "never expires": {"exp": None},
    "an expiry that is no number": {"exp": "tomorrow"},
    "of the future": {"iat": 99_999_999_999},
    "not valid yet": {"nbf": 99_999_999_999},
    "nobody's": {"sub": None},
    "a subject that is no text": {"sub": 7},
    "another access token's": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_token_that_is_not_of_this_sign_in_is_refused(
    here: IdentityProvider, there: ForgingProvider, name: str
) -> None:
    there.claims = FORGED[name]

    with pytest.raises(SignOnError, match="not to be trusted"):
        redeem(here)


def test_several_audiences_are_fine_where_the_token_was_asked_for_by_us(
    here: IdentityProvider, there: ForgingProvider
) -> None:
    there.claims = {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}

    assert redeem(here).claims["sub"] == "sub-1"


FORGERS: dict[str, Callable[[ForgingProvider], Callable[[dict[str, Any]], str]]] = {
    "not signed at all": lambda _there: unsigned,
    "by an HMAC under the name of a public key": lambda there: (
        lambda claims: signed_by_public_key(claims, there.keys[0])
    ),
    "by an HMAC of the client's secret": lambda _there: (
        lambda claims: signed(claims, OctKey.import_key(CLIENT_SECRET, {"kid": "first"}), "HS256")
    ),
    "by a stranger's key": lambda _there: lambda claims: signed(claims, new_key("strange")),
    "by a stranger's key of a known name": lambda _there: lambda claims: signed(claims, new_key("first")),
    "no token": lambda _there: lambda _claims: "abc",
    "half a token": lambda there: lambda claims: signed(claims, there.keys[0])[:-10],
    "signed, then changed": lambda there: lambda claims: _changed(signed(claims, there.keys[0])),
}


def _changed(token: str) -> str:
    header, payload, signature = token.split(".")
    return f"{header}.{payload[:-8]}{payload[-8:].swapcase()}.{signature}"


@pytest.mark.parametrize("name", FORGERS)
def test_a_token_that_the_provider_has_not_signed_is_refused(
    here: IdentityProvider, there: ForgingProvider, name: str
) -> None:
    there.forge = FORGERS[name](there)

    with pytest.raises(SignOnError, match="not to be trusted"):
        redeem(here)


def test_a_key_that_is_new_is_asked_for_and_one_that_is_gone_opens_nothing(
    here: IdentityProvider, there: ForgingProvider, clock: FakeClock
) -> None:
    redeem(here)
    old = there.keys[0]
    there.keys = [new_key("second")]
    clock.advance(LEAST_REFRESH_SECONDS)

    redeem(here)
    clock.advance(LEAST_REFRESH_SECONDS)
    there.forge = lambda claims: signed(claims, old)

    with pytest.raises(SignOnError):
        redeem(here)
    assert there.asked["/jwks"] == 3


def test_strange_keys_do_not_have_the_keys_asked_for_again_and_again(
    here: IdentityProvider, there: ForgingProvider
) -> None:
    there.forge = lambda claims: signed(claims, new_key("strange"))

    for _ in range(5):
        with pytest.raises(SignOnError):
            redeem(here)

    assert there.asked["/jwks"] == 1


def test_keys_and_addresses_are_asked_for_once_an_hour(
    here: IdentityProvider, there: ForgingProvider, clock: FakeClock
) -> None:
    for seconds in (0, KEPT_SECONDS - 1, 2):
        clock.advance(seconds)
        there.now = clock.now().timestamp()
        redeem(here)

    assert (there.asked["/jwks"], there.asked["/.well-known/openid-configuration"]) == (2, 2)


def test_what_the_id_token_does_not_say_is_asked_of_the_userinfo_endpoint(
    here: IdentityProvider, there: ForgingProvider
) -> None:
    there.userinfo = {"preferred_username": "somebody else"}

    found = redeem(here, "preferred_username", "groups")

    assert found.claims["groups"] == ["staff"]
    assert found.claims["preferred_username"] == "ada", "what is signed comes first"


def test_nobody_gets_anothers_groups(here: IdentityProvider, there: ForgingProvider) -> None:
    there.userinfo = {"sub": "sub-2", "groups": ["notify-admins"]}

    with pytest.raises(SignOnError) as refused:
        redeem(here, "groups")

    assert refused.value.reason == "wrong_subject"


@pytest.mark.parametrize(
    ("is_named", "issuer", "is_believed"),
    [(False, None, True), (True, None, False), (True, "self", True), (False, "https://evil.example", False)],
)
def test_an_answer_of_another_provider_is_refused(
    here: IdentityProvider, there: ForgingProvider, is_named: bool, issuer: str | None, is_believed: bool
) -> None:
    there.metadata["authorization_response_iss_parameter_supported"] = is_named
    given = there.issuer if issuer == "self" else issuer

    if is_believed:
        here.check_issuer_of_answer(given)
    else:
        with pytest.raises(SignOnError):
            here.check_issuer_of_answer(given)


def test_a_code_that_was_used_is_refused_and_a_wrong_client_is_our_fault(
    here: IdentityProvider, there: ForgingProvider
) -> None:
    there.statuses["/token"] = 400
    there.token_answer = {"error": "invalid_grant", "error_description": "code the-code was used"}
    with pytest.raises(SignOnError, match="Begin again") as used:
        redeem(here)
    there.token_answer = {"error": "invalid_client"}
    with pytest.raises(IdentityProviderError, match="WAVECOM_OIDC_CLIENT_ID"):
        redeem(here)

    assert CODE not in str(used.value)


WRONG_METADATA: dict[str, dict[str, Any]] = {
    "calls itself": {"issuer": "https://evil.example"},
    "token_endpoint": {"token_endpoint": "http://bank.example/token"},
    "jwks_uri": {"jwks_uri": None},
    "end_session_endpoint": {"end_session_endpoint": "javascript:alert(1)"},
}


@pytest.mark.parametrize("part", WRONG_METADATA)
def test_a_provider_that_describes_itself_wrongly_is_not_used(
    here: IdentityProvider, there: ForgingProvider, part: str
) -> None:
    there.metadata = WRONG_METADATA[part]

    with pytest.raises(IdentityProviderError, match=part):
        here.authorization_url(redirect_uri=BACK, state="s", nonce="n", verifier=VERIFIER)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"])
@pytest.mark.parametrize("status", [302, 500])
def test_a_provider_in_trouble_is_told_from_a_person_who_may_not(
    here: IdentityProvider, there: ForgingProvider, path: str, status: int
) -> None:
    there.statuses[path] = status
    if path == "/token":
        there.token_answer = {"message": "no"}

    with pytest.raises(IdentityProviderError):
        redeem(here, "groups")

    assert "/elsewhere" not in there.asked, "secrets follow no redirect"


def test_a_provider_that_is_away_is_unavailable(there: ForgingProvider, clock: FakeClock) -> None:
    here = client_of(there, clock, issuer="http://127.0.0.1:1")

    with pytest.raises(IdentityProviderError):
        here.metadata()
    assert here.logout_url(None, "https://notify.bank.example/login") is None


def test_the_logout_leads_to_the_provider_and_back(here: IdentityProvider, there: ForgingProvider) -> None:
    url = here.logout_url("token", "https://notify.bank.example/login")

    assert url is not None
    assert url.startswith(f"{there.issuer}/logout?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "client_id": CLIENT_ID,
        "id_token_hint": "token",
        "post_logout_redirect_uri": "https://notify.bank.example/login",
    }


def test_a_provider_without_a_logout_has_none(here: IdentityProvider, there: ForgingProvider) -> None:
    there.metadata["end_session_endpoint"] = None

    assert here.logout_url("token", "https://notify.bank.example/login") is None


def logout_claims(there: ForgingProvider) -> dict[str, Any]:
    """What the provider says of a person who has signed out there, as it should."""
    return {
        "iss": there.issuer,
        "aud": CLIENT_ID,
        "iat": int(there.now),
        "exp": int(there.now) + 120,
        "jti": "once",
        "sub": "sub-1",
        "sid": "s-7",
        "events": {LOGOUT_EVENT: {}},
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ("sub-1", "s-7")),
        ({"sid": None}, ("sub-1", None)),
        ({"sub": None}, (None, "s-7")),
        ({"aud": ["another", CLIENT_ID]}, ("sub-1", "s-7")),
        ({"events": {LOGOUT_EVENT: {}, "https://other.example/event": {}}}, ("sub-1", "s-7")),
    ],
)
def test_a_logout_token_names_a_person_a_session_or_both(
    here: IdentityProvider, there: ForgingProvider, changes: dict[str, Any], named: tuple[str | None, str | None]
) -> None:
    claims = {name: value for name, value in (logout_claims(there) | changes).items() if value is not None}

    told = here.signed_out(signed(claims, there.keys[-1]))

    assert (told.subject, told.session, told.issued_at) == (*named, int(there.now))


NO_LOGOUT: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "for another client": {"aud": "another"},
    "no audience": {"aud": None},
    "expired": {"exp": 1},
    "never expires": {"exp": None},
    "of the future": {"iat": 99_999_999_999},
    "of no time": {"iat": None},
    "an ID token, which has no event": {"events": None},
    "another event": {"events": {"https://other.example/event": {}}},
    "an event that is no object": {"events": {LOGOUT_EVENT: True}},
    "events that are a list": {"events": [LOGOUT_EVENT]},
    "a nonce, which ID tokens have": {"nonce": NONCE},
    "nobody named": {"sub": None, "sid": None},
    "a person that is no text": {"sub": 7},
    "an empty session": {"sid": ""},
    "no id of its own": {"jti": None},
}


@pytest.mark.parametrize("name", NO_LOGOUT)
def test_a_token_that_is_no_logout_token_ends_nothing(
    here: IdentityProvider, there: ForgingProvider, name: str
) -> None:
    claims = {each: value for each, value in (logout_claims(there) | NO_LOGOUT[name]).items() if value is not None}

    with pytest.raises(SignOnError):
        here.signed_out(signed(claims, there.keys[-1]))


def test_a_logout_token_that_the_provider_has_not_signed_ends_nothing(
    here: IdentityProvider, there: ForgingProvider
) -> None:
    claims, key = logout_claims(there), there.keys[-1]
    stranger = new_key(str(key.kid))
    forged = [
        signed(claims, stranger),
        signed(claims, new_key("unknown")),
        unsigned(claims),
        signed_by_public_key(claims, key),
        signed(claims, key)[:-8] + "AAAAAAAA",
        "no token",
        "a.b.c",
    ]

    for token in forged:
        with pytest.raises(SignOnError):
            here.signed_out(token)


def test_a_logout_token_of_a_new_key_is_believed(
    here: IdentityProvider, there: ForgingProvider, clock: FakeClock
) -> None:
    here.signed_out(signed(logout_claims(there), there.keys[-1]))
    there.keys.append(new_key("second"))
    clock.advance(LEAST_REFRESH_SECONDS)

    assert here.signed_out(signed(logout_claims(there), there.keys[-1])).subject == "sub-1"
