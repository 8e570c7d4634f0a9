"""An identity provider as OpenID Connect speaks with it: discovery, the code flow with PKCE, its keys, its logout.

https://openid.net/specs/openid-connect-core-1_0.html (3.1, the code flow), openid-connect-discovery-1_0.html (4),
openid-connect-rpinitiated-1_0.html, openid-connect-backchannel-1_0.html,
RFC 7636 (PKCE), RFC 9207 (the issuer in the answer), RFC 8725 (JWT).
Imported only where single sign-on is set up: it needs the extra ``oidc``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from wavecom.core.sign_on import SignOnError, claim
from wavecom.errors import UnavailableError
from wavecom.setting_values import LOOPBACK_HOSTS

#: Signed by a private key of the provider's alone: not "none", and no HMAC, whose key would be the client's secret or,
#: by confusion, the public key (RFC 8725, sections 2.1 and 3.1). Whatever the provider says that it can do besides.
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
#: One page waits for three calls at most.
TIMEOUT_SECONDS: Final = 5.0
#: For how long what the provider said of itself, and its keys, are believed; a key that is unknown is asked for sooner.
KEPT_SECONDS: Final = 3600.0
#: Strangers can't cause look-ups of keys, but a provider's own trouble must not have each sign-in cause one.
LEAST_REFRESH_SECONDS: Final = 10.0
#: Of clocks that differ.
LEEWAY_SECONDS: Final = 60
#: What a logout token says that happened (Back-Channel Logout 1.0, section 2.4).
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST_ANSWER: Final = 1024 * 1024
_KINDS: Final = frozenset({"RSA", "EC", "OKP"})


class IdentityProviderError(UnavailableError):
    """The identity provider does not answer, or not as OpenID Connect has it. The text names no secret."""

    code = "identity_provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRegistration:
    """What the identity provider and WaveCom have agreed on. Without a secret it is a public client (PKCE alone)."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: Sequence[str] = ("openid", "profile")
    #: Authorities to trust instead of the system's, PEM.
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class SignedOn:
    """What came of a code: checked claims, and the ID token they are from, for the logout."""

    claims: Mapping[str, Any] = field(repr=False)
    id_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Whom a logout token names: a person (``subject``), one of the provider's sessions, or a session of a person."""

    subject: str | None
    session: str | None
    #: When the provider said so, in seconds since 1970.
    issued_at: float


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What the provider says of itself (Discovery 1.0, section 3), with every address checked."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    #: Whether answers carry the issuer (RFC 9207); then one without it is refused.
    names_itself: bool
    #: How the client may log in at the token endpoint.
    auth_methods: Collection[str]
    #: None: it does not say.
    challenge_methods: Collection[str] | None
    scopes: Collection[str] | None
    claims: Collection[str] | None


class IdentityProvider:
    """The relying party's side of the code flow. Thread-safe; one per process.

    Connects to nothing until the first sign-in. Every method raises ``IdentityProviderError`` when the provider can't
    be asked, and ``SignOnError`` when what it says must not be believed.
    """

    def __init__(
        self,
        registration: ClientRegistration,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._registration = registration
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._metadata: tuple[ProviderMetadata, float] | None = None
        self._keys: tuple[KeySet, float] | None = None

    @property
    def issuer(self) -> str:
        """The provider's name of itself, exactly as it stands in its tokens."""
        return self._registration.issuer

    def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to sign in there, and from where it comes back to ``redirect_uri``."""
        metadata = self.metadata()
        params = {
            "response_type": "code",
            "client_id": self._registration.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._registration.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        url: str = add_params_to_uri(metadata.authorization_endpoint, params)
        return url

    def check_issuer_of_answer(self, issuer: str | None) -> None:
        """Raises ``SignOnError`` when an answer is another provider's (mix-up, RFC 9207, section 2.4)."""
        is_right = issuer == self.issuer or (issuer is None and not self.metadata().names_itself)
        if not is_right:
            raise _not_believed("wrong_issuer")

    def redeem(
        self, code: str, *, verifier: str, redirect_uri: str, nonce: str, wanted: Sequence[str] = ()
    ) -> SignedOn:
        """Exchange a code for an ID token and check that. May be called once for each code.

        Claims of ``wanted`` that are not in the ID token are asked of the userinfo endpoint.
        """
        metadata = self.metadata()
        token = self._token(metadata, code, verifier, redirect_uri)
        id_token = token.get("id_token")
        if not isinstance(id_token, str):
            raise IdentityProviderError("The identity provider sends no ID token.")
        claims = self._checked(metadata, id_token, nonce, token.get("access_token"))
        if metadata.userinfo_endpoint and any(claim(claims, name) is None for name in wanted):
            # What is signed comes first.
            claims = {**self._userinfo(metadata.userinfo_endpoint, token, claims["sub"]), **claims}
        return SignedOn(claims, id_token)

    def logout_url(self, id_token: str | None, return_to: str) -> str | None:
        """Where a browser ends its session with the provider; None where the provider has no such place, or is away."""
        try:
            endpoint = self.metadata().end_session_endpoint
        except IdentityProviderError:
            return None
        if endpoint is None:
            return None
        params = {"client_id": self._registration.client_id, "post_logout_redirect_uri": return_to}
        url: str = add_params_to_uri(endpoint, params | ({} if id_token is None else {"id_token_hint": id_token}))
        return url

    def signed_out(self, logout_token: str) -> SignedOut:
        """Check a logout token and say whom it names (Back-Channel Logout 1.0, section 2.6)."""
        token = self._verified(logout_token)
        claims = token.claims
        registry = JWTClaimsRegistry(
            now=int(self._now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._registration.client_id},
            iat={"essential": True},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise _not_believed(getattr(error, "error", "") or "unreadable_logout_token") from error
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
            # Else an ID token, which everybody has of himself, would end sessions.
            raise _not_believed("no_logout_event")
        if "nonce" in claims:
            raise _not_believed("nonce_in_logout_token")
        subject, session = claims.get("sub"), claims.get("sid")
        if any(each is not None and (not isinstance(each, str) or not each) for each in (subject, session)):
            raise _not_believed("unreadable_logout_token")
        if subject is None and session is None:
            raise _not_believed("nobody_named")
        return SignedOut(subject, session, float(claims["iat"]))

    def metadata(self) -> ProviderMetadata:
        """What the provider says of itself; kept for ``KEPT_SECONDS``."""
        with self._lock:
            kept = self._metadata
        if kept is not None and self._monotonic() < kept[1] + KEPT_SECONDS:
            return kept[0]
        found = _metadata_of(self._get_json(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"), self.issuer)
        with self._lock:
            self._metadata = (found, self._monotonic())
        return found

    def keys(self, *, is_new: bool = False) -> KeySet:
        """The provider's public keys; ``is_new``: asked for again, unless that has just been done."""
        with self._lock:
            kept = self._keys
        if kept is not None:
            age = self._monotonic() - kept[1]
            if age < (LEAST_REFRESH_SECONDS if is_new else KEPT_SECONDS):
                return kept[0]
        try:
            found = KeySet.import_key_set(_known_keys(self._get_json(self.metadata().jwks_uri)))
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise IdentityProviderError(
                "The identity provider has no key that signs, or they (jwks_uri) can't be read."
            ) from error
        with self._lock:
            self._keys = (found, self._monotonic())
        return found

    # --- what they share ----------------------------------------------------------------------------------------------

    def _checked(self, metadata: ProviderMetadata, id_token: str, nonce: str, access_token: object) -> dict[str, Any]:
        """The claims of an ID token by Core 1.0, section 3.1.3.7."""
        token = self._verified(id_token)
        try:
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": metadata.issuer},
                    "aud": {"essential": True, "value": self._registration.client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                {"nonce": nonce, "client_id": self._registration.client_id, "access_token": access_token},
            )
            claims.validate(now=int(self._now().timestamp()), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            # Its own text may quote the token.
            raise _not_believed(getattr(error, "error", "") or "unreadable_id_token") from error
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and "azp" not in claims:
            raise _not_believed("no_authorized_party")
        return dict(claims)

    def _verified(self, text: str) -> jwt.Token:
        """A token whose signature is one of the provider's; nothing of what it claims is checked."""
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            try:
                return jwt.decode(text, self.keys(), registry=registry)
            except (InvalidKeyIdError, BadSignatureError):
                # Signed by a key that the provider has only now, or by nobody that it knows.
                return jwt.decode(text, self.keys(is_new=True), registry=registry)
        except (JoseError, ValueError, TypeError) as error:
            # Its own text may quote the token.
            raise _not_believed(getattr(error, "error", "") or "unreadable_id_token") from error

    def _token(self, metadata: ProviderMetadata, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        registration = self._registration
        method = "none"
        if registration.client_secret is not None:
            method = "client_secret_basic"
            if method not in metadata.auth_methods and "client_secret_post" in metadata.auth_methods:
                method = "client_secret_post"
        with OAuth2Session(
            registration.client_id, registration.client_secret, token_endpoint_auth_method=method
        ) as session:
            try:
                token: Mapping[str, Any] = session.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=redirect_uri,
                    code_verifier=verifier,
                    timeout=TIMEOUT_SECONDS,
                    verify=self._verify,
                    allow_redirects=False,
                )
            except OAuthError as error:
                raise _code_refused(error) from error
            except (requests.RequestException, ValueError) as error:
                raise IdentityProviderError("The identity provider does not exchange codes now.") from error
        return token

    def _userinfo(self, url: str, token: Mapping[str, Any], subject: object) -> Mapping[str, Any]:
        found = self._get_json(url, {"Authorization": f"Bearer {token.get('access_token')}"})
        # Core 1.0, section 5.3.2: else it may be somebody else's.
        if found.get("sub") != subject:
            raise _not_believed("wrong_subject")
        return found

    @property
    def _verify(self) -> str | bool:
        return True if self._registration.ca_file is None else str(self._registration.ca_file)

    def _get_json(self, url: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        text = f"The identity provider does not answer at {url}."
        try:
            with requests.get(
                url,
                headers={"Accept": "application/json", **(headers or {})},
                timeout=TIMEOUT_SECONDS,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = response.raw.read(_LONGEST_ANSWER + 1, decode_content=True)
                is_usable = response.status_code == requests.codes.ok and len(body) <= _LONGEST_ANSWER
                found = json.loads(body) if is_usable else None
        except (requests.RequestException, OSError, ValueError) as error:
            raise IdentityProviderError(text) from error
        if not isinstance(found, dict):
            raise IdentityProviderError(f"The identity provider does not answer as it should at {url}.")
        return found


def is_safe_address(url: str) -> bool:
    """Whether secrets may be sent there: over TLS, or within this machine, as tests and developers do."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)
    )


def _metadata_of(found: Mapping[str, Any], issuer: str) -> ProviderMetadata:
    """Raises ``IdentityProviderError`` that says which entry is missing or wrong."""
    if found.get("issuer") != issuer:
        # Discovery 1.0, section 4.3: else tokens of another provider would be taken.
        raise IdentityProviderError(f"The identity provider calls itself {found.get('issuer')}, not {issuer}.")
    required = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    for name in (*required, "userinfo_endpoint", "end_session_endpoint"):
        value = found.get(name)
        if value is None and name not in required:
            continue
        if not isinstance(value, str) or not is_safe_address(value):
            raise IdentityProviderError(f"The identity provider's {name} is missing, or no https address.")
    return ProviderMetadata(
        issuer=issuer,
        **{name: found[name] for name in required},
        userinfo_endpoint=found.get("userinfo_endpoint"),
        end_session_endpoint=found.get("end_session_endpoint"),
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
        auth_methods=_words(found, "token_endpoint_auth_methods_supported") or ("client_secret_basic",),
        challenge_methods=_words(found, "code_challenge_methods_supported"),
        scopes=_words(found, "scopes_supported"),
        claims=_words(found, "claims_supported"),
    )


def _words(found: Mapping[str, Any], name: str) -> Collection[str] | None:
    value = found.get(name)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else None


def _known_keys(found: Mapping[str, Any]) -> Any:
    """Those that sign, of kinds that are known: a provider may have others besides. Raises ``KeyError``."""
    return {"keys": [each for each in found["keys"] if each.get("kty") in _KINDS and each.get("use") != "enc"]}


def _code_refused(error: OAuthError) -> SignOnError | IdentityProviderError:
    if error.error == "invalid_client":
        return IdentityProviderError(
            "The identity provider does not know this client: see WAVECOM_OIDC_CLIENT_ID and _CLIENT_SECRET."
        )
    return SignOnError("The identity provider did not accept the sign-in any more. Begin again.", "code_refused")


def _not_believed(reason: str) -> SignOnError:
    text = "What the identity provider answered is not to be trusted, so nobody was signed in. Begin again."
    return SignOnError(text, reason)
