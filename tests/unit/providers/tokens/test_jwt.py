"""What we sign, an independent library understands; what is no right key is refused in words."""

from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.contract.push_services import P256_KEY, RSA_KEY, pem_of
from wavecom.providers.tokens.jwt import JwtSigner, base64url, from_base64url, p256_key, rsa_key


@pytest.mark.parametrize("key", [RSA_KEY, P256_KEY], ids=["RS256", "ES256"])
def test_a_token_is_read_by_another_library(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    algorithm = "RS256" if key is RSA_KEY else "ES256"
    token = JwtSigner(key, key_id="k-1", type="JWT").token({"iss": "me", "n": 1})

    assert jwt.decode(token, key.public_key(), [algorithm]) == {"iss": "me", "n": 1}
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": "k-1"}


@pytest.mark.parametrize("key", [RSA_KEY, P256_KEY], ids=["RS256", "ES256"])
def test_the_same_claims_have_the_same_token(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    assert JwtSigner(key).token({"a": 1}) == JwtSigner(key).token({"a": 1}) != JwtSigner(key).token({"a": 2})


def test_keys_are_read_from_pem_and_from_base64url() -> None:
    raw = base64url(P256_KEY.private_numbers().private_value.to_bytes(32, "big"))

    for data in (pem_of(P256_KEY), raw.encode(), f" {raw}\n".encode()):
        assert p256_key(data).private_numbers() == P256_KEY.private_numbers()
    assert rsa_key(pem_of(RSA_KEY)).private_numbers() == RSA_KEY.private_numbers()


@pytest.mark.parametrize(
    "data", [b"", b"s3cret", b"\xff\xfe", pem_of(RSA_KEY), pem_of(ec.generate_private_key(ec.SECP384R1()))]
)
def test_what_is_no_key_of_p_256_is_refused_without_its_content(data: bytes) -> None:
    with pytest.raises(ValueError, match="P-256") as caught:
        p256_key(data)

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"-----BEGIN", pem_of(P256_KEY)])
def test_what_is_no_rsa_key_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="RSA"):
        rsa_key(data)


def test_base64url_comes_back_with_or_without_padding() -> None:
    assert from_base64url(base64url(b"abcd")) == from_base64url("YWJjZA==") == b"abcd"
