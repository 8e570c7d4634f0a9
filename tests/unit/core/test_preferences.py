"""Whether a message goes now, later or never: by table, and against an oracle that looks at every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import NOW
from tests.recipients import hours, make_category, make_recipient
from wavecom.core.categories import Category, CategoryDefault, FrequencyCap
from wavecom.core.lanes import Channel, Priority
from wavecom.core.local_hours import DailyHours, SendWindow
from wavecom.core.preferences import Decision, Drop, DropReason, SendNow, WaitReason, WaitUntil, decide
from wavecom.core.registered_recipients import RegisteredRecipient

EMAIL, SMS = Channel.EMAIL, Channel.SMS
NIGHT = hours("22:00", "07:00")
OFFICE = (SendWindow(frozenset(range(7)), hours("09:00", "18:00")),)
OPT_IN = CategoryDefault.OPT_IN

#: Zone → the moment at which the clocks change, and 07:00 of the morning after it.
CHANGES = [
    ("Europe/Zurich", "2026-03-29T01:00", "2026-03-29T05:00"),
    ("Europe/Zurich", "2026-10-25T01:00", "2026-10-25T06:00"),
    ("Europe/London", "2026-03-29T01:00", "2026-03-29T06:00"),
    ("Europe/London", "2026-10-25T01:00", "2026-10-25T07:00"),
    ("America/New_York", "2026-03-08T07:00", "2026-03-08T11:00"),
    ("America/New_York", "2026-11-01T06:00", "2026-11-01T12:00"),
    ("America/Los_Angeles", "2026-03-08T10:00", "2026-03-08T14:00"),
    ("America/Los_Angeles", "2026-11-01T09:00", "2026-11-01T15:00"),
    ("America/St_Johns", "2026-03-08T05:30", "2026-03-08T09:30"),
    ("America/St_Johns", "2026-11-01T04:30", "2026-11-01T10:30"),
    ("America/Santiago", "2026-04-05T03:00", "2026-04-05T11:00"),
    ("America/Santiago", "2026-09-06T04:00", "2026-09-06T10:00"),
    ("Africa/Cairo", "2026-04-23T22:00", "2026-04-24T04:00"),
    ("Africa/Cairo", "2026-10-29T21:00", "2026-10-30T05:00"),
    ("Africa/Casablanca", "2026-02-15T02:00", "2026-02-15T07:00"),
    ("Africa/Casablanca", "2026-03-22T02:00", "2026-03-22T06:00"),
    ("Asia/Beirut", "2026-03-28T22:00", "2026-03-29T04:00"),
    ("Asia/Beirut", "2026-10-24T21:00", "2026-10-25T05:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00", "2026-04-04T20:30"),
    ("Australia/Lord_Howe", "2026-10-03T15:30", "2026-10-03T20:00"),
    ("Australia/Sydney", "2026-04-04T16:00", "2026-04-04T21:00"),
    ("Australia/Sydney", "2026-10-03T16:00", "2026-10-03T20:00"),
    ("Pacific/Auckland", "2026-04-04T14:00", "2026-04-04T19:00"),
    ("Pacific/Auckland", "2026-09-26T14:00", "2026-09-26T18:00"),
]


@pytest.mark.parametrize("minutes", [-59, -1, 0, 1, 59])
@pytest.mark.parametrize(("zone", "change", "seven"), CHANGES)
def test_the_night_of_the_change_is_over_at_seven_by_the_clock(
    zone: str, change: str, seven: str, minutes: int
) -> None:
    now = _utc(change) + timedelta(minutes=minutes)
    recipient = make_recipient(time_zone=zone, quiet_hours=NIGHT)
    in_office_hours = make_category(windows=OFFICE)
    rare = make_category(cap=FrequencyCap(2, timedelta(days=1)))

    assert _decided(recipient, make_category(), now) == WaitUntil(_utc(seven), WaitReason.QUIET_HOURS)
    assert _decided(recipient, in_office_hours, now) == WaitUntil(
        _utc(seven) + timedelta(hours=2), WaitReason.QUIET_HOURS
    )
    assert _decided(recipient, rare, now, earlier=2) == Drop(DropReason.FREQUENCY_CAP)
    assert _decided(recipient, rare, now, earlier=1) == WaitUntil(_utc(seven), WaitReason.QUIET_HOURS)


@pytest.mark.parametrize(
    ("recipient", "category", "wanted"),
    [
        (make_recipient(), make_category(), SendNow()),
        (make_recipient(), make_category(default=OPT_IN), Drop(DropReason.NOT_OPTED_IN)),
        (make_recipient(choices={"news": {EMAIL: True}}), make_category(default=OPT_IN), SendNow()),
        (make_recipient(choices={"news": {EMAIL: False}}), make_category(), Drop(DropReason.OPTED_OUT)),
        (make_recipient(choices={"news": {SMS: False}}), make_category(), SendNow()),
        (make_recipient(choices={"other": {EMAIL: False}}), make_category(), SendNow()),
        (make_recipient(stopped_at=NOW), make_category(), Drop(DropReason.STOPPED)),
        (make_recipient(stopped_at=NOW), None, Drop(DropReason.STOPPED)),
        # Chosen after all was stopped.
        (make_recipient(stopped_at=NOW, choices={"news": {EMAIL: True}}), make_category(), SendNow()),
        (make_recipient(), None, SendNow()),
        (None, make_category(default=OPT_IN), SendNow()),
    ],
)
def test_what_was_chosen_decides(
    recipient: RegisteredRecipient | None, category: Category | None, wanted: Decision
) -> None:
    assert _decided(recipient, category, NOW) == wanted


REFUSING = make_recipient(stopped_at=NOW, choices={"legal": {EMAIL: False}}, quiet_hours=hours("00:00", "23:59"))


def test_what_is_required_comes_whatever_was_chosen_and_at_any_hour() -> None:
    legal = make_category("legal", is_required=True, windows=OFFICE, quiet_hours=NIGHT, cap=FrequencyCap(1, DAY))

    assert _decided(REFUSING, legal, _utc("2026-03-14T02:00"), earlier=5) == SendNow()


DAY = timedelta(days=1)


def test_what_is_urgent_waits_for_nothing_and_is_stopped_by_a_no_alone() -> None:
    night = _utc("2026-03-14T02:00")
    busy = make_category(windows=OFFICE, quiet_hours=NIGHT, cap=FrequencyCap(1, DAY))
    recipient = make_recipient(quiet_hours=NIGHT)

    assert _decided(recipient, busy, night, earlier=9, priority=Priority.HIGH) == SendNow()
    assert _decided(make_recipient(stopped_at=NOW), None, night, priority=Priority.HIGH) == SendNow()
    assert _decided(make_recipient(choices={"news": {EMAIL: False}}), busy, night, priority=Priority.HIGH) == Drop(
        DropReason.OPTED_OUT
    )


def test_whose_quiet_hours_and_whose_zone_hold() -> None:
    now = _utc("2026-03-14T21:30")
    category = make_category(quiet_hours=NIGHT, time_zone="Pacific/Auckland")

    # 22:30 in Zurich; 10:30 in Auckland.
    assert _decided(make_recipient(), category, now) == WaitUntil(_utc("2026-03-15T06:00"), WaitReason.QUIET_HOURS)
    assert _decided(make_recipient(time_zone=None), category, now) == SendNow()
    assert _decided(None, category, now) == SendNow()
    assert _decided(make_recipient(quiet_hours=hours("23:00", "05:00")), category, now) == SendNow()
    assert _decided(make_recipient(quiet_hours=NIGHT), make_category(obeys_quiet_hours=False), now) == SendNow()
    assert _decided(make_recipient(quiet_hours=NIGHT), None, now) == WaitUntil(
        _utc("2026-03-15T06:00"), WaitReason.QUIET_HOURS
    )


def test_a_window_that_is_closed_and_one_that_never_opens() -> None:
    evening = _utc("2026-03-13T18:00")
    workdays = make_category(windows=(SendWindow(frozenset(range(5)), hours("09:00", "18:00")),))
    by_day = make_recipient(quiet_hours=hours("08:00", "20:00"))

    assert _decided(make_recipient(), workdays, evening) == WaitUntil(_utc("2026-03-16T08:00"), WaitReason.SEND_WINDOW)
    assert _decided(by_day, workdays, evening) == Drop(DropReason.NO_ALLOWED_HOUR)


ZONES = sorted({zone for zone, _, _ in CHANGES} | {"Asia/Kathmandu", "UTC"})
MINUTES = st.integers(0, 1439)
DAILY = st.builds(
    lambda start, length: DailyHours(start, (start + length - 1) % 1440 + 1), MINUTES, st.integers(1, 1439)
)
WINDOWS = st.builds(
    lambda days, start, length: SendWindow(frozenset(days), DailyHours(start, min(1440, start + length))),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(1, 1400),
    st.integers(1, 600),
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_it_decides_as_somebody_who_looks_at_the_clock_every_minute(data: st.DataObject) -> None:
    change = _utc(data.draw(st.sampled_from([change for _, change, _ in CHANGES])))
    now = change + timedelta(seconds=data.draw(st.integers(-200_000, 200_000)))
    zone = data.draw(st.sampled_from(ZONES))
    own = data.draw(st.none() | DAILY)
    recipient = make_recipient(
        time_zone=zone,
        quiet_hours=own,
        stopped_at=data.draw(st.sampled_from([None, None, NOW])),
        choices={"news": data.draw(st.dictionaries(st.sampled_from([EMAIL, SMS]), st.booleans()))},
    )
    category = make_category(
        default=data.draw(st.sampled_from(CategoryDefault)),
        is_required=data.draw(st.integers(0, 9)) == 0,
        obeys_quiet_hours=data.draw(st.booleans()),
        quiet_hours=data.draw(st.none() | DAILY),
        windows=tuple(data.draw(st.lists(WINDOWS, max_size=2))),
        cap=data.draw(st.none() | st.just(FrequencyCap(2, DAY))),
    )
    priority = data.draw(st.sampled_from(Priority))
    earlier = data.draw(st.integers(0, 3))

    found = _decided(recipient, category, now, earlier=earlier, priority=priority)

    assert found == _oracle(recipient, category, now, earlier, priority)


def _oracle(
    recipient: RegisteredRecipient, category: Category, now: datetime, earlier: int, priority: Priority
) -> Decision:
    """The same in the plainest words, by looking at one minute after the other."""
    if category.is_required:
        return SendNow()
    wanted = recipient.choices["news"].get(EMAIL)
    if wanted is False:
        return Drop(DropReason.OPTED_OUT)
    if wanted is None and recipient.stopped_at and priority is not Priority.HIGH:
        return Drop(DropReason.STOPPED)
    if wanted is None and category.default is OPT_IN:
        return Drop(DropReason.NOT_OPTED_IN)
    if priority is Priority.HIGH:
        return SendNow()
    if category.cap and earlier >= category.cap.count:
        return Drop(DropReason.FREQUENCY_CAP)
    zone = ZoneInfo(recipient.time_zone or "")
    quiet = (recipient.quiet_hours or category.quiet_hours) if category.obeys_quiet_hours else None
    quiet_minutes = set() if quiet is None else _minutes(quiet)
    open_minutes = {(day, minute) for each in category.windows for day in each.days for minute in _minutes(each.hours)}

    def is_quiet(moment: datetime) -> bool:
        here = moment.astimezone(zone)
        return here.hour * 60 + here.minute in quiet_minutes

    def may_be_sent(moment: datetime) -> bool:
        here = moment.astimezone(zone)
        is_open = not category.windows or (here.weekday(), here.hour * 60 + here.minute) in open_minutes
        return is_open and not is_quiet(moment)

    if may_be_sent(now):
        return SendNow()
    minute = now.replace(second=0, microsecond=0)
    for _ in range(15 * 1440):
        minute += timedelta(minutes=1)
        if may_be_sent(minute):
            return WaitUntil(minute, WaitReason.QUIET_HOURS if is_quiet(now) else WaitReason.SEND_WINDOW)
    return Drop(DropReason.NO_ALLOWED_HOUR)


def _minutes(daily: DailyHours) -> set[int]:
    end = daily.end if daily.end > daily.start else daily.end + 1440
    return {minute % 1440 for minute in range(daily.start, end)}


def _decided(
    recipient: RegisteredRecipient | None,
    category: Category | None,
    now: datetime,
    *,
    earlier: int = 0,
    priority: Priority = Priority.NORMAL,
) -> Decision:
    return decide(recipient, category, EMAIL, priority, now, earlier=earlier)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
