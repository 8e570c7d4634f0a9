"""Whether a message goes to a recipient now, later or never: one pure function, with its reason.

Asked when a notification is accepted, so that what has to wait is not claimed in vain, and again before each delivery,
because a recipient may have changed his mind since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wavecom.core.categories import Category, CategoryDefault
from wavecom.core.lanes import Channel, Priority
from wavecom.core.local_hours import AllowedHours, DailyHours, zone_of
from wavecom.core.registered_recipients import RegisteredRecipient


class WaitReason(StrEnum):
    """Why a message waits. The words stand in jobs' logs."""

    QUIET_HOURS = "quiet_hours"
    SEND_WINDOW = "send_window"


class DropReason(StrEnum):
    """Why a message is never sent. The words stand in jobs' logs."""

    #: The recipient said no to the category on this channel.
    OPTED_OUT = "opted_out"
    #: The category wants a yes, and there is none.
    NOT_OPTED_IN = "not_opted_in"
    #: The recipient stopped all that can be stopped.
    STOPPED = "stopped"
    #: He has had as many as may be.
    FREQUENCY_CAP = "frequency_cap"
    #: There is no hour that is both within the category's windows and outside the quiet hours.
    NO_ALLOWED_HOUR = "no_allowed_hour"


@dataclass(frozen=True, slots=True)
class SendNow:
    """Nothing stands in its way."""


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Not before ``at`` (aware UTC)."""

    at: datetime
    reason: WaitReason


@dataclass(frozen=True, slots=True)
class Drop:
    """Never."""

    reason: DropReason


Decision = SendNow | WaitUntil | Drop
_SEND_NOW = SendNow()


def decide(
    recipient: RegisteredRecipient | None,
    category: Category | None,
    channel: Channel,
    priority: Priority,
    now: datetime,
    *,
    earlier: int = 0,
) -> Decision:
    """What becomes of a message of ``category`` to ``recipient`` at ``now`` (aware UTC).

    ``earlier``: how many of the category the recipient has had within the period of its cap. Without a category the
    sender says nothing of the message: a recipient who stopped all does not get it, and his own quiet hours hold. A
    required category is never stopped and never waits. What has high priority never waits and no cap holds for it; a no
    to its category stops it, but not the stop of everything: who wants no more of all this has not meant the one-time
    password that he asks for himself.
    """
    if category is not None and category.is_required:
        return _SEND_NOW
    is_urgent = priority is Priority.HIGH
    refusal = _refusal(recipient, category, channel, is_urgent=is_urgent)
    if refusal is not None:
        return Drop(refusal)
    if is_urgent:
        return _SEND_NOW
    if category is not None and category.cap is not None and earlier >= category.cap.count:
        return Drop(DropReason.FREQUENCY_CAP)
    return _timing(recipient, category, now)


def is_wanted(recipient: RegisteredRecipient, category: Category, channel: Channel) -> bool:
    """Whether messages of the category come to the recipient by this channel, at whatever hour."""
    return category.is_required or _refusal(recipient, category, channel, is_urgent=False) is None


def _refusal(
    recipient: RegisteredRecipient | None, category: Category | None, channel: Channel, *, is_urgent: bool
) -> DropReason | None:
    if recipient is None:
        return None
    if category is None:
        return DropReason.STOPPED if recipient.stopped_at is not None and not is_urgent else None
    choice = recipient.choice(category.name, channel)
    if choice is not None:
        return None if choice else DropReason.OPTED_OUT
    if recipient.stopped_at is not None and not is_urgent:
        return DropReason.STOPPED
    return DropReason.NOT_OPTED_IN if category.default is CategoryDefault.OPT_IN else None


def _timing(recipient: RegisteredRecipient | None, category: Category | None, now: datetime) -> Decision:
    hours = AllowedHours(_quiet_hours(recipient, category), () if category is None else category.windows)
    if hours.quiet is None and not hours.windows:
        return _SEND_NOW
    zone = zone_of(time_zone(recipient, category))
    at = hours.first(now, zone)
    if at is None:
        return Drop(DropReason.NO_ALLOWED_HOUR)
    if at <= now:
        return _SEND_NOW
    is_quiet = hours.is_quiet(now.astimezone(zone))
    return WaitUntil(at, WaitReason.QUIET_HOURS if is_quiet else WaitReason.SEND_WINDOW)


def _quiet_hours(recipient: RegisteredRecipient | None, category: Category | None) -> DailyHours | None:
    own = None if recipient is None else recipient.quiet_hours
    if category is None:
        return own
    if not category.obeys_quiet_hours:
        return None
    return own or category.quiet_hours


def time_zone(recipient: RegisteredRecipient | None, category: Category | None) -> str:
    """The IANA name of the zone in which hours are reckoned: the recipient's, or else the category's."""
    if recipient is not None and recipient.time_zone is not None:
        return recipient.time_zone
    return "UTC" if category is None else category.time_zone
