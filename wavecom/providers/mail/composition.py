"""A notification of type ``email`` as a ``Mail``: what every provider of mail begins with, by SMTP or by an API."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

from marshmallow import ValidationError, fields

from wavecom.core.ports import Files, Message
from wavecom.providers.base import UnsendableError
from wavecom.providers.configuration.options import text
from wavecom.providers.mail.headers import refuse_controls
from wavecom.providers.mail.mime import CalendarPart, Mail, Mailbox
from wavecom.providers.mail.parts import MailAttachment, StoredContent


def sender_address() -> fields.Field[Any]:
    """An option: from whom mails come, ``noreply@bank.example`` or ``Bank <noreply@bank.example>``."""
    return text(check=_is_mailbox)


def _is_mailbox(value: str) -> None:
    try:
        mailbox(value)
    except UnsendableError as error:
        raise ValidationError('must be an address such as "noreply@bank.example" or "Bank <noreply@…>"') from error


def mailbox(value: str) -> Mailbox:
    """Of an option that ``sender_address`` let through. Raises ``UnsendableError``."""
    named = re.fullmatch(r"(.+?)\s*<([^<>]+)>", value)
    box = Mailbox.parse(named[2], named[1].strip('"')) if named else Mailbox.parse(value)
    str(box)  # refuses a name that can't stand in a header
    return box


def mail_of(message: Message, default_sender: Mailbox, now: datetime) -> Mail:
    """The mail that a message asks for; ``default_sender`` where it names none. Raises ``UnsendableError``."""
    payload = message.payload
    own_sender = _sender(payload["from"]) if payload.get("from") else default_sender
    key = re.sub(r"[^A-Za-z0-9-]", ".", message.delivery_key)
    return Mail(
        sender=own_sender,
        recipient=Mailbox.parse(message.to),
        subject=str(payload.get("subject") or ""),
        text=_optional_text(payload.get("text")),
        html=_optional_text(payload.get("html")),
        calendar=_calendar(payload.get("calendar")),
        reply_to=_mailboxes(payload.get("replyTo")),
        headers=cast(Mapping[str, str], payload.get("headers") or {}),
        attachments=[
            _attachment(each, message.files)
            for each in cast(Sequence[Mapping[str, Any]], payload.get("attachments") or ())
        ],
        # The same at every attempt, so that mailboxes can drop a repetition.
        message_id=f"<{key}@{own_sender.domain}>",
        key=key,
        date=now,
    )


def api_mail_of(message: Message, default_sender: Mailbox, now: datetime) -> Mail:
    """The same for an API, none of which takes letters beyond ASCII before an @-sign (RFC 6531).

    Raises ``UnsendableError``.
    """
    mail = mail_of(message, default_sender, now)
    refuse_controls(mail.subject, "payload.subject")
    boxes = {"to.email": [mail.recipient], "payload.from": [mail.sender], "payload.replyTo": mail.reply_to}
    for place, found in boxes.items():
        for box in found:
            refuse_controls(box.name, f"{place}: a name")
            if not box.address.isascii():
                raise unsupported(place, "has an address with letters beyond ASCII")
    return mail


def unsupported(place: str, what: str) -> UnsendableError:
    """The error of a provider that has no way to send what ``place`` asks for, which others may have."""
    return UnsendableError(f"{place} {what}, which this provider can't send", is_final_here=True)


def base64_content(attachment: MailAttachment) -> str:
    """A file in base64, read where it is stored apart. Raises as ``Files.read``."""
    content = attachment.content
    return content if isinstance(content, str) else b64encode(content.read()).decode()


def _sender(value: object) -> Mailbox:
    """As the message names it; or as its route does, which is written like the option."""
    return mailbox(value) if isinstance(value, str) else Mailbox.parse(value)


def _mailboxes(value: object) -> list[Mailbox]:
    """One or several, as the message gives them."""
    return [
        Mailbox.parse(each)
        for each in (value if isinstance(value, Sequence) and not isinstance(value, str) else [value])
        if each
    ]


def _calendar(value: object) -> CalendarPart | None:
    return CalendarPart(str(value["method"]), str(value["content"])) if isinstance(value, Mapping) else None


def _attachment(given: Mapping[str, Any], files: Files) -> MailAttachment:
    stored = StoredContent(given["size"], partial(files.read, given["blob"])) if "blob" in given else None
    content = stored or given["content"]
    return MailAttachment(given["filename"], given["contentType"], content, given.get("contentId"))


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)
