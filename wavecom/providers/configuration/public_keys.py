"""Public keys of others, by which what they sign is verified."""

from __future__ import annotations

from base64 import b64decode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from marshmallow import ValidationError


def ecdsa_public_key(text: str) -> ec.EllipticCurvePublicKey:
    """Of base64 of DER (SubjectPublicKeyInfo, RFC 5280), as SendGrid's settings show it. Raises ``ValueError``."""
    try:
        key = load_der_public_key(b64decode(text, validate=True))
    except UnsupportedAlgorithm:
        raise ValueError("no key of a kind that is known") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("no key of an elliptic curve")  # noqa: TRY004 - of a wrong kind in the file
    return key


def check_ecdsa_public_key(text: str) -> None:
    """The check of an option that holds one. Raises ``ValidationError``."""
    try:
        ecdsa_public_key(text)
    except ValueError:
        raise ValidationError(
            "must be the verification key as SendGrid shows it: base64, beginning with MFkw"
        ) from None
