"""A notification that names a registered recipient in place of an address: read here, looked up by whoever has many.

What is stored is the address; so nothing that delivers knows where it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from marshmallow import ValidationError

from wavecom.core.lanes import Channel
from wavecom.core.registered_recipients import ID_PATTERN, ID_RULE, RegisteredRecipient, is_recipient_id
from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.field_errors import FieldError, FieldErrorCode, problems
from wavecom.web.api.schemas.templated import TemplatedRequest
from wavecom.web.api.shapes import as_dict, record, text

if TYPE_CHECKING:
    from wavecom.web.api.schemas.notification import NotificationRequest

#: Of ``to``: whom, by the sender's own id.
RECIPIENT: Final = "recipient"
#: ``to`` in that form, as JSON Schema.
NAMED: Final = as_dict(
    record(
        "NamedRecipient",
        {RECIPIENT: text("the id of a recipient that you have registered", maxLength=128, pattern=f"^{ID_PATTERN}$")},
    )
)
_WHERE: Final = f"/to/{RECIPIENT}"
_ADDRESSES: Final = {
    Channel.EMAIL: "no e-mail address",
    Channel.SMS: "no phone number",
    Channel.PUSH: "no push token",
}


@dataclass(frozen=True, slots=True)
class AddressedRequest:
    """A body whose ``to`` names a recipient. ``body`` is as it was sent; ``load`` checks it once it has an address."""

    type: Channel
    body: Mapping[str, Any]
    load: Callable[[Any], NotificationRequest | TemplatedRequest]

    @property
    def recipient_id(self) -> str | None:
        """Whom to look up; None where that is no id."""
        named = self.body["to"][RECIPIENT]
        return named if isinstance(named, str) and is_recipient_id(named) else None

    def completed(self, recipients: Mapping[str, RegisteredRecipient]) -> NotificationRequest | TemplatedRequest:
        """The request with the recipient's address and, where a template is to write without a locale, his locale.

        ``recipients`` has him, if there is one. Raises ``InvalidRequestError`` naming all that is wrong.
        """
        wrong = self._wrong_names()
        recipient_id = self.recipient_id
        recipient = None if recipient_id is None else recipients.get(recipient_id)
        if recipient_id is None:
            wrong.append(Problem(_WHERE, f"must be the id of a recipient: {ID_RULE}", FieldErrorCode.INVALID))
        elif recipient is None:
            text = "is no recipient of yours; register it with PUT /api/recipients first"
            wrong.append(Problem(_WHERE, text, FieldErrorCode.UNKNOWN_VALUE))
        elif recipient.address(self.type) is None:
            text = f"has {_ADDRESSES[self.type]}; add one to the recipient, or send by another type"
            wrong.append(Problem(_WHERE, text, FieldErrorCode.NOT_ALLOWED))
        to = None if recipient is None else recipient.address(self.type)
        rest: dict[str, Any] = {name: value for name, value in self.body.items() if name != "to"}
        if to is not None:
            rest["to"] = to
            if recipient is not None and recipient.locale is not None and "template" in rest:
                rest.setdefault("locale", recipient.locale)
        loaded: NotificationRequest | TemplatedRequest | None = None
        try:
            loaded = self.load(rest)
        except ValidationError as error:
            found = problems(ValidationError(_said_of_recipient(error.messages)))
            # Without an address nothing can be said of it.
            wrong += [each for each in found if to is not None or not each.where.startswith("/to")]
        if wrong or loaded is None or recipient is None:
            raise InvalidRequestError(wrong)
        return loaded.of_recipient(recipient, self.body)

    def _wrong_names(self) -> list[Problem]:
        return [
            Problem(f"/to/{name}", f"must not stand beside `{RECIPIENT}`; leave it out", FieldErrorCode.CONFLICT)
            for name in self.body["to"]
            if name != RECIPIENT
        ]


def _said_of_recipient(messages: Any) -> Any:
    """What is wrong with an address that was looked up, as said of the recipient whom the sender has named."""
    if not isinstance(messages, dict) or "to" not in messages:
        return messages
    text = "has an address that can't be sent to any more; change the recipient"
    return messages | {"to": {RECIPIENT: [FieldError(FieldErrorCode.INVALID, text)]}}
