"""A mail as bytes: header fields and MIME parts (RFC 5322, 2045–2047, 2231), all in 7 bits and short lines.

By hand, because the standard library takes more than a millisecond for one mail. The tests read each result with the
standard library's parser. Whatever could break out of its header field is refused with ``UnsendableError``.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, encodebytes
from binascii import Error as Base64Error
from binascii import b2a_qp
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import quote

import idna

from wavecom.providers.base import UnsendableError

#: RFC 5322 section 2.1.1: lines should have at most 78 characters and must have at most 998.
_LINE: Final = 76
_LONGEST_LINE: Final = 998
#: UTF-8 bytes that make an encoded word of at most 75 characters (RFC 2047 section 2).
_WORD_BYTES: Final = 45

#: Anything that ends a line or can't be seen, in any reader's eyes.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ADDRESS: Final = re.compile(r'[^\s<>@"(),:;\\\[\]]+@[^\s<>@"(),:;\\\[\]]+')
_PHRASE: Final = re.compile(r"[ !#-\[\]-~]*")
_CONTENT_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*(;[ !-~]*)?")
_SIMPLE_FILENAME: Final = re.compile(r"[A-Za-z0-9!#$&+.^_()\[\]{}@,-]+( [A-Za-z0-9!#$&+.^_()\[\]{}@,-]+)*")

#: Set here, by the mail's structure or by servers on the way; the message can't.
_OWN_HEADERS: Final = frozenset(
    {"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "return-path"}
    | {"received", "delivered-to", "dkim-signature", "authentication-results"}
)
_OWN_PREFIXES: Final = ("content-", "resent-", "arc-")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with an optional name. The domain is in ASCII."""

    address: str
    name: str = ""

    @classmethod
    def parse(cls, value: object, name: object = "") -> Mailbox:
        """From ``"ada@example.org"`` or ``{"email": "ada@example.org", "name": "Ada"}``."""
        if isinstance(value, Mapping):
            return cls.parse(value.get("email"), value.get("name"))
        local, at, domain = str(value or "").rpartition("@")
        if not domain.isascii():
            try:
                domain = idna.encode(domain, uts46=True).decode()
            except idna.IDNAError:
                raise UnsendableError("an address has a domain that is no name") from None
        address = local + at + domain
        if not _ADDRESS.fullmatch(address) or _CONTROL.search(address):
            raise UnsendableError("an address is missing or not an e-mail address")
        return cls(address, str(name or ""))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    def __str__(self) -> str:
        """As it stands in a header field."""
        if not self.name:
            return self.address
        if _CONTROL.search(self.name):
            raise UnsendableError("a name holds a control character")
        if _PHRASE.fullmatch(self.name) and "=?" not in self.name and len(self.name) <= _LINE:
            return f'"{self.name}" <{self.address}>'
        return f"{_encoded_words(self.name)} <{self.address}>"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; ``content`` in base64."""

    filename: str
    content_type: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to one recipient. At least one of ``text`` and ``html`` is given."""

    sender: Mailbox
    recipient: Mailbox
    subject: str
    message_id: str
    date: datetime
    #: A word of letters, digits and - that is this mail's alone; marks the borders of its parts.
    key: str
    text: str | None = None
    html: str | None = None
    reply_to: Mailbox | None = None
    headers: Mapping[str, str] | None = None
    attachments: Sequence[Attachment] = ()

    @property
    def needs_utf8(self) -> bool:
        """An address has letters that only servers with SMTPUTF8 (RFC 6531) take."""
        boxes = (self.sender, self.recipient, self.reply_to)
        return not all(box.address.isascii() for box in boxes if box)

    def as_bytes(self) -> bytes:
        """The whole mail with CRLF line ends. Raises ``UnsendableError``."""
        fields = [
            _field("From", str(self.sender)),
            _field("To", str(self.recipient)),
            _field("Subject", _unstructured(self.subject)),
            _field("Date", format_datetime(self.date)),
            _field("Message-ID", self.message_id),
            *([_field("Reply-To", str(self.reply_to))] if self.reply_to else []),
            *_further_fields(self.headers or {}),
            "MIME-Version: 1.0",
        ]
        content = "\r\n".join(fields).encode() + b"\r\n" + self._body()
        return content if content.endswith(b"\r\n") else content + b"\r\n"

    def _body(self) -> bytes:
        texts = [
            _text_part(kind, text) for kind, text in (("plain", self.text), ("html", self.html)) if text is not None
        ]
        body = texts[0] if len(texts) == 1 else _multipart("alternative", f"{self.key}_a", texts)
        if not self.attachments:
            return body
        return _multipart("mixed", f"{self.key}_m", [body, *map(_file_part, self.attachments)])


def _multipart(kind: str, key: str, parts: Iterable[bytes]) -> bytes:
    # "=_" stands in no base64 and no quoted-printable, so no part can hold the boundary.
    border = f"=_{key}".encode()
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind.encode(), border)
    return head + b"".join(b"--%s\r\n%s\r\n" % (border, part) for part in parts) + b"--%s--\r\n" % border


def _text_part(kind: str, text: str) -> bytes:
    raw = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    encoding, encoded = b"quoted-printable", b2a_qp(raw)
    if len(encoded) > len(raw) * 1.4:  # where base64 is shorter; few readers of the source can read either
        encoding, encoded = b"base64", encodebytes(raw.replace(b"\n", b"\r\n"))
    head = b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n" % (kind.encode(), encoding)
    return head + encoded.replace(b"\n", b"\r\n")


def _file_part(attachment: Attachment) -> bytes:
    content_type = attachment.content_type
    if not _CONTENT_TYPE.fullmatch(content_type) or content_type.lower().startswith(("multipart/", "message/")):
        raise UnsendableError("an attachment's content type is not one of a single file")
    try:
        raw = b64decode(attachment.content, validate=True)
    except (Base64Error, ValueError):
        raise UnsendableError("an attachment is not base64") from None
    head = "\r\n".join(
        [
            _field("Content-Type", content_type),
            "Content-Transfer-Encoding: base64",
            f"Content-Disposition: attachment;\r\n {';'.join(_filename(attachment.filename))}",
        ]
    )
    return head.encode() + b"\r\n\r\n" + encodebytes(raw).replace(b"\n", b"\r\n")


def _filename(name: str) -> Iterator[str]:
    """The parameter ``filename``; what is long or not plain ASCII in numbered pieces (RFC 2231 section 4.1)."""
    if _CONTROL.search(name):
        raise UnsendableError("an attachment's name holds a control character")
    if len(name) <= 60 and _SIMPLE_FILENAME.fullmatch(name):
        yield f'filename="{name}"'
        return
    pieces = ["utf-8''"]
    for character in name:
        encoded = quote(character, safe="")
        if len(pieces[-1]) + len(encoded) > _LINE - len(" filename*999*=;"):
            pieces.append("")
        pieces[-1] += encoded
    if len(pieces) == 1:
        yield f"filename*={pieces[0]}"
        return
    for number, piece in enumerate(pieces):
        yield ("\r\n " if number else "") + f"filename*{number}*={piece}"


# --- Header fields ------------------------------------------------------------------------------------------------


def _further_fields(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name) or lower in _OWN_HEADERS or lower.startswith(_OWN_PREFIXES):
            raise UnsendableError(f"the header {name[:40]!r} can't be set")
        yield _field(name, _unstructured(value, keeps_ascii=True))


def _unstructured(value: str, *, keeps_ascii: bool = False) -> str:
    """Text as it may stand in a header field; ``keeps_ascii`` for fields whose ASCII has a grammar of its own."""
    if _CONTROL.search(value):
        raise UnsendableError("a header holds a control character")
    is_plain = value.isascii() and (keeps_ascii or ("=?" not in value and value == value.strip()))
    longest_word = max(map(len, value.split(" ")), default=0)
    if is_plain and longest_word < _LONGEST_LINE:
        return value
    return _encoded_words(value)


def _encoded_words(value: str) -> str:
    """RFC 2047: any text in ASCII; readers join the words again without the blanks between them."""
    chunks = [b""]
    for character in value:
        encoded = character.encode()
        if len(chunks[-1]) + len(encoded) > _WORD_BYTES:
            chunks.append(b"")
        chunks[-1] += encoded
    return " ".join(f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in chunks)


def _field(name: str, value: str) -> str:
    """``Name: value``, folded at blanks. Unfolded it is the same again (RFC 5322 section 2.2.3)."""
    lines = [f"{name}:"]
    for word in value.split(" "):
        fits = len(lines[-1]) + 1 + len(word) <= _LINE
        # A line of blanks alone would end the header for some readers, so an empty word never begins one; the first
        # word stays beside the name where that is allowed at all.
        is_first = lines == [f"{name}:"] and len(lines[-1]) + 1 + len(word) <= _LONGEST_LINE
        if fits or is_first or not word:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    return "\r\n".join(lines)
