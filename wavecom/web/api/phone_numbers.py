"""Phone numbers as a request gives them, and their one form (E.164) that is stored, sent to and searched for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import phonenumbers
from marshmallow import ValidationError

from wavecom.web.api.field_errors import FieldErrorCode, refusal
from wavecom.web.api.fields import DocumentedField, control_character, whole_pattern
from wavecom.web.api.invisible import INVISIBLE, code_point

#: Blanks, hyphens and dashes of any width that people and programs write between digits (Unicode categories Zs and Pd).
_SEPARATORS = " ().\\-/\u00a0\u2000-\u200a\u202f\u205f\u3000\u2010-\u2015\u2212\ufe63\uff0d"
#: What may stand before the +, as in "(+44) 7700 900123": blanks that were copied along, and an opening bracket.
_BEFORE = " (\u00a0\u2000-\u200a\u202f\u205f\u3000"
_NOT_A_DIGIT = re.compile("[^0-9]+")
_LENGTH_LIMIT = 128


class Phone(DocumentedField[str]):
    """A phone number with country code; comes out in E.164 form, without separators and invisible characters.

    The digits are those that were given, but for a trunk zero after the country code, as in +44 (0)7700 900123. What
    phonenumbers would turn into yet another number is refused: it would reach somebody else.
    """

    _FORM = re.compile(rf"[{_BEFORE}]{{0,10}}\+[0-9][0-9{_SEPARATORS}]{{2,40}}")

    def __init__(self, must: str = "a phone number in E.164 form, such as +447700900123", **options: Any) -> None:
        super().__init__(must, **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        # Wider than the field: a pattern that names every dash and invisible character would help nobody.
        return {
            "type": "string",
            "maxLength": _LENGTH_LIMIT,
            "pattern": whole_pattern(r"[^0-9A-Za-z+]*\+[^A-Za-z+]{3,}"),
        }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        return self.normalised(value)

    def normalised(self, value: str) -> str:
        """The one form of the number that is stored, sent to and searched for. Raises ``ValidationError``."""
        if is_plain_e164(value):
            return value
        if not value or value.isspace():
            raise refusal(FieldErrorCode.EMPTY, "must not be empty")
        if field_error := control_character(value[:_LENGTH_LIMIT], is_line=True):
            raise ValidationError(field_error)
        visible = INVISIBLE.sub("", value) if len(value) <= _LENGTH_LIMIT else value
        if not self._FORM.fullmatch(visible):
            raise self.invalid(_what_a_phone_number_lacks(visible))
        digits = _NOT_A_DIGIT.sub("", visible)
        try:
            number = phonenumbers.parse(f"+{digits}", None)
        except phonenumbers.NumberParseException as error:
            reason = _PARSE_FAULTS.get(error.error_type, "it has too few or too many digits")
            raise self.invalid(reason) from None
        result = phonenumbers.is_possible_number_with_reason(number)
        if result != phonenumbers.ValidationResult.IS_POSSIBLE:
            reason = _LENGTH_FAULTS.get(result, "it has too few or too many digits for its country")
            raise self.invalid(reason)
        normalised = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if not _is_same_number(digits, normalised[1:], len(str(number.country_code))):
            raise self.invalid(f"dialled from abroad these digits would be {normalised}; if that is meant, write it so")
        return normalised


def _is_same_number(given: str, normalised: str, code_length: int) -> bool:
    """Whether ``normalised`` has the digits that were ``given``, or all but a trunk zero after the country code."""
    if given == normalised:
        return True
    code, rest = given[:code_length], given[code_length:]
    return rest.startswith("0") and code + rest[1:] == normalised


_PLAIN = re.compile(r"\+[1-9][0-9]{6,14}")


def is_plain_e164(value: str) -> bool:
    """Whether ``value`` is certainly its own E.164 form, by the tables of phonenumbers but without its detours.

    Its own parser takes as long as everything else about an SMS together. False means only: ask that.
    """
    if not _PLAIN.fullmatch(value):
        return False
    # No country code is the beginning of another one.
    plan = _plan(value[1:2]) or _plan(value[1:3]) or _plan(value[1:4])
    return plan is not None and plan.takes(value)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which numbers of a country code are written as they are dialled from abroad."""

    code_length: int
    lengths: frozenset[int]
    prefix: re.Pattern[str] | None

    def takes(self, value: str) -> bool:
        """Whether this number of ours, in E.164 form but for its sense, is one of them."""
        start = 1 + self.code_length
        # A leading zero may be a trunk prefix or belong to the number: only the library knows.
        return (
            len(value) - start in self.lengths
            and value[start] != "0"
            and (self.prefix is None or self.prefix.match(value, start) is None)
        )


@cache
def _plan(code: str) -> _Plan | None:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code))
    if regions is None:
        return None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), regions[0])
    if metadata is None or metadata.general_desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    return _Plan(len(code), frozenset(metadata.general_desc.possible_length), re.compile(prefix) if prefix else None)


_PARSE_FAULTS = {
    phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: "no country has this code",
    phonenumbers.NumberParseException.TOO_SHORT_AFTER_IDD: "it has too few digits",
    phonenumbers.NumberParseException.TOO_SHORT_NSN: "it has too few digits",
    phonenumbers.NumberParseException.TOO_LONG: "it has too many digits",
}
_LENGTH_FAULTS = {
    phonenumbers.ValidationResult.TOO_SHORT: "it has too few digits for its country",
    phonenumbers.ValidationResult.TOO_LONG: "it has too many digits for its country",
    phonenumbers.ValidationResult.INVALID_COUNTRY_CODE: "no country has this code",
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "it has too few digits, or the area code is missing",
}


def _what_a_phone_number_lacks(value: str) -> str:
    """Why ``value``, without invisible characters, has not the form of a number; empty: there is no more to say."""
    if value.startswith("00"):
        return "write + instead of 00"
    if re.fullmatch(f"[0-9{_SEPARATORS}]{{3,40}}", value):
        return "begin with + and the country code"
    foreign = re.search(f"[^\\x00-\\x7f{_SEPARATORS}]", value[:_LENGTH_LIMIT])
    named = f"; {foreign[0]} is {code_point(foreign[0])}" if foreign else ""
    return f"use digits only{named}" if value.startswith("+") or named else ""
