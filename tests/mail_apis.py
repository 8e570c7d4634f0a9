"""Providers of mail by an API, before a transport that keeps their requests; and a mail that asks for all there is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tests.unit.providers.conftest import Environment, message_for
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.base_http import BaseHttpProvider
from wavecom.providers.file import parse_providers
from wavecom.providers.registry import provider_class
from wavecom.providers.transport import Request

PDF = b"%PDF-1.7 contract"
LOGO = b"\x89PNG logo"
BLOB = b"a large file"

#: Each field of a mail but an invitation.
EVERYTHING: Mapping[str, Any] = {
    "subject": "Grüße — 你好",
    "text": "Ihr Code: 123456\n",
    "html": '<b>123456</b><img src="cid:logo">',
    "from": {"email": "shop@example.org", "name": "Müller, Söhne"},
    "replyTo": ["help@example.org", {"email": "boss@example.org", "name": "Boss"}],
    "headers": {"X-Campaign": "spring", "List-Unsubscribe": "<https://example.org/u>", "X-Note": "Grüße"},
    "attachments": [
        {"filename": "Verträge.pdf", "contentType": "application/pdf", "content": base64.b64encode(PDF).decode()},
        {
            "filename": "logo.png",
            "contentType": "image/png",
            "content": base64.b64encode(LOGO).decode(),
            "contentId": "logo",
        },
        {"filename": "large.bin", "contentType": "application/octet-stream", "blob": "b1", "size": len(BLOB)},
    ],
}
INVITATION = {"method": "REQUEST", "content": "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"}


class StoredFiles:
    """Has one large file."""

    def read(self, name: str) -> bytes:
        assert name == "b1"
        return BLOB

    def handed_over(self) -> None:
        """Nothing is counted."""


def provider_of(table: str, environment: Environment) -> BaseHttpProvider[Any]:
    """The provider that is declared by ``table``."""
    source = f'[providers.mail]\n{table}\n[routes]\nemail = ["mail"]'
    config = parse_providers(source, {"SECRET": "s3cret"}).providers["mail"]
    made = provider_class(config.type)(config, environment.dependencies())
    assert isinstance(made, BaseHttpProvider)
    return made


def mail(payload: Mapping[str, Any] | None = None, **changes: Any) -> Message:
    """A message of type email."""
    fields = {} if payload is None else {"payload": payload}
    return message_for(Channel.EMAIL, files=StoredFiles(), **fields, **changes)


def request_of(table: str, message: Message) -> Request:
    """What the provider sends for it. Raises ``UnsendableError``."""
    return provider_of(table, Environment()).request(message)
