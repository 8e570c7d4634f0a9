"""marshmallow fields that say how to put right what is wrong. ``must`` completes "must be …".

Each is built once, at start, and used by many threads; each refuses with every error it finds at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import orjson
from marshmallow import ValidationError, fields
from marshmallow.schema import Schema
from marshmallow.types import ErrorMessages

from wavecom.web.api.field_errors import FieldError, FieldErrorCode, nearest, refusal
from wavecom.web.api.invisible import code_point

T = TypeVar("T")
EnumT = TypeVar("EnumT", bound=StrEnum)
FieldErrors = dict[Any, Any]

#: Integers beyond this are not the same in every JSON reader (RFC 8259 section 6).
SAFE_INTEGER = 2**53 - 1

_CONTROLS_OF_LINES = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_CONTROLS_OF_TEXT = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_NOT_IN_A_LINE = re.compile(rf"[{_CONTROLS_OF_LINES}\ud800-\udfff]")
_NOT_IN_TEXT = re.compile(rf"[{_CONTROLS_OF_TEXT}\ud800-\udfff]")


class DocumentedField(fields.Field[T], Generic[T]):
    """Base of all fields here: knows what its value must be."""

    def __init__(self, must: str, **options: Any) -> None:
        self.must = must
        messages: ErrorMessages = {
            "required": FieldError(FieldErrorCode.REQUIRED, f"is missing; it must be {must}"),
            "null": FieldError(FieldErrorCode.WRONG_TYPE, f"must be {must}, not null"),
        }
        super().__init__(error_messages=messages, metadata={"description": must.capitalize()}, **options)

    def json_schema(self) -> dict[str, Any]:
        """What the field takes, as JSON Schema: as exactly as that can say it, never narrower than the field.

        Null and the description are added by ``openapi.py``. marshmallow schemas may stand where a schema may.
        """
        raise NotImplementedError

    def wrong_type(self, value: object) -> ValidationError:
        """For a value that is not even of the right JSON type."""
        return refusal(FieldErrorCode.WRONG_TYPE, f"must be {self.must}, not {json_type(value)}")

    def invalid(self, why: str = "") -> ValidationError:
        """For a value of the right type but in the wrong form."""
        return refusal(FieldErrorCode.INVALID, f"must be {self.must}{': ' if why else ''}{why}")


def json_type(value: object) -> str:
    """What a reader of JSON calls the value."""
    match value:
        case bool():
            return "a boolean"
        case int():
            return "a number"
        case float():
            return "a number with a fraction"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "null"


def control_character(text: str, *, is_line: bool) -> FieldError | None:
    """The error of the first character that must not be in a line, or in a text of lines; None when all are fit."""
    found = (_NOT_IN_A_LINE if is_line else _NOT_IN_TEXT).search(text)
    if found is None:
        return None
    allowed = "" if is_line else " other than line breaks and tabs"
    return FieldError(
        FieldErrorCode.CONTROL_CHARACTER,
        f"must not contain control characters{allowed}; character {found.start() + 1} is {code_point(found[0])}",
    )


#: Tools make one expression of a pattern and a length; for long texts they take seconds to compile that.
_LONGEST_PATTERN = 256


def text_schema(max_length: int, *, is_line: bool = True, pattern: str | None = None) -> dict[str, Any]:
    """What ``text_error`` takes, as JSON Schema; with a ``pattern``, what the whole text must match besides."""
    if pattern is not None:
        return {"type": "string", "minLength": 1, "maxLength": max_length, "pattern": whole_pattern(pattern)}
    if max_length > _LONGEST_PATTERN:
        # From the beginning on: some readers of patterns look nowhere else.
        return {"type": "string", "minLength": 1, "maxLength": max_length, "pattern": r"^[\s\S]*\S"}
    # In words that every dialect of regular expressions has: at least one character that is not white space.
    refused = _CONTROLS_OF_LINES if is_line else _CONTROLS_OF_TEXT
    form = rf"^[^{refused}]*[^\s{refused}][^{refused}]*$"
    return {"type": "string", "minLength": 1, "maxLength": max_length, "pattern": form}


def whole_pattern(pattern: str) -> str:
    """A pattern that JSON Schema, which looks for it anywhere, finds only where it is the whole text."""
    return f"^(?:{pattern})$"


def text_error(value: str, max_length: int, *, is_line: bool = True) -> FieldError | None:
    """What is wrong with a text that must be there, not be too long and be free of control characters."""
    if not value or value.isspace():
        return FieldError(FieldErrorCode.EMPTY, "must not be empty")
    if len(value) > max_length:
        return FieldError(FieldErrorCode.TOO_LONG, f"must have at most {max_length} characters; it has {len(value)}")
    return control_character(value, is_line=is_line)


class Text(DocumentedField[str]):
    """A text of 1 to ``max_length`` characters; of one line unless ``is_line`` is False."""

    def __init__(
        self, must: str, *, max_length: int, is_line: bool = True, pattern: str | None = None, **options: Any
    ) -> None:
        super().__init__(must, **options)
        self.error_messages["null"] = FieldError(FieldErrorCode.WRONG_TYPE, "must be a text, not null")
        self.max_length = max_length
        self._is_line = is_line
        self._pattern = re.compile(pattern) if pattern else None

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return text_schema(
            self.max_length, is_line=self._is_line, pattern=self._pattern.pattern if self._pattern else None
        )

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise refusal(FieldErrorCode.WRONG_TYPE, f"must be a text, not {json_type(value)}")
        if field_error := text_error(value, self.max_length, is_line=self._is_line):
            raise ValidationError(field_error)
        if self._pattern and not self._pattern.fullmatch(value):
            raise self.invalid()
        return value


class Integer(DocumentedField[int]):
    """An integer from ``minimum`` to ``maximum``."""

    def __init__(self, must: str, *, minimum: int, maximum: int, **options: Any) -> None:
        super().__init__(f"{must} from {minimum} to {maximum}", **options)
        self.minimum = minimum
        self.maximum = maximum

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if type(value) is not int:
            raise self.wrong_type(value)
        if not self.minimum <= value <= self.maximum:
            raise refusal(FieldErrorCode.OUT_OF_RANGE, f"must be {self.must}")
        return value


class Boolean(DocumentedField[bool]):
    """True or false."""

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "boolean"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.wrong_type(value)
        return value


class Choice(DocumentedField[EnumT], Generic[EnumT]):
    """One of the words of a ``StrEnum``."""

    def __init__(self, words: Iterable[EnumT], **options: Any) -> None:
        self.words: dict[object, EnumT] = {word.value: word for word in words}
        super().__init__(f"one of {', '.join(map(str, self.words))}", **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "enum": list(self.words)}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> EnumT:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        try:
            return self.words[value]
        except KeyError:
            meant = nearest(value, [str(word) for word in self.words])
            hint = f"; did you mean {meant}?" if meant else ""
            raise refusal(FieldErrorCode.UNKNOWN_VALUE, f"must be {self.must}{hint}") from None


class Timestamp(DocumentedField[datetime]):
    """A time with its offset (RFC 3339); comes out as aware UTC in whole milliseconds."""

    _FORM = re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
        r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
    )

    def __init__(self, **options: Any) -> None:
        super().__init__("a time in RFC 3339 form with its offset, such as 2026-11-23T09:30:00+01:00", **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        # No pattern: generated clients make a time of it first, and then fail to match that against the pattern.
        return {"type": "string", "format": "date-time"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if not self._FORM.fullmatch(value):
            raise self.invalid()
        try:
            moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.invalid("there is no such day or time") from None
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Object(fields.Nested):
    """An object with a schema of its own, which is an instance and shared by all requests."""

    def __init__(self, schema: Schema, must: str, *, other: object = None, **options: Any) -> None:
        self.must = must
        #: Another form that is taken here and read elsewhere, as JSON Schema; None: there is none.
        self.other = other
        messages: ErrorMessages = {
            "required": FieldError(FieldErrorCode.REQUIRED, f"is missing; it must be {must}"),
            "null": FieldError(FieldErrorCode.WRONG_TYPE, f"must be {must}, not null"),
        }
        super().__init__(schema, error_messages=messages, **options)
        self._shared = schema
        self._load_good: Callable[[Any], Any] = getattr(schema, "load_good", schema.load)

    @property
    def schema(self) -> Schema:
        """The instance itself: Nested would copy it, hooks and all."""
        return self._shared

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, dict):
            raise refusal(FieldErrorCode.WRONG_TYPE, f"must be {self.must}, not {json_type(value)}")
        return self._shared.load(value)

    def load_good(self, value: Any, *_: Any) -> Any:
        """See ``BaseSchema.load_good``."""
        return self._load_good(value)


class AnyObject(DocumentedField[dict[str, Any]]):
    """An object whose shape can't be checked, because what decides it is missing or wrong."""

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "object"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong_type(value)
        return value


class Items(fields.List[Any]):
    """A list of ``min_items`` to ``max_items``; every wrong item is named."""

    def __init__(
        self, item: fields.Field[Any], must: str, *, max_items: int, min_items: int = 0, **options: Any
    ) -> None:
        messages: ErrorMessages = {
            "required": FieldError(FieldErrorCode.REQUIRED, f"is missing; it must be {must}"),
            "null": FieldError(FieldErrorCode.WRONG_TYPE, f"must be {must}, not null"),
        }
        super().__init__(item, error_messages=messages, **options)
        self.must = must
        self.max_items = max_items
        self.min_items = min_items

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise refusal(FieldErrorCode.WRONG_TYPE, f"must be {self.must}, not {json_type(value)}")
        if len(value) > self.max_items:
            raise refusal(FieldErrorCode.TOO_MANY, f"must have at most {self.max_items} items; it has {len(value)}")
        if len(value) < self.min_items:
            raise refusal(FieldErrorCode.EMPTY, f"must be {self.must}, and have at least {self.min_items}")
        return super()._deserialize(value, *args, **kwargs)


class KeyedValues(DocumentedField[dict[str, Any]]):
    """An object with free names. Subclasses say what is wrong with one name and value; every wrong one is named."""

    def __init__(self, must: str, *, max_items: int, max_bytes: int | None = None, **options: Any) -> None:
        super().__init__(must, **options)
        self._max_items = max_items
        self._max_bytes = max_bytes

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {
            "type": "object",
            "maxProperties": self._max_items,
            "propertyNames": self.name_schema(),
            "additionalProperties": self.item_schema(),
        }

    def name_schema(self) -> dict[str, Any]:
        """What ``error_of`` takes as a name, as JSON Schema."""
        raise NotImplementedError

    def item_schema(self) -> dict[str, Any]:
        """What ``error_of`` takes as a value, as JSON Schema."""
        raise NotImplementedError

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong_type(value)
        if len(value) > self._max_items:
            raise refusal(FieldErrorCode.TOO_MANY, f"must have at most {self._max_items} entries; it has {len(value)}")
        field_errors: FieldErrors = {}
        for name, item in value.items():
            if field_error := self.error_of(name, item):
                field_errors[name] = [field_error]
        field_errors |= self.errors_among(list(value))
        if field_errors:
            raise ValidationError(field_errors)
        if self._max_bytes is not None and (size := len(orjson.dumps(value))) > self._max_bytes:
            raise refusal(
                FieldErrorCode.TOO_LARGE, f"must take at most {self._max_bytes} bytes as JSON; it takes {size}"
            )
        return {name: self.canonical(name, item) for name, item in value.items()}

    def canonical(self, _name: str, item: Any) -> Any:
        """An entry without an error in the one form in which it is stored."""
        return item

    def error_of(self, name: str, item: object) -> FieldError | None:
        """What is wrong with one entry."""
        raise NotImplementedError

    def errors_among(self, _names: Sequence[str]) -> Mapping[str, list[FieldError]]:
        """What is wrong between entries."""
        return {}
