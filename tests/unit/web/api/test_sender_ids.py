"""Names as senders of SMS, as networks have them."""

from __future__ import annotations

import pytest
from marshmallow import ValidationError

from wavecom.web.api.schemas.sms import SenderId, sender_id_signs

FIELD = SenderId()


@pytest.mark.parametrize("value", ["HARBOUR", "BANK PL", "24365", "+353209100001", "A", "4You"])
def test_letters_digits_and_numbers_are_taken_everywhere(value: str) -> None:
    assert FIELD.deserialize(value) == value


@pytest.mark.parametrize("value", ["H&M", "Co.", "a-b_c", "B & Q"])
def test_signs_are_taken_where_they_are_allowed(value: str) -> None:
    with pytest.raises(ValidationError, match="who runs WaveCom may allow it"):
        FIELD.deserialize(value)
    with sender_id_signs("&.-_"):
        assert FIELD.deserialize(value) == value


def test_only_the_signs_that_are_allowed() -> None:
    with sender_id_signs("-"):
        assert FIELD.deserialize("A-B") == "A-B"
        with pytest.raises(ValidationError, match="& is not taken"):
            FIELD.deserialize("A&B")


@pytest.mark.parametrize(
    "value", ["", "12", "BANK!", " BANK", "BANK ", "A  B", "TWELVELETTER", "Zürich", "&&", "a/b", 7]
)
def test_others_are_refused_whatever_is_allowed(value: object) -> None:
    with sender_id_signs("&.-_"), pytest.raises(ValidationError):
        FIELD.deserialize(value)
