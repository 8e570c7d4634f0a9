"""The parts of a mail beside its texts: files, images inside the HTML, invitations (RFC 2045, 2183, 2231, 2392)."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode, encodebytes
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from wavecom.providers.base import UnsendableError
from wavecom.providers.mail.headers import LINE, field, refuse_controls

_CONTENT_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*(;[ !-~]*)?")
_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~.@-]+")
#: Bytes on a line of base64, and how many lines are encoded at once.
_LINE_BYTES: Final = 57
_STEP: Final = _LINE_BYTES * 1024


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A file's content that is read when it is sent: ``size`` bytes, by ``read``, whose errors pass."""

    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class MailAttachment:
    """A file; ``content`` in base64, or to be read. With a ``content_id`` it is an image that the HTML shows."""

    filename: str
    content_type: str
    content: str | StoredContent
    content_id: str | None = None


class EncodedFile:
    """A file's content in base64 lines, of which only a few are there at a time."""

    def __init__(self, content: str | StoredContent) -> None:
        if isinstance(content, str):
            raw = _decoded(content)
            content = StoredContent(len(raw), lambda: raw)
        self._content = content

    @property
    def size(self) -> int:
        """Bytes of the lines, line ends included."""
        whole, rest = divmod(self._content.size, _LINE_BYTES)
        return whole * 78 + (-(-rest // 3) * 4 + 2 if rest else 0)

    def __iter__(self) -> Iterator[bytes]:
        raw = memoryview(self._content.read())
        for start in range(0, len(raw), _STEP):
            yield encodebytes(raw[start : start + _STEP]).replace(b"\n", b"\r\n")


def file_part(attachment: MailAttachment) -> tuple[bytes, EncodedFile]:
    """Header fields, up to the empty line, and content of one file. Raises ``UnsendableError``."""
    content_type = attachment.content_type
    if not _CONTENT_TYPE.fullmatch(content_type) or content_type.lower().startswith(("multipart/", "message/")):
        raise UnsendableError("an attachment's content type is not one of a single file")
    disposition = "attachment" if attachment.content_id is None else "inline"
    fields = [
        field("Content-Type", content_type),
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {disposition};\r\n {_filename(attachment.filename)}",
    ]
    if attachment.content_id is not None:
        if not _CONTENT_ID.fullmatch(attachment.content_id):
            raise UnsendableError("an attachment's content id can't stand in a header")
        fields.append(f"Content-ID: <{attachment.content_id}>")
    return "\r\n".join(fields).encode() + b"\r\n\r\n", EncodedFile(attachment.content)


def _decoded(content: str) -> bytes:
    try:
        return b64decode(content, validate=True)
    except (Base64Error, ValueError):
        raise UnsendableError("an attachment is not base64") from None


def _filename(name: str) -> str:
    """The parameter ``filename``: quoted for ASCII; else in UTF-8 (RFC 2231), with a name in ASCII beside it.

    The latter comes last: readers that know only it find it anywhere, and some that know both take the first.
    """
    refuse_controls(name, "an attachment's name")
    if name.isascii() and "=?" not in name and name == name.strip() and "  " not in name:
        return f"filename={_quoted(name)}"
    return ";\r\n ".join([*_pieces(name), f"filename={_quoted(_ascii_name(name))}"])


def _pieces(name: str) -> Iterator[str]:
    """In numbered pieces where one line has no room (RFC 2231 section 4.1)."""
    pieces = ["utf-8''"]
    for character in name:
        encoded = quote(character, safe="")
        if len(pieces[-1]) + len(encoded) > LINE - len(" filename*999*=;"):
            pieces.append("")
        pieces[-1] += encoded
    if len(pieces) == 1:
        yield f"filename*={pieces[0]}"
        return
    for number, piece in enumerate(pieces):
        yield f"filename*{number}*={piece}"


def _ascii_name(name: str) -> str:
    """The nearest name in ASCII: letters without their accents, _ for what has none; it keeps its extension."""
    letters = "".join(each for each in unicodedata.normalize("NFKD", name.replace("ß", "ss")) if not _is_mark(each))
    words = re.sub(r"[^A-Za-z0-9.,()+ -]+", "_", letters).lstrip(" _").rstrip(" _.")
    stem, dot, extension = words.rpartition(".")
    stem, extension = (stem, dot + extension) if dot else (words, "")
    return (re.sub(r" +", " ", stem).strip("_ .") or "attachment") + extension


def _is_mark(character: str) -> bool:
    return unicodedata.combining(character) > 0


def _quoted(name: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
