"""Jobs among workers that crash, come late and see stale copies, sweeps, receipts and people: the promises hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.factories import make_job, make_receipt_event
from tests.unit.core.stateful.environment import MAX_SKEW, POLICY, Environment, QueuedMessage, Worker, Write
from tests.unit.core.stateful.fairness import ProviderBehaviour, settle
from wavecom.core.engine import (
    AttemptFinished,
    AttemptPrevented,
    CancelRequested,
    ClaimRequested,
    DeadLettered,
    Discarded,
    DueReached,
    Event,
    LeaseRenewed,
    Parked,
    ReplayRequested,
    SettleRequested,
    StoreRestored,
    Transition,
    decide,
    decide_receipt,
    is_in_doubt,
)
from wavecom.core.job import CallResult, Claim, Job, JobId, Outcome, ProviderResult, UnknownOutcomePolicy
from wavecom.core.receipt_rules import ReceiptDecision
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import CLAIMABLE, FINAL, WAITING, Status
from wavecom.errors import TransitionError


def some_seconds(*choices: int) -> st.SearchStrategy[timedelta]:
    return st.sampled_from([timedelta(seconds=choice) for choice in choices])


waits = some_seconds(1, 3, 10, 31, 31, 120, 700, 4000)
lives = some_seconds(600, 7200, 100_000, 100_000, 100_000, 45, 20, 3)
limits = st.sampled_from([5, 3, 2, 1])
# In the order in which a job's life goes on longest.
outcomes = st.sampled_from([Outcome.UNKNOWN, Outcome.UNAVAILABLE, Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.REJECTED])
skews = st.sampled_from([timedelta(0), MAX_SKEW, -MAX_SKEW])
picks = st.sampled_from([0, 0, 0, 1, 2, 3])
rarely = st.sampled_from([False, False, False, True])


def nothing(is_written: bool) -> None:
    """What most authors of a write do when they hear of it."""


def is_waiting_again(job: Job) -> bool:
    return job.status in WAITING and (job.claim is not None or job.replays > 0)


class JobLifecycle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.environment = Environment()
        self.claims = 0

    # --- pieces ---------------------------------------------------------------------------------------------------

    def decide(self, job: Job, event: Event, skew: timedelta = timedelta(0)) -> Transition | None:
        """The decision of somebody whose clock is off by ``skew``; None too when the event is refused."""
        try:
            return decide(job, event, self.environment.now + skew, POLICY)
        except TransitionError:
            return None

    def put(
        self,
        transition: Transition | None,
        *,
        is_slow: bool,
        told: Callable[[bool], None] = nothing,
        author: Worker | None = None,
    ) -> None:
        """Write the transition, now or later."""
        if transition is None:
            return
        write = Write(transition, author, told)
        if is_slow:
            self.environment.writes.append(write)
        else:
            self.environment.write(write)

    def publish(self, transition: Transition) -> None:
        if transition.delivery_message is not None:
            at = self.environment.now + timedelta(seconds=transition.delivery_message.delay_seconds)
            self.environment.delivery_messages.append(QueuedMessage(transition.delivery_message.job_id, at))

    def job(self, pick: int) -> Job:
        """Any job, most often one whose life is not over."""
        jobs = sorted(self.environment.jobs.values(), key=lambda job: job.status in FINAL)
        return jobs[pick % len(jobs)]

    # --- clients --------------------------------------------------------------------------------------------------

    @initialize(policy=st.sampled_from(UnknownOutcomePolicy), attempts=limits, life=lives)
    def begin_with_one_job(self, policy: UnknownOutcomePolicy, attempts: int, life: timedelta) -> None:
        self.submit(policy, attempts, life, delay=None, is_message_lost=False)

    @precondition(lambda self: sum(job.status not in FINAL for job in self.environment.jobs.values()) < 2)
    @rule(
        policy=st.sampled_from(UnknownOutcomePolicy),
        attempts=limits,
        life=lives,
        delay=st.none() | waits,
        is_message_lost=rarely,
    )
    def submit(
        self,
        policy: UnknownOutcomePolicy,
        attempts: int,
        life: timedelta,
        delay: timedelta | None,
        is_message_lost: bool,
    ) -> None:
        now = self.environment.now
        start = now + (delay or timedelta(0))
        job = make_job(
            status=Status.QUEUED if delay is None else Status.SCHEDULED,
            created_at=now,
            send_at=None if delay is None else start,
            queued_at=now if delay is None else None,
            expires_at=start + life,
            due_at=min(start + (POLICY.message_grace if delay is None else timedelta(0)), start + life),
            max_attempts=attempts,
            on_unknown_outcome=policy,
        )
        self.environment.add(job)
        if delay is None and not is_message_lost:
            self.environment.delivery_messages.append(QueuedMessage(job.job_id, now))

    @precondition(lambda self: any(is_waiting_again(job) for job in self.environment.jobs.values()))
    @rule(pick=picks, is_slow=rarely)
    def cancel(self, pick: int, is_slow: bool) -> None:
        """Late, when something may have been sent; a cancel before the first claim is no art."""
        jobs = [job for job in self.environment.jobs.values() if is_waiting_again(job)]
        self.put(self.decide(jobs[pick % len(jobs)], CancelRequested()), is_slow=is_slow)

    @precondition(lambda self: any(job.status is Status.FAILED for job in self.environment.jobs.values()))
    @rule(pick=picks, life=lives, is_discarded=rarely, is_slow=rarely)
    def replay_or_discard(self, pick: int, life: timedelta, is_discarded: bool, is_slow: bool) -> None:
        failed = [job for job in self.environment.jobs.values() if job.status is Status.FAILED]
        event = Discarded() if is_discarded else ReplayRequested(self.environment.now + life)
        transition = self.decide(failed[pick % len(failed)], event)
        if transition is not None:
            self.put(transition, is_slow=is_slow, told=lambda is_written: is_written and self.publish(transition))

    @precondition(lambda self: any(is_in_doubt(job) for job in self.environment.jobs.values()))
    @rule(pick=picks, life=lives, is_settled=st.booleans(), accepts_duplicate=st.booleans(), is_slow=rarely)
    def end_a_doubt(self, pick: int, life: timedelta, is_settled: bool, accepts_duplicate: bool, is_slow: bool) -> None:
        """Somebody has looked at the provider's end and says what is true; or would rather send twice than never."""
        doubtful = [job for job in self.environment.jobs.values() if is_in_doubt(job)]
        job = doubtful[pick % len(doubtful)]
        event: Event = ReplayRequested(self.environment.now + life, accepts_duplicate=accepts_duplicate)
        if is_settled:
            event = SettleRequested(bool(self.environment.sends_of(job.job_id, job.replays)), "looked it up")
        transition = self.decide(job, event)
        if transition is not None:
            self.put(transition, is_slow=is_slow, told=lambda is_written: is_written and self.publish(transition))

    @rule(pick=picks, is_slow=rarely)
    def hold_after_a_restore(self, pick: int, is_slow: bool) -> None:
        event = StoreRestored(before=self.environment.now + timedelta(seconds=1))
        self.put(self.decide(self.job(pick), event), is_slow=is_slow)

    # --- workers --------------------------------------------------------------------------------------------------

    @rule(
        pick=picks, skew=skews, no_leave_for=st.sampled_from([None, None, None, timedelta(seconds=5)]), is_slow=rarely
    )
    def take_message(self, pick: int, skew: timedelta, no_leave_for: timedelta | None, is_slow: bool) -> None:
        delivery_message = self.next_message(pick)
        if no_leave_for is None:
            self.claim(delivery_message.job_id, skew, is_slow=is_slow)
        else:
            parked = Parked(self.environment.now + skew + no_leave_for)
            self.put(self.decide(self.environment.jobs[delivery_message.job_id], parked, skew), is_slow=is_slow)

    @rule(
        pick=picks, outcome=outcomes, is_really_sent=st.sampled_from([True, True, False]), expects_receipt=st.booleans()
    )
    def deliver(self, pick: int, outcome: Outcome, is_really_sent: bool, expects_receipt: bool) -> None:
        """As it should be: claim, call and record without a break."""
        worker = self.claim(self.next_message(pick).job_id, timedelta(0), is_slow=False)
        if worker is not None:
            self.call(worker, outcome, is_really_sent=is_really_sent, retry_after=None)
            self.finish(worker, 0.5, expects_receipt=expects_receipt, is_slow=False)

    def next_message(self, pick: int) -> QueuedMessage:
        """Taken out of the broker, when it comes out of the delay queues; or an old one that comes twice."""
        if not self.environment.delivery_messages:
            job = self.job(pick)
            if job.status in CLAIMABLE and job.next_attempt_at is not None:
                self.environment.now = max(self.environment.now, job.next_attempt_at)
            return QueuedMessage(job.job_id, self.environment.now)
        delivery_message = self.environment.delivery_messages.pop(pick % len(self.environment.delivery_messages))
        self.environment.now = max(self.environment.now, delivery_message.at)
        return delivery_message

    def claim(self, job_id: JobId, skew: timedelta, *, is_slow: bool) -> Worker | None:
        """The worker that holds the job now; None when nobody does, or nobody yet."""
        job = self.environment.jobs[job_id]
        self.claims += 1
        claim = Claim(f"token-{self.claims}", f"worker-{self.claims}", self.environment.now + skew + POLICY.lease)
        transition = self.decide(job, ClaimRequested(claim), skew)
        granted: list[Worker] = []

        def told(is_written: bool) -> None:
            if is_written and transition is not None:
                granted.append(Worker(transition.applied_to(job), skew))
                self.environment.workers.append(granted[0])

        self.put(transition, is_slow=is_slow, told=told)
        return granted[0] if granted else None

    @rule(
        pick=picks,
        gives_up=rarely,
        outcome=outcomes,
        is_really_sent=st.sampled_from([True, True, False]),
        retry_after=st.none() | waits,
        jitter=st.sampled_from([0.5, 0.0, 0.999]),
        expects_receipt=st.booleans(),
        is_slow=rarely,
    )
    def a_worker_goes_on(
        self,
        pick: int,
        gives_up: bool,
        outcome: Outcome,
        is_really_sent: bool,
        retry_after: timedelta | None,
        jitter: float,
        expects_receipt: bool,
        is_slow: bool,
    ) -> None:
        """Its next step, however late: call, fail over, report, or give the job back uncalled."""
        workers = [worker for worker in self.environment.workers if not worker.has_reported]
        if not workers:
            self.claim(self.next_message(pick).job_id, timedelta(0), is_slow=False)
            return
        worker = workers[pick % len(workers)]
        if worker.has_leave_to_call and not worker.tries and gives_up:
            seconds = (retry_after or timedelta(0)).total_seconds()
            event = AttemptPrevented(worker.token, seconds)
            self.write_last(worker, self.decide(worker.job, event, worker.skew), is_slow=is_slow)
        elif worker.has_leave_to_call:
            self.call(worker, outcome, is_really_sent=is_really_sent, retry_after=retry_after)
        elif worker.may_fail_over and not gives_up:
            self.renew(worker, is_slow=is_slow)
        else:
            self.finish(worker, jitter, expects_receipt=expects_receipt, is_slow=is_slow)

    def call(self, worker: Worker, outcome: Outcome, *, is_really_sent: bool, retry_after: timedelta | None) -> None:
        message_id = None
        if outcome is Outcome.ACCEPTED or (outcome is Outcome.UNKNOWN and is_really_sent):
            message_id = self.environment.send(worker).message_id
        answer = ProviderResult(
            outcome,
            "drawn",
            message_id=message_id if outcome is Outcome.ACCEPTED else None,
            retry_after_seconds=None if retry_after is None else retry_after.total_seconds(),
        )
        worker.tries.append(CallResult("sandbox", answer, self.environment.now, 1))
        worker.has_leave_to_call = False

    def renew(self, worker: Worker, *, is_slow: bool) -> None:
        transition = self.decide(worker.job, LeaseRenewed(worker.token), worker.skew)

        def told(is_written: bool) -> None:
            if is_written and transition is not None and worker.may_fail_over:
                worker.job = transition.applied_to(worker.job)
                worker.has_leave_to_call = True

        self.put(transition, is_slow=is_slow, told=told, author=worker)

    def finish(self, worker: Worker, jitter: float, *, expects_receipt: bool, is_slow: bool) -> None:
        event = AttemptFinished(worker.token, tuple(worker.tries), jitter, expects_receipt)
        self.write_last(worker, self.decide(worker.job, event, worker.skew), is_slow=is_slow)

    def write_last(self, worker: Worker, transition: Transition | None, *, is_slow: bool) -> None:
        """The worker's last write for this job; it publishes the next delivery message if it lives to hear of it."""
        assert transition is not None
        worker.has_reported = True
        worker.has_leave_to_call = False

        def told(is_written: bool) -> None:
            if worker in self.environment.workers:
                self.environment.workers.remove(worker)
                if is_written:
                    self.publish(transition)

        self.put(transition, is_slow=is_slow, told=told, author=worker)

    # --- the sweep ------------------------------------------------------------------------------------------------

    @rule(
        skew=skews,
        waits_for_work=st.booleans(),
        is_message_lost=st.booleans(),
        is_slow=rarely,
        dies_before_publishing=rarely,
    )
    def sweep(
        self, skew: timedelta, waits_for_work: bool, is_message_lost: bool, is_slow: bool, dies_before_publishing: bool
    ) -> None:
        if waits_for_work:
            self.environment.now = max(self.environment.now, self.environment.next_due() - skew)
        for job in list(self.environment.jobs.values()):
            transition = self.decide(job, DueReached(is_message_lost=is_message_lost), skew)
            if transition is not None:
                self.put(
                    transition,
                    is_slow=is_slow,
                    told=self.sweeper_told(transition, is_dead=dies_before_publishing, is_slow=is_slow),
                )

    def sweeper_told(self, transition: Transition, *, is_dead: bool, is_slow: bool) -> Callable[[bool], None]:
        def told(is_written: bool) -> None:
            if is_written and not is_dead:
                self.publish(transition)
                if transition.needs_dead_letter:
                    self.publish_dead_letters(self.environment.jobs[transition.job_id], is_slow=is_slow)

        return told

    def publish_dead_letters(self, job: Job, *, is_slow: bool) -> None:
        """Publish the dead letter that is owed, then note that it is confirmed."""
        self.environment.dead_letters.add((job.job_id, job.replays))
        self.put(self.decide(job, DeadLettered()), is_slow=is_slow)

    # --- providers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.environment.sends)
    @rule(pick=picks, is_delivered=st.booleans(), is_progress=st.booleans(), is_routine=st.booleans(), is_slow=rarely)
    def receipt(self, pick: int, is_delivered: bool, is_progress: bool, is_routine: bool, is_slow: bool) -> None:
        """May come at any time and again; about one message it always says the same, after it was on its way."""
        send = self.environment.sends[pick % len(self.environment.sends)]
        job = self.environment.jobs[send.job_id]
        if is_progress:
            event = make_receipt_event(
                ReceiptKind.PROGRESS,
                message_id=send.message_id,
                event_id=f"{send.message_id}-{'routine' if is_routine else 'delayed'}",
                is_routine=is_routine,
            )
            if decide_receipt(job, event, self.environment.now)[0] is ReceiptDecision.KNOWN:
                self.environment.watch_known(job, send)
            self.put(self.decide(job, event), is_slow=is_slow)
            return
        if send.is_delivered is None:
            send.is_delivered = is_delivered
        kind = ReceiptKind.DELIVERED if send.is_delivered else ReceiptKind.FAILED
        event = make_receipt_event(kind, code="drawn", message_id=send.message_id, event_id=send.message_id)
        send.is_reported_failed = not send.is_delivered
        self.put(self.decide(job, event), is_slow=is_slow)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    @rule(wait=waits, pick=picks, lost=st.sampled_from([None, None, None, "delivery_messages", "writes", "workers"]))
    def time_passes(self, wait: timedelta, pick: int, lost: str | None) -> None:
        """And something may be lost: a message, a write on its way, a worker (what it sent off may still arrive)."""
        self.environment.now += wait
        victims: list[Any] = getattr(self.environment, lost) if lost else []
        if victims:
            victims.pop(pick % len(victims))

    @precondition(lambda self: self.environment.writes)
    @rule(pick=picks, is_repeated=rarely)
    def write_arrives(self, pick: int, is_repeated: bool) -> None:
        """A slow write reaches the store; the author may repeat it because the answer got lost."""
        write = self.environment.writes[pick % len(self.environment.writes)]
        if not is_repeated:
            self.environment.writes.remove(write)
        self.environment.write(write)

    # --- promises -------------------------------------------------------------------------------------------------

    @invariant()
    def every_job_is_in_order(self) -> None:
        self.environment.watch_jobs()

    def teardown(self) -> None:
        """From wherever the jobs stand now, they come to their end."""
        for behaviour in ProviderBehaviour:
            settle(self.environment, behaviour)


TestJobLives = pytest.mark.timeout(1800)(JobLifecycle.TestCase)  # the long run takes minutes
