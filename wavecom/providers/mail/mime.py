"""A mail as bytes: header fields and MIME parts (RFC 5322, 2045–2047, 2231), all in 7 bits and short lines.

By hand, because the standard library takes more than a millisecond for one mail and holds all of it several times. The
tests read each result with the standard library's parser. Whatever could break out of its header field is refused with
``UnsendableError``.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final

import idna

from wavecom.providers.base import UnsendableError
from wavecom.providers.mail.headers import (
    CONTROL,
    LINE,
    encoded_words,
    field,
    further_fields,
    refuse_controls,
    unstructured,
)
from wavecom.providers.mail.parts import EncodedFile, MailAttachment, file_part

_ADDRESS: Final = re.compile(r'[^\s<>@"(),:;\\\[\]]+@[^\s<>@"(),:;\\\[\]]+')
_PHRASE: Final = re.compile(r"[ !#-\[\]-~]*")
_METHOD: Final = re.compile(r"[A-Z-]+")


def _quoted(local: str) -> str:
    """The part before the @-sign as RFC 5321 section 4.1.2 wants it: quoted where its dots are not between letters."""
    return f'"{local}"' if "" in local.split(".") else local


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with an optional name, as it stands in the envelope and in header fields. The domain is in ASCII."""

    address: str
    name: str = ""

    @classmethod
    def parse(cls, value: object, name: object = "") -> Mailbox:
        """From ``"ada@example.org"`` or ``{"email": "ada@example.org", "name": "Ada"}``.

        Raises ``UnsendableError`` for what is no address.
        """
        if isinstance(value, Mapping):
            return cls.parse(value.get("email"), value.get("name"))
        local, at, domain = str(value or "").rpartition("@")
        if not domain.isascii():
            try:
                domain = idna.encode(domain, uts46=True).decode()
            except idna.IDNAError:
                raise UnsendableError("an address has a domain that is no name") from None
        address = local + at + domain
        if not _ADDRESS.fullmatch(address) or CONTROL.search(address):
            raise UnsendableError("an address is missing or not an e-mail address")
        return cls(_quoted(local) + at + domain, str(name or ""))

    @property
    def domain(self) -> str:
        """What stands behind the address's last ``@``."""
        return self.address.rpartition("@")[2]

    def __str__(self) -> str:
        """As it stands in a header field."""
        return self.in_field("Reply-To")

    def in_field(self, header: str) -> str:
        """As it stands in the header field of this name, which it begins."""
        if not self.name:
            return self.address
        refuse_controls(self.name, "a name")
        if _PHRASE.fullmatch(self.name) and "=?" not in self.name and len(self.name) <= LINE:
            return f'"{self.name}" <{self.address}>'
        return f"{encoded_words(self.name, LINE - len(header) - 2)} <{self.address}>"


@dataclass(frozen=True, slots=True)
class CalendarPart:
    """An invitation or what became of one (RFC 6047): ``content`` is iCalendar, ``method`` its METHOD."""

    method: str
    content: str


class MimeContent:
    """A mail as it goes over the wire. Each piece begins a line, so they can be treated and sent one by one."""

    def __init__(self, pieces: Sequence[bytes | EncodedFile], on_end: Callable[[], None] = lambda: None) -> None:
        self._pieces = pieces
        self._on_end = on_end

    @property
    def size(self) -> int:
        """How many bytes the whole content has."""
        return sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in self._pieces)

    def __iter__(self) -> Iterator[bytes]:
        """Piece by piece; files are read when they are reached. ``on_end`` hears that all are through."""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece
        self._on_end()


#: Pieces of one part: its text and, in between, files.
_Part = list[bytes | EncodedFile]


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
    calendar: CalendarPart | None = None
    reply_to: Sequence[Mailbox] = ()
    headers: Mapping[str, str] | None = None
    attachments: Sequence[MailAttachment] = ()

    def content(self, on_end: Callable[[], None] = lambda: None) -> MimeContent:
        """The whole mail with CRLF line ends. Raises ``UnsendableError``."""
        reply_to = ", ".join(box.in_field("Reply-To") for box in self.reply_to)
        fields = [
            field("From", self.sender.in_field("From")),
            field("To", self.recipient.in_field("To")),
            field("Subject", unstructured("Subject", self.subject)),
            field("Date", format_datetime(self.date)),
            field("Message-ID", self.message_id),
            *([field("Reply-To", reply_to)] if reply_to else []),
            *further_fields(self.headers or {}),
            "MIME-Version: 1.0",
        ]
        pieces = _joined(["\r\n".join(fields).encode() + b"\r\n", *self._body()])
        last = pieces[-1]
        if isinstance(last, bytes) and not last.endswith(b"\r\n"):
            pieces[-1] = last + b"\r\n"
        return MimeContent(pieces, on_end)

    def _body(self) -> _Part:
        alternatives: list[_Part] = []
        if self.text is not None:
            alternatives.append([_text_part("plain", self.text)])
        if self.html is not None:
            images = [_file(each) for each in self.attachments if each.content_id is not None]
            html: _Part = [_text_part("html", self.html)]
            alternatives.append(
                _multipart('related; type="text/html"', f"{self.key}_r", [html, *images]) if images else html
            )
        if self.calendar is not None:
            alternatives.append([_calendar_part(self.calendar)])
        body = alternatives[0] if len(alternatives) == 1 else _multipart("alternative", f"{self.key}_a", alternatives)
        files = [_file(each) for each in self.attachments if each.content_id is None or self.html is None]
        return _multipart("mixed", f"{self.key}_m", [body, *files]) if files else body


def _joined(part: _Part) -> _Part:
    """The same in as few pieces as can be: a border and the header fields after it belong together."""
    joined: _Part = []
    for piece in part:
        if joined and isinstance(piece, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _multipart(kind: str, key: str, parts: Sequence[_Part]) -> _Part:
    # "=_" stands in no base64 and no quoted-printable, so no part can hold the boundary.
    border = f"=_{key}".encode()
    subtype, _, parameter = kind.partition(";")
    further = f"{parameter};".encode() if parameter else b""
    whole: _Part = [b'Content-Type: multipart/%s;%s\r\n boundary="%s"\r\n\r\n' % (subtype.encode(), further, border)]
    for part in parts:
        whole += [b"--%s\r\n" % border, *part, b"\r\n"]
    return [*whole, b"--%s--\r\n" % border]


def _file(attachment: MailAttachment) -> _Part:
    return list(file_part(attachment))


def _calendar_part(calendar: CalendarPart) -> bytes:
    if not _METHOD.fullmatch(calendar.method):
        raise UnsendableError("an invitation's method is not one of iTIP's")
    return _text_part(f"calendar; method={calendar.method}", calendar.content)


def _text_part(kind: str, text: str) -> bytes:
    raw = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    encoding, encoded = b"quoted-printable", b2a_qp(raw)
    if len(encoded) > len(raw) * 1.4:  # where base64 is shorter; few readers of the source can read either
        encoding, encoded = b"base64", encodebytes(raw.replace(b"\n", b"\r\n"))
    head = b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n" % (kind.encode(), encoding)
    return head + encoded.replace(b"\n", b"\r\n")
