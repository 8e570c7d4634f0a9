"""An RSGI request as WSGI knows it (PEP 3333): the application behind ``rsgi.py`` is one for any WSGI server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from granian.rsgi import Scope
from werkzeug.exceptions import BadRequest

from wavecom.web.request_middleware import HANDED_ON

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The same for all.
_BASE: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    # werkzeug may read to the end: it is all there.
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}
_NOT_PREFIXED = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
#: Names that were met, bounded: those that peers invent are not remembered.
_NAMES: dict[str, str] = dict(_NOT_PREFIXED)
_NAMES_LIMIT = 200
#: Joined with commas a repeated Idempotency-Key would be another one, which protects from nothing.
_ONCE = {"HTTP_HOST": "Host", "HTTP_IDEMPOTENCY_KEY": "Idempotency-Key"}
_MUST_BE_READABLE = {"authorization", "content-type", "cookie", "host", "idempotency-key", "origin"}


def make_environ(scope: Scope, body: Any, error: Exception | None = None) -> WSGIEnvironment:
    """The environ of a request whose ``body`` is an input stream as WSGI asks for.

    ``error`` is what the application is to answer, whatever was asked; a request that is wrong has one of its own.
    """
    environ = _BASE.copy()
    environ["REQUEST_METHOD"] = scope.method
    environ["PATH_INFO"] = _as_wsgi(scope.path)
    environ["QUERY_STRING"] = scope.query_string
    environ["SERVER_PROTOCOL"] = "HTTP/1.1" if scope.http_version == "1.1" else "HTTP/1.0"
    environ["wsgi.url_scheme"] = scope.scheme
    environ["wsgi.input"] = body
    environ["REMOTE_ADDR"] = address_of(scope)
    host, _, environ["SERVER_PORT"] = scope.server.rpartition(":")
    environ["SERVER_NAME"] = host.strip("[]")
    error = _add_headers(environ, scope.headers) or error
    if authority := scope.authority:
        # An address in the request line counts more than the header (RFC 9112, section 3.2.2).
        environ["HTTP_HOST"] = authority
    if error is not None:
        environ[HANDED_ON] = error
    return environ


def _add_headers(environ: WSGIEnvironment, headers: Any) -> Exception | None:
    """Put the headers into ``environ``; returns what is wrong with them."""
    error: Exception | None = None
    distinct = 0
    for name, value in headers.items():
        key = _NAMES.get(name) or _new_name(name)
        if not key:
            distinct += 1
        elif key in environ:
            if key in _ONCE:
                error = BadRequest(f"The request has more than one {_ONCE[key]}.")
            environ[key] = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{_as_wsgi(value)}"
        else:
            environ[key] = _as_wsgi(value)
            distinct += 1
    if len(headers) > distinct:
        # granian leaves out values that are not UTF-8: what can't be read must not pass for what was not sent.
        given = {name for name, _ in headers.items()}
        unreadable = _MUST_BE_READABLE.intersection(headers.keys()).difference(given)
        if unreadable:
            error = BadRequest(f"The header {min(unreadable)} is not in UTF-8.")
    return error


def _as_wsgi(text: str) -> str:
    """PEP 3333: bytes, each as the character of its number."""
    return text if text.isascii() else text.encode().decode("latin-1")


def _new_name(name: str) -> str:
    """The name of a header in an environ; "" for one that is not taken over."""
    if "_" in name:
        # Else Idempotency_Key would pass for Idempotency-Key, past a proxy that knows only the one.
        return ""
    key = f"HTTP_{name.upper().replace('-', '_')}"
    if len(_NAMES) < _NAMES_LIMIT:
        _NAMES[name] = key
    return key


def joined(headers: Any, name: str) -> str | None:
    """A header as one line, however often it came (RFC 9110, section 5.3)."""
    return ",".join(headers.get_all(name)) if name in headers else None


def address_of(scope: Scope) -> str:
    """The address that the connection comes from."""
    return scope.client.rpartition(":")[0].strip("[]")
