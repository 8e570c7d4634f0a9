"""An OpenID provider over HTTP that says whatever a test wants: wrong tokens, old keys, no answer."""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key

from tests.running_server import running
from wavecom.accounts.identity_provider import ClientRegistration

NONCE = "the-nonce"
CODE = "the-code"
CLIENT_ID = "wavecom"
CLIENT_SECRET = "a secret: for tests"


def new_key(name: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": name, "use": "sig"})


@dataclass
class ForgingProvider:
    """``claims``, ``metadata`` and ``userinfo`` go over what would be right; None takes an entry away."""

    issuer: str
    now: float
    keys: list[ECKey] = field(default_factory=lambda: [new_key("first")])
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    #: Statuses of answers, by path.
    statuses: dict[str, int] = field(default_factory=dict)
    #: What the token endpoint answers instead.
    token_answer: dict[str, Any] | None = None
    #: Makes the ID token of its claims; None: signed by the last key.
    forge: Any = None
    #: Forms that the token endpoint was sent, with user and password of its header.
    token_requests: list[dict[str, str]] = field(default_factory=list)
    #: How often each path was asked for.
    asked: dict[str, int] = field(default_factory=dict)

    def registration(self, **overrides: Any) -> ClientRegistration:
        return ClientRegistration(
            **{"issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | overrides
        )

    def answer(self, path: str, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        self.asked[path] = self.asked.get(path, 0) + 1
        status = self.statuses.get(path, 200)
        match path:
            case "/.well-known/openid-configuration":
                return status, self._metadata()
            case "/jwks":
                return status, {"keys": [key.as_dict(private=False) for key in self.keys]}
            case "/userinfo":
                return status, _without_none({"sub": "sub-1", "groups": ["staff"]} | self.userinfo)
            case "/token":
                kind, _, text = authorization.partition(" ")
                login = b64decode(text).decode() if kind == "Basic" else ""
                self.token_requests.append({**form, "login": unquote(login)})
                return status, self.token_answer or {
                    "access_token": "access",
                    "token_type": "Bearer",
                    "id_token": self.id_token(),
                }
        return 404, {}

    def id_token(self) -> str:
        right = {
            "iss": self.issuer,
            "sub": "sub-1",
            "aud": CLIENT_ID,
            "exp": int(self.now) + 300,
            "iat": int(self.now),
            "nonce": NONCE,
            "preferred_username": "ada",
        }
        claims = _without_none(right | self.claims)
        return str(self.forge(claims) if self.forge else signed(claims, self.keys[-1]))

    def _metadata(self) -> dict[str, Any]:
        right = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?audience=staff",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/logout",
            # As some providers have it: what they can do is not what we take.
            "id_token_signing_alg_values_supported": ["none", "HS256", "ES256"],
        }
        return _without_none(right | self.metadata)


def signed(claims: Mapping[str, Any], key: Key, algorithm: str = "ES256") -> str:
    header = {"alg": algorithm, "kid": key.kid}
    return jwt.encode(header, dict(claims), key, registry=jws.JWSRegistry(algorithms=[algorithm]))


def unsigned(claims: Mapping[str, Any]) -> str:
    return _compact({"alg": "none"}, claims) + "."


def signed_by_public_key(claims: Mapping[str, Any], key: ECKey) -> str:
    """With an HMAC whose secret everybody knows. By hand: a library would not."""
    text = _compact({"alg": "HS256", "kid": key.kid}, claims)
    signature = hmac.digest(key.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{_base64url(signature)}"


def _compact(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def forging_provider(now: float) -> Iterator[ForgingProvider]:
    """One of them, listening on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(dict(parse_qsl(body)))

        def _answer(self, form: Mapping[str, str]) -> None:
            status, value = provider.answer(self.path, form, self.headers.get("Authorization", ""))
            body = json.dumps(value).encode()
            self.send_response(status)
            if status in {301, 302, 307}:
                self.send_header("Location", f"{provider.issuer}/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            """Nothing: the tests see every request anyway."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with running(server) as address:
        provider = ForgingProvider(address, now)
        yield provider


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
