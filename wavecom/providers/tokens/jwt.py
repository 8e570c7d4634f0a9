"""Signing JSON Web Tokens (RFC 7515, RFC 7519) with a private key: RS256 and ES256 (RFC 7518 section 3)."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, cast

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_NO_P256_KEY = "must hold a private key of the curve P-256, in PEM without a password"

#: Bytes of a number of P-256: of a private key, and of each half of a signature.
_HALF = 32


def rsa_key(pem: bytes) -> rsa.RSAPrivateKey:
    """An RSA key of 2048 bits or more, from PEM without a password.

    Raises ``ValueError``, which says what it must be.
    """
    key = _key_in(pem)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("must hold an RSA private key of 2048 bits or more, in PEM without a password")
    return key


def p256_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    """A key of the curve P-256: PEM without a password, or its 32 bytes in base64url, as tools for Web Push print it.

    Raises ``ValueError``, which says what it must be.
    """
    key = _key_in(data) or _raw_key(data)
    is_right = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    if not is_right:
        raise ValueError(_NO_P256_KEY)
    return cast("ec.EllipticCurvePrivateKey", key)


class JwtSigner:
    """Signs claims with one key: RS256 with an RSA key, ES256 with one of P-256. Thread-safe."""

    def __init__(self, key: PrivateKey, *, key_id: str | None = None, type: str | None = None) -> None:
        self._key = key
        header = {"alg": "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256", "typ": type, "kid": key_id}
        self._header = _encoded({name: value for name, value in header.items() if value is not None})

    def token(self, claims: Mapping[str, Any]) -> str:
        """The compact form: header, claims and signature, each in base64url."""
        signed = f"{self._header}.{_encoded(claims)}"
        return f"{signed}.{base64url(self._signature(signed.encode()))}"

    def _signature(self, data: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        # RFC 7518 section 3.4: both numbers one after the other, not as DER. Deterministic (RFC 6979), so that all
        # processes that say the same say it with the same token.
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        numbers = decode_dss_signature(self._key.sign(data, algorithm))
        return b"".join(number.to_bytes(_HALF, "big") for number in numbers)


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The bytes, whether padded or not. Raises ``ValueError``."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(content: Mapping[str, Any]) -> str:
    return base64url(orjson.dumps(content))


def _key_in(pem: bytes) -> object:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # no PEM, of another kind; with a password; odd
        return None


def _raw_key(data: bytes) -> object:
    try:
        raw = from_base64url(data.decode("ascii").strip())
        return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1()) if len(raw) == _HALF else None
    except ValueError:
        return None
