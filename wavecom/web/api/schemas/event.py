"""The query of ``GET /api/events``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wavecom.core.job import JobId
from wavecom.web.api.fields import DocumentedField
from wavecom.web.api.schemas.listing import JobIdInQuery
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema

LIMIT_DEFAULT = 100
LIMIT_MAXIMUM = 1000


class PositionInQuery(DocumentedField[int]):
    """A position in the log of an account, as a page's ``next`` or a stream's ``id`` writes it."""

    PATTERN = "^(0|[1-9][0-9]{0,14})$"

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "pattern": self.PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if not re.fullmatch(self.PATTERN, value):
            raise self.invalid()
        return int(value)


@dataclass(frozen=True, slots=True)
class EventListRequest:
    """What to read. ``after`` None: from the oldest event that is kept."""

    after: int | None
    limit: int
    job_id: JobId | None


@dataclass(frozen=True, slots=True)
class EventStreamRequest:
    """What to stream. ``after`` None: from the newest event on."""

    after: int | None
    job_id: JobId | None


class EventStreamQuery(QuerySchema):
    """``load`` takes the query as name → values and answers an ``EventStreamRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {
        "cursor": "after",
        "since": "after",
        "lastEventId": "after",
        "id": "jobId",
    }

    after = PositionInQuery("the `next` of a page, or the `id` of a streamed event, unchanged")
    job_id = JobIdInQuery("the id of a notification", data_key="jobId")

    def load(self, data: Mapping[str, list[str]], **_: Any) -> EventStreamRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        return EventStreamRequest(fields.get("after"), fields.get("job_id"))


class EventQuery(QuerySchema):
    """``load`` takes the query as name → values and answers an ``EventListRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {
        "cursor": "after",
        "since": "after",
        "next": "after",
        "id": "jobId",
        "pageSize": "limit",
        "perPage": "limit",
    }

    after = PositionInQuery("the `next` of a page, or the `id` of a streamed event, unchanged")
    limit = IntegerInQuery("a whole number", minimum=1, maximum=LIMIT_MAXIMUM, load_default=LIMIT_DEFAULT)
    job_id = JobIdInQuery("the id of a notification", data_key="jobId")

    def load(self, data: Mapping[str, list[str]], **_: Any) -> EventListRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        return EventListRequest(fields.get("after"), fields["limit"], fields.get("job_id"))
