"""Makes notifications of campaigns' rows: a step of some hundred rows at a time, as fast as pace and lane allow.

Any number of runners may run. A campaign is held by one of them for a moment (compare-and-set, with a lease); a row's
notification has an idempotency key of its own, so one that a dead runner had made, and not recorded, is not made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from wavecom.core.actor import Actor
from wavecom.core.bulk_cancellation import waiting
from wavecom.core.campaigns import codec
from wavecom.core.campaigns.lane_room import LaneRoom
from wavecom.core.campaigns.model import (
    Campaign,
    CampaignStatus,
    CampaignStore,
    Chunk,
    OutcomeCounter,
    Outcomes,
    RejectedRow,
    RowProblem,
    RunState,
    StoredRow,
)
from wavecom.core.campaigns.pacing import LARGEST_STEP, CampaignHold, leave, used_until
from wavecom.core.engine import CancelRequested, Policy, decide
from wavecom.core.lanes import Lane, Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.ports import Clock, Cursor, JobFilter, JobRepository
from wavecom.core.states import FINAL, Status
from wavecom.core.submission import Accepted, SubmissionResult
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import (
    InvalidRequestError,
    LimitStatus,
    RateLimitedError,
    RefusedError,
    StoreError,
    TransitionError,
    UnavailableError,
)

log = structlog.get_logger()

#: How long a runner that says nothing keeps its campaign: many times a step.
LEASE: Final = timedelta(seconds=30)
#: A step that takes longer is made smaller, down to so many rows.
_LONG_STEP_SECONDS: Final = 0.5
_SMALLEST_STEP: Final = 25
#: Campaigns that are looked at in one round.
_MOST: Final = 100
#: Notifications that are cancelled in one step.
_CANCELLED_AT_ONCE: Final = 500
#: Whose turn comes so soon is waited for.
_SOON: Final = timedelta(seconds=1)
#: How long a campaign rests that nothing can be sent of now; and at most, where it is known when that is over.
_REST: Final = timedelta(seconds=0.2)
_LONGEST_RESTS: Final = {
    # These two are as they were when the campaign was made.
    CampaignHold.START: timedelta(days=365),
    CampaignHold.SEND_WINDOW: timedelta(days=365),
    # It may have been raised.
    CampaignHold.QUOTA: timedelta(seconds=30),
    CampaignHold.PACE: timedelta(seconds=1),
    CampaignHold.LANE: timedelta(seconds=1),
    CampaignHold.KEY: timedelta(minutes=1),
    CampaignHold.ROWS: timedelta(minutes=1),
}
#: Outcomes are not counted again before this, nor before so many times as long as it took.
_COUNT_REST: Final = timedelta(seconds=2)
_COUNT_REST_TIMES: Final = 20
#: After so much of that no other campaign is counted in the same round, which sends nothing meanwhile.
_LONGEST_COUNT: Final = timedelta(seconds=2)
#: The longer ago a campaign has ended, the more seldom: what is left waits for receipts, perhaps for days.
_COUNTS_OF_AN_AGE: Final = 100
_SWEEP_REST: Final = timedelta(minutes=1)
_SWEPT_AT_ONCE: Final = 50
#: Before the retention of the first of its notifications ends.
_COUNTED_FOR: Final = timedelta(days=20)


#: On whose behalf a campaign's notifications are made now, with the limits of now; None: that key has ended.
FindActor = Callable[[Campaign], Actor | None]


class Accepts(Protocol):
    """Makes notifications, as ``Acceptance`` does."""

    def accept_many(
        self, actor: Actor, notifications: Sequence[NewNotification]
    ) -> tuple[list[SubmissionResult], Sequence[LimitStatus]]:
        """See ``Acceptance.accept_many``."""
        ...


class CampaignRunner:
    """The use case behind the periodic task ``wavecom.run_campaigns``. For one thread; ``token`` is this runner's."""

    def __init__(
        self,
        *,
        store: CampaignStore,
        acceptance: Accepts,
        jobs: JobRepository,
        writer: TransitionWriter,
        room: LaneRoom,
        counter: OutcomeCounter,
        find_recipients: codec.FindRecipients,
        find_actor: FindActor,
        clock: Clock,
        policy: Policy,
        token: str,
    ) -> None:
        self._store = store
        self._acceptance = acceptance
        self._jobs = jobs
        self._writer = writer
        self._room = room
        self._counter = counter
        self._find_recipients = find_recipients
        self._find_actor = find_actor
        self._clock = clock
        self._policy = policy
        self._token = token
        #: Rows that a step takes at most: fewer where the store is slow, which others wait for as well.
        self._step_rows = LARGEST_STEP
        #: The chunk that was read last, of which a step may have left some.
        self._chunk: Chunk | None = None
        #: How far cancelling has come, and whether nothing was there to be cancelled until then.
        self._cursors: dict[str, Cursor] = {}
        self._clean: dict[str, bool] = {}
        self._counted_at: dict[str, datetime] = {}
        self._counts_rest_until: datetime | None = None
        self._swept = ""
        self._sweep_rests_until: datetime | None = None

    def round(self) -> int | None:
        """One step of each campaign that has something to do; how many rows and notifications moved, None: there is no
        such campaign. What goes wrong with one is logged, and tried again. Raises ``StoreError`` where none is read.
        """
        due = self._store.due(self._clock.now() + _SOON, _MOST)
        moved = 0
        for campaign_id, due_at in due:
            now = self._clock.now()
            if due_at > now:
                break
            try:
                campaign = self._store.hold(campaign_id, self._token, now, now + LEASE)
                moved += 0 if campaign is None else self._guarded_step(campaign, now)
            except UnavailableError as error:
                log.warning("campaign_waits", campaign_id=campaign_id, error=type(error).__name__)
        return moved if due else None

    def count_outcomes(self) -> None:
        """Count what became of campaigns' notifications, seldom. Raises ``StoreError``."""
        now = self._clock.now()
        if self._counts_rest_until is not None and now < self._counts_rest_until:
            return
        for campaign in self._store.uncounted(now, _MOST):
            campaign_id = campaign.campaign_id
            if self._counted_at.get(campaign_id, campaign.created_at) > now:
                continue
            began = self._clock.monotonic()
            self._counted_at[campaign_id] = now + _COUNT_REST
            try:
                by_status = self._counter.count(campaign_id)
            except UnavailableError as error:
                # Too many to be counted in time, perhaps: the others' turn comes first.
                log.warning("campaign_not_counted", campaign_id=campaign_id, error=type(error).__name__)
                self._store.keep_outcomes(campaign_id, replace(campaign.outcomes, at=now))
                by_status = None
            took = timedelta(seconds=self._clock.monotonic() - began) * _COUNT_REST_TIMES
            # All together, however many there are, take a small share of the time.
            self._counts_rest_until = max(self._counts_rest_until or now, now) + took
            age = now - (campaign.finished_at or now)
            self._counted_at[campaign_id] = now + max(_COUNT_REST, took, age / _COUNTS_OF_AN_AGE)
            if by_status is not None:
                is_settled = all(status in FINAL for status in by_status)
                is_last = campaign.finished_at is not None and (is_settled or age > _COUNTED_FOR)
                self._store.keep_outcomes(campaign_id, Outcomes(by_status, now, is_last))
                if is_last:
                    del self._counted_at[campaign_id]
            if took > _LONGEST_COUNT:
                break

    def release(self) -> None:
        """Let other runners take at once what this one holds. Raises ``StoreError``."""
        self._store.release(self._token)

    def sweep(self) -> None:
        """Let go of rows that nothing else lets go of: their campaign is gone, or they came when it had ended.

        Looks at some campaigns once a minute. Raises ``StoreError``.
        """
        now = self._clock.now()
        if self._sweep_rests_until is None or self._sweep_rests_until <= now:
            self._sweep_rests_until = now + _SWEEP_REST
            self._swept = self._store.sweep_chunks(now, self._swept, _SWEPT_AT_ONCE)

    def _guarded_step(self, campaign: Campaign, now: datetime) -> int:
        try:
            return self._step(campaign, now)
        except UnavailableError:
            raise
        except Exception:
            # A bug that one campaign meets must not end all others.
            log.exception("campaign_step_failed", campaign_id=campaign.campaign_id)
            self._store.rest(campaign, self._token, now + LEASE)
            return 0

    def _step(self, campaign: Campaign, now: datetime) -> int:
        campaign_id = campaign.campaign_id
        if campaign.status is CampaignStatus.CANCELLING:
            return self._cancel_some(campaign)
        if campaign.waiting <= 0:
            self._end(campaign, CampaignStatus.FINISHED)
            return 0
        queue = lane_of(campaign).queue
        allowed = leave(campaign, now, self._room.of(queue))
        if allowed.rows == 0:
            return self._wait(campaign, allowed.paced_until, allowed.hold, allowed.until)
        actor = self._find_actor(campaign)
        if actor is None:
            return self._wait(campaign, campaign.run.paced_until, CampaignHold.KEY, None)
        chunk = self._chunk_of(campaign)
        if chunk is None:
            log.error("campaign_rows_missing", campaign_id=campaign_id, account=campaign.account, row=campaign.run.row)
            return self._wait(campaign, campaign.run.paced_until, CampaignHold.ROWS, None)
        began = self._clock.monotonic()
        rows = [row for row in chunk.rows if row.row >= campaign.run.row][: min(allowed.rows, self._step_rows)]
        notifications = codec.decode(campaign, rows, now, self._find_recipients)
        if self._clock.now() - now > LEASE / 2:
            # What is stored late may be stored after another runner has ended the campaign.
            log.warning("campaign_waits", campaign_id=campaign_id, error="slow")
            return 0
        made = self._made(campaign, rows, notifications)
        try:
            outcomes = self._accept(actor, [earlier or new for new, earlier in zip(notifications, made, strict=True)])
        except RateLimitedError as error:
            ends = now + timedelta(seconds=error.retry_after_seconds)
            return self._wait(campaign, campaign.run.paced_until, CampaignHold.QUOTA, ends)
        rows = rows[: len(outcomes)]
        queued = sum(isinstance(outcome, Accepted) for outcome in outcomes)
        refused = [
            RejectedRow(row.row + 1, 0, _problems(outcome))
            for row, outcome in zip(rows, outcomes, strict=True)
            if isinstance(outcome, RefusedError)
        ]
        if queued + len(refused) < len(outcomes):
            # Nobody knows of some whether they were stored: all again, which makes none of them twice.
            raise next(outcome for outcome in outcomes if isinstance(outcome, StoreError))
        # Also where there are none: a runner that died before it recorded this step may have refused some.
        self._store.keep_refused(campaign_id, campaign.run.row, refused)
        before = campaign.run
        after = RunState(
            row=rows[-1].row + 1,
            queued=before.queued + queued,
            refused=before.refused + len(refused),
            paced_until=used_until(campaign, allowed, len(rows)),
        )
        self._fit_step(self._clock.monotonic() - began, len(rows))
        # One that waits for its recipient's hours, or was there before, enters no queue now.
        entered = [outcome for outcome in outcomes if isinstance(outcome, Accepted) and not outcome.is_replay]
        self._room.add(queue, sum(outcome.job.status is Status.QUEUED for outcome in entered))
        self._store.advance(campaign_id, self._token, before, after, self._clock.now())
        return len(rows)

    def _fit_step(self, seconds: float, rows: int) -> None:
        """Have steps take about as long as a pause may take to hold, and others to wait for the store."""
        if seconds > _LONG_STEP_SECONDS:
            self._step_rows = max(_SMALLEST_STEP, min(rows, self._step_rows) // 2)
        elif seconds < _LONG_STEP_SECONDS / 4 and rows >= self._step_rows:
            self._step_rows = min(LARGEST_STEP, 2 * self._step_rows)

    def _made(
        self,
        campaign: Campaign,
        rows: Sequence[StoredRow],
        notifications: Sequence[NewNotification | InvalidRequestError],
    ) -> list[Accepted | None]:
        """What an earlier runner made of those that are wrong by now: such a row is a notification, and not refused."""
        keys = {
            index: codec.row_key(campaign.campaign_id, rows[index].row)
            for index, new in enumerate(notifications)
            if not isinstance(new, NewNotification)
        }
        jobs = self._jobs.by_idempotency_key(campaign.account, list(keys.values())) if keys else {}
        found = [jobs.get(keys.get(index, "")) for index in range(len(rows))]
        return [None if job is None else Accepted(job, is_replay=True) for job in found]

    def _accept(
        self, actor: Actor, notifications: Sequence[NewNotification | Accepted | InvalidRequestError]
    ) -> list[SubmissionResult]:
        """What became of the first of these, of as many as the quota has room for. Raises ``RateLimitedError``."""
        right = [new for new in notifications if isinstance(new, NewNotification)]
        accepted = self._accept_right(actor, right) if right else []
        found = iter(accepted)
        outcomes: list[SubmissionResult] = []
        for new in notifications:
            outcome: SubmissionResult | None = next(found, None) if isinstance(new, NewNotification) else new
            if outcome is None:
                break
            outcomes.append(outcome)
        return outcomes

    def _accept_right(self, actor: Actor, notifications: Sequence[NewNotification]) -> list[SubmissionResult]:
        try:
            return self._acceptance.accept_many(actor, notifications)[0]
        except RateLimitedError as error:
            left = min((status.remaining for status in error.limits), default=0)
            if not 0 < left < len(notifications):
                raise
            return self._acceptance.accept_many(actor, notifications[:left])[0]

    def _chunk_of(self, campaign: Campaign) -> Chunk | None:
        chunk = self._chunk
        row = campaign.run.row
        if chunk is None or chunk.campaign_id != campaign.campaign_id or not _has(chunk, row):
            chunk = self._chunk = self._store.chunk_at(campaign, row)
        return chunk

    def _wait(
        self, campaign: Campaign, paced_until: datetime | None, hold: CampaignHold | None, until: datetime | None
    ) -> int:
        """Tell why nothing is sent, unless that is known or will be over in a moment."""
        run = campaign.run
        is_paced = hold in {CampaignHold.PACE, None}
        waits_for = "" if hold is None or is_paced else hold.value
        waits_until = None if is_paced else until
        after = replace(run, paced_until=paced_until, waits_for=waits_for, waits_until=waits_until)
        if after != run:
            self._store.advance(campaign.campaign_id, self._token, run, after, self._clock.now())
        now = self._clock.now()
        rest = _LONGEST_RESTS.get(hold, _REST) if hold is not None else _REST
        ends = now + rest if until is None else min(max(until, now + _REST), now + rest)
        self._store.rest(campaign, self._token, ends)
        return 0

    def _cancel_some(self, campaign: Campaign) -> int:
        """Cancel the next of its notifications that wait; those that can't be cancelled are passed by."""
        campaign_id = campaign.campaign_id
        where = waiting(JobFilter(client=campaign.account, campaign=campaign_id))
        page = self._jobs.search(where, _CANCELLED_AT_ONCE, self._cursors.get(campaign_id))
        event = CancelRequested(campaign.cancelled_by or campaign.created_by)
        now = self._clock.now()
        transitions = []
        for job in page.jobs:
            try:
                transition = decide(job, event, now, self._policy)
            except TransitionError:
                continue
            if transition is not None:
                transitions.append(transition)
        self._writer.write(transitions)
        is_clean = self._clean.get(campaign_id, True) and not transitions
        if page.next is not None:
            self._cursors[campaign_id], self._clean[campaign_id] = page.next, is_clean
            return len(page.jobs)
        self._cursors.pop(campaign_id, None)
        self._clean.pop(campaign_id, None)
        if not is_clean:
            # Once more from the beginning: one may have lost a race, or have come since.
            return len(page.jobs)
        if campaign.fenced_until is not None and now < campaign.fenced_until:
            # What another runner had begun to store may still come.
            self._store.rest(campaign, self._token, min(campaign.fenced_until, now + _SOON))
            return 0
        # A runner that died may have made some that it had not recorded.
        queued = sum(self._counter.count(campaign_id).values())
        run = campaign.run
        self._store.advance(campaign_id, self._token, run, replace(run, queued=max(run.queued, queued)), now)
        self._end(campaign, CampaignStatus.CANCELLED)
        return len(page.jobs)

    def _end(self, campaign: Campaign, status: CampaignStatus) -> None:
        if self._store.end(campaign.campaign_id, self._token, status, self._clock.now()):
            self._store.drop_chunks(campaign.campaign_id, self._clock.now())
            log.info(
                "campaign_ended",
                campaign_id=campaign.campaign_id,
                account=campaign.account,
                status=status.value,
                queued=campaign.run.queued,
                rejected=campaign.rejected,
            )


def lane_of(campaign: Campaign) -> Lane:
    """The lane of a campaign's notifications, which are bulk unless it says otherwise; regions are not told apart."""
    priority = Priority(campaign.notification.get("priority", Priority.BULK))
    return Lane.of(campaign.channel, priority, campaign.account)


def _has(chunk: Chunk, row: int) -> bool:
    return bool(chunk.rows) and chunk.begin.rows <= row <= chunk.rows[-1].row


def _problems(outcome: SubmissionResult) -> tuple[RowProblem, ...]:
    if isinstance(outcome, InvalidRequestError):
        return tuple(RowProblem(each.where, each.code, each.message) for each in outcome.problems)
    code = outcome.code if isinstance(outcome, RefusedError) else "invalid"
    return (RowProblem("", code, str(outcome)),)
