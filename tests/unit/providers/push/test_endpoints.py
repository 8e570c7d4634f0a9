"""Which addresses of push services may be called, whatever a name resolves to; and the test vector of RFC 8291."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wavecom.providers.base import UnsendableError
from wavecom.providers.push.encryption import LIMIT_BYTES, encrypted
from wavecom.providers.push.endpoints import EndpointGuard
from wavecom.providers.tokens.jwt import from_base64url

URL = "https://push.example/s/1"


class Names:
    """Resolves every name to these addresses, and counts."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.count = 0

    def __call__(self, _host: str, port: int, **_options: Any) -> list[Any]:
        self.count += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(0, 0, 0, "", (address, port)) for address in self.addresses]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
def test_no_name_leads_to_an_address_that_is_not_public(address: str) -> None:
    guard = EndpointGuard(["push.example"], Names(address))

    with pytest.raises(UnsendableError, match="not public"):
        guard.look_up(guard.endpoint(URL), 5)


def test_one_address_that_is_not_public_is_one_too_many() -> None:
    guard = EndpointGuard(["push.example"], Names("142.250.74.10", "127.0.0.1"))

    with pytest.raises(UnsendableError):
        guard.look_up(guard.endpoint(URL), 5)
    assert guard.known_addresses(guard.endpoint(URL)) == ()


def test_a_name_is_looked_up_once_and_its_addresses_are_used() -> None:
    names = Names("142.250.74.10", "2a00:1450:4001::a")
    guard = EndpointGuard(["push.example"], names)
    endpoint = guard.endpoint(URL)
    assert guard.known_addresses(endpoint) == ()

    found = guard.look_up(endpoint, 5)

    assert found == guard.known_addresses(guard.endpoint("https://push.example/other"))
    assert found == ("142.250.74.10", "2a00:1450:4001::a")
    assert names.count == 1


def test_a_host_of_this_machine_must_be_named_by_itself() -> None:
    named = EndpointGuard(["localhost"], Names("127.0.0.1"))
    below = EndpointGuard(["*.example"], Names("127.0.0.1"))

    assert named.look_up(named.endpoint("https://localhost/s"), 5) == ("127.0.0.1",)
    with pytest.raises(UnsendableError):
        below.look_up(below.endpoint("https://push.example/s"), 5)


def test_a_public_name_that_is_allowed_does_not_open_this_machine() -> None:
    guard = EndpointGuard(["push.example"], Names("127.0.0.1"))

    with pytest.raises(UnsendableError):
        guard.look_up(guard.endpoint(URL), 5)


def test_a_name_that_is_not_found_is_no_fault_of_the_message() -> None:
    guard = EndpointGuard(["push.example"], Names())

    with pytest.raises(OSError, match="no such name"):
        guard.look_up(guard.endpoint(URL), 5)


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example/s",
        "ftp://push.example/s",
        "https://push.example@evil.example/s",
        "https://evil.example\\@push.example/s",
        "https://push.example.evil.example/s",
        "https://evilpush.example/s",
        "https://push.example/s#f",
        "https://push.example/a b",
        "https://push.example:99999/s",
        "https:///s",
        "https://[::1/s",
        "//push.example/s",
        "",
    ],
)
def test_an_address_is_plain_https_of_an_allowed_host(url: str) -> None:
    with pytest.raises(UnsendableError, match=r"^to\.subscription\.endpoint: ") as caught:
        EndpointGuard(["push.example"]).endpoint(url)

    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://PUSH.example/s", "https://push.example"),
        ("https://push.example:443/s", "https://push.example"),
        ("https://push.example:8443/s", "https://push.example:8443"),
        ("https://a.b.notify.example/s", "https://a.b.notify.example"),
    ],
)
def test_the_origin_is_what_a_token_is_for(url: str, origin: str) -> None:
    assert EndpointGuard(["Push.example", "*.notify.example"]).endpoint(url).origin == origin


def test_the_example_of_rfc_8291_is_encrypted_as_it_stands_there() -> None:
    private = int.from_bytes(from_base64url("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")

    body = encrypted(
        b"When I grow up, I want to be a watermelon",
        from_base64url("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        from_base64url("BTBZMqHH6r4Tts7J_aSIgg"),
        new_key=lambda: ec.derive_private_key(private, ec.SECP256R1()),
        new_salt=lambda: from_base64url("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert body == from_base64url(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"
        "l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_what_is_too_long_for_one_record_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    public = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    assert len(encrypted(b"x" * LIMIT_BYTES, public, bytes(16))) == 4096
    with pytest.raises(ValueError, match="at most 3993"):
        encrypted(b"x" * (LIMIT_BYTES + 1), public, bytes(16))
