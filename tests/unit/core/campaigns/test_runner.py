"""The runner: each row one notification whatever dies, at the campaign's pace, and no further than it may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.campaign_environment import ADA, BOB, CampaignEnvironment, csv_of, phones
from tests.memory_storage import MemoryCampaignStore
from wavecom.core.campaigns.lane_room import LaneRoom
from wavecom.core.campaigns.model import CampaignStatus
from wavecom.core.campaigns.pacing import CampaignHold, Pace
from wavecom.core.campaigns.runner import LEASE
from wavecom.core.campaigns.windows import CampaignWindow
from wavecom.core.lanes import LANES, Lane, Priority
from wavecom.core.local_hours import DailyHours, SendWindow
from wavecom.core.quota import ALLOWED, DAILY, Limits, QuotaDecision, QuotaRequest, UnlimitedQuotas
from wavecom.core.states import Status
from wavecom.errors import LimitStatus, StoreError, UncertainWriteError


@pytest.fixture
def environment() -> CampaignEnvironment:
    return CampaignEnvironment()


def test_every_row_becomes_one_notification_of_the_campaign(environment: CampaignEnvironment) -> None:
    campaign = environment.started(1_203)

    ended = environment.run_to_end(campaign)

    assert ended.status is CampaignStatus.FINISHED
    assert (ended.run.queued, ended.waiting, ended.rejected) == (1_203, 0, 0)
    jobs = environment.all_jobs()
    assert sorted(job.to["phone"] for job in jobs) == phones(1_203)
    assert {(job.campaign, job.client, job.created_by) for job in jobs} == {(campaign.campaign_id, "acme", ADA.name)}
    assert len(environment.publisher.delivery_messages) == 1_203


class DyingStore(MemoryCampaignStore):
    """A store that is away at the n-th call of a runner, before or after it has done what it was asked."""

    calls = 0
    dies_at = 0
    is_after = False

    def _dying(self, do: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls != self.dies_at:
            return do()
        if self.is_after:
            do()
        raise StoreError("away")

    def hold(self, *args: Any) -> Any:
        return self._dying(lambda: super(DyingStore, self).hold(*args))

    def chunk_at(self, *args: Any) -> Any:
        return self._dying(lambda: super(DyingStore, self).chunk_at(*args))

    def advance(self, *args: Any) -> Any:
        return self._dying(lambda: super(DyingStore, self).advance(*args))

    def end(self, *args: Any) -> Any:
        return self._dying(lambda: super(DyingStore, self).end(*args))

    def drop_chunks(self, *args: Any) -> Any:
        return self._dying(lambda: super(DyingStore, self).drop_chunks(*args))


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("dies_at", range(1, 12))
def test_a_runner_that_dies_at_any_point_leaves_each_row_one_notification(dies_at: int, is_after: bool) -> None:
    store = DyingStore()
    environment = CampaignEnvironment(store=store)
    campaign = environment.started(1_203)
    store.dies_at, store.is_after = dies_at, is_after

    for _ in range(30):
        environment.runner.round()
        environment.fake_clock.advance(1)
        if store.calls == dies_at:
            # Another process goes on once the lease of the dead one is over.
            environment.runner = environment.new_runner("runner-2")
            environment.fake_clock.advance(LEASE.total_seconds())
            store.calls += 1

    assert sorted(job.to["phone"] for job in environment.all_jobs()) == phones(1_203)
    assert environment.now(campaign).run.queued == 1_203
    assert environment.now(campaign).status is CampaignStatus.FINISHED


def test_rows_that_may_not_have_been_stored_are_sent_again_and_none_twice(environment: CampaignEnvironment) -> None:
    campaign = environment.started(3)
    insert = environment.jobs.insert

    def uncertain(jobs: Any) -> Any:
        insert(jobs)
        environment.jobs.insert = insert  # type: ignore[method-assign]
        raise UncertainWriteError("away")

    environment.jobs.insert = uncertain  # type: ignore[method-assign]

    environment.runner.round()
    assert environment.now(campaign).run.row == 0
    ended = environment.run_to_end(campaign)

    assert ended.run.queued == 3
    assert len(environment.all_jobs()) == 3


def test_a_campaign_that_another_holds_is_left_alone_until_its_lease_ends(environment: CampaignEnvironment) -> None:
    campaign = environment.started(3)
    now = environment.clock.now()
    environment.store.hold(campaign.campaign_id, "another", now, now + LEASE)

    environment.runner.round()
    assert environment.all_jobs() == []

    environment.fake_clock.advance(LEASE.total_seconds())
    environment.runner.round()
    assert len(environment.all_jobs()) == 3


def test_the_pace_is_kept_second_by_second_and_a_pause_is_not_caught_up_on(environment: CampaignEnvironment) -> None:
    environment.started(100, pace=Pace(rows_per_second=5))
    counts = []
    for seconds in (0, 1, 1, 0.5, 60):
        environment.fake_clock.advance(seconds)
        environment.runner.round()
        counts.append(len(environment.all_jobs()))

    assert counts == [1, 6, 11, 13, 23]


def test_a_time_to_be_done_by_spreads_the_rows_over_what_is_left_of_it(environment: CampaignEnvironment) -> None:
    campaign = environment.started(600, pace=Pace(finish_by=environment.clock.now() + timedelta(seconds=120)))
    for _ in range(60):
        environment.runner.round()
        environment.fake_clock.advance(1)
    halfway = len(environment.all_jobs())
    for _ in range(60):
        environment.runner.round()
        environment.fake_clock.advance(1)

    assert 300 <= halfway <= 360
    assert environment.now(campaign).waiting == 0


def test_nothing_is_sent_before_its_start_or_outside_of_its_window(environment: CampaignEnvironment) -> None:
    now = environment.clock.now()  # 09:00 UTC, a Monday
    window = CampaignWindow(SendWindow(frozenset({0, 1}), DailyHours(12 * 60, 13 * 60)), "Europe/Zurich")
    campaign = environment.started(3, start_at=now + timedelta(minutes=30), window=window)

    environment.runner.round()
    assert environment.now(campaign).run.waits_for == CampaignHold.START
    environment.fake_clock.advance(3600)
    environment.runner.round()
    run = environment.now(campaign).run
    assert (run.waits_for, run.waits_until) == (CampaignHold.SEND_WINDOW, now + timedelta(hours=2))
    environment.fake_clock.advance(3600)
    environment.runner.round()

    assert len(environment.all_jobs()) == 3
    assert environment.now(campaign).run.waits_for == ""


@pytest.mark.parametrize("depth", [20_000, None])
def test_nothing_is_sent_while_its_lane_is_deep_or_nobody_can_tell(
    environment: CampaignEnvironment, depth: int | None
) -> None:
    campaign = environment.started(3)
    environment.depth = depth

    environment.runner.round()
    assert environment.all_jobs() == []
    assert environment.now(campaign).run.waits_for == CampaignHold.LANE

    environment.depth = 0
    environment.fake_clock.advance(1)
    environment.runner.round()
    assert len(environment.all_jobs()) == 3


def test_a_lane_has_room_for_what_its_workers_take_in_the_time_given() -> None:
    now, depth = 0.0, 0
    room = LaneRoom(lambda _queue: depth, lambda: now, seconds=10, least=50)
    queue = Lane(LANES[0].channel, Priority.BULK).queue
    assert room.of(queue) == 50

    room.add(queue, 50)
    now, depth = 1.0, 30  # 20 a second
    assert room.of(queue) == 200 - 30

    room.add(queue, 170)
    now, depth = 2.0, 200  # nothing was taken
    assert room.of(queue) == 0


def test_a_paused_campaign_sends_nothing_and_goes_on_when_it_is_resumed(environment: CampaignEnvironment) -> None:
    campaign = environment.started(2_000)
    environment.runner.round()
    environment.administration.pause(ADA, campaign.campaign_id, "acme")
    sent = len(environment.all_jobs())

    environment.runner.round()
    assert len(environment.all_jobs()) == sent < 2_000

    environment.administration.resume(ADA, campaign.campaign_id, "acme")
    assert environment.run_to_end(campaign).run.queued == 2_000


def test_a_cancelled_campaign_sends_no_more_and_cancels_what_waits(environment: CampaignEnvironment) -> None:
    campaign = environment.started(2_000)
    environment.runner.round()
    sent = len(environment.all_jobs())
    environment.administration.cancel(ADA, campaign.campaign_id, "acme")

    ended = environment.run_to_end(campaign)

    assert ended.status is CampaignStatus.CANCELLED
    assert ended.run.queued + ended.waiting == 2_000
    assert (ended.run.queued, {job.status for job in environment.all_jobs()}) == (sent, {Status.CANCELLED})


class DailyQuota(UnlimitedQuotas):
    """Room for so many notifications."""

    left = 0

    def check(self, request: QuotaRequest) -> QuotaDecision:
        if request.limits.daily_quota is None:
            return ALLOWED
        cost = request.cost + len(request.names)
        if cost <= self.left:
            self.left -= cost
            return QuotaDecision(charged=cost)
        status = LimitStatus(DAILY, request.limits.daily_quota, 86_400, self.left, 3_600)
        return QuotaDecision([status], refused=DAILY, retry_after_seconds=3_600)


def test_a_campaign_uses_up_the_days_quota_and_waits_for_the_next() -> None:
    quotas = DailyQuota()
    environment = CampaignEnvironment(quotas=quotas)
    limited = type(ADA)(client="acme", name=ADA.name, budget="ada", limits=Limits(1, 10))
    campaign = environment.create()
    environment.upload(campaign, csv_of(*phones(5)))
    environment.administration.start(limited, campaign.campaign_id, "acme")
    quotas.left = 3

    for _ in range(3):
        environment.runner.round()
    run = environment.now(campaign).run
    assert (run.queued, run.waits_for) == (3, CampaignHold.QUOTA)

    quotas.left = 10
    environment.fake_clock.advance(3_600)
    assert environment.run_to_end(campaign).run.queued == 5


def test_outcomes_are_counted_until_nothing_can_change_any_more(environment: CampaignEnvironment) -> None:
    campaign = environment.started(2)
    environment.run_to_end(campaign)
    environment.runner.count_outcomes()
    assert environment.now(campaign).outcomes.by_status == {Status.QUEUED: 2}
    assert not environment.now(campaign).outcomes.is_last

    environment.administration.cancel(ADA, campaign.campaign_id, "acme")
    environment.runner.round()
    environment.fake_clock.advance(60)
    environment.runner.count_outcomes()

    assert environment.now(campaign).outcomes.by_status == {Status.CANCELLED: 2}
    assert environment.now(campaign).outcomes.is_last


def test_steps_are_small_where_the_store_is_slow_and_grow_again(environment: CampaignEnvironment) -> None:
    environment.started(5_000)
    insert, counts = environment.jobs.insert, []

    def slow(jobs: Any) -> Any:
        counts.append(len(jobs))
        # A hundred a second, as the embedded server does it; then a quick one.
        environment.fake_clock.advance(len(jobs) / 100 if len(counts) < 7 else 0)
        return insert(jobs)

    environment.jobs.insert = slow  # type: ignore[method-assign]
    for _ in range(9):
        environment.runner.round()

    # The chunk of the first thousand rows after the first one ends with a step of one row.
    assert counts == [1_000, 500, 250, 125, 62, 31, 31, 1, 62]


def test_the_older_a_campaigns_end_the_more_seldom_its_outcome_is_counted(environment: CampaignEnvironment) -> None:
    campaign = environment.started(2)
    environment.run_to_end(campaign)
    counted = []
    for hours in (0, 1, 24):
        environment.fake_clock.advance(hours * 3_600)
        environment.runner.count_outcomes()
        first = environment.now(campaign).outcomes.at
        while environment.now(campaign).outcomes.at == first:
            environment.fake_clock.advance(1)
            environment.runner.count_outcomes()
        counted.append((environment.clock.now() - first).total_seconds())  # type: ignore[operator]

    assert counted[0] == 2
    assert 36 <= counted[1] <= 37
    assert 900 <= counted[2] <= 902


def test_campaigns_that_wait_for_their_time_never_keep_others_from_theirs(environment: CampaignEnvironment) -> None:
    in_a_day = environment.clock.now() + timedelta(days=1)
    for _ in range(120):
        environment.started(1, start_at=in_a_day)
    last = environment.started(3)

    for _ in range(4):
        environment.runner.round()

    assert environment.now(last).run.queued == 3


def test_a_campaign_that_waits_is_left_alone_until_its_time() -> None:
    store = DyingStore()
    environment = CampaignEnvironment(store=store)
    campaign = environment.started(3, start_at=environment.clock.now() + timedelta(hours=1))
    environment.runner.round()
    asked = store.calls

    for _ in range(9):
        environment.fake_clock.advance(1)
        environment.runner.round()
    assert store.calls == asked

    environment.administration.cancel(ADA, campaign.campaign_id, "acme")
    assert environment.run_to_end(campaign).status is CampaignStatus.CANCELLED


def test_rows_that_are_lost_are_told_of_and_end_no_campaign(environment: CampaignEnvironment) -> None:
    campaign = environment.started(3)
    environment.store.drop_chunks(campaign.campaign_id, environment.clock.now())

    known = environment.run_to_end(campaign, 5)

    assert (known.status, known.run.waits_for, known.waiting) == (CampaignStatus.RUNNING, CampaignHold.ROWS, 3)


def test_one_campaign_that_can_t_be_counted_keeps_no_other_from_it(environment: CampaignEnvironment) -> None:
    slow, other = environment.started(1), environment.started(1)
    count = environment.counter.count

    def counted(campaign_id: str) -> Any:
        if campaign_id == slow.campaign_id:
            raise StoreError("too slow")
        return count(campaign_id)

    environment.counter.count = counted  # type: ignore[method-assign]
    environment.runner.round()
    for _ in range(3):
        environment.fake_clock.advance(1)
        environment.runner.count_outcomes()

    assert environment.now(other).outcomes.by_status == {Status.QUEUED: 1}


def test_a_runner_that_wakes_late_stores_nothing_of_its_step(environment: CampaignEnvironment) -> None:
    campaign = environment.started(3)
    chunk_at = environment.store.chunk_at

    def slow(*args: Any) -> Any:
        environment.fake_clock.advance(LEASE.total_seconds() + 1)
        environment.store.chunk_at = chunk_at  # type: ignore[method-assign]
        other = environment.new_runner("runner-2")
        environment.administration.cancel(BOB, campaign.campaign_id, "acme")
        other.round()
        return chunk_at(*args)

    environment.store.chunk_at = slow  # type: ignore[method-assign]

    environment.runner.round()

    assert environment.all_jobs() == []


def test_a_campaign_is_not_cancelled_before_what_another_runner_may_still_store(
    environment: CampaignEnvironment,
) -> None:
    campaign = environment.started(3)
    insert = environment.jobs.insert

    def stuck(jobs: Any) -> Any:
        environment.jobs.insert = insert  # type: ignore[method-assign]
        environment.fake_clock.advance(LEASE.total_seconds() + 1)
        environment.administration.cancel(BOB, campaign.campaign_id, "acme")
        environment.runner = environment.new_runner("runner-2")
        environment.runner.round()
        assert environment.now(campaign).status is CampaignStatus.CANCELLING
        return insert(jobs)

    environment.jobs.insert = stuck  # type: ignore[method-assign]

    environment.runner.round()
    ended = environment.run_to_end(campaign)

    assert (ended.status, ended.run.queued) == (CampaignStatus.CANCELLED, 3)
    assert {job.status for job in environment.all_jobs()} == {Status.CANCELLED}
    assert {job.logs[-1].by for job in environment.all_jobs()} == {BOB.name}


def test_a_notification_that_is_held_or_was_there_takes_no_room_in_the_queue(environment: CampaignEnvironment) -> None:
    added = []
    environment.room.add = lambda _queue, count: added.append(count)  # type: ignore[method-assign]
    environment.started(3)
    advance = environment.store.advance
    environment.store.advance = lambda *_: False  # type: ignore[method-assign]
    environment.runner.round()
    environment.store.advance = advance  # type: ignore[method-assign]

    environment.runner.round()

    assert added == [3, 0]


def test_a_key_that_has_ended_sends_no_row_until_another_resumes_the_campaign(environment: CampaignEnvironment) -> None:
    campaign = environment.started(3)
    environment.ended.add(ADA.name)

    waiting = environment.run_to_end(campaign, 3)
    assert (waiting.run.waits_for, environment.all_jobs()) == (CampaignHold.KEY, [])

    environment.administration.pause(BOB, campaign.campaign_id, "acme")
    environment.administration.resume(BOB, campaign.campaign_id, "acme")
    ended = environment.run_to_end(campaign)

    assert (ended.run.queued, ended.budget) == (3, "bob")
    assert {job.created_by for job in environment.all_jobs()} == {BOB.name}
