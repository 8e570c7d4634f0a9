"""A body with ``fallback``: one notification over several channels, a step each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

from marshmallow import ValidationError

from wavecom.core.actor import Actor
from wavecom.core.fallback import STEPS_MAXIMUM, STEPS_MINIMUM, WAIT_MAXIMUM, WAIT_MINIMUM, NewFallback, Step
from wavecom.core.lanes import Channel
from wavecom.errors import InvalidRequestError, Problem
from wavecom.settings import MailAddresses
from wavecom.web.api.field_errors import FieldErrorCode, problems, refusal
from wavecom.web.api.fields import Choice, DocumentedField
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
from wavecom.web.api.schemas.templated import Render, TemplatedRequest

#: What a body with this name is.
FALLBACK: Final = "fallback"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
#: Fields of a notification that hold for all steps, by their names in the body and in our schemas.
_OF_THE_WHOLE: Final = {
    "metadata": "metadata",
    "maxAttempts": "max_attempts",
    "priority": "priority",
    "region": "region",
    "onUnknownOutcome": "on_unknown_outcome",
    "sendAt": "send_at",
    "expiresAt": "expires_at",
    "ttlSeconds": "ttl_seconds",
}
#: A field that no fallback has yet: what recipients want is asked for one message at a time.
_CATEGORY: Final = "category"
_NOT_IN_A_STEP: Final = (*_OF_THE_WHOLE.values(), _CATEGORY)


class Wait(DocumentedField[timedelta]):
    """How long a step is waited for: ``30s``, or what is waited for and the seconds."""

    def __init__(self, **options: Any) -> None:
        super().__init__('a time such as "30s", "5m" or "2h", or {"for": "delivered", "seconds": 30}', **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        seconds = {
            "type": "integer",
            "minimum": int(WAIT_MINIMUM.total_seconds()),
            "maximum": int(WAIT_MAXIMUM.total_seconds()),
        }
        return {
            "anyOf": [
                {"type": "string", "pattern": "^[1-9][0-9]{0,5}[smhd]$"},
                {
                    "type": "object",
                    "properties": {"for": {"type": "string", "enum": ["delivered"]}, "seconds": seconds},
                    "required": ["for", "seconds"],
                    "additionalProperties": False,
                },
            ]
        }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> timedelta:
        if isinstance(value, dict):
            seconds = value.get("seconds")
            if value.keys() != {"for", "seconds"} or value["for"] != "delivered" or type(seconds) is not int:
                raise self.invalid()
        elif isinstance(value, str):
            if not re.fullmatch("[1-9][0-9]{0,5}[smhd]", value):
                raise self.invalid()
            seconds = int(value[:-1]) * _UNITS[value[-1]]
        else:
            raise self.wrong_type(value)
        if not WAIT_MINIMUM.total_seconds() <= seconds <= WAIT_MAXIMUM.total_seconds():
            least, most = int(WAIT_MINIMUM.total_seconds()), WAIT_MAXIMUM.days
            raise refusal(FieldErrorCode.OUT_OF_RANGE, f"must be from {least} seconds to {most} days")
        return timedelta(seconds=seconds)


class _StepFields(BaseSchema):
    wait = Wait()


class EmailStep(_StepFields, EmailNotification):
    """A step whose ``type`` is ``email``."""

    class Meta(BaseSchema.Meta):
        """See ``BaseSchema.Meta``."""

        exclude = _NOT_IN_A_STEP

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return _without_times(super().rules())


class SmsStep(_StepFields, SmsNotification):
    """A step whose ``type`` is ``sms``."""

    class Meta(BaseSchema.Meta):
        """See ``BaseSchema.Meta``."""

        exclude = _NOT_IN_A_STEP

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return _without_times(super().rules())


class PushStep(_StepFields, PushNotification):
    """A step whose ``type`` is ``push``."""

    class Meta(BaseSchema.Meta):
        """See ``BaseSchema.Meta``."""

        exclude = _NOT_IN_A_STEP

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return _without_times(super().rules())


def _without_times(rules: dict[str, Any]) -> dict[str, Any]:
    return {name: rule for name, rule in rules.items() if name != "not"}


class StepSchema(NotificationSchema):
    """One step, whatever its type."""

    component = "FallbackStep"
    kinds: ClassVar[Mapping[Channel, type[CommonSchema]]] = {
        Channel.EMAIL: EmailStep,
        Channel.SMS: SmsStep,
        Channel.PUSH: PushStep,
    }


class FallbackType(StrEnum):
    """The ``type`` of a fallback."""

    FALLBACK = FALLBACK


class Steps(DocumentedField[list[Any]]):
    """The steps, unchecked: each is of a schema of its own."""

    def __init__(self, step: StepSchema | None = None, **options: Any) -> None:
        super().__init__(f"a list of {STEPS_MINIMUM} to {STEPS_MAXIMUM} steps", **options)
        self.step = step

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        item: Any = self.parent.step if isinstance(self.parent, FallbackSchema) else {}
        return {"type": "array", "minItems": STEPS_MINIMUM, "maxItems": STEPS_MAXIMUM, "items": item}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong_type(value)
        if len(value) < STEPS_MINIMUM:
            raise refusal(FieldErrorCode.INVALID, f"must be {self.must}; a single one is a notification by itself")
        if len(value) > STEPS_MAXIMUM:
            raise refusal(FieldErrorCode.TOO_MANY, f"must have at most {STEPS_MAXIMUM} steps; it has {len(value)}")
        return value


@dataclass(frozen=True, slots=True)
class FallbackRequest:
    """A body with ``fallback``: its ``fields`` in our names, its steps, and what is ``wrong`` with it so far.

    ``body`` is as it was sent. It may be wrong now, and still repeat a request that once was right.
    """

    body: Mapping[str, Any]
    fields: Mapping[str, Any]
    #: None in the place of one that is wrong.
    steps: Sequence[NotificationRequest | TemplatedRequest | None]
    wrong: tuple[Problem, ...] = ()

    def fingerprint(self) -> str:
        """See ``NotificationRequest.fingerprint``."""
        return fingerprint(self.body)

    def to_fallback(self, actor: Actor, render: Render, idempotency_key: str | None, **more: Any) -> NewFallback:
        """What ``Fallbacks.accept`` takes. Raises ``InvalidRequestError`` naming all that is wrong."""
        wrong = list(self.wrong)
        steps: list[Step] = []
        for place, request in enumerate(self.steps):
            if request is None:
                continue
            try:
                found = request.completed(render) if isinstance(request, TemplatedRequest) else request
            except InvalidRequestError as error:
                wrong.extend(_within(place, error.problems))
            else:
                wrong.extend(_wrong_in_place(place, len(self.steps), found.fields))
                steps.append(Step(**found.fields))
        if wrong:
            raise InvalidRequestError(wrong)
        return NewFallback(
            client=actor.client,
            created_by=actor.name,
            steps=tuple(steps),
            idempotency_key=idempotency_key,
            fingerprint=None if idempotency_key is None else self.fingerprint(),
            **self.fields,
            **more,
        )


class FallbackSchema(CommonSchema):
    """``type`` is ``fallback``, or left out. ``load`` answers a ``FallbackRequest`` and never raises."""

    class Meta(BaseSchema.Meta):
        """See ``BaseSchema.Meta``."""

        exclude = (_CATEGORY,)

    component = "FallbackNotification"

    type = Choice(FallbackType)
    fallback = Steps(required=True)

    def __init__(
        self, now: Now, mail_addresses: MailAddresses = MailAddresses.INTERNET, sender_id_signs: str = ""
    ) -> None:
        super().__init__(now)
        self.step = StepSchema(now, mail_addresses, sender_id_signs)

    def load(self, data: Any, **options: Any) -> FallbackRequest:
        """See the class."""
        try:
            fields: dict[str, Any] = super().load(data, **options)
        except ValidationError as error:
            found = data.get(FALLBACK)
            bodies = found if isinstance(found, list) and len(found) <= STEPS_MAXIMUM else ()
            _, wrong = self._steps_of(bodies)
            return FallbackRequest(data, {}, (), (*problems(error), *wrong))
        steps, wrong = self._steps_of(fields.pop(FALLBACK))
        fields.pop("type", None)
        ttl_seconds = fields.pop("ttl_seconds", None)
        if ttl_seconds is not None:
            starts_at = max(fields.get("send_at") or self._now(), self._now())
            fields["expires_at"] = starts_at + timedelta(seconds=ttl_seconds)
        return FallbackRequest(data, fields, steps, wrong)

    def _steps_of(
        self, bodies: Sequence[Any]
    ) -> tuple[list[NotificationRequest | TemplatedRequest | None], tuple[Problem, ...]]:
        steps: list[NotificationRequest | TemplatedRequest | None] = []
        wrong: list[Problem] = []
        for place, body in enumerate(bodies):
            misplaced = [name for name in _OF_THE_WHOLE if isinstance(body, dict) and name in body]
            if misplaced:
                text = "holds for all steps; put it beside `fallback`"
                wrong += _within(place, [Problem(f"/{name}", text, FieldErrorCode.NOT_ALLOWED) for name in misplaced])
                body = {name: value for name, value in body.items() if name not in misplaced}
            try:
                step = self.step.load(body)
            except ValidationError as error:
                step = None
                wrong += _within(place, problems(error))
            if isinstance(step, AddressedRequest):
                step = None
                text = "can't be named in a step; give the address"
                wrong += _within(place, [Problem("/to/recipient", text, FieldErrorCode.NOT_ALLOWED)])
            steps.append(step)
        return steps, tuple(wrong)


def _within(place: int, wrong: Sequence[Problem]) -> list[Problem]:
    return [Problem(f"/{FALLBACK}/{place}{each.where}", each.message, each.code) for each in wrong]


def _wrong_in_place(place: int, count: int, fields: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a step for its place among the others, or in any."""
    wrong: list[Problem] = []
    is_last = place == count - 1
    if is_last and "wait" in fields:
        wrong.append(
            Problem("/wait", "stands at the last step, after which nothing begins; leave it out", "not_allowed")
        )
    if not is_last and "wait" not in fields:
        text = 'is missing; say how long this step may take before the next one begins, such as "30s"'
        wrong.append(Problem("/wait", text, FieldErrorCode.REQUIRED))
    if "attachments" in fields["payload"]:
        text = "can't stand in a step; link to the file, or send it as a notification of its own"
        wrong.append(Problem("/payload/attachments", text, FieldErrorCode.NOT_ALLOWED))
    return _within(place, wrong)
