"""Reading a JSON body so that no body costs more than it may: declared, small, shallow, few values, then parsed."""

from __future__ import annotations

import re
from typing import Any

import orjson
from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from wavecom.errors import BodyTooLargeError, MalformedBodyError, UnsupportedMediaTypeError

DEPTH_LIMIT = 20
#: Members and items, containers included; ten times what the largest sensible notification has.
VALUES_LIMIT = 5_000
#: The same for a thousand notifications; five times what they have when each says all that it can in few words.
BATCH_VALUES_LIMIT = 100_000

# Possessive, and an unterminated string runs to the end: linear whatever comes.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
#: Brackets of one kind, and nothing else.
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(request: Request, *, values_limit: int = VALUES_LIMIT) -> Any:
    """The value in the body of ``request``; of names given twice in an object the last one counts.

    Raises ``UnsupportedMediaTypeError``, ``BodyTooLargeError``, ``MalformedBodyError``, and werkzeug's
    ``RequestEntityTooLarge`` for one that is longer than the app's ``MAX_CONTENT_LENGTH``, of which no more is read.
    """
    _check_declared(request)
    body = request.get_data(cache=False)
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        # A body in chunks does not say how long it is; werkzeug cuts it off at the limit without a word.
        raise RequestEntityTooLarge
    return parse_json(body, values_limit)


def parse_json(body: bytes, values_limit: int = VALUES_LIMIT) -> Any:
    """The value in ``body``. Raises ``BodyTooLargeError`` and ``MalformedBodyError``."""
    if not body:
        raise MalformedBodyError("The body is empty. Send a JSON object.")
    check_shape(body, values_limit)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBodyError(f"The body is not valid JSON in UTF-8: {error}.") from error


def is_left_out(request: Request) -> bool:
    """Whether ``request`` says that it has no body: then nothing needs to be declared."""
    return not request.content_length and "Transfer-Encoding" not in request.headers


def _check_declared(request: Request) -> None:
    if request.mimetype != "application/json":
        given = f"not {request.mimetype[:100]}" if request.mimetype else "and none was given"
        raise UnsupportedMediaTypeError(f"The Content-Type must be application/json, {given}.")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8"}:
        raise UnsupportedMediaTypeError("The body must be UTF-8; leave the charset out of the Content-Type.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("The body must not be compressed; leave the Content-Encoding out.")


def check_shape(body: bytes, values_limit: int = VALUES_LIMIT) -> None:
    """Raise ``BodyTooLargeError`` for JSON that is too deep or has too many values, without parsing it.

    What is not JSON at all may pass: the parser refuses it.
    """
    # Counting what is inside strings too errs on the safe side, and is enough for nearly every body.
    openings = body.count(b"{") + body.count(b"[")
    if openings <= DEPTH_LIMIT and body.count(b",") + openings < values_limit:
        return
    bare = _STRING.sub(b"", body)
    if bare.count(b",") + bare.count(b"{") + bare.count(b"[") >= values_limit:
        raise BodyTooLargeError(f"The body has too many values; at most {values_limit} are taken.")
    if _is_shallow(bare):
        return
    depth = 0
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket[0] in b"{[" else -1
        if depth > DEPTH_LIMIT:
            raise BodyTooLargeError(f"The body is nested too deeply; at most {DEPTH_LIMIT} levels are taken.")


def _is_shallow(bare: bytes) -> bool:
    """Whether every bracket is closed within ``DEPTH_LIMIT`` levels. Quick; False means only: look at each."""
    brackets = bare.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(DEPTH_LIMIT):
        if not brackets:
            return True
        # The innermost of every nest.
        brackets = brackets.replace(b"{}", b"")
    return not brackets
