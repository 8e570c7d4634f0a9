"""Who may do what to a campaign, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.campaign_environment import ADA, BOB, CampaignEnvironment, csv_of, phones
from wavecom.core.campaigns.audit import CampaignAction
from wavecom.core.campaigns.model import CampaignStatus
from wavecom.core.campaigns.pacing import Pace
from wavecom.core.campaigns.windows import CampaignWindow
from wavecom.core.local_hours import DailyHours, SendWindow
from wavecom.errors import CampaignNotFoundError, CampaignStatusError, ForbiddenError, InvalidRequestError


def test_from_the_threshold_on_somebody_else_approves() -> None:
    environment = CampaignEnvironment(approval_rows=3)
    administration = environment.administration
    campaign = environment.started(3)
    assert campaign.status is CampaignStatus.AWAITING_APPROVAL

    environment.runner.round()
    assert environment.all_jobs() == []
    with pytest.raises(ForbiddenError):
        administration.approve(ADA, campaign.campaign_id, "acme")
    assert administration.approve(BOB, campaign.campaign_id, "acme").status is CampaignStatus.RUNNING
    environment.run_to_end(campaign)

    assert len(environment.all_jobs()) == 3
    assert [event.action for event in environment.audit.events][-1] is CampaignAction.APPROVE


def test_who_has_started_it_on_a_page_is_no_second_person() -> None:
    environment = CampaignEnvironment(approval_rows=3)
    administration, campaign = environment.administration, environment.create()
    environment.upload(campaign, csv_of(*phones(3)))
    # People of the pages have no key, so no budget to be known by.
    starter = replace(BOB, name="operator bob", budget=None)
    administration.start(starter, campaign.campaign_id, "acme")

    with pytest.raises(ForbiddenError):
        administration.approve(starter, campaign.campaign_id, "acme")
    other = replace(starter, name="operator carol")
    assert administration.approve(other, campaign.campaign_id, "acme").status is CampaignStatus.RUNNING


def test_who_uploaded_rows_or_has_a_key_made_by_theirs_is_no_second_person() -> None:
    environment = CampaignEnvironment(approval_rows=3)
    administration, campaign = environment.administration, environment.create()
    administration.note_upload(BOB, campaign)
    administration.note_upload(BOB, environment.now(campaign))
    environment.upload(campaign, csv_of(*phones(3)))
    administration.start(ADA, campaign.campaign_id, "acme")
    another = replace(BOB, name="key carol", budget="carol")

    for actor in (BOB, replace(ADA, name="key second of ada"), replace(BOB, name="key second of bob")):
        with pytest.raises(ForbiddenError):
            administration.approve(actor, campaign.campaign_id, "acme")
    assert administration.approve(another, campaign.campaign_id, "acme").approved_by == "key carol"
    assert [event.actor for event in environment.audit.events if event.action is CampaignAction.UPLOAD] == [BOB.name]


def test_below_the_threshold_nobody_need() -> None:
    environment = CampaignEnvironment(approval_rows=3)

    assert environment.started(2).status is CampaignStatus.RUNNING


def test_what_is_started_paused_resumed_or_cancelled_twice_is_once() -> None:
    environment = CampaignEnvironment()
    administration, campaign = environment.administration, environment.started(3)
    for move, status in (
        (administration.start, CampaignStatus.RUNNING),
        (administration.pause, CampaignStatus.PAUSED),
        (administration.pause, CampaignStatus.PAUSED),
        (administration.resume, CampaignStatus.RUNNING),
        (administration.resume, CampaignStatus.RUNNING),
        (administration.cancel, CampaignStatus.CANCELLING),
        (administration.cancel, CampaignStatus.CANCELLING),
    ):
        assert move(ADA, campaign.campaign_id, "acme").status is status


def test_a_campaign_is_not_started_before_its_rows_are_here_nor_without_one_that_can_be_sent() -> None:
    environment = CampaignEnvironment()
    administration, campaign = environment.administration, environment.create()

    with pytest.raises(CampaignStatusError, match="uploaded"):
        administration.start(ADA, campaign.campaign_id, "acme")
    environment.upload(campaign, csv_of("12"))
    with pytest.raises(CampaignStatusError, match="None of its rows"):
        administration.start(ADA, campaign.campaign_id, "acme")


def test_one_that_was_not_started_is_cancelled_at_once_and_can_t_be_resumed() -> None:
    environment = CampaignEnvironment()
    campaign = environment.create()
    environment.upload(campaign, csv_of(*phones(2)))

    assert environment.administration.cancel(ADA, campaign.campaign_id, "acme").status is CampaignStatus.CANCELLED
    assert environment.store.chunk_at(campaign, 0) is None
    with pytest.raises(CampaignStatusError, match="any more"):
        environment.administration.resume(ADA, campaign.campaign_id, "acme")


def test_another_accounts_campaign_is_not_there() -> None:
    environment = CampaignEnvironment()
    campaign = environment.create()

    with pytest.raises(CampaignNotFoundError):
        environment.administration.get(campaign.campaign_id, "acme:test")


def test_what_is_to_be_done_by_a_time_has_some_time_for_it() -> None:
    environment = CampaignEnvironment()
    now = environment.clock.now()
    day = frozenset({(now.weekday() + 3) % 7})
    closed = CampaignWindow(SendWindow(day, DailyHours(540, 600)), "UTC")

    for fields in (
        {"start_at": now - timedelta(days=2), "pace": Pace(finish_by=now - timedelta(days=1))},
        {"window": closed, "pace": Pace(finish_by=now + timedelta(hours=1))},
    ):
        with pytest.raises(InvalidRequestError) as error:
            environment.create(**fields)
        assert [problem.where for problem in error.value.problems] == ["/pace/finishBy"]


def test_what_was_to_be_done_by_now_is_neither_started_nor_approved() -> None:
    environment = CampaignEnvironment(approval_rows=2)
    administration, soon = environment.administration, environment.clock.now() + timedelta(minutes=1)
    waits = environment.started(2, pace=Pace(finish_by=soon))
    late = environment.create(pace=Pace(finish_by=soon))
    environment.upload(late, csv_of("+1"))
    environment.fake_clock.advance(60)

    with pytest.raises(CampaignStatusError, match="finishBy"):
        administration.start(ADA, late.campaign_id, "acme")
    with pytest.raises(CampaignStatusError, match="finishBy"):
        administration.approve(BOB, waits.campaign_id, "acme")


def test_a_version_that_there_is_not_is_refused_when_it_is_named() -> None:
    with pytest.raises(InvalidRequestError) as error:
        CampaignEnvironment().create(notification={"type": "sms", "template": "due", "version": 99})

    assert [problem.where for problem in error.value.problems] == ["/notification/version"]


def test_times_that_can_t_be_meant_are_refused_by_their_fields() -> None:
    environment = CampaignEnvironment()
    now = environment.clock.now()

    with pytest.raises(InvalidRequestError) as error:
        environment.create(start_at=now + timedelta(days=61), pace=Pace(finish_by=now - timedelta(seconds=1)))

    assert [problem.where for problem in error.value.problems] == ["/startAt", "/pace/finishBy"]
