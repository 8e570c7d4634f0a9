"""Forms with a file in them, as ``multipart/form-data`` (RFC 7578)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256


def multipart_form(fields: Mapping[str, str], name: str, file: bytes) -> tuple[str, bytes]:
    """The Content-Type and the body of a form with ``fields`` and one file, called ``name``.

    Names are ours and hold neither quotes nor line ends.
    """
    # No file holds its own hash, so none holds the boundary.
    boundary = sha256(file).hexdigest().encode()
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (boundary, key.encode(), value.encode())
        for key, value in fields.items()
    ]
    head = b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s.eml"\r\n' % (
        boundary,
        name.encode(),
        name.encode(),
    )
    body = b"".join([*parts, head, b"Content-Type: message/rfc822\r\n\r\n", file, b"\r\n--%s--\r\n" % boundary])
    return f"multipart/form-data; boundary={boundary.decode()}", body
