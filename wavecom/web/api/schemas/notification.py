"""The body of ``POST /api/notifications``: what all types share, and the choice of the type's own schema."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

import orjson
from marshmallow import ValidationError, validates_schema

from wavecom.core.actor import Actor
from wavecom.core.categories import NAME_PATTERN, NAME_RULE
from wavecom.core.job import TemplateUse, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.errors import InvalidRequestError, Problem
from wavecom.settings import MailAddresses
from wavecom.web.api import email_addresses
from wavecom.web.api.addresses import Recipient
from wavecom.web.api.field_errors import FieldError, FieldErrorCode, problems
from wavecom.web.api.fields import AnyObject, Choice, Integer, Object, Text, Timestamp
from wavecom.web.api.schemas import sms
from wavecom.web.api.schemas.addressed import NAMED, RECIPIENT, AddressedRequest
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.email import EmailPayload, EmailTo
from wavecom.web.api.schemas.metadata import Metadata
from wavecom.web.api.schemas.push import WEB_PUSH_LIMIT_BYTES, Platform, PushPayload, PushTo, size_error
from wavecom.web.api.schemas.sms import SmsPayload, SmsTo
from wavecom.web.api.schemas.templated import FIELDS as TEMPLATE_FIELDS
from wavecom.web.api.schemas.templated import TemplatedRequest, template_fields

YEAR = timedelta(days=365)
#: A ``sendAt`` so little in the past is a clock that is slow, or a request that was long on its way: it means now.
LATE_START = timedelta(seconds=60)

Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class NotificationRequest:
    """A body that is right: ``fields`` in our names, ``body`` as it was sent."""

    fields: Mapping[str, Any]
    body: Mapping[str, Any]

    def to_notification(self, actor: Actor, idempotency_key: str | None = None) -> NewNotification:
        """What ``Acceptance.accept`` takes."""
        return NewNotification(
            client=actor.client,
            created_by=actor.name,
            idempotency_key=idempotency_key,
            fingerprint=None if idempotency_key is None else self.fingerprint(),
            **self.fields,
        )

    def of_template(self, use: TemplateUse, body: Mapping[str, Any]) -> NotificationRequest:
        """The same, its payload having been written by a template that ``body`` names."""
        return NotificationRequest({**self.fields, "template": use}, body)

    def of_recipient(self, recipient: RegisteredRecipient, body: Mapping[str, Any]) -> NotificationRequest:
        """The same, its address being that of a recipient whom ``body`` names."""
        return NotificationRequest({**self.fields, "recipient": recipient}, body)

    def fingerprint(self) -> str:
        """Equal for bodies that are equal as JSON, whatever the order of their names and their white space."""
        return fingerprint(self.body)


def fingerprint(body: object) -> str:
    """See ``NotificationRequest.fingerprint``: of the body as it was sent, so it does not change with time."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A body in which something is wrong now; it may still be the repetition of one that once was right."""

    body: object
    wrong: tuple[Problem, ...]


class CommonSchema(BaseSchema):
    """The fields of every notification, with the rules between them."""

    aliases: ClassVar[Mapping[str, str]] = {
        "channel": "type",
        "recipient": "to",
        "recipients": "to",
        "message": "payload",
        "content": "payload",
        "body": "payload",
        "data": "payload",
        "scheduledAt": "sendAt",
        "ttl": "ttlSeconds",
        "retries": "maxAttempts",
        "tags": "metadata",
        "idempotencyKey": "the Idempotency-Key header",
        "idempotency_key": "the Idempotency-Key header",
    }

    type = Choice(Channel, required=True)
    metadata = Metadata()
    max_attempts = Integer("a whole number", minimum=1, maximum=20, data_key="maxAttempts")
    priority = Choice(Priority)
    # Without what generated clients can't check; whether there is such a region is asked afterwards.
    region = Text("the name of a region, such as eu", max_length=32, pattern="[a-z][a-z0-9-]*")
    category = Text(f"the name of a category of yours: {NAME_RULE}", max_length=40, pattern=NAME_PATTERN)
    on_unknown_outcome = Choice(UnknownOutcomePolicy, data_key="onUnknownOutcome")
    send_at = Timestamp(data_key="sendAt")
    expires_at = Timestamp(data_key="expiresAt")
    ttl_seconds = Integer("whole seconds", minimum=1, maximum=int(YEAR.total_seconds()), data_key="ttlSeconds")

    def __init__(self, now: Now) -> None:
        super().__init__()
        self._now = now

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return {"not": {"required": ["expiresAt", "ttlSeconds"]}}

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_times(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        send_at, expires_at = data.get("send_at"), data.get("expires_at")
        if send_at is None and expires_at is None:
            return
        now = self._now()
        field_errors: dict[str, list[FieldError]] = {}
        if send_at is not None and (why := _wrong_start(send_at, now)):
            field_errors["sendAt"] = [FieldError(FieldErrorCode.OUT_OF_RANGE, why)]
        if expires_at is not None:
            if isinstance(original, dict) and "ttlSeconds" in original:
                field_errors["expiresAt"] = [
                    FieldError(FieldErrorCode.CONFLICT, "must not stand beside `ttlSeconds`; give one of them")
                ]
            elif why := _wrong_end(expires_at, send_at, now):
                field_errors["expiresAt"] = [FieldError(FieldErrorCode.OUT_OF_RANGE, why)]
        if field_errors:
            raise ValidationError(field_errors)


def _wrong_start(send_at: datetime, now: datetime) -> str:
    if send_at < now - LATE_START:
        return f"must be in the future; {_ago(now - send_at)}"
    return "must be within a year from now" if send_at > now + YEAR else ""


def _wrong_end(expires_at: datetime, send_at: datetime | None, now: datetime) -> str:
    starts_at = now if send_at is None else max(send_at, now)
    if expires_at <= now:
        return f"must be in the future; {_ago(now - expires_at)}"
    if expires_at <= starts_at:
        return "must be after `sendAt`"
    return "must be within a year from `sendAt`, or from now" if expires_at > starts_at + YEAR else ""


def _ago(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"it was {seconds // length} {unit} ago"
    return f"it was {seconds} seconds ago" if seconds > 1 else "it has just passed"


class _OneType(CommonSchema):
    """What all types have. The fields of templates are described here; ``TemplatedRequest`` reads them."""

    template = template_fields()["template"]
    version = template_fields()["version"]
    locale = template_fields()["locale"]
    variables = template_fields()["variables"]

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``: a template may stand in the place of a payload."""
        needed = [name for name, field in self.load_fields.items() if field.required and name != "payload"]
        return super().rules() | {"required": needed} | self.one_needed("template", "payload")


class EmailNotification(_OneType):
    """``type`` is ``email``."""

    to = Recipient(
        EmailTo(), 'an object such as {"email": "amina@example.com"}', address="email", other=NAMED, required=True
    )
    payload = Object(EmailPayload(), "an object with subject and text or html", required=True)


class SmsNotification(_OneType):
    """``type`` is ``sms``."""

    to = Recipient(SmsTo(), 'an object such as {"phone": "+447700900123"}', address="phone", other=NAMED, required=True)
    payload = Object(SmsPayload(), "an object with text", required=True)


class PushNotification(_OneType):
    """``type`` is ``push``."""

    to = Object(PushTo(), "an object with platform and token or subscription", other=NAMED, required=True)
    payload = Object(PushPayload(), "an object with title, body or data", required=True)

    @validates_schema(skip_on_field_errors=False)
    def _check_size(self, data: Mapping[str, Any], **_: Any) -> None:
        to, payload = data.get("to"), data.get("payload")
        if to is None or payload is None or to.get("platform") is not Platform.WEBPUSH:
            return
        if field_error := size_error(payload, WEB_PUSH_LIMIT_BYTES):
            raise ValidationError({"payload": [field_error]})


class NotificationSchema(CommonSchema):
    """Any notification: its ``type`` chooses the schema that checks it, in one pass over all of its fields.

    ``load`` answers a ``NotificationRequest``. ``now`` is the time against which sendAt and expiresAt are held,
    ``mail_addresses`` says who decides which e-mail addresses there may be, ``sender_id_signs`` which signs a sender's
    name may hold.
    """

    component = "NotificationRequest"
    kinds: ClassVar[Mapping[Channel, type[CommonSchema]]] = {
        Channel.EMAIL: EmailNotification,
        Channel.SMS: SmsNotification,
        Channel.PUSH: PushNotification,
    }

    to = AnyObject("an object that says whom, as the type wants it", required=True)
    payload = AnyObject("an object that says what, as the type wants it", required=True)

    def __init__(
        self, now: Now, mail_addresses: MailAddresses = MailAddresses.INTERNET, sender_id_signs: str = ""
    ) -> None:
        super().__init__(now)
        #: What holds while a body of one type is checked.
        self._rules: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
            Channel.EMAIL: partial(email_addresses.rules, mail_addresses),
            Channel.SMS: partial(sms.sender_id_signs, sender_id_signs),
            Channel.PUSH: nullcontext,
        }
        self.by_type: dict[object, CommonSchema] = {type_.value: kind(now) for type_, kind in self.kinds.items()}

    def variants(self) -> Mapping[str, BaseSchema]:
        """See ``BaseSchema``."""
        return {str(type_): schema for type_, schema in self.by_type.items()}

    def load(self, data: Any, **_: Any) -> NotificationRequest | TemplatedRequest | AddressedRequest:
        """The checked body, or one whose address has to be looked up or whose payload a template has to write first.

        Raises ``ValidationError`` with every error in it.
        """
        if type(data) is dict and type(to := data.get("to")) is dict and RECIPIENT in to:
            type_ = data.get("type")
            if isinstance(type_, str) and type_ in self.by_type:
                return AddressedRequest(Channel(type_), data, self._load_addressed)
        return self._load_addressed(data)

    def _load_addressed(self, data: Any) -> NotificationRequest | TemplatedRequest:
        """``load`` of a body that names no recipient."""
        if type(data) is dict and not TEMPLATE_FIELDS.isdisjoint(data):
            type_ = data.get("type")
            if isinstance(type_, str) and type_ in self.by_type:
                return TemplatedRequest(Channel(type_), data, self._load)
        return self._load(data)

    def _load(self, data: Any) -> NotificationRequest:
        type_ = data.get("type") if isinstance(data, dict) else None
        schema = self.by_type.get(type_) if isinstance(type_, str) else None
        if schema is None:
            # Finds at least the type wrong; what can be said without it is said too.
            super().load(data)
            raise AssertionError("a body without a known type was let through")
        with self._rules[str(type_)]():
            fields: dict[str, Any] = schema.load(data)
        ttl_seconds = fields.pop("ttl_seconds", None)
        if ttl_seconds is not None:
            starts_at = fields.get("send_at") or self._now()
            fields["expires_at"] = max(starts_at, self._now()) + timedelta(seconds=ttl_seconds)
        return NotificationRequest(fields, data)

    def read_plain(self, body: object) -> NotificationRequest:
        """``read`` of a body that has a payload and names no template. Raises ``InvalidRequestError``."""
        try:
            return self._load(body)
        except ValidationError as error:
            raise InvalidRequestError(problems(error)) from error

    def read(self, body: object) -> NotificationRequest | TemplatedRequest | AddressedRequest:
        """``load`` for callers outside HTTP parsing. Raises ``InvalidRequestError`` naming every error."""
        try:
            return self.load(body)
        except ValidationError as error:
            raise InvalidRequestError(problems(error)) from error


class RepeatableSchema(NotificationSchema):
    """``NotificationSchema`` whose ``load`` never raises: the view has to look first whether it knows the request.

    ``others`` read bodies of other kinds, each those that have a field of its name, which is a ``type`` as well.
    """

    def __init__(
        self,
        now: Now,
        mail_addresses: MailAddresses = MailAddresses.INTERNET,
        sender_id_signs: str = "",
        others: Mapping[str, BaseSchema] | None = None,
    ) -> None:
        super().__init__(now, mail_addresses, sender_id_signs)
        self._others = others or {}

    def variants(self) -> Mapping[str, BaseSchema]:
        """See ``BaseSchema``."""
        return {**super().variants(), **self._others}

    def load(self, data: Any, **options: Any) -> Any:
        """The checked body, or what is wrong with it; what ``others`` say of one of theirs."""
        if self._others and type(data) is dict:
            for name, schema in self._others.items():
                if name in data:
                    return schema.load(data)
        try:
            return super().load(data, **options)
        except ValidationError as error:
            return RefusedRequest(data, tuple(problems(error)))
