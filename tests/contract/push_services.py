"""What push providers need of the world: Google's token endpoint, key files, and a browser's subscription."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests import peers
from tests.peers import Behaviour, HttpPeer, PeerConnection

#: Made once: an RSA key takes long.
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256_KEY = ec.generate_private_key(ec.SECP256R1())


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as providers give it out."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def service_account_file(folder: Path, token_uri: str, **changes: Any) -> Path:
    """A service account's file, as Google's console gives it."""
    content = {
        "type": "service_account",
        "project_id": "bank-app",
        "private_key_id": "key-1",
        "private_key": pem_of(RSA_KEY).decode(),
        "client_email": "wavecom@bank-app.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }
    path = folder / "service-account.json"
    path.write_text(json.dumps(content | changes), "utf-8")
    return path


def key_file(folder: Path, key: ec.EllipticCurvePrivateKey = P256_KEY) -> Path:
    """A key of APNs or of VAPID."""
    path = folder / "key.p8"
    path.write_bytes(pem_of(key))
    return path


def token_answer(value: str, expires_in: float = 3599) -> Behaviour:
    """As https://oauth2.googleapis.com/token answers."""
    body = json.dumps({"access_token": value, "expires_in": expires_in, "token_type": "Bearer"}).encode()
    return peers.reply(200, body, headers={"Content-Type": "application/json"})


def numbered_tokens(expires_in: float = 3599) -> Behaviour:
    """token-1, token-2, …, each good for so long."""
    count = iter(range(1, 1_000_000))

    def behave(connection: PeerConnection) -> bool:
        return token_answer(f"token-{next(count)}", expires_in)(connection)

    return behave


@contextmanager
def token_server(*script: Behaviour) -> Iterator[HttpPeer]:
    """Google's token endpoint; without a script it always gives tokens."""
    with HttpPeer(*(script or (numbered_tokens(),))) as peer:
        yield peer


def assertion_in(body: bytes) -> str:
    """The signed claims in a request for a token."""
    form = parse_qs(body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    [assertion] = form["assertion"]
    return assertion
