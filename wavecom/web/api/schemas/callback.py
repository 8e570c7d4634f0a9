"""The bodies and queries of ``/api/callbacks``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.core.callback_administration import DEFAULT_OVERLAP, LONGEST_OVERLAP, url_problem
from wavecom.core.callbacks import CallbackState, DeliveryState
from wavecom.core.client_events import EVENT_STATUSES, EVENT_TYPES, type_of
from wavecom.core.lanes import Channel
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Boolean, Choice, Integer, Items, Text, Timestamp
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.event import PositionInQuery
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema, TimestampInQuery

NAME_LIMIT = 100
URL_LIMIT = 2000
DELIVERIES_DEFAULT = 50
DELIVERIES_MAXIMUM = 200

#: The name of each event that a callback may ask for.
EventType = StrEnum("EventType", {status.name: type_of(status) for status in EVENT_STATUSES})  # type: ignore[misc]


class WantedState(StrEnum):
    """The states that a client gives a callback."""

    ACTIVE = CallbackState.ACTIVE.value
    PAUSED = CallbackState.PAUSED.value


def _events(**options: Any) -> Items:
    must = f"a list of some of {', '.join(EVENT_TYPES)}; an empty one means all"
    return Items(Choice(EventType), must, max_items=len(EVENT_TYPES), **options)


def _channels(**options: Any) -> Items:
    must = f"a list of some of {', '.join(Channel)}; an empty one means all"
    return Items(Choice(Channel), must, max_items=len(Channel), **options)


class _CallbackSchema(BaseSchema):
    aliases: ClassVar[Mapping[str, str]] = {
        "address": "url",
        "endpoint": "url",
        "eventTypes": "events",
        "types": "events",
        "type": "channels",
        "label": "name",
        "description": "name",
        "status": "state",
    }

    def __init__(self, private_hosts: Collection[str] = ()) -> None:
        super().__init__()
        self._private_hosts = frozenset(private_hosts)

    @validates_schema(skip_on_field_errors=False)
    def _check_url(self, data: Mapping[str, Any], **_: Any) -> None:
        problem = url_problem(data["url"], self._private_hosts) if "url" in data else None
        if problem is not None:
            raise ValidationError({"url": [FieldError(FieldErrorCode.INVALID, problem)]})


class NewCallbackSchema(_CallbackSchema):
    """What ``POST /api/callbacks`` takes."""

    component = "CallbackRequest"

    url = Text(
        f"the address of your endpoint, https, of at most {URL_LIMIT} characters", max_length=URL_LIMIT, required=True
    )
    name = Text(f"a text of at most {NAME_LIMIT} characters", max_length=NAME_LIMIT, load_default="")
    events = _events(load_default=[])
    channels = _channels(load_default=[])


class CallbackChangeSchema(_CallbackSchema):
    """What ``PATCH /api/callbacks/<callbackId>`` takes; what is left out stays as it is."""

    component = "CallbackChange"

    url = Text(f"the address of your endpoint, https, of at most {URL_LIMIT} characters", max_length=URL_LIMIT)
    name = Text(f"a text of at most {NAME_LIMIT} characters", max_length=NAME_LIMIT)
    events = _events()
    channels = _channels()
    state = Choice(WantedState)

    @staticmethod
    def changes(data: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of ``Callback`` that a checked body sets."""
        found: dict[str, Any] = {name: data[name] for name in ("url", "name") if name in data}
        if "events" in data:
            found["statuses"] = statuses(data["events"])
        if "channels" in data:
            found["channels"] = frozenset(data["channels"])
        if "state" in data:
            found["state"] = CallbackState(data["state"].value)
        return found


def statuses(events: Collection[str]) -> frozenset[Any]:
    """The statuses that names of events stand for."""
    return frozenset(EVENT_TYPES[str(event)] for event in events)


class SecretRotationSchema(BaseSchema):
    """What ``POST /api/callbacks/<callbackId>/rotate`` takes."""

    component = "SecretRotation"
    aliases: ClassVar[Mapping[str, str]] = {"overlap": "overlapSeconds", "gracePeriod": "overlapSeconds"}
    may_be_left_out: ClassVar[bool] = True

    overlap_seconds = Integer(
        "a whole number of seconds",
        minimum=0,
        maximum=int(LONGEST_OVERLAP.total_seconds()),
        data_key="overlapSeconds",
        load_default=int(DEFAULT_OVERLAP.total_seconds()),
    )

    @staticmethod
    def overlap(data: Mapping[str, Any]) -> timedelta:
        """How long the old secret goes on being signed with."""
        return timedelta(seconds=data["overlap_seconds"])


class ResendSchema(BaseSchema):
    """What ``POST /api/callbacks/<callbackId>/resend`` takes."""

    component = "ResendRequest"
    aliases: ClassVar[Mapping[str, str]] = {"from": "since", "all": "includeDelivered", "next": "after"}

    since = Timestamp(required=True)
    include_delivered = Boolean("true or false", data_key="includeDelivered", load_default=False)
    after = PositionInQuery("the `next` of the last answer, unchanged")


@dataclass(frozen=True, slots=True)
class DeliveryListRequest:
    """Which deliveries to list, and how many."""

    limit: int
    state: DeliveryState | None
    before: datetime | None
    before_event: str | None


class DeliveryQuery(QuerySchema):
    """``load`` takes the query as name → values and answers a ``DeliveryListRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {"status": "state", "pageSize": "limit", "createdBefore": "before"}

    state = Choice(DeliveryState)
    limit = IntegerInQuery("a whole number", minimum=1, maximum=DELIVERIES_MAXIMUM, load_default=DELIVERIES_DEFAULT)
    before = TimestampInQuery()
    before_event = Text("the `eventId` of the last item", max_length=100, data_key="beforeEvent")

    def load(self, data: Mapping[str, list[str]], **_: Any) -> DeliveryListRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        before, before_event = fields.get("before"), fields.get("before_event")
        return DeliveryListRequest(fields["limit"], fields.get("state"), before, before_event)
