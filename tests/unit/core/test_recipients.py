"""A number is told in the one form in which recipients are looked up, or not at all."""

from __future__ import annotations

import pytest

from wavecom.core.recipients import e164


@pytest.mark.parametrize("text", ["+447700900123", "447700900123", "00447700900123", " 447700900123\n"])
def test_a_number_with_its_country_has_one_form(text: str) -> None:
    assert e164(text) == "+447700900123"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "0",
        "07700900123",
        "000447700900123",
        "Bank",
        "+44 7700",
        "\u0664\u0664\u0667\u0667\u0660\u0660",
        "4" * 16,
        "++4477009",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert e164(text) is None
