"""Which country a phone number belongs to."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

import phonenumbers

#: ISO 3166-1 alpha-2, in upper case.
COUNTRIES: Final[AbstractSet[str]] = frozenset(phonenumbers.SUPPORTED_REGIONS)


# Several routes ask of one number, one after the other.
@lru_cache(maxsize=256)
def country_of(number: str) -> str | None:
    """The country of a number in E.164 form, as ISO 3166-1 alpha-2; None where none can be named (satellites, +800).

    Where several countries share a calling code (+1, +7, +44) the number itself tells, and where the tables of
    phonenumbers don't know it, the largest of them has it: networks know numbers that the tables don't.
    """
    digits = number[1:] if number.startswith("+") else ""
    for length in (1, 2, 3):
        regions = (
            phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length])) if digits[:length].isdigit() else None
        )
        if regions is not None:
            found = regions[0] if len(regions) == 1 else _region_by_number(digits[:length], digits[length:])
            return next((region for region in (found, regions[0]) if region in COUNTRIES), None)
    return None


def _region_by_number(code: str, rest: str) -> str | None:
    if not rest.isdigit():
        return None
    number = phonenumbers.PhoneNumber(int(code), int(rest), italian_leading_zero=rest.startswith("0") or None)
    return phonenumbers.region_code_for_number(number)
