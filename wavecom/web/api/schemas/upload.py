"""The query of ``POST /api/files``; the body is the file itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from wavecom.core.uploads import DEFAULT_TIME_TO_LIVE, LONGEST_TIME_TO_LIVE
from wavecom.web.api.schemas.email import FileName
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema

_LEAST_SECONDS = 60


class UploadQuery(QuerySchema):
    """What the file is called, and for how long it can be named."""

    aliases: ClassVar[Mapping[str, str]] = {"name": "filename", "ttl": "ttlSeconds", "expiresIn": "ttlSeconds"}

    filename = FileName(required=True)
    ttl_seconds = IntegerInQuery(
        "whole seconds",
        minimum=_LEAST_SECONDS,
        maximum=int(LONGEST_TIME_TO_LIVE.total_seconds()),
        data_key="ttlSeconds",
        load_default=int(DEFAULT_TIME_TO_LIVE.total_seconds()),
    )

    def load(self, data: Mapping[str, list[str]], **_: Any) -> dict[str, Any]:  # type: ignore[override]
        """Raises ``ValidationError`` with every error in the query."""
        return self.load_query(data)

    @staticmethod
    def time_to_live(fields: Mapping[str, Any]) -> timedelta:
        """Of fields that were loaded."""
        return timedelta(seconds=fields["ttl_seconds"])
