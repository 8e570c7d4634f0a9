"""HTTP/1.1 as helper processes speak it: just enough, as bytes, for they share the processor with what they measure."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus

HEAD_END = b"\r\n\r\n"


def header(head: bytes, name: bytes) -> bytes:
    """The value of the header ``name`` (lower case); empty when it isn't there. ``head``: up to its last line's end."""
    start = head.lower().find(b"\r\n%b:" % name)
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


def whole_length(data: bytes, head_end: int) -> int:
    """How many bytes the message at the beginning of ``data`` has, whose head ends at ``head_end``.

    By its Content-Length; without one it has no body. Chunked bodies are not read.
    """
    return head_end + len(HEAD_END) + int(header(data[:head_end], b"content-length") or b"0")


def response(status: int, body: bytes, retry_after_seconds: int | None = None) -> bytes:
    """A whole answer, with a body of JSON."""
    return b"%b%d\r\n\r\n%b" % (_response_head(status, retry_after_seconds), len(body), body)


@cache
def _response_head(status: int, retry_after_seconds: int | None) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Content-Type: application/json"]
    if retry_after_seconds is not None:
        lines.append(f"Retry-After: {retry_after_seconds}")
    return "\r\n".join([*lines, "Content-Length: "]).encode()
