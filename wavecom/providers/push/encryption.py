"""Encrypting a message of Web Push for one browser (RFC 8291), in the form ``aes128gcm`` (RFC 8188)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: Of what may be encrypted: 4096 bytes less header, padding delimiter and tag (RFC 8291 section 4).
LIMIT_BYTES: Final = 3993

#: The size of a record, which the one there is stays below (RFC 8188 section 2.1).
_RECORD_SIZE: Final = 4096
_LAST_RECORD: Final = b"\x02"


def encrypted(
    plaintext: bytes,
    browser_key: bytes,
    secret: bytes,
    *,
    new_key: Callable[[], ec.EllipticCurvePrivateKey] = lambda: ec.generate_private_key(ec.SECP256R1()),
    new_salt: Callable[[], bytes] = lambda: os.urandom(16),
) -> bytes:
    """The body of a request with ``Content-Encoding: aes128gcm``.

    ``browser_key`` is the subscription's p256dh (65 bytes), ``secret`` its auth (16 bytes). Raises ``ValueError`` for a
    key that is no point of the curve, and for a plaintext of more than ``LIMIT_BYTES``.
    """
    if len(plaintext) > LIMIT_BYTES:
        raise ValueError(f"takes {len(plaintext)} bytes; at most {LIMIT_BYTES}")
    browser = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), browser_key)
    own, salt = new_key(), new_salt()
    own_public = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = own.exchange(ec.ECDH(), browser)
    # RFC 8291 section 3.4: first both keys, then the salt.
    keyed = _derived(shared, secret, b"WebPush: info\x00" + browser_key + own_public, 32)
    key = _derived(keyed, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(keyed, salt, b"Content-Encoding: nonce\x00", 12)
    header = salt + _RECORD_SIZE.to_bytes(4, "big") + bytes([len(own_public)]) + own_public
    return header + AESGCM(key).encrypt(nonce, plaintext + _LAST_RECORD, None)


def _derived(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(key)
