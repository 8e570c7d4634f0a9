"""gzip (RFC 1952), undone piece by piece in bounded memory, whatever a few bytes of it stand for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from wavecom.errors import InvalidRequestError, Problem

#: Bytes that one piece has at most once it is decoded.
PIECE: Final = 256 * 1024
#: Bytes that it all may have once it is decoded: more than a million rows have.
DECODED_LIMIT: Final = 16 * 1024 * 1024 * 1024
_GZIP: Final = zlib.MAX_WBITS | 16


def gunzipped(parts: Iterator[bytes], limit: int = DECODED_LIMIT) -> Iterator[bytes]:
    """What ``parts`` hold, which are one or several members of gzip. Raises ``InvalidRequestError``, at its place."""
    decoder = zlib.decompressobj(_GZIP)
    is_open = False
    total = 0
    for part in parts:
        data = part
        while data:
            is_open = True
            try:
                decoded = decoder.decompress(data, PIECE)
            except zlib.error as error:
                raise _wrong(f"is no gzip, though Content-Encoding says so: {error}") from error
            total += len(decoded)
            if total > limit:
                raise InvalidRequestError([Problem("", f"has more than {limit} bytes without gzip", "too_large")])
            if decoded:
                yield decoded
            data = decoder.unconsumed_tail
            if decoder.eof:
                data, decoder, is_open = decoder.unused_data, zlib.decompressobj(_GZIP), False
    if is_open:
        raise _wrong("ends in the middle of its gzip; what came before is stored: ask for the offset and go on there")


def _wrong(text: str) -> InvalidRequestError:
    return InvalidRequestError([Problem("", text, "invalid")])
