"""How the second of two providers took over from the first, and gave back. Pure, as ``reconcile``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.moments import takeover
from tests.faults.notes import Trouble
from tests.faults.plan import FIRST, SECOND

#: Traffic is on the second when it gets this share of what is accepted.
TAKEN_OVER_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverFindings:
    """Times in seconds from the beginning of the trouble; ``takeover_seconds`` None: the second never took over."""

    takeover_seconds: float | None
    #: Calls of the first that failed until then.
    failed_calls: int
    #: The share of what was to be delivered that was.
    delivered_share: float
    #: The first was sent something again after its trouble.
    came_back: bool


def reconcile_failover(
    records: Sequence[Mapping[str, Any]],
    trouble: Trouble,
    accepted_at: Sequence[float],
    asked: Sequence[Mapping[str, Any]],
    load_ended_at: float,
) -> FailoverFindings:
    """``records``: every call of both providers. ``asked``: the jobs of the store that were to be delivered."""
    since, until = trouble.since, trouble.until or load_ended_at
    by_second = sorted(r["at"] for r in records if r["provider"] == SECOND and r["answer"] == "200")
    rate = sum(since <= at < until for at in accepted_at) / (until - since)
    takeover_seconds = takeover(by_second, since, until, TAKEN_OVER_SHARE * rate)
    by_takeover = since + (takeover_seconds if takeover_seconds is not None else until)
    of_first = [record for record in records if record["provider"] == FIRST]
    failed = [r for r in of_first if since <= r["at"] < until and r["answer"] != "200"]
    return FailoverFindings(
        takeover_seconds=takeover_seconds,
        failed_calls=sum(record["at"] < by_takeover for record in failed),
        delivered_share=sum(job["status"] == "delivered" for job in asked) / max(1, len(asked)),
        came_back=any(record["answer"] == "200" and record["at"] > until for record in of_first),
    )
