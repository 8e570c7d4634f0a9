"""The forms that send a notification, one for each channel: what they ask for and the request that they make."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from wavecom.core.job import UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.errors import Problem
from wavecom.web.api.schemas.push import Platform
from wavecom.web.dashboard.fields import (
    Field,
    FormProblem,
    json_value,
    lines,
    pairs,
    place,
    utc,
    whole_number,
    with_errors,
)
from wavecom.web.dashboard.words import POLICIES, PRIORITIES


class Upload(Protocol):
    """A file as werkzeug hands it over."""

    @property
    def filename(self) -> str | None:
        """Its name on the sender's machine."""
        ...

    @property
    def mimetype(self) -> str:
        """Its type as the browser sees it."""
        ...

    def read(self) -> bytes:
        """All bytes of the file."""
        ...


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields under one heading, in rows. An optional group is folded away until it is needed."""

    title: str
    rows: tuple[tuple[Field, ...], ...]
    is_optional: bool = False

    @property
    def is_open(self) -> bool:
        """Something in it was set or is wrong."""
        defaults = {field.name: field.value for field in _fields((_OPTIONS,))}
        return any(field.error or field.value != defaults.get(field.name, "") for row in self.rows for field in row)


_PLATFORMS = {
    Platform.FCM: "FCM (Android, web)",
    Platform.APNS: "APNs (Apple)",
    Platform.WEBPUSH: "Web push (browsers)",
}

_OPTIONS = FieldGroup(
    "Delivery options",
    (
        (
            Field(
                name="priority",
                label="Priority",
                pointer="/priority",
                choices=tuple((each.value, PRIORITIES[each]) for each in Priority),
                value=Priority.NORMAL.value,
            ),
            Field(
                name="max_attempts",
                label="Attempts at most",
                pointer="/maxAttempts",
                kind="number",
                hint="Empty: the usual number.",
                read=whole_number,
            ),
        ),
        (
            Field(name="send_at", label="Send at (UTC)", pointer="/sendAt", kind="datetime-local", read=utc),
            Field(name="expires_at", label="Give up at (UTC)", pointer="/expiresAt", kind="datetime-local", read=utc),
        ),
        (
            Field(
                name="on_unknown_outcome",
                label="When nobody can tell whether it was sent",
                pointer="/onUnknownOutcome",
                choices=tuple((each.value, POLICIES[each]) for each in UnknownOutcomePolicy),
                value=UnknownOutcomePolicy.RETRY.value,
            ),
        ),
        (
            Field(
                name="metadata",
                label="Metadata",
                pointer="/metadata",
                hint="One a line, as in “order: 1042”. Kept with the notification to find it by.",
                rows=3,
                is_code=True,
                read=pairs,
            ),
        ),
    ),
    is_optional=True,
)

_EMAIL = (
    FieldGroup(
        "Recipient",
        (
            (
                Field(
                    name="to_email",
                    label="E-mail address",
                    pointer="/to/email",
                    covers=("/to",),
                    kind="email",
                    is_required=True,
                ),
                Field(name="to_name", label="Name", pointer="/to/name", is_marked_optional=True),
            ),
        ),
    ),
    FieldGroup(
        "Message",
        (
            (Field(name="subject", label="Subject", pointer="/payload/subject", is_required=True),),
            (
                Field(
                    name="text",
                    label="Text",
                    pointer="/payload/text",
                    covers=("/payload",),
                    hint="Text, HTML, or best both.",
                    rows=7,
                    read=lines,
                ),
            ),
            (
                Field(
                    name="html",
                    label="HTML",
                    pointer="/payload/html",
                    rows=5,
                    is_code=True,
                    is_marked_optional=True,
                    read=lines,
                ),
            ),
            (
                Field(
                    name="attachments",
                    label="Attachments",
                    pointer="/payload/attachments",
                    kind="files",
                    hint="Up to 10 MB together.",
                    is_marked_optional=True,
                ),
            ),
        ),
    ),
    FieldGroup(
        "Sender and headers",
        (
            (
                Field(name="from_email", label="From address", pointer="/payload/from/email", kind="email"),
                Field(name="from_name", label="From name", pointer="/payload/from/name"),
            ),
            (Field(name="reply_to", label="Reply to", pointer="/payload/replyTo", kind="email"),),
            (
                Field(
                    name="headers",
                    label="Further headers",
                    pointer="/payload/headers",
                    hint="One a line, as in “X-Campaign: spring”.",
                    rows=3,
                    is_code=True,
                    read=pairs,
                ),
            ),
        ),
        is_optional=True,
    ),
    _OPTIONS,
)

_SMS = (
    FieldGroup(
        "Recipient",
        (
            (
                Field(
                    name="to_phone",
                    label="Phone number",
                    pointer="/to/phone",
                    covers=("/to",),
                    kind="tel",
                    hint="With + and the country code, as in +447700900123.",
                    is_required=True,
                ),
            ),
        ),
    ),
    FieldGroup(
        "Message",
        (
            (
                Field(
                    name="text",
                    label="Text",
                    pointer="/payload/text",
                    covers=("/payload",),
                    rows=5,
                    is_required=True,
                    read=lines,
                ),
            ),
            (
                Field(
                    name="sender_id",
                    label="Sender",
                    pointer="/payload/senderId",
                    hint="Up to 11 letters and digits, or a number.",
                    is_marked_optional=True,
                ),
            ),
        ),
    ),
    _OPTIONS,
)

_PUSH = (
    FieldGroup(
        "Recipient",
        (
            (
                Field(
                    name="to_platform",
                    label="Platform",
                    pointer="/to/platform",
                    covers=("/to",),
                    choices=tuple((each.value, word) for each, word in _PLATFORMS.items()),
                    value=Platform.FCM.value,
                    is_required=True,
                ),
            ),
            (
                Field(
                    name="to_token", label="Device token", pointer="/to/token", hint="For FCM and APNs.", is_code=True
                ),
            ),
            (
                Field(
                    name="to_subscription",
                    label="Subscription",
                    pointer="/to/subscription",
                    hint="For web push: the JSON that the browser gives.",
                    rows=3,
                    is_code=True,
                    read=json_value,
                ),
            ),
        ),
    ),
    FieldGroup(
        "Message",
        (
            (Field(name="title", label="Title", pointer="/payload/title"),),
            (
                Field(
                    name="body",
                    label="Text",
                    pointer="/payload/body",
                    covers=("/payload",),
                    rows=4,
                    read=lines,
                ),
            ),
            (
                Field(
                    name="data",
                    label="Data",
                    pointer="/payload/data",
                    hint="For the app, one a line, as in “parcel: 1Z999”.",
                    rows=3,
                    is_code=True,
                    is_marked_optional=True,
                    read=pairs,
                ),
            ),
        ),
    ),
    FieldGroup(
        "Display",
        (
            (
                Field(name="click_url", label="Opens", pointer="/payload/clickUrl", hint="A URL.", kind="url"),
                Field(name="image_url", label="Image", pointer="/payload/imageUrl", hint="An https URL.", kind="url"),
            ),
            (
                Field(name="badge", label="Badge", pointer="/payload/badge", kind="number", read=whole_number),
                Field(name="sound", label="Sound", pointer="/payload/sound"),
            ),
            (
                Field(
                    name="ttl_seconds",
                    label="Kept by the push service for (seconds)",
                    pointer="/payload/ttlSeconds",
                    kind="number",
                    read=whole_number,
                ),
                Field(name="collapse_key", label="Replaces those with the key", pointer="/payload/collapseKey"),
            ),
        ),
        is_optional=True,
    ),
    _OPTIONS,
)

_FORMS: dict[Channel, tuple[FieldGroup, ...]] = {Channel.EMAIL: _EMAIL, Channel.SMS: _SMS, Channel.PUSH: _PUSH}


@dataclass(frozen=True, slots=True)
class SendForm:
    """One form, empty or with what was typed. ``id`` makes sure that a form sent twice is one notification."""

    channel: Channel
    id: str
    groups: tuple[FieldGroup, ...]
    problems: tuple[FormProblem, ...] = ()

    @classmethod
    def blank(cls, channel: Channel) -> SendForm:
        """A form that nobody has typed into yet."""
        return cls(channel, new_id(), _FORMS[channel])

    @classmethod
    def filled(cls, channel: Channel, typed: Mapping[str, str]) -> SendForm:
        """The form as it came back. Files are not kept: browsers don't let a page choose them again."""
        groups = _each_field(_FORMS[channel], lambda field: replace(field, value=typed.get(field.name, "")))
        sent_id = typed.get("form_id", "")
        return cls(channel, sent_id if _is_id(sent_id) else new_id(), groups)

    @property
    def fields(self) -> list[Field]:
        """All fields, in order."""
        return _fields(self.groups)

    def request(self, files: Iterable[Upload] = ()) -> tuple[dict[str, Any], list[Problem]]:
        """The body that the API would take for this, and what can't even be put into one."""
        body: dict[str, Any] = {"type": self.channel.value, "to": {}, "payload": {}}
        problems: list[Problem] = []
        for field in self.fields:
            try:
                value = _attachments(files) if field.kind == "files" else field.read(field.value)
            except ValueError as error:
                problems.append(Problem(field.pointer, str(error)))
                continue
            if value is not None:
                _put(body, field.pointer, value)
        return body, problems

    def refused(self, problems: Sequence[Problem]) -> SendForm:
        """The form with each problem beside its field, and all of them in a summary."""
        placed = [place(problem, self.fields) for problem in problems]
        messages: dict[str, list[str]] = {}
        for field, message in placed:
            if field is not None:
                messages.setdefault(field.name, []).append(message)
        groups = _each_field(self.groups, lambda field: with_errors(field, messages.get(field.name, [])))
        return replace(self, groups=groups, problems=tuple(FormProblem(field, message) for field, message in placed))


def new_id() -> str:
    """An id for a form."""
    return secrets.token_hex(16)


def _is_id(text: str) -> bool:
    return len(text) == 32 and all(character in "0123456789abcdef" for character in text)


def _attachments(files: Iterable[Upload]) -> list[dict[str, str]] | None:
    # A file input that was left empty is sent as one file without a name.
    chosen = [file for file in files if file.filename]
    return [
        {
            "filename": file.filename or "",
            "contentType": file.mimetype or "application/octet-stream",
            "content": b64encode(file.read()).decode("ascii"),
        }
        for file in chosen
    ] or None


def _put(body: dict[str, Any], pointer: str, value: Any) -> None:
    *parents, name = pointer.split("/")[1:]
    for parent in parents:
        body = body.setdefault(parent, {})
    body[name] = value


def _fields(groups: Iterable[FieldGroup]) -> list[Field]:
    return [field for group in groups for row in group.rows for field in row]


def _each_field(groups: Iterable[FieldGroup], change: Callable[[Field], Field]) -> tuple[FieldGroup, ...]:
    return tuple(
        replace(group, rows=tuple(tuple(change(field) for field in row) for row in group.rows)) for group in groups
    )
