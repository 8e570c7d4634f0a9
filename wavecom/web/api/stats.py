"""``GET /api/stats``: how many notifications came to each status, over time. Read from kept counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import Response

from wavecom.accounts import KeyScope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.core.states import Status
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.stats import StatsQuery, StatsRequest
from wavecom.web.api.shapes import Json, array, enum, integer, record, timestamp
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/stats"

#: What is counted. A claim is not: processing lasts milliseconds, and counting it would cost every delivery.
COUNTED = tuple(status for status in Status if status is not Status.PROCESSING)

_COUNTS = record("StatusCounts", {status.value: integer() for status in COUNTED})
_STATS = record(
    "Stats",
    {
        "since": timestamp("the beginning of the first step"),
        "until": timestamp("the end of the last step"),
        "step": enum(Interval),
        "totals": _COUNTS,
        "byType": record("TypeCounts", {channel.value: _COUNTS for channel in Channel}),
        "points": array(record("StatsPoint", {"at": timestamp("the beginning of the step"), "counts": _COUNTS})),
    },
    description="How many notifications came to each status in each step.",
)


def _example() -> Json:
    some = _counts({Status.QUEUED: 1204, Status.DELIVERED: 1198, Status.FAILED: 6})
    return {
        "since": "2026-03-14T09:00:00.000Z",
        "until": "2026-03-14T10:00:00.000Z",
        "step": "hour",
        "totals": some,
        "byType": {"email": _counts({}), "sms": some, "push": _counts({})},
        "points": [{"at": "2026-03-14T09:00:00.000Z", "counts": some}],
    }


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The view over ``services``."""
    blueprint = ApiBlueprint("stats", __name__, url_prefix=PATH, description="Count notifications.")
    authenticator = Authenticator(services.keys)

    @blueprint.operation("GET", "", id="readStats")
    @authenticator.requires(KeyScope.READ)
    @blueprint.reads(
        StatsQuery(services.clock.now),
        "query",
        example={"since": "2026-03-14T09:00:00Z", "step": "hour", "type": "sms"},
    )
    @blueprint.answers(200, _STATS, example=_example())
    def read(wanted: StatsRequest) -> Response:
        """Count notifications by status, over time.

        Each is counted once for each status that it comes to, in the step in which it does; a claim by a worker is not
        counted. At most two seconds behind.
        """
        series = services.stats.series(wanted.since, wanted.until, wanted.step, caller().client)
        by_type: dict[Channel, Counter[Status]] = {channel: Counter() for channel in Channel}
        points = []
        for at in wanted.starts:
            sums: Counter[Status] = Counter()
            for channel, counts in series.get(at, {}).items():
                if wanted.type in {None, channel}:
                    sums.update(counts)
                    by_type[channel].update(counts)
            points.append({"at": rfc3339(at), "counts": _counts(sums)})
        totals = sum(by_type.values(), Counter[Status]())
        return json_response(
            {
                "since": rfc3339(wanted.since),
                "until": rfc3339(wanted.until),
                "step": wanted.step.value,
                "totals": _counts(totals),
                "byType": {channel.value: _counts(counts) for channel, counts in by_type.items()},
                "points": points,
            }
        )

    return blueprint


def _counts(counts: Mapping[Status, int]) -> dict[str, Any]:
    return {status.value: counts.get(status, 0) for status in COUNTED}
