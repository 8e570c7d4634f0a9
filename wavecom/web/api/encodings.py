"""Fields for bytes inside JSON."""

from __future__ import annotations

import binascii
import re
from typing import Any

from wavecom.web.api.fields import DocumentedField


class Base64(DocumentedField[str]):
    """Bytes in standard base64 (RFC 4648 section 4), or none; comes out as it came.

    ``core.attachments.content_size`` says how many bytes it holds.
    """

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "contentEncoding": "base64", "pattern": "^(?:[A-Za-z0-9+/]+={0,2})?$"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if len(value) % 4:
            # Python 3.11 takes a padding sign too many, even when it is strict.
            raise self.invalid(_what_spoils_base64(value))
        try:
            binascii.a2b_base64(value, strict_mode=True)
        except ValueError:
            raise self.invalid(_what_spoils_base64(value)) from None
        return value


def _what_spoils_base64(value: str) -> str:
    if value.startswith("data:"):
        return "leave out the data: prefix up to the comma"
    if "\n" in value or "\r" in value or " " in value:
        return "leave out line breaks and spaces"
    if "-" in value or "_" in value:
        return "use + and / instead of - and _"
    if len(value) % 4:
        return "it is cut off or lacks its padding (=)"
    return ""


class Base64Url(DocumentedField[str]):
    """Exactly ``size`` bytes in URL-safe base64 (RFC 4648 section 5), padded or not; comes out without padding."""

    def __init__(self, must: str, *, size: int, first_byte: int | None = None, **options: Any) -> None:
        super().__init__(must, **options)
        self._size = size
        self._first_byte = first_byte

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        digits = -(-self._size * 4 // 3)
        return {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{{digits}}}=*$"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        bare = value.rstrip("=")
        # Four more than the exact length is enough to see that it is not that.
        if not re.fullmatch(r"[A-Za-z0-9_-]+", bare[: self._size * 2]) or len(bare) > self._size * 2:
            raise self.invalid()
        try:
            held = binascii.a2b_base64(bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4))
        except binascii.Error:
            raise self.invalid() from None
        if len(held) != self._size or (self._first_byte is not None and held[0] != self._first_byte):
            raise self.invalid()
        return bare
