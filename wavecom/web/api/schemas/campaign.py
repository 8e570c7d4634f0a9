"""The body of ``POST /api/campaigns``, and the query of its list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson
from marshmallow import ValidationError, validates_schema

from wavecom.core.campaigns.administration import NewCampaign
from wavecom.core.campaigns.mapping import TARGET_RULE, clashes, is_target
from wavecom.core.campaigns.model import CampaignPosition
from wavecom.core.campaigns.pacing import Pace
from wavecom.core.campaigns.rows import COLUMN_LIMIT
from wavecom.core.campaigns.windows import CampaignWindow
from wavecom.core.categories import NAME_PATTERN, NAME_RULE
from wavecom.core.job import UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.web.api import cursors
from wavecom.web.api.campaign_shapes import position_of
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import AnyObject, Choice, Integer, KeyedValues, Object, Text, Timestamp, text_schema
from wavecom.web.api.hours import TimeZoneField, WindowField
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.listing import LIMIT_DEFAULT, LIMIT_MAXIMUM
from wavecom.web.api.schemas.metadata import Metadata
from wavecom.web.api.schemas.notification import YEAR
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema
from wavecom.web.api.schemas.templated import template_fields

NAME_LIMIT: Final = 100
_COLUMN_LIMIT: Final = COLUMN_LIMIT
#: Bytes of JSON: each row's notification has them, and each look at a campaign.
_COMMON_LIMIT: Final = 64 * 1024


class CampaignNotification(BaseSchema):
    """What all notifications of a campaign have in common; a row's values are put into it."""

    component = "CampaignNotification"
    aliases: ClassVar[Mapping[str, str]] = {"channel": "type", "ttl": "ttlSeconds", "tags": "metadata"}

    type = Choice(Channel, required=True)
    template = template_fields()["template"]
    version = template_fields()["version"]
    locale = template_fields()["locale"]
    variables = template_fields()["variables"]
    payload = AnyObject("an object that says what, as the type wants it, where no template does")
    to = AnyObject("what recipients have in common, such as the platform of push tokens")
    category = Text(f"the name of a category of yours: {NAME_RULE}", max_length=40, pattern=NAME_PATTERN)
    metadata = Metadata()
    #: What is urgent is for one person: a campaign there would stand before others' one-time passwords.
    priority = Choice((Priority.NORMAL, Priority.BULK))
    region = Text("the name of a region, such as eu", max_length=32, pattern="[a-z][a-z0-9-]*")
    max_attempts = Integer("a whole number", minimum=1, maximum=20, data_key="maxAttempts")
    on_unknown_outcome = Choice(UnknownOutcomePolicy, data_key="onUnknownOutcome")
    ttl_seconds = Integer("whole seconds", minimum=1, maximum=int(YEAR.total_seconds()), data_key="ttlSeconds")


class Columns(KeyedValues):
    """Column → where its values belong."""

    def __init__(self, **options: Any) -> None:
        super().__init__("an object that says of columns where their values belong", max_items=200, **options)

    def name_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        return text_schema(_COLUMN_LIMIT)

    def item_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        return {"type": "string", "description": TARGET_RULE}

    def error_of(self, name: str, item: object) -> FieldError | None:
        """See ``KeyedValues``."""
        if not name or len(name) > _COLUMN_LIMIT:
            return FieldError(FieldErrorCode.TOO_LONG, f"has a name that must have 1 to {_COLUMN_LIMIT} characters")
        if not isinstance(item, str) or not is_target(item):
            return FieldError(FieldErrorCode.INVALID, f"must be {TARGET_RULE}")
        return None


class CampaignPace(BaseSchema):
    """How fast rows become notifications."""

    component = "CampaignPace"
    aliases: ClassVar[Mapping[str, str]] = {"rate": "rowsPerSecond", "until": "finishBy", "doneBy": "finishBy"}

    rows_per_second = Integer("a whole number", minimum=1, maximum=10_000, data_key="rowsPerSecond")
    finish_by = Timestamp(data_key="finishBy")

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return {"not": {"required": ["rowsPerSecond", "finishBy"]}}

    @validates_schema(skip_on_field_errors=False)
    def _check_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) > 1:
            text = "must not stand beside `rowsPerSecond`; give one of them"
            raise ValidationError({"finishBy": [FieldError(FieldErrorCode.CONFLICT, text)]})


class CampaignSchema(BaseSchema):
    """A campaign without its rows. ``load`` answers a ``NewCampaign``."""

    component = "CampaignRequest"
    aliases: ClassVar[Mapping[str, str]] = {"message": "notification", "mapping": "columns", "sendAt": "startAt"}

    name = Text("what people call it", max_length=NAME_LIMIT, required=True)
    notification = Object(
        CampaignNotification(), "an object with the type and what all notifications have in common", required=True
    )
    columns = Columns()
    pace = Object(CampaignPace(), "an object with rowsPerSecond or finishBy")
    start_at = Timestamp(data_key="startAt")
    send_window = WindowField(data_key="sendWindow")
    time_zone = TimeZoneField(data_key="timeZone")

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return {"dependentRequired": {"sendWindow": ["timeZone"], "timeZone": ["sendWindow"]}}

    @validates_schema
    def _check_window(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("send_window" in data) != ("time_zone" in data):
            missing = "timeZone" if "send_window" in data else "sendWindow"
            text = "is missing; a window goes by the clocks of a time zone: give both, or none"
            raise ValidationError({missing: [FieldError(FieldErrorCode.REQUIRED, text)]})

    def load(self, data: Any, **options: Any) -> NewCampaign:
        """See the class. Raises ``ValidationError`` with every error in it."""
        fields = super().load(data, **options)
        if clashing := clashes(fields.get("columns", {})):
            found = {
                column: [FieldError(FieldErrorCode.CONFLICT, f"goes to the place of the column {other!r}")]
                for column, other in clashing.items()
            }
            raise ValidationError({"columns": found})
        size = len(orjson.dumps(data["notification"]))
        if size > _COMMON_LIMIT:
            text = f"must have at most {_COMMON_LIMIT} bytes as JSON; it has {size}. Name files by their ids"
            raise ValidationError({"notification": [FieldError(FieldErrorCode.TOO_LARGE, text)]})
        loaded = fields["notification"]
        # As it was sent, so that each row is checked as a request of its own; its end is reckoned when its turn comes.
        common = {name: value for name, value in data["notification"].items() if name != "ttlSeconds"}
        return NewCampaign(
            name=fields["name"],
            channel=loaded["type"],
            notification={"priority": Priority.BULK.value} | common,
            columns=fields.get("columns", {}),
            pace=Pace(**fields.get("pace", {})),
            start_at=fields.get("start_at"),
            window=CampaignWindow(fields["send_window"], fields["time_zone"]) if "send_window" in fields else None,
            ttl_seconds=loaded.get("ttl_seconds"),
        )


class CampaignCursor(Text):
    """Where the last page ended."""

    def __init__(self) -> None:
        super().__init__("the cursor of a next link, unchanged", max_length=64)

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "pattern": cursors.PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        try:
            return position_of(value)
        except ValueError:
            raise self.invalid() from None


@dataclass(frozen=True, slots=True)
class CampaignListRequest:
    """Which part of the list."""

    limit: int
    after: CampaignPosition | None


class CampaignQuery(QuerySchema):
    """Paging. ``load`` takes the query as name → values and answers a ``CampaignListRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {"after": "cursor", "page": "cursor", "pageSize": "limit"}

    limit = IntegerInQuery("a whole number", minimum=1, maximum=LIMIT_MAXIMUM, load_default=LIMIT_DEFAULT)
    cursor = CampaignCursor()

    def load(self, data: Mapping[str, list[str]], **_: Any) -> CampaignListRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        return CampaignListRequest(fields["limit"], fields.get("cursor"))
