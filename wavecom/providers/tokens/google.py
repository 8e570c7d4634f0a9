"""Access tokens of Google for a service account.

https://developers.google.com/identity/protocols/oauth2/service-account ("HTTP/REST")
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa
from marshmallow import ValidationError

from wavecom.core.job import Reason
from wavecom.core.ports import Clock
from wavecom.providers.account import AccountAnswer, AccountClient
from wavecom.providers.configuration.options import is_this_machine
from wavecom.providers.tokens.jwt import JwtSigner, rsa_key
from wavecom.providers.tokens.refreshed import Token, TokenError

_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What the JSON file holds that Google's console gives for a service account."""

    project_id: str
    client_email: str
    token_uri: str
    key_id: str | None
    key: rsa.RSAPrivateKey = field(repr=False)

    def new_token(self, client: AccountClient, clock: Clock, ca_file: str | None = None) -> Token:
        """An access token for Firebase Cloud Messaging. Raises ``TokenError``."""
        now = int(clock.now().timestamp())
        claims = {
            "iss": self.client_email,
            "scope": _SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + _LIFE_SECONDS,
        }
        assertion = JwtSigner(self.key, key_id=self.key_id, type="JWT").token(claims)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
        try:
            answer = client.call("POST", self.token_uri, headers=headers, body=body, ca_file=ca_file)
        except OSError as error:
            raise TokenError(f"no access token from Google: {error}") from error
        return _token_in(answer)


def service_account(path: str) -> ServiceAccount:
    """The file at ``path``. Raises ``ValidationError``, which says what it must be and nothing of what it holds."""
    try:
        content = orjson.loads(Path(path).read_bytes())
    except OSError:
        raise ValidationError("must be the path of a readable file") from None
    except orjson.JSONDecodeError:
        content = None
    needed = ("project_id", "client_email", "private_key", "token_uri")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in needed):
        raise ValidationError(
            f"must be the JSON file of a service account, as Google's console gives it, with {', '.join(needed)}"
        )
    if not _is_safe(content["token_uri"]):
        raise ValidationError("must hold a token_uri that begins with https")
    try:
        key = rsa_key(content["private_key"].encode())
    except ValueError as error:
        raise ValidationError(f"must hold a private_key: it {error}") from None
    key_id = content.get("private_key_id")
    return ServiceAccount(
        project_id=content["project_id"],
        client_email=content["client_email"],
        token_uri=content["token_uri"],
        key_id=key_id if isinstance(key_id, str) else None,
        key=key,
    )


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname or ""))


def _token_in(answer: AccountAnswer) -> Token:
    content: Any = answer.content if isinstance(answer.content, dict) else {}
    value, seconds = content.get("access_token"), content.get("expires_in", _LIFE_SECONDS)
    if answer.status == 200 and isinstance(value, str) and value and isinstance(seconds, int | float) and seconds > 0:
        return Token(value, float(seconds))
    if answer.status in {400, 401, 403}:
        # invalid_grant and the like (RFC 6749 section 5.2): the key was withdrawn, or the clock is wrong.
        error = content.get("error")
        name = error if error in {"invalid_grant", "invalid_client", "unauthorized_client"} else f"HTTP {answer.status}"
        raise TokenError(
            f"Google gives this service account no access token ({name}): check the file, its key and this clock",
            Reason.CREDENTIALS,
        )
    raise TokenError(f"no access token from Google: HTTP {answer.status}")
