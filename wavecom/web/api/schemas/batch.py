"""The body of ``POST /api/notifications/batch``: a list of notifications, each refused or taken for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from marshmallow import ValidationError

from wavecom.core.lanes import Channel
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.errors import InvalidRequestError, Problem
from wavecom.settings import MailAddresses
from wavecom.web.api.arguments import IDEMPOTENCY_KEY, MUST, is_idempotency_key
from wavecom.web.api.field_errors import FieldError, FieldErrorCode, problems, refusal
from wavecom.web.api.fields import AnyObject, DocumentedField
from wavecom.web.api.schemas.addressed import AddressedRequest
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.notification import (
    CommonSchema,
    EmailNotification,
    NotificationRequest,
    NotificationSchema,
    Now,
    PushNotification,
    SmsNotification,
    fingerprint,
)
from wavecom.web.api.schemas.shared import SharedFields
from wavecom.web.api.schemas.templated import Render, TemplatedRequest
from wavecom.web.api.shapes import Shape, as_dict
from wavecom.web.body import BATCH_VALUES_LIMIT

ITEMS_LIMIT = 1000
_KEY = "idempotencyKey"


#: An item beside ``common``, as JSON Schema: whatever it does not share.
_REST = Shape("BatchItemBesideCommon", {"type": "object", "description": "what an item has besides `common`"})


class KeyField(DocumentedField[str]):
    """What a single request has in its ``Idempotency-Key`` header."""

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return dict(IDEMPOTENCY_KEY.schema)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if not is_idempotency_key(value):
            raise self.invalid()
        return value


class _Keyed(BaseSchema):
    idempotency_key = KeyField(MUST.removeprefix("must be "), data_key=_KEY)


class BatchEmail(_Keyed, EmailNotification):
    """An item of ``type`` ``email``."""


class BatchSms(_Keyed, SmsNotification):
    """An item of ``type`` ``sms``."""


class BatchPush(_Keyed, PushNotification):
    """An item of ``type`` ``push``."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One item: a ``request`` that is right, or what is ``wrong`` with it, by JSON pointers that begin at the item.

    ``body`` is the notification alone, without the item's ``key`` and with the fields that all ``shared``: as the same
    notification would come by itself. ``own`` is the item as it was sent.
    """

    body: Any
    key: str | None
    request: NotificationRequest | TemplatedRequest | AddressedRequest | None
    wrong: tuple[Problem, ...] = ()
    shared: SharedFields | None = None
    own: Any = None

    def placed(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """What is wrong with it, each by a pointer to where its value stands: in the item, or below ``/common``."""
        return problems if self.shared is None else [self.shared.placed(each, self.own) for each in problems]

    @property
    def recipient_id(self) -> str | None:
        """The recipient to be looked up for it; None: it names none."""
        return self.request.recipient_id if isinstance(self.request, AddressedRequest) else None

    def addressed(self, recipients: Mapping[str, RegisteredRecipient]) -> BatchItem:
        """The item with the address of the recipient that it names; itself where it names none. Never raises."""
        if not isinstance(self.request, AddressedRequest):
            return self
        try:
            return replace(self, request=self.request.completed(recipients))
        except InvalidRequestError as error:
            return replace(self, request=None, wrong=tuple(error.problems))

    def completed(self, render: Render) -> BatchItem:
        """The item with what its template writes; itself where it names none. Never raises what is its own fault."""
        if not isinstance(self.request, TemplatedRequest):
            return self
        try:
            return replace(self, request=self.request.completed(render))
        except InvalidRequestError as error:
            return replace(self, request=None, wrong=tuple(error.problems))

    def fingerprint(self) -> str:
        """See ``NotificationRequest.fingerprint``; of bodies that are wrong too."""
        return fingerprint(self.body)


class BatchItemSchema(_Keyed, NotificationSchema):
    """One item, whatever its type."""

    component = "BatchItem"
    kinds: ClassVar[Mapping[Channel, type[CommonSchema]]] = {
        Channel.EMAIL: BatchEmail,
        Channel.SMS: BatchSms,
        Channel.PUSH: BatchPush,
    }

    def item(self, data: Any) -> BatchItem:
        """The item checked; never raises."""
        body, key = data, None
        if type(data) is dict and _KEY in data:
            body = {name: value for name, value in data.items() if name != _KEY}
            given = data[_KEY]
            key = given if isinstance(given, str) and is_idempotency_key(given) else None
        try:
            request = self.load(data)
        except ValidationError as error:
            return BatchItem(body, key, None, tuple(problems(error)))
        if isinstance(request, TemplatedRequest | AddressedRequest):
            return BatchItem(body, key, replace(request, body=body))
        if body is not data:
            fields = dict(request.fields)
            del fields["idempotency_key"]
            request = replace(request, fields=fields, body=body)
        return BatchItem(body, key, request)


class BatchItems(DocumentedField[list[Any]]):
    """The items, unchecked: what is wrong with one of them is not the others' fault."""

    def __init__(self, **options: Any) -> None:
        super().__init__(f"a list of 1 to {ITEMS_LIMIT} notifications", **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        item: Any = self.parent.item if isinstance(self.parent, BatchSchema) else {}
        return {"type": "array", "minItems": 1, "maxItems": ITEMS_LIMIT, "items": {"anyOf": [item, as_dict(_REST)]}}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong_type(value)
        if not value:
            raise refusal(FieldErrorCode.EMPTY, f"must be {self.must}")
        if len(value) > ITEMS_LIMIT:
            raise refusal(FieldErrorCode.TOO_MANY, f"must have at most {ITEMS_LIMIT} items; it has {len(value)}")
        return value


class BatchSchema(BaseSchema):
    """Notifications, each as ``NotificationSchema`` takes it, with an ``idempotencyKey`` of its own where it likes.

    ``load`` answers a list of ``BatchItem``, in order. Raises ``ValidationError`` only for what is no batch at all.
    """

    component = "Batch"
    aliases: ClassVar[Mapping[str, str]] = {"items": "notifications", "messages": "notifications"}
    values_limit: ClassVar[int] = BATCH_VALUES_LIMIT

    notifications = BatchItems(required=True)
    common = AnyObject("an object with fields that all items have, but for those that they give themselves")

    def __init__(
        self, now: Now, mail_addresses: MailAddresses = MailAddresses.INTERNET, sender_id_signs: str = ""
    ) -> None:
        super().__init__()
        self.item = BatchItemSchema(now, mail_addresses, sender_id_signs)

    def load(self, data: Any, **options: Any) -> list[BatchItem]:
        """See the class."""
        fields = super().load(data, **options)
        if "common" not in fields:
            return [self.item.item(item) for item in fields["notifications"]]
        if _KEY in fields["common"]:
            text = "is an item's own; give it in the item, or in the header"
            raise ValidationError({"common": {_KEY: [FieldError(FieldErrorCode.NOT_ALLOWED, text)]}})
        shared = SharedFields(fields["common"])
        shared.check_size(len(fields["notifications"]))
        return [
            replace(self.item.item(shared.under(item)), shared=shared, own=item) for item in fields["notifications"]
        ]
