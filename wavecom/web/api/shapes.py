"""What answers look like, as JSON Schema (2020-12): a few words to write it with. Requests have marshmallow schemas."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

Json = dict[str, Any]


class NeverCopied:
    """What nobody changes once it is made: its deep copy is itself.

    flask-smorest and apispec copy all that is noted of a view, several times; that was half of an app's start.
    """

    __slots__ = ()

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self


@dataclass(frozen=True, slots=True)
class Shape(NeverCopied):
    """A schema with a name of its own in the document; may stand inside others wherever a schema may.

    What has no name there gets one from the place where a generator of clients meets it first.
    """

    name: str
    schema: Json


#: Under this name a ``Shape`` is carried through code that takes only dicts for schemas; ``openapi.py`` takes it out.
CARRIED = "x-shape"


def as_dict(shape: Shape) -> Json:
    """``shape`` as a dict: fields of requests give dicts, and apispec takes other schemas for marshmallow's."""
    return {CARRIED: shape}


def record(name: str, fields: Mapping[str, Any], *, optional: Collection[str] = (), description: str = "") -> Shape:
    """An object with exactly these fields, all of them there but the ``optional`` ones."""
    schema: Json = {
        "type": "object",
        "properties": dict(fields),
        "required": [field for field in fields if field not in optional],
        "additionalProperties": False,
    }
    return Shape(name, schema | ({"description": description} if description else {}))


def text(description: str = "", **limits: Any) -> Json:
    """A text; ``limits`` in JSON Schema's own words, such as ``maxLength`` or ``pattern``."""
    return _described({"type": "string", **limits}, description)


def integer(description: str = "", *, minimum: int = 0, **limits: Any) -> Json:
    """The JSON schema of an integer."""
    return _described({"type": "integer", "minimum": minimum, **limits}, description)


def boolean(description: str = "") -> Json:
    """The JSON schema of true or false."""
    return _described({"type": "boolean"}, description)


def enum(words: type[StrEnum] | Collection[str], description: str = "") -> Json:
    """The JSON schema of one of these words."""
    return _described({"type": "string", "enum": [str(each) for each in words]}, description)


def timestamp(description: str = "") -> Json:
    """A time as WaveCom writes it: UTC, milliseconds, Z.

    Without a pattern: generated clients make a time of it first, and then fail to match that against the pattern.
    """
    return _described({"type": "string", "format": "date-time"}, description)


def uuid(description: str = "") -> Json:
    """An id in its usual form."""
    return _described({"type": "string", "format": "uuid"}, description)


def array(item: Any, description: str = "", **limits: Any) -> Json:
    """The JSON schema of a list of ``item``."""
    return _described({"type": "array", "items": item, **limits}, description)


def anything(description: str = "") -> Json:
    """An object with fields of its own."""
    return _described({"type": "object", "additionalProperties": True}, description)


def nullable(schema: Any) -> Json:
    """The JSON schema of ``schema``, or null."""
    if isinstance(schema, Shape):
        return {"anyOf": [schema, {"type": "null"}]}
    opened: Json = {**schema, "type": [schema["type"], "null"]}
    if "enum" in opened:
        opened["enum"] = [*opened["enum"], None]
    return opened


def _described(schema: Json, description: str) -> Json:
    return schema | ({"description": description} if description else {})
