"""How many SMS segments a text takes: what networks bill and rate limits count. Source: 3GPP TS 23.038 and 23.040."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_GSM7_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Each takes two septets: an escape and a character of the extension table.
_GSM7_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
_GSM7: Final = _GSM7_BASIC | _GSM7_EXTENDED


#: The words for ``Segments.encoding``.
ENCODINGS: Final = ("GSM-7", "UCS-2")


@dataclass(frozen=True, slots=True)
class Segments:
    """``encoding`` is "GSM-7" or "UCS-2"; ``count`` is at least 1."""

    encoding: str
    count: int


def segments(text: str) -> Segments:
    """Encoding and number of segments of ``text``.

    A message in one piece holds 160 septets or 70 UTF-16 units; concatenated pieces hold 153 or 67, because each
    carries a header. A character of two units is never split over two pieces, which can cost one piece more.
    """
    characters = set(text)
    if characters <= _GSM7_BASIC:
        return Segments("GSM-7", 1 if len(text) <= 160 else -(-len(text) // 153))
    if characters <= _GSM7:
        widths = [2 if character in _GSM7_EXTENDED else 1 for character in text]
        return Segments("GSM-7", _pieces(widths, single=160, part=153))
    widths = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return Segments("UCS-2", _pieces(widths, single=70, part=67))


def unusual_characters(text: str) -> list[str]:
    """Those that GSM-7 lacks, each once, in their order."""
    return list(dict.fromkeys(each for each in text if each not in _GSM7))


def _pieces(widths: list[int], *, single: int, part: int) -> int:
    if sum(widths) <= single:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > part:
            count, used = count + 1, 0
        used += width
    return count
