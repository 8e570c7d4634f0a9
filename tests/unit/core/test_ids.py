from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.ids import BufferedRandom, uuid7

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

milliseconds = st.integers(0, 253_370_764_800_000)  # the end of the year 9998
randoms = st.binary(min_size=10, max_size=10)


def at(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def test_the_example_of_the_rfc_comes_out() -> None:
    """RFC 9562, appendix A.6: 2022-02-22 14:22:22 -05:00, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F."""
    random_bytes = ((0xCC3 << 64) | 0x18C4DC0C0C07398F).to_bytes(10, "big")

    made = uuid7(datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC), random_bytes)

    assert made == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(milliseconds, randoms)
def test_the_version_the_variant_and_the_time_stand_where_the_rfc_puts_them(moment: int, random_bytes: bytes) -> None:
    made = uuid.UUID(uuid7(at(moment), random_bytes))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == moment


@given(milliseconds, randoms)
def test_every_random_bit_but_the_six_reserved_is_kept(moment: int, random_bytes: bytes) -> None:
    reserved = (0xF << 76) | (0x3 << 62)

    made = uuid.UUID(uuid7(at(moment), random_bytes))

    assert made.int & ~reserved & (2**80 - 1) == int.from_bytes(random_bytes, "big") & ~reserved


@given(milliseconds, milliseconds, randoms, randoms)
def test_ids_sort_by_time_as_text_too(one: int, other: int, one_random: bytes, other_random: bytes) -> None:
    earlier, later = sorted((one, other))

    if earlier != later:
        assert uuid7(at(earlier), one_random) < uuid7(at(later), other_random)


def test_equal_times_differ_by_chance_alone() -> None:
    assert uuid7(EPOCH, bytes(10)) != uuid7(EPOCH, bytes(9) + b"\x01")


@pytest.mark.parametrize("length", [0, 9, 11, 16])
def test_too_little_chance_is_refused_because_ids_would_come_twice(length: int) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(EPOCH, bytes(length))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        uuid7(datetime(2026, 1, 1), bytes(10))  # noqa: DTZ001 - that is the mistake


def test_a_stock_of_random_bytes_gives_each_byte_to_one_caller_and_fetches_rarely() -> None:
    fetched = []

    def fetch(size: int) -> bytes:
        fetched.append(size)
        return bytes(range(len(fetched) * 10, len(fetched) * 10 + size))

    random = BufferedRandom(fetch, buffer_bytes=10)

    assert [random.take(4), random.take(4), random.take(4), random.take(6)] == [
        bytes(range(10, 14)),
        bytes(range(14, 18)),
        bytes(range(20, 24)),
        bytes(range(24, 30)),
    ]
    assert fetched == [10, 10]


def test_more_than_the_stock_holds_is_refused_instead_of_cut_short() -> None:
    random = BufferedRandom(lambda size: bytes(size), buffer_bytes=10)

    with pytest.raises(ValueError, match="11 random bytes"):
        random.take(11)
