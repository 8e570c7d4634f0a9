"""``metadata``: what the client wants to find its notification by."""

from __future__ import annotations

from typing import Any

from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import SAFE_INTEGER, KeyedValues, control_character, text_error, text_schema
from wavecom.web.api.shapes import Shape, as_dict

METADATA_VALUE = Shape(
    "MetadataValue",
    {
        "anyOf": [
            {"type": "string"},
            {"type": "number", "minimum": -SAFE_INTEGER, "maximum": SAFE_INTEGER},
            {"type": "boolean"},
        ]
    },
)


class Metadata(KeyedValues):
    """The client's own labels: flat, small, of texts, numbers and booleans."""

    KEY_LIMIT = 64

    def __init__(self, **options: Any) -> None:
        super().__init__(
            "an object of at most 50 texts, numbers and booleans", max_items=50, max_bytes=8 * 1024, **options
        )

    def name_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        return text_schema(self.KEY_LIMIT)

    def item_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        return as_dict(METADATA_VALUE)

    def error_of(self, name: str, item: object) -> FieldError | None:
        """See ``KeyedValues``."""
        if field_error := text_error(name, self.KEY_LIMIT):
            return FieldError(field_error.code, f"has a name that {field_error}")
        match item:
            case str():
                # An empty value says something; a control character never does.
                return control_character(item, is_line=False)
            case bool():
                return None
            case int() | float():
                # Floats too: orjson makes one of an integer that is beyond 64 bits.
                return None if abs(item) <= SAFE_INTEGER else FieldError(FieldErrorCode.OUT_OF_RANGE, _UNSAFE)
            case _:
                return FieldError(
                    FieldErrorCode.WRONG_TYPE, "must be a text, a number or a boolean, not nested and not null"
                )


_UNSAFE = f"must be from -{SAFE_INTEGER} to {SAFE_INTEGER}; write longer numbers as text"
