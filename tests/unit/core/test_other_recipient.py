"""What of a notification holds for its message to another recipient."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.factories import NOW, make_job
from wavecom.core.lanes import Channel
from wavecom.core.new_notification import NewNotification
from wavecom.core.other_recipient import for_other_recipient

TO = {"phone": "+41795550102"}


def other(now: datetime = NOW, **fields: object) -> NewNotification:
    job = make_job(type=Channel.SMS, to={"phone": "+41795550101"}, payload={"text": "493817"}, **fields)
    return for_other_recipient(job, TO, now, idempotency_key="k", fingerprint="f", created_by="ada", links=None)


def test_it_stays_in_its_region_which_may_be_a_duty() -> None:
    assert other(region="ch").region == "ch"
    assert other(region="").region is None


@pytest.mark.parametrize(
    ("lives", "again"),
    [(timedelta(minutes=5), timedelta(minutes=5)), (timedelta(days=9), timedelta(hours=72))],
)
def test_it_lives_as_long_as_the_first_and_three_days_at_most(lives: timedelta, again: timedelta) -> None:
    later = NOW + timedelta(hours=1)

    assert other(later, created_at=NOW, expires_at=NOW + lives).expires_at == later + again


def test_of_a_scheduled_one_the_time_until_it_was_sent_does_not_count() -> None:
    send_at = NOW + timedelta(days=1)
    job = other(send_at, created_at=NOW, send_at=send_at, expires_at=send_at + timedelta(minutes=5))

    assert job.expires_at == send_at + timedelta(minutes=5)
