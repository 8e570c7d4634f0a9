"""Notifications of type ``email``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.core import mail_headers
from wavecom.core.attachments import ATTACHMENTS_LIMIT_BYTES, content_size
from wavecom.core.named_files import FILE_ID
from wavecom.core.unsubscribe import LIST_UNSUBSCRIBE, LIST_UNSUBSCRIBE_POST
from wavecom.web.api.addresses import MailboxField, MailboxListField
from wavecom.web.api.email_addresses import EmailAddress
from wavecom.web.api.encodings import Base64
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Boolean, Choice, Items, KeyedValues, Object, Text, text_error, text_schema
from wavecom.web.api.schemas.base import BaseSchema

_TEXT_LIMIT = 1024 * 1024
_CONTENT_TYPE_LIMIT = 400
# RFC 2045 section 5.1; multipart and message bodies must not be base64, so they can't be attachments here.
_CONTENT_TYPE = (
    r"(?!([Mm][Uu][Ll][Tt][Ii][Pp][Aa][Rr][Tt]|[Mm][Ee][Ss][Ss][Aa][Gg][Ee])/)"
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,99}"
    r'(; ?[A-Za-z0-9_-]{1,30}=("[ !#-\[\]-~]{0,99}"|[A-Za-z0-9!#$&^_.+-]{1,99})){0,5}'
)


def is_content_type(text: str) -> bool:
    """Whether an attachment may be of this type."""
    return len(text) <= _CONTENT_TYPE_LIMIT and re.fullmatch(_CONTENT_TYPE, text) is not None


class FileName(Text):
    """What a file is called, without the folders that it is in."""

    def __init__(self, **options: Any) -> None:
        pattern = r"(?!\.{1,2}$)[^/\\]+"
        super().__init__("a file name without folders", max_length=255, pattern=pattern, **options)


class EmailTo(BaseSchema):
    """``to`` of an e-mail."""

    aliases: ClassVar[Mapping[str, str]] = {"address": "email", "emailAddress": "email", "mail": "email"}

    email = EmailAddress(required=True)
    name = Text("the recipient's name", max_length=200)


class Person(BaseSchema):
    """``from`` and ``replyTo`` in their long form."""

    aliases: ClassVar[Mapping[str, str]] = {"address": "email", "emailAddress": "email"}

    email = EmailAddress(required=True)
    name = Text("a name", max_length=200)


class Attachment(BaseSchema):
    """One file of an e-mail: its content, or the id of one that was uploaded, which has a name and a type already."""

    aliases: ClassVar[Mapping[str, str]] = {
        "name": "filename",
        "type": "contentType",
        "mimeType": "contentType",
        "data": "content",
        "body": "content",
        "cid": "contentId",
        "contentID": "contentId",
        "content_id": "contentId",
        "file_id": "fileId",
        "file": "fileId",
    }

    filename = FileName()
    content_type = Text(
        "a media type such as application/pdf, not multipart and not message",
        max_length=_CONTENT_TYPE_LIMIT,
        pattern=_CONTENT_TYPE,
        data_key="contentType",
        attribute="contentType",
    )
    content = Base64("the file in standard base64")
    file_id = Text(
        "the id of a file that was uploaded, of 32 hexadecimal digits",
        max_length=32,
        pattern="[0-9a-f]{32}",
        data_key=FILE_ID,
        attribute=FILE_ID,
    )
    content_id = Text(
        "1 to 200 letters, digits and . _ + = @ - characters, by which the html shows it as cid:",
        max_length=200,
        pattern=r"[A-Za-z0-9._+=@-]+",
        data_key="contentId",
        attribute="contentId",
    )

    _OWN = ("filename", "contentType", "content")

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        uploaded = {"required": [FILE_ID]}
        return {
            "if": uploaded,
            "then": {"not": {"required": ["content"]}},
            "else": {"required": list(self._OWN)},
        }

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_content(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        if not isinstance(original, dict):
            return
        if FILE_ID not in original:
            fields = {field.data_key or name: field for name, field in self.load_fields.items()}
            missing = [name for name in self._OWN if name not in original]
            if missing:
                raise ValidationError({name: [fields[name].error_messages["required"]] for name in missing})
        elif "content" in original:
            error = FieldError(FieldErrorCode.CONFLICT, f"must not stand beside `{FILE_ID}`; give one of them")
            raise ValidationError({"content": [error]})


class CalendarMethod(StrEnum):
    """What an invitation asks for (RFC 5546). The words are part of the published API."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"
    PUBLISH = "PUBLISH"
    REPLY = "REPLY"
    ADD = "ADD"
    REFRESH = "REFRESH"
    COUNTER = "COUNTER"
    DECLINECOUNTER = "DECLINECOUNTER"


class Calendar(BaseSchema):
    """An invitation to an event, or what became of one: mail readers show it with buttons."""

    aliases: ClassVar[Mapping[str, str]] = {"ics": "content", "ical": "content", "data": "content", "body": "content"}
    _METHOD = re.compile(r"^METHOD:([A-Za-z-]+)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)

    method = Choice(CalendarMethod, required=True)
    content = Text(
        "the event in iCalendar form, from BEGIN:VCALENDAR on", max_length=262_144, is_line=False, required=True
    )

    @validates_schema(skip_on_field_errors=True)
    def _check_content(self, data: Mapping[str, Any], **_: Any) -> None:
        content: str = data["content"]
        lines = content.strip().splitlines()
        if lines[0].strip().upper() != "BEGIN:VCALENDAR" or lines[-1].strip().upper() != "END:VCALENDAR":
            field_error = FieldError(FieldErrorCode.INVALID, "must be iCalendar: from BEGIN:VCALENDAR to END:VCALENDAR")
            raise ValidationError({"content": [field_error]})
        # Readers ignore an invitation whose two methods differ (RFC 6047 section 2.4).
        method = str(data["method"])
        if {found.upper() for found in self._METHOD.findall(content)} != {method}:
            field_error = FieldError(FieldErrorCode.CONFLICT, f"must have the line METHOD:{method}, as `method` says")
            raise ValidationError({"content": [field_error]})


class MailHeaders(KeyedValues):
    """Further header fields of a mail (RFC 5322 section 2.2): none that WaveCom sets itself, none that breaks out."""

    _NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,75}")
    #: Beside X-… and List-…: harmless to the envelope, the structure and the authentication of a mail.
    ALLOWED = frozenset(
        {
            "auto-submitted",
            "comments",
            "feedback-id",
            "importance",
            "in-reply-to",
            "keywords",
            "organization",
            "precedence",
            "priority",
            "references",
            "sensitivity",
            "thread-index",
            "thread-topic",
        }
    )
    _FIELDS: ClassVar[Mapping[str, str]] = {
        "from": "payload.from",
        "reply-to": "payload.replyTo",
        "subject": "payload.subject",
        "to": "to",
    }
    _VALUE_LIMIT = 998
    #: Long threads have a hundred ids, which fold at every blank.
    _MESSAGE_IDS_LIMIT = 8192

    def __init__(self, **options: Any) -> None:
        super().__init__('an object of texts, such as {"X-Campaign": "spring"}', max_items=30, **options)

    def name_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        allowed = "|".join(_any_case(name) for name in sorted(self.ALLOWED))
        pattern = rf"^(?:(?:[Xx]|[Ll][Ii][Ss][Tt])-[A-Za-z0-9_.-]*|{allowed})$"
        return {"type": "string", "maxLength": 76, "pattern": pattern}

    def item_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        return text_schema(self._MESSAGE_IDS_LIMIT)

    def error_of(self, name: str, item: object) -> FieldError | None:
        """See ``KeyedValues``."""
        lower = name.lower()
        if not self._NAME.fullmatch(name) or not (lower.startswith(("x-", "list-")) or lower in self.ALLOWED):
            if own := self._FIELDS.get(lower):
                return FieldError(FieldErrorCode.NOT_ALLOWED, f"has a field of its own; use `{own}`")
            return FieldError(
                FieldErrorCode.NOT_ALLOWED,
                "is not a header that can be set; allowed are X-…, List-…, "
                + ", ".join(sorted(each.title() for each in self.ALLOWED)),
            )
        if not isinstance(item, str):
            return FieldError(FieldErrorCode.WRONG_TYPE, "must be a text")
        are_ids = mail_headers.kind_of(name) is mail_headers.HeaderKind.MESSAGE_IDS
        if field_error := text_error(item, self._MESSAGE_IDS_LIMIT if are_ids else self._VALUE_LIMIT):
            return field_error
        try:
            mail_headers.canonical(name, item)
        except mail_headers.HeaderValueError as error:
            return FieldError(FieldErrorCode.INVALID, f"must {error}")
        return None

    def canonical(self, name: str, item: str) -> str:
        """See ``KeyedValues``."""
        return mail_headers.canonical(name, item)

    def errors_among(self, names: Sequence[str]) -> Mapping[str, list[FieldError]]:
        """Header names are equal whatever their capitals."""
        seen: dict[str, str] = {}
        field_errors: dict[str, list[FieldError]] = {}
        for name in names:
            first = seen.setdefault(name.lower(), name)
            if first != name:
                field_errors[name] = [
                    FieldError(FieldErrorCode.DUPLICATE, f"is the same header as {first}; give it once")
                ]
        return field_errors


def _any_case(name: str) -> str:
    return "".join(f"[{each.upper()}{each}]" if each.isalpha() else re.escape(each) for each in name)


class EmailPayload(BaseSchema):
    """``payload`` of an e-mail: ``text``, ``html`` or both, alternatives of one another."""

    aliases: ClassVar[Mapping[str, str]] = {
        "body": "text",
        "message": "text",
        "content": "text",
        "plain": "text",
        "sender": "from",
        "title": "subject",
        "reply_to": "replyTo",
        "icalEvent": "calendar",
        "invite": "calendar",
    }

    subject = Text("the subject, one line", max_length=998, required=True)
    text = Text("the plain text", max_length=_TEXT_LIMIT, is_line=False)
    html = Text("the HTML text", max_length=_TEXT_LIMIT, is_line=False)
    sender = MailboxField(Person(), data_key="from", attribute="from")
    reply_to = MailboxListField(Person(), max_items=10, data_key="replyTo", attribute="replyTo")
    calendar = Object(Calendar(), "an object with method and content")
    headers = MailHeaders()
    unsubscribe = Boolean("true to let the recipient unsubscribe with one click, or false")
    attachments = Items(
        Object(Attachment(), "an object with filename, contentType and content, or with fileId"),
        "a list of objects with filename, contentType and content, or with fileId",
        max_items=50,
    )

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return self.one_needed("text", "html")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_bodies(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        if isinstance(original, dict) and "text" not in original and "html" not in original:
            raise ValidationError(
                FieldError(
                    FieldErrorCode.REQUIRED, "must have text or html, or both; most readers are served best by both"
                )
            )

    @validates_schema(skip_on_field_errors=False)
    def _check_unsubscribe(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data.get("unsubscribe") or "headers" not in data:
            return
        own = {LIST_UNSUBSCRIBE.lower(), LIST_UNSUBSCRIBE_POST.lower()}
        field_error = FieldError(FieldErrorCode.CONFLICT, "is set by `unsubscribe`; leave one of the two out")
        if found := {name: [field_error] for name in data["headers"] if name.lower() in own}:
            raise ValidationError({"headers": found})

    @validates_schema(skip_on_field_errors=False)
    def _check_inline(self, data: Mapping[str, Any], **_: Any) -> None:
        seen: set[str] = set()
        field_errors: dict[int, dict[str, list[FieldError]]] = {}
        for index, attachment in enumerate(data.get("attachments", ())):
            content_id = attachment.get("contentId")
            if content_id is None:
                continue
            if "html" not in data:
                field_error = FieldError(
                    FieldErrorCode.NOT_ALLOWED, "must be left out where there is no html to show it"
                )
                field_errors[index] = {"contentId": [field_error]}
            elif content_id in seen:
                field_errors[index] = {
                    "contentId": [FieldError(FieldErrorCode.DUPLICATE, "is another attachment's; give each its own")]
                }
            seen.add(content_id)
        if field_errors:
            raise ValidationError({"attachments": field_errors})

    @validates_schema(skip_on_field_errors=False)
    def _check_size(self, data: Mapping[str, Any], **_: Any) -> None:
        # Where one is wrong, marshmallow leaves here what was right of it: maybe no content.
        size = sum(content_size(attachment.get("content", "")) for attachment in data.get("attachments", ()))
        if size > ATTACHMENTS_LIMIT_BYTES:
            field_error = FieldError(
                FieldErrorCode.TOO_LARGE,
                f"must hold at most {ATTACHMENTS_LIMIT_BYTES} bytes together, decoded; they hold {size}",
            )
            raise ValidationError({"attachments": [field_error]})
