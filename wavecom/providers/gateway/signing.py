"""How requests prove who sends them: HTTP Basic (RFC 7617), or an HMAC (RFC 2104) in a header."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from wavecom.providers.configuration.basic_auth import basic_credentials
from wavecom.providers.configuration.options import text
from wavecom.providers.gateway.fields import header_name, template
from wavecom.providers.gateway.templates import Template

_ENCODINGS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "hex": lambda digest: digest.hex(),
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).decode().rstrip("="),
}
#: What the signed text may be made of. ``body`` is the request's, as it is sent; ``path`` has the query with it.
SIGNED_NAMES: Final = ("body", "method", "path", "timestamp", "delivery_key")


_BODY: Final = Template("{{ body }}", SIGNED_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BasicOptions:
    """``basic = { user = "…", password = "$PASSWORD" }``."""

    user: Annotated[str, text()]
    password: Annotated[str, text()]

    def headers(self) -> Mapping[str, str]:
        """What goes with every request."""
        return {"Authorization": basic_credentials(self.user, self.password)}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignOptions:
    """``sign = { secret = "$SECRET", header = "X-Signature", text = "{{ timestamp }}.{{ body }}" }``."""

    secret: Annotated[str, text()]
    header: Annotated[str, header_name()]
    #: What is signed.
    text: Annotated[Template, template(SIGNED_NAMES)] = _BODY
    algorithm: Annotated[str, text(choices=("sha256", "sha384", "sha512", "sha1"))] = "sha256"
    encoding: Annotated[str, text(choices=tuple(_ENCODINGS))] = "hex"
    #: Stands before the signature in its header: ``sha256=``.
    prefix: Annotated[str, text()] = ""
    #: Where the gateway wants to be told the ``timestamp`` (Unix seconds) that was signed.
    timestamp_header: Annotated[str | None, header_name()] = None

    def headers(self, body: bytes, *, method: str, path: str, timestamp: int, delivery_key: str) -> Mapping[str, str]:
        """The signature of one request. Raises ``InvalidTemplateError``."""
        values = {"method": method, "path": path, "timestamp": timestamp, "delivery_key": delivery_key}
        signed = str(self.text.render({**values, "body": body.decode()}))
        digest = hmac.digest(self.secret.encode(), signed.encode(), self.algorithm)
        found = {self.header: self.prefix + _ENCODINGS[self.encoding](digest)}
        if self.timestamp_header is not None:
            found[self.timestamp_header] = str(timestamp)
        return found
