"""From wherever jobs stand: if sweep and workers are given their turns, every job comes to its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from tests.unit.core.stateful.environment import POLICY, Environment, QueuedMessage
from wavecom.core.engine import AttemptFinished, ClaimRequested, DeadLettered, DueReached, Transition, decide
from wavecom.core.job import CallResult, Claim, Job, Outcome, ProviderResult
from wavecom.core.states import FINAL, HANDED_OVER, Status

#: What a turn of the sweep, and a delivery message looked for once more, may add to a deadline.
SLACK = POLICY.message_grace + timedelta(seconds=10)


class ProviderBehaviour(Enum):
    """What every call comes to from now on; None: every worker dies in the call."""

    TAKES_ALL = Outcome.ACCEPTED
    REFUSES_ALL = Outcome.UNAVAILABLE
    HANGS = Outcome.UNKNOWN
    KILLS_WORKERS = None


def settle(environment: Environment, behaviour: ProviderBehaviour) -> None:
    """Play the future on a copy of the jobs. All workers and all writes on their way are lost first: the worst case."""
    _Future(environment, behaviour).play()


class _Future:
    def __init__(self, environment: Environment, behaviour: ProviderBehaviour) -> None:
        self._now = environment.now
        self._jobs = dict(environment.jobs)
        self._messages = list(environment.delivery_messages)
        self._behaviour = behaviour
        self._claims = 0
        self._latest_end = {job.job_id: _latest_end(job, environment.now) for job in environment.jobs.values()}

    def play(self) -> None:
        while any(not _is_settled(job) for job in self._jobs.values()):
            self._sweep()
            self._work()
            self._watch()
            self._now = self._next_moment()

    def _sweep(self) -> None:
        for job in list(self._jobs.values()):
            is_message_lost = all(delivery_message.job_id != job.job_id for delivery_message in self._messages)
            self._write(decide(job, DueReached(is_message_lost=is_message_lost), self._now, POLICY))

    def _work(self) -> None:
        for delivery_message in [
            delivery_message for delivery_message in self._messages if delivery_message.at <= self._now
        ]:
            self._messages.remove(delivery_message)
            self._claims += 1
            claim = Claim(f"fair-{self._claims}", "fair", self._now + POLICY.lease)
            if not self._write(decide(self._jobs[delivery_message.job_id], ClaimRequested(claim), self._now, POLICY)):
                continue
            if self._behaviour.value is not None:
                answer = ProviderResult(self._behaviour.value, "behaviour")
                report = AttemptFinished(claim.token, (CallResult("fair", answer, self._now, 1),))
                assert self._write(decide(self._jobs[delivery_message.job_id], report, self._now, POLICY))

    def _write(self, transition: Transition | None) -> bool:
        if transition is None or not transition.guard.holds(self._jobs[transition.job_id]):
            return False
        job = transition.applied_to(self._jobs[transition.job_id])
        self._jobs[job.job_id] = job
        if transition.delivery_message is not None:
            self._messages.append(
                QueuedMessage(job.job_id, self._now + timedelta(seconds=transition.delivery_message.delay_seconds))
            )
        if transition.needs_dead_letter:
            self._write(decide(job, DeadLettered(), self._now, POLICY))
        return True

    def _watch(self) -> None:
        for job in self._jobs.values():
            latest = self._latest_end[job.job_id]
            if self._now > latest:
                assert job.status in FINAL | HANDED_OVER, f"still {job.status} after its deadline"
            if self._now > latest + POLICY.receipt_deadline + SLACK:
                assert _is_settled(job), f"still {job.status} after every deadline"

    def _next_moment(self) -> datetime:
        moments = [delivery_message.at for delivery_message in self._messages]
        for job in self._jobs.values():
            if not _is_settled(job):
                assert job.due_at is not None
                moments.append(job.due_at)
                if job.status is Status.PROCESSING and job.claim is not None:
                    moments.append(job.claim.lease_until)
        return min((moment for moment in moments if moment > self._now), default=self._now + timedelta(seconds=1))


def _is_settled(job: Job) -> bool:
    return job.status in FINAL and job.due_at is None


def _latest_end(job: Job, now: datetime) -> datetime:
    """When the job must be out of our hands: its deadline, and a worker that holds it then has a whole lease."""
    lease_until = job.claim.lease_until if job.status is Status.PROCESSING and job.claim is not None else now
    return max(job.expires_at + POLICY.lease, lease_until, now) + SLACK
