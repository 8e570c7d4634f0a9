"""Secrets that people made up are told from those that a generator made."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable

import pytest

from wavecom.core.strength import LEAST_BITS, estimated_bits

_DICE = random.Random(20261129)


def _drawn(alphabet: str, length: int) -> str:
    return "".join(_DICE.choice(alphabet) for _ in range(length))


def _urlsafe(size: int) -> str:
    return base64.urlsafe_b64encode(_DICE.randbytes(size)).decode().rstrip("=")


GENERATORS: dict[str, Callable[[], str]] = {
    "openssl rand -base64 32": lambda: base64.b64encode(_DICE.randbytes(32)).decode(),
    "openssl rand -hex 32": lambda: _DICE.randbytes(32).hex(),
    "openssl rand -hex 20": lambda: _DICE.randbytes(20).hex(),
    "secrets.token_urlsafe(32)": lambda: _urlsafe(32),
    "secrets.token_urlsafe(24)": lambda: _urlsafe(24),
    "wavecom keys create": lambda: f"wc_live_{_urlsafe(32)}",
    "pwgen -s 32": lambda: _drawn(string.ascii_letters + string.digits, 32),
    "a password manager": lambda: _drawn(string.ascii_letters + string.digits + string.punctuation, 32),
    "groups": lambda: "-".join(_drawn(string.ascii_letters + string.digits, 6) for _ in range(4)),
    "forty letters": lambda: _drawn(string.ascii_lowercase, 40),
    "base32": lambda: base64.b32encode(_DICE.randbytes(25)).decode(),
    "fifty digits": lambda: _drawn(string.digits, 50),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_what_generators_make_is_taken(name: str) -> None:
    # The same in whatever order the tests are run: one draw in very many does look like a pattern.
    _DICE.seed(name)

    refused = [secret for secret in (GENERATORS[name]() for _ in range(60)) if estimated_bits(secret) < LEAST_BITS]

    assert refused == []


def test_just_128_bits_are_taken_but_for_rare_ones_that_look_like_a_pattern() -> None:
    _DICE.seed("128 bits")
    makers = (lambda: _DICE.randbytes(16).hex(), lambda: _urlsafe(16))

    refused = [secret for make in makers for _ in range(100) if estimated_bits(secret := make()) < LEAST_BITS]

    assert len(refused) <= 2


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "a" * 16,
        "a" * 200,
        "hunter2",
        "Tr0ub4dor&3",
        "abc" * 30,
        "ab" * 50,
        "0f" * 20,
        "12" * 30,
        "1234567890" * 6,
        "0123456789abcdef" * 4,
        "zyxwvutsrqponmlkjihgfedcba9876543210",
        string.ascii_lowercase + string.digits + string.ascii_uppercase,
        "qwertyuiop" * 5,
        "qazwsxedcrfvtgbyhnujmikolp123456",
        "1q2w3e4r5t6y7u8i9o0p1q2w3e4r5t6y7u8i9o0p",
        "1a2b3c4d5e6f7g8h9i0j1k2l3m4n5o6p",
        "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpP",
        "aaaaaaaaaaaaaaaaaaaaaaaab",
        "abababababababbabababababababababababababa",
        "password" * 8,
        "P@ssw0rd!" * 4,
        "changeme" * 4 + "1!",
        "wavecom-production-secret-2026-change-me-please!",
        "correct horse battery staple",
        "correct-horse-battery-staple-correct-horse-battery-staple",
        "the quick brown fox jumps over the lazy dog",
        "my super secret operator password for the production system",
        "thisisaverylongpasswordthatnobodywillguess",
        "ThisIsAVeryLongPasswordThatNobodyWillEverGuess",
        "wc_live_",
        "wc_live_" + "k" * 43,
        "wc_live_" + "a" * 21 + "b" * 22,
        "wc_test_" + "Kq7" * 14 + "z",
        "2026-11-29T14:20:00Z-2026-11-30T00:00:00Z",
        "123e4567-e89b-42d3-a456-426614174000",
        "ÄÖÜäöüß" * 5,
        "🔑" * 40,
    ],
)
def test_what_people_make_up_is_not(secret: str) -> None:
    assert estimated_bits(secret) < LEAST_BITS


def test_ten_words_drawn_from_a_long_list_are_enough_and_six_are_not() -> None:
    words = "glacier unkempt ravioli tripod mustang pancake dweller oxidize junction ferret"

    assert estimated_bits(words) >= LEAST_BITS
    assert estimated_bits(" ".join(words.split()[:6])) < LEAST_BITS
