from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.bloom import BloomFilter

_DIGESTS = st.binary(min_size=16, max_size=16)


@given(st.lists(_DIGESTS, max_size=300))
def test_whatever_was_added_is_found(digests: list[bytes]) -> None:
    held = BloomFilter(100)

    for digest in digests:
        held.add(digest)

    assert all(digest in held for digest in digests)
    assert held.size <= len(set(digests))


def test_an_empty_one_holds_nothing() -> None:
    assert bytes(16) not in BloomFilter(1)


def test_few_strangers_are_taken_for_members() -> None:
    held = BloomFilter(10_000)
    for number in range(10_000):
        held.add(_digest(f"member {number}"))

    mistaken = sum(_digest(f"stranger {number}") in held for number in range(10_000))

    assert mistaken < 100


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
