"""JSON pointers (RFC 6901) as options, and what they point to."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from marshmallow import ValidationError, fields

_POINTER: Final = re.compile(r"(/([^~/]|~[01])*)*")
_INDEX: Final = re.compile(r"0|[1-9][0-9]*")


class JsonPointer(fields.Field[str]):
    """A pointer as a text; ``""`` is the whole document."""

    def _deserialize(self, value: object, *_args: Any, **_named: Any) -> str:
        if not isinstance(value, str) or not _POINTER.fullmatch(value):
            raise ValidationError('must be a JSON pointer (RFC 6901) such as "/message/status"')
        return value


def pointed_to(document: object, pointer: str) -> Any:
    """The value that ``pointer`` leads to in a document as JSON is read; None where there is none."""
    found: Any = document
    for name in _names(pointer):
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


@lru_cache(maxsize=1024)
def _names(pointer: str) -> tuple[str, ...]:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])
