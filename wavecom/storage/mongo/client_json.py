"""The client's own JSON as BSON and back: as it came, dots and dollars in keys included; refused where BSON can't."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument

from wavecom.errors import BodyTooLargeError, InvalidRequestError, Problem

Document = dict[str, Any]

#: MongoDB's limit for one document, less what later writes add to it (log entries, claim).
SIZE_LIMIT_BYTES = 16 * 1024 * 1024 - 64 * 1024

CODEC: CodecOptions[Document] = CodecOptions(document_class=dict, tz_aware=True)

_JSON_FIELDS = ("to", "payload", "metadata")
#: MongoDB takes more levels than these, with ours around them; no client's JSON comes near.
_DEPTH_LIMIT = 100
_RAW_CODEC: CodecOptions[RawBSONDocument] = CodecOptions(tz_aware=True, document_class=RawBSONDocument)


def encode(document: Document) -> RawBSONDocument:
    """A document with the client's JSON in ``to``, ``payload`` and ``metadata`` as bytes ready to be inserted.

    ``decode_json`` is the reverse for these three. Raises ``InvalidRequestError`` for what can't be
    stored, and ``BodyTooLargeError``.
    """
    if _is_too_deep(document):
        raise InvalidRequestError(list(_unstorable(document)))
    try:
        raw = bson.encode(document, codec_options=CODEC)
        if _has_reference_keys(raw):
            document |= {name: _escape(document[name]) for name in _JSON_FIELDS} | {"hasEscapedKeys": True}
            raw = bson.encode(document, codec_options=CODEC)
    except (InvalidDocument, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidRequestError(list(_unstorable(document)) or [Problem("", "can't be stored")]) from error
    if len(raw) > SIZE_LIMIT_BYTES:
        raise BodyTooLargeError(f"The notification takes {len(raw)} bytes; {SIZE_LIMIT_BYTES} can be stored.")
    return RawBSONDocument(raw, codec_options=_RAW_CODEC)


def decode_json(document: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """``to``, ``payload`` and ``metadata`` as they came; empty what a projection left out."""
    to, payload, metadata = document.get("to", {}), document.get("payload", {}), document.get("metadata", {})
    if document.get("hasEscapedKeys"):
        return _unescape(to), _unescape(payload), _unescape(metadata)
    return to, payload, metadata


def _is_too_deep(document: Document) -> bool:
    """Whether the client's JSON has more levels than are stored; what the encoder can take hangs on the interpreter."""
    level: list[Any] = [document[name] for name in _JSON_FIELDS]
    for _ in range(_DEPTH_LIMIT):
        level = [
            inner
            for outer in level
            for inner in (outer if isinstance(outer, list | tuple) else outer.values())
            if isinstance(inner, dict | list | tuple)
        ]
        if not level:
            return False
    return True


def _has_reference_keys(raw: bytes) -> bool:
    # Drivers read {"$ref", "$id"} as a DBRef, losing the order of keys, and servers check such keys in their own ways.
    return b"$ref\0" in raw or b"$id\0" in raw or b"$db\0" in raw


def _escape(value: Any) -> Any:
    """``$ref``, ``$id`` and ``$db`` as keys get another dollar; so do those that already have several."""
    if isinstance(value, Mapping):
        return {f"${key}" if _is_reference(key) else key: _escape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escape(item) for item in value]
    return value


def _unescape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[1:] if _is_reference(key) else key: _unescape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unescape(item) for item in value]
    return value


def _is_reference(key: str) -> bool:
    return key.startswith("$") and key.lstrip("$") in {"ref", "id", "db"}


def _unstorable(document: Document) -> Iterable[Problem]:
    """Every place of the client's JSON that BSON can't hold, by JSON pointer."""
    waiting: list[tuple[str, Any, int]] = [(f"/{name}", document[name], 1) for name in _JSON_FIELDS]
    while waiting:
        where, value, depth = waiting.pop()
        match value:
            case Mapping():
                if depth > _DEPTH_LIMIT:
                    yield Problem(where[:80], f"is nested too deeply; use at most {_DEPTH_LIMIT} levels")
                    continue
                for key, item in value.items():
                    place = f"{where}/{str(key).replace('~', '~0').replace('/', '~1')}"
                    if not isinstance(key, str) or "\0" in key or not _is_unicode(key):
                        yield Problem(where, "has a key that is not a Unicode text without NUL characters")
                    waiting.append((place, item, depth + 1))
            case list() | tuple():
                waiting.extend((f"{where}/{index}", item, depth + 1) for index, item in enumerate(value))
            case int() if not -(2**63) <= value < 2**63:
                yield Problem(where, "is a whole number beyond 64 bits; send it as a text")
            case str() if not _is_unicode(value):
                yield Problem(where, "has half of a surrogate pair, which is not a character; send the whole pair")
            case _:
                pass


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
