"""What a message says, arranged for reading. All of it is text: nothing that a sender wrote is ever rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wavecom.core.attachments import content_size
from wavecom.web.dashboard.formatting import readable

_FACTS = {"subject": "Subject", "title": "Title", "from": "From", "replyTo": "Reply to", "senderId": "Sender"}
_TEXTS = {"text": "Text", "body": "Body"}
_SOURCES = {"html": "HTML source", "data": "Data"}
_APART = {"headers", "attachments", "calendar"}


@dataclass(frozen=True, slots=True)
class ListedAttachment:
    """A file by name and size; its content is not shown."""

    name: str
    size: int
    type: str


@dataclass(frozen=True, slots=True)
class NotificationContent:
    """``facts`` are short, ``texts`` are read in full, ``sources`` only on demand."""

    facts: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, str], ...]
    sources: tuple[tuple[str, str], ...]
    attachments: tuple[ListedAttachment, ...]


def describe(payload: Mapping[str, Any]) -> NotificationContent:
    """Arrange any channel's payload; parts that this module does not know are shown too, as JSON."""
    facts = [(label, _person(payload[key])) for key, label in _FACTS.items() if key in payload]
    headers = payload.get("headers")
    if isinstance(headers, Mapping):
        facts += [(str(name), readable(value)) for name, value in headers.items()]
    sources = [(label, readable(payload[key])) for key, label in _SOURCES.items() if payload.get(key)]
    if "calendar" in payload:
        sources.append(_invitation(payload["calendar"]))
    known = {*_FACTS, *_TEXTS, *_SOURCES, *_APART}
    facts += [(key, readable(value)) for key, value in payload.items() if key not in known]
    return NotificationContent(
        facts=tuple(facts),
        texts=tuple((label, readable(payload[key])) for key, label in _TEXTS.items() if payload.get(key)),
        sources=tuple(sources),
        attachments=tuple(_attachment(each) for each in payload.get("attachments") or () if isinstance(each, Mapping)),
    )


def _person(value: object) -> str:
    """``Amina Haddad <amina@example.com>`` of ``{"email", "name"}``, or several; anything else as it is."""
    if isinstance(value, list):
        return ", ".join(map(_person, value))
    if isinstance(value, Mapping) and "email" in value:
        name = value.get("name")
        return f"{name} <{value['email']}>" if name else str(value["email"])
    return readable(value)


def _invitation(value: object) -> tuple[str, str]:
    if isinstance(value, Mapping) and "content" in value:
        return f"Invitation ({value.get('method')})", readable(value["content"])
    return "Invitation", readable(value)


def _attachment(value: Mapping[str, Any]) -> ListedAttachment:
    # A large one is stored apart from its job, which says how large.
    size = int(value["size"]) if "blob" in value else content_size(str(value.get("content", "")))
    return ListedAttachment(str(value.get("filename", "")), size, str(value.get("contentType", "")))
