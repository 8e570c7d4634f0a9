"""A small environment in which jobs live: a store, a broker, a provider that keeps count, and a watch over every write.

The store takes a write exactly as the real one does, by ``Guard.holds``. The watch knows what really happened, which
the store does not, and raises ``AssertionError`` as soon as a promise is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.factories import NOW
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import CallResult, Job, JobId, LogEntry, Outcome, UnknownOutcomePolicy
from wavecom.core.states import FINAL, HANDED_OVER, Status, is_arrow

#: Shorter waits than in production, so that deadlines and receipts meet in every order.
POLICY = Policy(receipt_deadline=timedelta(hours=1))
#: No clock of the fleet is further from the store's than this.
MAX_SKEW = timedelta(seconds=2)


@dataclass
class Worker:
    """A worker that has been granted a claim. It may be slow, wake up late, or be killed; it never lies."""

    job: Job
    skew: timedelta
    tries: list[CallResult] = field(default_factory=list)
    has_leave_to_call: bool = True
    has_reported: bool = False

    @property
    def may_fail_over(self) -> bool:
        """Only the last provider's "not accepted" leaves room for another one."""
        is_unavailable = bool(self.tries) and self.tries[-1].answer.outcome is Outcome.UNAVAILABLE
        return is_unavailable and not self.has_leave_to_call and not self.has_reported

    @property
    def token(self) -> str:
        assert self.job.claim is not None
        return self.job.claim.token


@dataclass
class SentMessage:
    """A message that really left for its recipient, whatever the worker was told."""

    job_id: JobId
    life: int
    message_id: str
    #: What its receipts say, always the same; None until the first one is drawn.
    is_delivered: bool | None = None
    is_reported_failed: bool = False


@dataclass
class QueuedMessage:
    """A message in the broker."""

    job_id: JobId
    at: datetime


@dataclass
class Write:
    """A decision that has not reached the store yet; by the time it does, the job may have moved."""

    transition: Transition
    author: Worker | None
    told: Callable[[bool], None]


@dataclass
class Environment:
    now: datetime = NOW
    jobs: dict[JobId, Job] = field(default_factory=dict)
    delivery_messages: list[QueuedMessage] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    sends: list[SentMessage] = field(default_factory=list)
    #: Job and token of each claim that the store has granted.
    granted: set[tuple[JobId, str]] = field(default_factory=set)
    #: Job and life of each dead letter in the queue.
    dead_letters: set[tuple[JobId, int]] = field(default_factory=set)
    #: Job and life of each dead letter that somebody wanted no more.
    discarded: set[tuple[JobId, int]] = field(default_factory=set)
    #: All entries ever written, with the life they belong to; the job itself keeps only the last ones.
    history: dict[JobId, list[tuple[int, LogEntry]]] = field(default_factory=dict)

    # --- what happens ---------------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        self.jobs[job.job_id] = job
        self.history[job.job_id] = []

    def write(self, write: Write) -> None:
        """Compare-and-set, under the eyes of the watch."""
        transition = write.transition
        before = self.jobs[transition.job_id]
        if not transition.guard.holds(before):
            write.told(False)
            return
        after = transition.applied_to(before)
        self._watch_write(before, after, write.author)
        if after.status is Status.PROCESSING and after.claim is not None:
            self.granted.add((after.job_id, after.claim.token))
        self.jobs[after.job_id] = after
        self.history[after.job_id] += [(after.replays, entry) for entry in transition.entries]
        if any(entry.event == "discarded" for entry in transition.entries):
            self.discarded.add((after.job_id, after.replays))
        write.told(True)

    def send(self, worker: Worker) -> SentMessage:
        """The provider really sends the message of the job that the worker holds, or held."""
        send = SentMessage(worker.job.job_id, worker.job.replays, f"message-{len(self.sends)}")
        self._watch_send(worker, send)
        self.sends.append(send)
        return send

    def next_due(self) -> datetime:
        """When the sweep will have something to do; now, if it never will."""
        moments = [
            max(job.due_at, job.claim.lease_until if job.claim and job.status is Status.PROCESSING else job.due_at)
            for job in self.jobs.values()
            if job.due_at is not None
        ]
        return max(self.now, min(moments, default=self.now))

    def sends_of(self, job_id: JobId, life: int) -> list[SentMessage]:
        return [send for send in self.sends if (send.job_id, send.life) == (job_id, life)]

    # --- the watch ------------------------------------------------------------------------------------------------

    def _watch_write(self, before: Job, after: Job, author: Worker | None) -> None:
        assert is_arrow(before.status, after.status), f"{before.status} → {after.status} is not declared"
        if before.status in FINAL and after.status is not before.status:
            assert after.replays == before.replays + 1, "a final job was moved without a replay"
        if before.status in FINAL and after.replays == before.replays:
            assert after.finished_at == before.finished_at, "a job was finished twice"
        if author is not None:
            assert author.job.replays == before.replays, "a worker recorded into a life that is not its job's"
            assert before.claim is not None, "a worker recorded for a job that nobody holds"
            assert before.claim.token == author.token, "a worker recorded over another's claim"
        is_claim = after.status is Status.PROCESSING and before.status is not Status.PROCESSING
        if is_claim:
            for other in self.workers:
                if other.job.job_id == after.job_id:
                    assert other.job.claim is not None
                    assert other.job.claim.lease_until <= self.now + MAX_SKEW, "two live claims"

    def _watch_send(self, worker: Worker, send: SentMessage) -> None:
        stored = self.jobs[send.job_id]
        earlier = self.sends_of(send.job_id, send.life)
        assert (send.job_id, worker.token) in self.granted, "sent without a claim"
        if stored.replays == send.life:
            assert stored.status not in {Status.EXPIRED, Status.CANCELLED}, f"sent after the job was {stored.status}"
        if worker.job.on_unknown_outcome is UnknownOutcomePolicy.STOP:
            assert not earlier, "sent twice in one life under stop"
        doubts = [
            entry for life, entry in self.history[send.job_id] if life == send.life and entry.event == "outcome_unknown"
        ]
        assert len(earlier) <= len(doubts), "a second send that no outcome_unknown explains"

    def watch_jobs(self) -> None:
        """What must be true of every job at every moment."""
        for job in self.jobs.values():
            self._watch_dates(job)
            self._watch_truth(job)
            assert 0 <= job.attempts <= job.max_attempts

    def watch_known(self, job: Job, send: SentMessage) -> None:
        """Word of ``send`` was passed over: the store must tell by itself that this very message was taken."""
        assert job.status is Status.SENT, f"word of a message was passed over that the job, {job.status}, needs"
        assert job.provider_message_id == send.message_id, "word of a second message was passed over"

    def _watch_dates(self, job: Job) -> None:
        match job.status:
            case Status.FAILED:
                is_discarded = (job.job_id, job.replays) in self.discarded
                assert not is_discarded or (job.due_at, job.dead_lettered_at) == (None, None), "discarded in vain"
                is_done = is_discarded or job.dead_lettered_at is not None
                assert (job.due_at is None) is is_done, "a dead letter is owed by nobody"
                if job.dead_lettered_at is not None:
                    assert (job.job_id, job.replays) in self.dead_letters, "noted a dead letter that does not exist"
            case status if status in FINAL:
                assert job.due_at is None
            case status if status in HANDED_OVER:
                assert job.due_at is not None
                assert job.due_at <= job.updated_at + POLICY.receipt_deadline
            case _:
                assert job.due_at is not None, f"a {job.status} job that nobody will ever look at"
                assert job.due_at <= job.expires_at, f"a {job.status} job is looked at only after its deadline"
        assert (job.finished_at is not None) is (job.status in FINAL)
        assert (job.purge_at is not None) is (job.status in FINAL)
        assert (job.status is not Status.PROCESSING) or job.claim is not None

    def _watch_truth(self, job: Job) -> None:
        sends = self.sends_of(job.job_id, job.replays)
        if job.status in {Status.EXPIRED, Status.CANCELLED}:
            assert not sends, f"{job.status} promises that nothing was sent"
        if job.status is Status.FAILED and not job.may_have_been_sent:
            assert all(send.is_reported_failed for send in sends), "failed without a doubt, yet something was sent"
        if job.error is not None and job.error.code == "undelivered" and job.provider_message_id is not None:
            its_own = [send for send in self.sends if send.message_id == job.provider_message_id]
            assert all(send.is_reported_failed for send in its_own), "failed by the receipt of another message"
        if job.status in {Status.SENT, Status.DELIVERED}:
            assert any(send.job_id == job.job_id for send in self.sends), f"{job.status}, but nothing was ever sent"
