"""Fields that say whom or where: each comes out in the one form that is stored, sent to and searched for."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from marshmallow import ValidationError
from marshmallow.schema import Schema

from wavecom.web.api.faults import FaultCode, refusal
from wavecom.web.api.fields import Explained, Object, control_character, text_fault, whole_pattern


class EmailAddress(Explained[str]):
    """An address (RFC 5321, 6531); comes out with its domain in lower case and ASCII, so that any server takes it."""

    _LENGTH_LIMIT = 320

    def __init__(self, must: str = "an e-mail address, such as amina@example.com", **options: Any) -> None:
        super().__init__(must, **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``Explained``."""
        return {"type": "string", "format": "idn-email", "minLength": 3, "maxLength": self._LENGTH_LIMIT}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        return self.normalised(value)

    def normalised(self, value: str) -> str:
        """The one form of the address that is stored, sent to and searched for. Raises ``ValidationError``."""
        if not value or value.isspace():
            raise refusal(FaultCode.EMPTY, "must not be empty")
        if len(value) > self._LENGTH_LIMIT:
            raise refusal(FaultCode.TOO_LONG, f"must have at most 254 characters; it has {len(value)}")
        if fault := control_character(value, is_line=True):
            raise ValidationError(fault)
        try:
            # test_environment: the sandbox's magic recipients live in .test.
            address = validate_email(value, check_deliverability=False, test_environment=True, strict=True)
        except EmailNotValidError as error:
            raise self.invalid(str(error)) from None
        return f"{address.local_part}@{address.ascii_domain}"


class Phone(Explained[str]):
    """A phone number with country code; comes out in E.164 form, without the usual separators."""

    _FORM = re.compile(r"\+[0-9][0-9 ().\-/]{2,40}")

    def __init__(self, must: str = "a phone number in E.164 form, such as +447700900123", **options: Any) -> None:
        super().__init__(must, **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``Explained``."""
        return {"type": "string", "pattern": whole_pattern(self._FORM.pattern)}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        return self.normalised(value)

    def normalised(self, value: str) -> str:
        """The one form of the number that is stored, sent to and searched for. Raises ``ValidationError``."""
        if is_plain_e164(value):
            return value
        if not value or value.isspace():
            raise refusal(FaultCode.EMPTY, "must not be empty")
        if fault := control_character(value[:64], is_line=True):
            raise ValidationError(fault)
        if not self._FORM.fullmatch(value):
            raise self.invalid(_what_a_phone_number_lacks(value))
        try:
            number = phonenumbers.parse(value, None)
        except phonenumbers.NumberParseException as error:
            reason = _PARSE_FAULTS.get(error.error_type, "it has too few or too many digits")
            raise self.invalid(reason) from None
        result = phonenumbers.is_possible_number_with_reason(number)
        if result != phonenumbers.ValidationResult.IS_POSSIBLE:
            reason = _LENGTH_FAULTS.get(result, "it has too few or too many digits for its country")
            raise self.invalid(reason)
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


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
    if value.startswith("00"):
        return "write + instead of 00"
    if re.fullmatch(r"[0-9 ().\-/]{3,40}", value):
        return "begin with + and the country code"
    if value.startswith("+"):
        return "use digits only"
    return ""


class Recipient(Object):
    """An object whose ``address`` is normalised; what was sent is kept as ``asSent`` where it differs."""

    def __init__(self, schema: Schema, must: str, *, address: str, **options: Any) -> None:
        super().__init__(schema, must, **options)
        self._address = address

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self._with_sent(super()._deserialize(value), value)

    def load_good(self, value: Any, *_: Any) -> Any:
        """See ``BaseSchema.load_good``."""
        return self._with_sent(super().load_good(value), value)

    def _with_sent(self, loaded: Any, value: Any) -> Any:
        if loaded[self._address] != value[self._address]:
            loaded["asSent"] = value[self._address]
        return loaded


class Mailbox(Explained[Any]):
    """An address as text, or an object with ``email`` and ``name``; comes out in the shape it came in."""

    def __init__(self, schema: Schema, **options: Any) -> None:
        super().__init__(
            'an e-mail address, or an object such as {"email": "bank@example.com", "name": "Bank"}', **options
        )
        self._schema = schema
        self._address = EmailAddress()

    def json_schema(self) -> dict[str, Any]:
        """See ``Explained``."""
        return {"anyOf": [self._address.json_schema(), self._schema]}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, dict):
            return self._schema.load(value)
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if "<" in value:
            raise self.invalid("a name goes into the object, not into the text")
        return self._address.normalised(value)


class Url(Explained[str]):
    """An absolute URL with a host. ``schemes`` None: any that opens an app, save those that run or read something."""

    _SCHEME = "[A-Za-z][A-Za-z0-9+.-]*"
    _REST = r"://[!#-;=?-\[\]_a-z~]+"
    _FORM = re.compile(f"({_SCHEME}){_REST}")
    _LENGTH_LIMIT = 2048
    _NEVER = frozenset({"javascript", "data", "vbscript", "file", "about", "blob"})

    def __init__(self, must: str, *, schemes: Collection[str] | None = ("https",), **options: Any) -> None:
        super().__init__(must, **options)
        self._schemes = schemes

    def json_schema(self) -> dict[str, Any]:
        """See ``Explained``."""
        scheme = "".join
        forms = [scheme(f"[{letter.upper()}{letter}]" for letter in name) for name in sorted(self._schemes or ())]
        beginning = f"(?:{'|'.join(forms)})" if forms else self._SCHEME
        return {
            "type": "string",
            "format": "uri",
            "maxLength": self._LENGTH_LIMIT,
            "pattern": whole_pattern(beginning + self._REST),
        }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if fault := text_fault(value, self._LENGTH_LIMIT):
            raise ValidationError(fault)
        form = self._FORM.fullmatch(value)
        if not form:
            raise self.invalid()
        scheme = form[1].lower()
        if scheme in self._NEVER or (self._schemes is not None and scheme not in self._schemes):
            raise self.invalid()
        try:
            parts = urlsplit(value)
            has_good_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            raise self.invalid("its host or port is wrong") from None
        if not has_good_host:
            raise self.invalid("its host or port is wrong")
        if parts.username is not None or parts.password is not None:
            raise self.invalid("it must not contain a user name or password")
        return value
