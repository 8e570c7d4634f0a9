"""E-mail addresses and phone numbers: one form for storing, sending and searching."""

from __future__ import annotations

import base64

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from wavecom.web.api.addresses import EmailAddress, Phone, is_plain_e164
from wavecom.web.api.encodings import Base64, base64_size

PHONES = [
    ("+447700900123", "+447700900123"),
    ("+44 7700 900 123", "+447700900123"),
    ("+44 (0)7700 900-123", "+447700900123"),
    ("+1 (202) 555-0143", "+12025550143"),
    ("+49 171 3920012", "+491713920012"),
    ("+39 06 6982", "+39066982"),
    ("+33.6.39.98.00.10", "+33639980010"),
    ("+12025550100", "+12025550100"),
    ("+8613800138000", "+8613800138000"),
]


@pytest.mark.parametrize(("given_number", "normalised"), PHONES)
def test_a_phone_number_comes_out_in_e164(given_number: str, normalised: str) -> None:
    assert Phone().deserialize(given_number) == normalised


@pytest.mark.parametrize(
    "text", ["+" + "1" * 200, "+4" + " " * 30, "+44７７００９００１２３", "+-44", "+", "tel:+447700900123"]
)
def test_what_is_no_phone_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Phone().deserialize(text)


@given(
    st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
    st.text("0123456789", min_size=3, max_size=13),
)
@settings(max_examples=600)
def test_the_short_cut_past_the_parser_of_numbers_takes_only_what_the_parser_leaves_alone(code: int, rest: str) -> None:
    number = f"+{code}{rest}"

    if is_plain_e164(number):
        parsed = phonenumbers.parse(number, None)
        assert phonenumbers.is_possible_number(parsed)
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == number


@pytest.mark.parametrize("number", ["+447700900123", "+12025550143", "+491713920012", "+8613800138000"])
def test_usual_numbers_take_the_short_cut(number: str) -> None:
    assert is_plain_e164(number)


EMAILS = [
    ("amina@example.com", "amina@example.com"),
    ("Amina@EXAMPLE.com", "Amina@example.com"),
    ("rejected+42@sandbox.wavecom.test", "rejected+42@sandbox.wavecom.test"),
    ("ops@mail.example", "ops@mail.example"),
    ("info@bücher.example", "info@xn--bcher-kva.example"),
    ("info@xn--bcher-kva.example", "info@xn--bcher-kva.example"),
    ("用户@例子.example", "用户@xn--fsqu00a.example"),
    ("o'brien+a=b/c@sub.domain.example.co.uk", "o'brien+a=b/c@sub.domain.example.co.uk"),
    ("Postmaster@example.com", "postmaster@example.com"),
]


@pytest.mark.parametrize(("given_address", "normalised"), EMAILS)
def test_an_address_comes_out_with_a_domain_that_any_server_takes(given_address: str, normalised: str) -> None:
    assert EmailAddress().deserialize(given_address) == normalised


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    for field in (EmailAddress(), Phone()):
        try:
            once = field.deserialize(text)
        except ValidationError:
            continue
        assert field.deserialize(once) == once


@given(st.emails())
def test_usual_addresses_are_taken_or_refused_with_a_reason(address: str) -> None:
    try:
        text = EmailAddress().deserialize(address).rpartition("@")[2]
    except ValidationError as error:
        [text] = error.messages

    # Either a domain or a sentence.
    assert text.isascii() or len(text) > 20


@given(st.binary(min_size=1, max_size=200))
def test_the_size_of_base64_is_known_without_decoding_it(content: bytes) -> None:
    text = base64.b64encode(content).decode()

    assert Base64("a file").deserialize(text) == text
    assert base64_size(text) == len(content)


@given(st.text(st.sampled_from("AB+/=-_ \n"), min_size=1, max_size=12))
def test_any_text_taken_as_base64_can_be_decoded_strictly(text: str) -> None:
    try:
        Base64("a file").deserialize(text)
    except ValidationError:
        return
    assert len(base64.b64decode(text, validate=True)) == base64_size(text)
