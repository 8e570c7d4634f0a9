"""Whether what a template gives could be sent: by the schemas that check every notification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.lanes import Channel
from wavecom.core.templates.preparation import CheckPayload
from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.schemas.notification import NotificationSchema

#: Somebody to whom it might go.
_RECIPIENTS: Final[Mapping[Channel, Mapping[str, str]]] = {
    Channel.EMAIL: {"email": "amina@example.com"},
    Channel.SMS: {"phone": "+447700900123"},
    Channel.PUSH: {"platform": "fcm", "token": "t" * 40},
}


def payload_check(schema: NotificationSchema) -> CheckPayload:
    """The check of a payload, for ``TemplateAdministration``."""

    def check(channel: Channel, payload: Mapping[str, Any]) -> list[Problem]:
        body = {"type": channel.value, "to": dict(_RECIPIENTS[channel]), "payload": dict(payload)}
        try:
            schema.read_plain(body)
        except InvalidRequestError as error:
            return [
                Problem(each.where.removeprefix("/payload"), each.message, each.code)
                for each in error.problems
                if each.where.startswith("/payload")
            ]
        return []

    return check
