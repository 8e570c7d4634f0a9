"""What receipts say of a provider, and what that makes of its weight. Pure.

A provider whose receipts turn slow or bad keeps a share of its weight that falls by steps, and rises by steps when they
are good again: down quickly, up slowly, and never to nothing, so that there is always something to judge it by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from wavecom.core.receipt_counts import CountKey, ReceiptCounts
from wavecom.core.receipt_thresholds import MARGIN_SECONDS, ReceiptThresholds

#: Good again is below this part of both: what lies between changes nothing quickly.
GOOD_PART: Final = 0.5

#: What is left of a weight, in percent: from the whole of it down to the least, a step at a time.
STEPS: Final = (100, 80, 60, 40, 20, 10)
DOWN_EVERY: Final = timedelta(minutes=2)
UP_EVERY: Final = timedelta(minutes=10)
#: Where it can't be told that all is well, nor that it isn't: a provider must not stay low for want of messages.
UNSURE_UP_EVERY: Final = timedelta(minutes=30)


class ReceiptHealth(StrEnum):
    """What the receipts of the last minutes say."""

    GOOD = "good"
    #: Neither good nor so bad that it should lose weight.
    FAIR = "fair"
    SLOW = "slow"
    BAD = "bad"
    #: There were too few messages, or nobody reports anything, which may be for want of our own side.
    UNKNOWN = "unknown"

    @property
    def is_trouble(self) -> bool:
        """Whether it should lose weight."""
        return self in {ReceiptHealth.SLOW, ReceiptHealth.BAD}


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Counts of the window: of all its messages, and of those that should have a receipt by now."""

    total: ReceiptCounts = field(default_factory=ReceiptCounts)
    due: ReceiptCounts = field(default_factory=ReceiptCounts)

    def __add__(self, other: WindowCounts) -> WindowCounts:
        return WindowCounts(self.total + other.total, self.due + other.due)

    @property
    def mean_delay_seconds(self) -> float | None:
        """How long receipts that are no failures took; None: there are none."""
        count = self.total.good + self.total.late
        return self.total.delay_seconds / count if count else None

    def slow_share(self, least_messages: int) -> float | None:
        """Of the messages that should have a receipt, how many have none in time; None: of too few to tell."""
        due = self.due
        return None if due.sent < least_messages else max(0.0, 1 - (due.good + due.failed) / due.sent)

    def failed_share(self, least_messages: int) -> float | None:
        """Of the messages that were reported, how many have failed; None: of too few to tell."""
        return None if self.total.reported < least_messages else self.total.failed / self.total.reported

    def health(self, thresholds: ReceiptThresholds) -> ReceiptHealth:
        """What the counts say by themselves."""
        slow, failed = self.slow_share(thresholds.least_messages), self.failed_share(thresholds.least_messages)
        if slow is None and failed is None:
            return ReceiptHealth.UNKNOWN
        if failed is not None and failed >= thresholds.bad_share:
            return ReceiptHealth.BAD
        if slow is not None and slow >= thresholds.slow_share:
            return ReceiptHealth.SLOW
        fails_little = (failed or 0) < thresholds.bad_share * GOOD_PART
        is_good = fails_little and slow is not None and slow < thresholds.slow_share * GOOD_PART
        return ReceiptHealth.GOOD if is_good else ReceiptHealth.FAIR


def window_of(
    counts: Mapping[CountKey, ReceiptCounts], now: datetime, thresholds: ReceiptThresholds
) -> dict[tuple[str, str], WindowCounts]:
    """The counts of the window that ends at ``now``, by provider and country."""
    found: defaultdict[tuple[str, str], WindowCounts] = defaultdict(WindowCounts)
    for key, each in counts.items():
        if key.minute > now - thresholds.window:
            is_due = key.minute <= now - thresholds.slow_after - timedelta(seconds=MARGIN_SECONDS)
            found[key.provider, key.country] += WindowCounts(each, each if is_due else ReceiptCounts())
    return dict(found)


def health_by_provider(
    window: Mapping[tuple[str, str], WindowCounts], thresholds: ReceiptThresholds
) -> dict[str, ReceiptHealth]:
    """What the receipts of all countries together say of each provider that has sent anything.

    Two things are nobody's fault, and left out: a country in which all of several providers are in trouble, which has
    trouble of its own; and a window without any receipt at all, because then it is likely that none reaches us.
    """
    if not any(each.total.reported for each in window.values()):
        return {provider: ReceiptHealth.UNKNOWN for provider, _ in window}
    by_country: defaultdict[str, list[ReceiptHealth]] = defaultdict(list)
    for (_, country), each in window.items():
        health = each.health(thresholds)
        if country and health is not ReceiptHealth.UNKNOWN:
            by_country[country].append(health)
    left_out = {
        country
        for country, healths in by_country.items()
        if len(healths) > 1 and all(health.is_trouble for health in healths)
    }
    totals: defaultdict[str, WindowCounts] = defaultdict(WindowCounts)
    for (provider, country), each in window.items():
        totals[provider] += WindowCounts() if country in left_out else each
    return {provider: each.health(thresholds) for provider, each in totals.items()}


@dataclass(frozen=True, slots=True)
class WeightFactor:
    """What is left of a provider's weight in the file, and why. Without one the whole weight holds."""

    #: One of ``STEPS``.
    percent: int
    health: ReceiptHealth
    #: Since when there is trouble, or none any more; aware UTC.
    since: datetime
    #: When the last step was made.
    stepped_at: datetime

    @property
    def reason(self) -> str:
        """For people: ``receipts slow since 12:03 UTC``."""
        words = "too few to tell" if self.health is ReceiptHealth.UNKNOWN else self.health.value
        return f"receipts {words} since {self.since:%H:%M} UTC"


def next_factor(current: WeightFactor | None, health: ReceiptHealth, now: datetime) -> WeightFactor | None:
    """What holds from ``now`` on; ``current`` itself where nothing changes, None for the whole weight.

    One step at a time: down at once and then every ``DOWN_EVERY`` while there is trouble, up every ``UP_EVERY`` while
    receipts are good, every ``UNSURE_UP_EVERY`` while nobody can tell.
    """
    if current is None:
        return WeightFactor(STEPS[1], health, now, now) if health.is_trouble else None
    since = current.since if health.is_trouble is current.health.is_trouble else now
    if (health, since) != (current.health, current.since):
        current = replace(current, health=health, since=since)
    place = sum(step > current.percent for step in STEPS)
    if health.is_trouble:
        place, wait = min(place + 1, len(STEPS) - 1), DOWN_EVERY
    else:
        place, wait = place - 1, UP_EVERY if health is ReceiptHealth.GOOD else UNSURE_UP_EVERY
    is_due = now - current.stepped_at >= wait and (health.is_trouble or now - since >= wait)
    if not is_due or STEPS[place] == current.percent:
        return current
    return None if place == 0 else replace(current, percent=STEPS[place], stepped_at=now)
