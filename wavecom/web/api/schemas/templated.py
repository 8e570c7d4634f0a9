"""A notification that names a template in place of its payload: read here, written by ``core/templates``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from marshmallow import ValidationError

from wavecom.core.lanes import Channel
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.core.templates.locales import LOCALE_RULE
from wavecom.core.templates.model import NAME_PATTERN, NAME_RULE
from wavecom.core.templates.rendering import Rendered, TemplateRequest
from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.field_errors import FieldErrorCode, problems
from wavecom.web.api.fields import AnyObject, Integer, Text
from wavecom.web.api.schemas.base import BaseSchema

if TYPE_CHECKING:
    from wavecom.web.api.schemas.notification import NotificationRequest

VERSIONS_MAXIMUM: Final = 1_000_000
#: Makes a payload for a channel of what a request names. Raises ``InvalidRequestError``.
Render = Callable[[Channel, TemplateRequest], Rendered]


def template_fields() -> dict[str, Any]:
    """The fields that stand in place of ``payload``."""
    name = NAME_PATTERN.strip("^$")
    return {
        "template": Text(f"the name of a template: {NAME_RULE}", max_length=64, pattern=name),
        "version": Integer(
            "the number of a published version; left out: the current one", minimum=1, maximum=VERSIONS_MAXIMUM
        ),
        "locale": Text(f"the recipient's: {LOCALE_RULE}", max_length=20),
        "variables": AnyObject("an object with a value for each variable of the template"),
    }


#: A body with one of these names a template.
FIELDS: Final = frozenset(("template", "version", "locale", "variables"))


class TemplateChoice(BaseSchema):
    """The fields of a body that say which template, and with what."""

    component: ClassVar[str] = "TemplateChoice"

    template = Text(f"the name of a template: {NAME_RULE}", max_length=64, required=True)
    version = template_fields()["version"]
    locale = template_fields()["locale"]
    variables = template_fields()["variables"]


_CHOICE: Final = TemplateChoice()


@dataclass(frozen=True, slots=True)
class TemplatedRequest:
    """A body that names a template. ``load`` checks it once it has its payload.

    ``body`` is as it was sent; where it named a ``recipient``, it has the address, and ``sent`` is as it was sent.
    """

    type: Channel
    body: Mapping[str, Any]
    load: Callable[[Any], NotificationRequest]
    recipient: RegisteredRecipient | None = None
    sent: Mapping[str, Any] | None = None

    def of_recipient(self, recipient: RegisteredRecipient, sent: Mapping[str, Any]) -> TemplatedRequest:
        """The same, its address having been looked up."""
        return replace(self, recipient=recipient, sent=sent)

    def completed(self, render: Render) -> NotificationRequest:
        """The request with its payload. Raises ``InvalidRequestError`` naming all that is wrong: in the choice of the
        template, in the variables, and in the rest."""
        wrong: list[Problem] = []
        rendered: Rendered | None = None
        try:
            rendered = render(self.type, self._choice())
        except InvalidRequestError as error:
            wrong.extend(error.problems)
        rest = {name: value for name, value in self.body.items() if name not in FIELDS}
        own = rest.get("payload", {})
        payload = {} if rendered is None else rendered.payload
        if isinstance(own, dict):
            for name in own.keys() & payload.keys():
                text = "is the template's; leave it out here"
                wrong.append(Problem(f"/payload/{name}", text, FieldErrorCode.CONFLICT))
            rest["payload"] = own | payload
        try:
            loaded = self.load(rest)
        except ValidationError as error:
            # Without a rendering nothing can be said of the payload.
            found = problems(error)
            wrong.extend(each for each in found if rendered is not None or not each.where.startswith("/payload"))
        if wrong or rendered is None:
            raise InvalidRequestError(wrong)
        sent = self.body if self.sent is None else self.sent
        loaded = loaded.of_template(rendered.use, sent)
        return loaded if self.recipient is None else loaded.of_recipient(self.recipient, sent)

    def _choice(self) -> TemplateRequest:
        try:
            fields = _CHOICE.load({name: self.body[name] for name in FIELDS if name in self.body})
        except ValidationError as error:
            raise InvalidRequestError(problems(error)) from error
        return TemplateRequest(
            fields["template"], fields.get("variables", {}), fields.get("version"), fields.get("locale")
        )
