"""How many rows of a campaign may become notifications now: a pure function of the campaign and what it is told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wavecom.core.campaigns.model import Campaign

#: Rows that one step takes at most.
LARGEST_STEP: Final = 1_000
#: What a pace that was not used up, because a runner was late, may catch up on.
_BURST_SECONDS: Final = 2.0
#: By so much a campaign that is to be done by a time is ahead of a steady pace: rows still have to be delivered.
_AHEAD: Final = 1.05
#: After that time, what is left goes as fast as it can.
_LEAST_SECONDS: Final = 1.0


class CampaignHold(StrEnum):
    """Why no row of a running campaign is sent now."""

    START = "start"
    SEND_WINDOW = "sendWindow"
    PACE = "pace"
    #: As many notifications of its lane wait as a campaign may have before it.
    LANE = "lane"
    QUOTA = "quota"
    #: The key that started or resumed it has ended.
    KEY = "key"
    #: Rows that were uploaded can't be read any more: none is to be passed over without a word.
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Pace:
    """So many rows a second, or as many as it takes to be done by a time; neither: as fast as they go."""

    rows_per_second: float | None = None
    finish_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """How many ``rows`` may go now, each of which uses up ``seconds_each`` of the pace from ``paced_until`` on; or why
    none may, until when (if known)."""

    rows: int
    paced_until: datetime | None = None
    hold: CampaignHold | None = None
    until: datetime | None = None
    seconds_each: float = 0.0


def leave(campaign: Campaign, now: datetime, room: int) -> Leave:
    """What may go ``now``, while the campaign's lane has room for so many more messages."""
    if campaign.start_at is not None and now < campaign.start_at:
        return Leave(0, hold=CampaignHold.START, until=campaign.start_at)
    if campaign.window is not None and not campaign.window.is_open(now):
        return Leave(0, hold=CampaignHold.SEND_WINDOW, until=campaign.window.opens_at(now))
    if room <= 0:
        return Leave(0, campaign.run.paced_until, CampaignHold.LANE)
    rate = _rate(campaign, now)
    if rate is None:
        return Leave(min(LARGEST_STEP, room))
    # A moment that is long past would let all of a pause go at once.
    longest = timedelta(seconds=max(_BURST_SECONDS, 1 / rate))
    since = max(campaign.run.paced_until or now - timedelta(seconds=1 / rate), now - longest)
    rows = math.floor((now - since).total_seconds() * rate + 1e-6)
    if rows < 1:
        return Leave(0, since, CampaignHold.PACE, since + timedelta(seconds=1 / rate))
    return Leave(min(rows, LARGEST_STEP, room), since, seconds_each=1 / rate)


def used_until(campaign: Campaign, allowed: Leave, rows: int) -> datetime | None:
    """Until when the pace is used up once so many of the rows that were allowed have gone."""
    if allowed.paced_until is None:
        return campaign.run.paced_until
    return allowed.paced_until + timedelta(seconds=rows * allowed.seconds_each)


def _rate(campaign: Campaign, now: datetime) -> float | None:
    """Rows a second; None: as many as go."""
    pace = campaign.pace
    if pace.finish_by is None:
        return pace.rows_per_second
    if campaign.window is None:
        left = (pace.finish_by - now).total_seconds()
    else:
        left = campaign.window.open_seconds(now, pace.finish_by)
    return None if left < _LEAST_SECONDS else _AHEAD * max(1, campaign.waiting) / left
