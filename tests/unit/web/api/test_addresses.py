"""E-mail addresses and phone numbers: one form for storing, sending and searching."""

from __future__ import annotations

import base64

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from wavecom.core.attachments import content_size
from wavecom.settings import MailAddresses
from wavecom.web.api import email_addresses
from wavecom.web.api.email_addresses import EmailAddress
from wavecom.web.api.encodings import Base64
from wavecom.web.api.phone_numbers import Phone, is_plain_e164

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
    ("\u202d+44 7700 900123\u202c", "+447700900123"),
    ("\ufeff+44\u00a07700\u2009900\u2011123", "+447700900123"),
    ("+44\u200b7700\u2060900123\u00ad", "+447700900123"),
    ("+49 (0)171 3920012", "+491713920012"),
    ("+62 0812 3456 7890", "+6281234567890"),
    ("(+44) 7700 900123", "+447700900123"),
    (" \u00a0+44 7700 900123\u00a0 ", "+447700900123"),
    ("+54 9 11 5555 5555", "+5491155555555"),
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


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("+3758105261733", "+375105261733"),
        ("+375 8 029 123 45 67", "+375291234567"),
        ("+1 1 202 555 0143", "+12025550143"),
        ("+7 8 912 345-67-89", "+79123456789"),
        ("+36 06 20 123 4567", "+36201234567"),
    ],
)
def test_a_number_that_would_be_dialled_with_other_digits_is_refused_and_named(text: str, other: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Phone().deserialize(text)

    assert f"would be {other}" in str(refused.value)


@given(
    st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)), st.text("0123456789", min_size=3, max_size=13)
)
@settings(max_examples=600)
def test_no_number_comes_out_with_other_digits_than_it_had_but_for_a_trunk_zero(code: int, rest: str) -> None:
    try:
        normalised = Phone().deserialize(f"+{code}{rest}")
    except ValidationError:
        return

    assert normalised in {f"+{code}{rest}", f"+{code}{rest[1:]}" if rest.startswith("0") else None}


@pytest.mark.parametrize(("text", "named"), [("+44７700900123", "U+FF17"), ("＋447700900123", "U+FF0B")])
def test_a_character_that_looks_like_another_is_named(text: str, named: str) -> None:
    with pytest.raises(ValidationError, match=named.replace("+", r"\+")):
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


RELAY_ONLY = [
    ("amina@corp.local", "amina@corp.local"),
    ("Amina@Corp.LOCAL", "Amina@corp.local"),
    ("ops@nas.home.arpa", "ops@nas.home.arpa"),
    ("root@mailhost", "root@mailhost"),
    ("root@localhost", "root@localhost"),
    ("a_b@my_host.corp", "a_b@my_host.corp"),
    ("a@_x.example.com", "a@_x.example.com"),
    ("first..last@mobile.example.ne.jp", "first..last@mobile.example.ne.jp"),
    ("name.@mobile.example.ne.jp", "name.@mobile.example.ne.jp"),
    (".name@mobile.example.ne.jp", ".name@mobile.example.ne.jp"),
    ("用户@büro.local", "用户@xn--bro-hoa.local"),
]


@pytest.mark.parametrize(("given_address", "normalised"), RELAY_ONLY)
def test_what_only_a_relay_may_know_is_taken_where_the_relay_decides(given_address: str, normalised: str) -> None:
    with pytest.raises(ValidationError):
        EmailAddress().deserialize(given_address)
    with email_addresses.rules(MailAddresses.RELAY):
        assert EmailAddress().deserialize(given_address) == normalised
        assert EmailAddress().deserialize(normalised) == normalised


@pytest.mark.parametrize(("given_address", "normalised"), EMAILS)
def test_a_relay_gets_the_addresses_of_the_internet_in_the_same_form(given_address: str, normalised: str) -> None:
    with email_addresses.rules(MailAddresses.RELAY):
        assert EmailAddress().deserialize(given_address) == normalised


@pytest.mark.parametrize(
    "text",
    [
        "corp.local",
        "@corp.local",
        "...@corp.local",
        "a@",
        "a@.local",
        "a@corp..local",
        "a@-corp.local",
        "a@corp-.local",
        "a b@corp.local",
        "a@b@corp.local",
        "a\r\nRCPT TO:<x>@corp.local",
        "a@corp.local>",
        f"{'a' * 65}@corp.local",
        f"a@{'b' * 64}.local",
        f"a@{'.'.join(['b' * 50] * 6)}",
        f"a@{'例' * 245}",
    ],
)
def test_what_no_server_could_know_is_refused_by_a_relay_too(text: str) -> None:
    with email_addresses.rules(MailAddresses.RELAY), pytest.raises(ValidationError):
        EmailAddress().deserialize(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("\u202damina@example.com\u202c", "character 1 is U+202D"),
        ("amina@exa\u200bmple.com", "character 10 is U+200B"),
        ("amina@example.com\ufeff", "character 18 is U+FEFF"),
    ],
)
def test_an_invisible_character_in_an_address_is_named(text: str, named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        EmailAddress().deserialize(text)

    assert named in str(refused.value)


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
    assert content_size(text) == len(content)


@given(st.text(st.sampled_from("AB+/=-_ \n"), min_size=1, max_size=12))
def test_any_text_taken_as_base64_can_be_decoded_strictly(text: str) -> None:
    try:
        Base64("a file").deserialize(text)
    except ValidationError:
        return
    assert len(base64.b64decode(text, validate=True)) == content_size(text)


@pytest.mark.parametrize("dot", [".", "。", "．", "｡"])
@pytest.mark.parametrize("label", ["漢" * 64, "漢" * 245, "x" * 64, "é" * 200, "e\u0301" * 64])
def test_a_label_that_no_name_server_takes_is_refused_before_it_is_encoded(label: str, dot: str) -> None:
    with pytest.raises(ValidationError, match=r"characters of 63 at most between two dots"):
        EmailAddress().normalised(f"a@www{dot}{label}{dot}com")


def test_a_domain_of_many_short_labels_is_refused_before_it_is_encoded_too() -> None:
    with pytest.raises(ValidationError, match="the domain is too long"):
        EmailAddress().normalised("a@" + "漢." * 127 + "com")


def test_labels_that_encode_to_63_characters_are_taken_composed_or_not() -> None:
    composed, decomposed = "각" * 25, "\u1100\u1161\u11a8" * 25

    assert EmailAddress().normalised(f"a@{decomposed}.com") == EmailAddress().normalised(f"a@{composed}.com")
    assert EmailAddress().normalised("a@" + "x" * 63 + ".com") == "a@" + "x" * 63 + ".com"


def test_what_was_refused_before_is_refused_again_in_the_words_of_the_field_and_nothing_else_is() -> None:
    first, other = EmailAddress(), EmailAddress("an address of ours")
    messages = []
    for field in (first, first, other):
        with pytest.raises(ValidationError) as error:
            field.normalised("no address")
        messages.append(str(error.value.messages[0]))

    assert messages[0] == messages[1]
    assert messages[2].startswith("must be an address of ours")
    with email_addresses.rules(MailAddresses.RELAY):
        assert first.normalised("amina@corp") == "amina@corp"
    with pytest.raises(ValidationError):
        first.normalised("amina@corp")
