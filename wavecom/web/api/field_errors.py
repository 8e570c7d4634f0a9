"""What is wrong with a field: a sentence for people with a stable code for programs, and how to list all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from typing import Any

from marshmallow import ValidationError

from wavecom.errors import Problem

#: Looking for the nearest name costs time, which nobody may spend for us by the thousand.
SUGGESTION_LIMIT = 10
_TOKEN_LIMIT = 100


class FieldErrorCode(StrEnum):
    """The codes of single fields; docs/api.md explains each, held equal by a test."""

    REQUIRED = "required"
    WRONG_TYPE = "wrong_type"
    EMPTY = "empty"
    INVALID = "invalid"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_VALUE = "unknown_value"
    UNKNOWN_FIELD = "unknown_field"
    CONTROL_CHARACTER = "control_character"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"
    NOT_ALLOWED = "not_allowed"
    NOT_SERVED = "not_served"


class FieldError(str):
    """A message of marshmallow's that carries its code. The text continues a sentence that begins with the field."""

    __slots__ = ("code",)
    code: FieldErrorCode

    def __new__(cls, code: FieldErrorCode, text: str) -> FieldError:
        field_error = super().__new__(cls, text)
        field_error.code = code
        return field_error

    def format(self, *_args: object, **_kwargs: object) -> FieldError:
        """Itself: marshmallow formats its messages, these are finished (and may contain braces)."""
        return self


def refusal(code: FieldErrorCode, text: str) -> ValidationError:
    """The exception a field raises for a value it can't take."""
    return ValidationError(FieldError(code, text))


def problems(error: ValidationError, *, root: str = "") -> list[Problem]:
    """Every error in ``error``, by JSON pointer (RFC 6901) below ``root``; at most ``Problem.LIMIT``."""
    messages = error.messages if isinstance(error.messages, Mapping) else {"_schema": error.messages}
    return list(islice(_walk(messages, root), Problem.LIMIT))


def _walk(messages: Mapping[Any, Any], where: str) -> Iterator[Problem]:
    for key, value in messages.items():
        place = where if key == "_schema" else f"{where}/{_token(key)}"
        if isinstance(value, Mapping):
            yield from _walk(value, place)
        else:
            for message in value:
                yield Problem(place, str(message), str(getattr(message, "code", FieldErrorCode.INVALID)))


def _token(key: object) -> str:
    text = str(key)
    if len(text) > _TOKEN_LIMIT:
        text = text[:_TOKEN_LIMIT] + "…"
    return text.replace("~", "~0").replace("/", "~1")


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name that was probably meant; capitals and underscores don't count."""
    names = {_plain(each): each for each in known}
    found = get_close_matches(_plain(str(name)[:_TOKEN_LIMIT]), names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
