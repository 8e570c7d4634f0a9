"""The query of ``GET /api/stats``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from marshmallow import ValidationError

from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Choice
from wavecom.web.api.schemas.query import QuerySchema, TimestampInQuery

POINTS_LIMIT = 1_000
#: How far back a series reaches when nobody says.
_USUAL_REACH = {
    Interval.MINUTE: timedelta(hours=1),
    Interval.HOUR: timedelta(hours=24),
    Interval.DAY: timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """A series: ``since`` and ``until`` are beginnings of steps."""

    since: datetime
    until: datetime
    step: Interval
    type: Channel | None

    @property
    def starts(self) -> list[datetime]:
        """The beginning of each step."""
        return [
            self.since + self.step.length * number for number in range((self.until - self.since) // self.step.length)
        ]


class StatsQuery(QuerySchema):
    """``load`` takes the query as name → values and answers a ``StatsRequest``. ``now`` is where a series ends."""

    aliases: ClassVar[Mapping[str, str]] = {
        "from": "since",
        "createdSince": "since",
        "to": "until",
        "before": "until",
        "createdBefore": "until",
        "interval": "step",
        "granularity": "step",
        "channel": "type",
    }

    since = TimestampInQuery()
    until = TimestampInQuery()
    step = Choice(Interval, load_default=Interval.HOUR)
    type = Choice(Channel)

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now

    def load(self, data: Mapping[str, list[str]], **_: Any) -> StatsRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        step: Interval = fields["step"]
        until: datetime = fields.get("until") or self._now()
        try:
            since = step.start_of(fields.get("since") or until - _USUAL_REACH[step])
            end = step.start_of(until)
            # The step that ``until`` lies in belongs to the series, as far as it has come.
            end += step.length if until > end else timedelta()
        except OverflowError:
            raise ValidationError(
                {"until": [FieldError(FieldErrorCode.OUT_OF_RANGE, "must lie within our era")]}
            ) from None
        if end <= since:
            raise ValidationError({"until": [FieldError(FieldErrorCode.OUT_OF_RANGE, "must be after `since`")]})
        points = (end - since) // step.length
        if points > POINTS_LIMIT:
            why = f"would make {points} points, and at most {POINTS_LIMIT} are answered: take longer steps or less time"
            raise ValidationError({"step": [FieldError(FieldErrorCode.OUT_OF_RANGE, why)]})
        return StatsRequest(since, end, step, fields.get("type"))
