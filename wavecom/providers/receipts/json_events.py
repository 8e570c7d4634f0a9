"""Reading events in JSON that may hold anything: what isn't there, or is of another kind, is None."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from wavecom.core.job import JobId
from wavecom.core.receipts import UnreadableReceiptError

#: Characters kept of a provider's words and names, and of a recipient: "Name <address>", where an address has up to 254
#: (RFC 5321, section 4.5.3.1.3). One that was cut would be somebody else's, or nobody's.
LONGEST_TEXT: Final = 400


def content_of(body: bytes | str) -> Any:
    """The JSON in it. Raises ``UnreadableReceiptError``."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableReceiptError("not JSON") from None


def object_of(body: bytes | str) -> Mapping[str, Any]:
    """The JSON object in it. Raises ``UnreadableReceiptError``."""
    content = content_of(body)
    if not isinstance(content, dict):
        raise UnreadableReceiptError("no JSON object")
    return content


def value_at(event: object, *steps: str | int) -> Any:
    """What ``event`` holds at a place (``"mail", "tags", "job", 0``)."""
    found: Any = event
    for step in steps:
        try:
            found = found[step]
        except (LookupError, TypeError):
            return None
    return found


def text_at(event: object, *steps: str | int) -> str | None:
    """The same where it is a text or a number, without what can't be printed; None where that leaves nothing."""
    found = value_at(event, *steps)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    text = str(found)[:LONGEST_TEXT]
    return "".join(character for character in text if character.isprintable()) or None


def job_id_at(event: object, *steps: str | int) -> JobId | None:
    """Our name for the message, where the provider gives it back."""
    found = text_at(event, *steps)
    return None if found is None else JobId(found)


def time_at(event: object, *steps: str | int) -> datetime | None:
    """A time that ``event`` holds at a place; see ``time_of``."""
    return time_of(value_at(event, *steps))


def time_of(found: object) -> datetime | None:
    """A time, aware UTC, of seconds since 1970 or of RFC 3339; None for anything else."""
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(found, int | float) and not isinstance(found, bool):
            return datetime.fromtimestamp(found, UTC)
        if isinstance(found, str):
            at = datetime.fromisoformat(found)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return None


def unix_time(text: str) -> datetime | None:
    """A time of digits: seconds since 1970."""
    return time_of(int(text)) if text.isascii() and text.isdigit() and len(text) <= 12 else None
