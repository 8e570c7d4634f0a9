"""Header fields as lines: folded, and with encoded words where the grammar of the field has room for them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from wavecom.core.mail_headers import (
    ENCODED_LINE,
    LONGEST_LINE,
    HeaderKind,
    HeaderValueError,
    canonical,
    is_plain_text,
    kind_of,
)
from wavecom.providers.base import UnsendableError

#: RFC 5322 section 2.1.1: lines should have at most 78 characters; with an encoded word they must not have more.
LINE: Final = ENCODED_LINE
#: The longest encoded word leaves room for the blank before it; what stands around its text takes 12 characters.
_WORD_LENGTH: Final = 75
_WORD_FRAME: Final = len("=?utf-8?b??=")

#: Anything that ends a line or can't be seen, in any reader's eyes.
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

#: Set by us, by the mail's structure or by servers on the way; the message can't.
_OWN: Final = frozenset(
    {"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "return-path"}
    | {"received", "delivered-to", "dkim-signature", "authentication-results"}
)
_OWN_PREFIXES: Final = ("content-", "resent-", "arc-")


def further_fields(headers: Mapping[str, str]) -> Iterator[str]:
    """The fields that the message chose itself, folded. Raises ``UnsendableError``."""
    for name, value in written_headers(headers).items():
        yield field(name, value)


def written_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The same, name to value in ASCII, as an API takes them. Raises ``UnsendableError``."""
    written = {}
    for name, value in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name) or lower in _OWN or lower.startswith(_OWN_PREFIXES):
            raise UnsendableError(f"the header {name[:40]!r} can't be set")
        refuse_controls(value)
        try:
            # As the API has done it; again, because others store jobs too, or did before this release.
            value = canonical(name, value)
        except HeaderValueError as error:
            raise UnsendableError(f"the header {name[:40]!r} must {error}") from None
        written[name] = _written(name, value)
    return written


def _written(name: str, value: str) -> str:
    match kind_of(name):
        case HeaderKind.TEXT:
            return unstructured(name, value)
        case HeaderKind.PHRASES:
            # Each by itself, with room for the comma after it.
            return ", ".join(unstructured(f"{name},", phrase) for phrase in value.split(", "))
        case HeaderKind.LIST_ID:
            phrase, _, list_name = value.rpartition(" ")
            return f"{unstructured(name, phrase)} {list_name}" if phrase else list_name
        case _:
            return value


def refuse_controls(value: str, what: str = "a header") -> None:
    """Raises ``UnsendableError`` for what could break out of its field."""
    if CONTROL.search(value):
        raise UnsendableError(f"{what} holds a control character")


def unstructured(name: str, value: str) -> str:
    """Free text as it may stand in the field ``name``: as it is where every reader gets that back, else encoded."""
    refuse_controls(value)
    if is_plain_text(name, value):
        return value
    return encoded_words(value, LINE - len(name) - 2)


def encoded_words(value: str, room: int = LINE) -> str:
    """RFC 2047: any text in ASCII; readers join the words again without the blanks between them.

    ``room`` is what the line that it begins on has left.
    """
    words = _chunks(value, _bytes_in(room) or _bytes_in(_WORD_LENGTH))
    return " ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in words)


def _bytes_in(length: int) -> int:
    """How many bytes an encoded word of at most so many characters carries; 0 where that is not worth a line."""
    count = (min(length, _WORD_LENGTH) - _WORD_FRAME) // 4 * 3
    return count if count >= 4 else 0


def _chunks(value: str, first: int) -> Iterable[bytes]:
    room = first
    chunks = [b""]
    for character in value:
        encoded = character.encode()
        if len(chunks[-1]) + len(encoded) > room:
            chunks.append(b"")
            room = _bytes_in(_WORD_LENGTH)
        chunks[-1] += encoded
    return chunks


def field(name: str, value: str) -> str:
    """``Name: value``, folded at blanks. Unfolded it is the same again (RFC 5322 section 2.2.3)."""
    lines = [f"{name}:"]
    for word in value.split(" "):
        fits = len(lines[-1]) + 1 + len(word) <= LINE
        # A line of blanks alone would end the header for some readers, so an empty word never begins one; the first
        # word stays beside the name where that is allowed at all.
        is_first = lines == [f"{name}:"] and len(lines[-1]) + 1 + len(word) <= LONGEST_LINE
        if fits or is_first or not word:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    return "\r\n".join(lines)
