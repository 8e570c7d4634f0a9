"""A small environment in which a fallback lives: its store, its jobs, providers that know what really arrived."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.factories import NOW, PAYLOADS, RECIPIENTS, make_random_bytes, make_receipt_event
from tests.unit.core.stateful.environment import POLICY
from wavecom.core.engine import (
    AttemptFinished,
    CancelRequested,
    ClaimRequested,
    DueReached,
    Event,
    ReplayRequested,
    decide,
)
from wavecom.core.fallback import Fallback, FallbackStatus, NewFallback, Step
from wavecom.core.fallback_rules import CANCELLED_BY, CancelJob, Decision, MakeJob
from wavecom.core.fallback_rules import decide as decide_fallback
from wavecom.core.job import CallResult, Claim, Job, Outcome, ProviderResult, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.new_notification import JobMaker
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import FINAL, NOT_FINAL, Status
from wavecom.errors import TransitionError

#: Which channels steps have, in their order.
CHANNELS = (Channel.PUSH, Channel.SMS, Channel.EMAIL)


def make_steps(waits: list[int]) -> tuple[Step, ...]:
    """As many steps as there are waits, in seconds, and one more."""
    seconds: list[timedelta | None] = [timedelta(seconds=each) for each in waits]
    return tuple(
        Step(type=channel, to=RECIPIENTS[channel], payload=PAYLOADS[channel], wait=wait)
        for channel, wait in zip(CHANNELS, [*seconds, None], strict=False)
    )


def make_fallback(waits: list[int], policy: UnknownOutcomePolicy, life: timedelta, **more: object) -> Fallback:
    """Accepted at ``NOW``."""
    new = NewFallback(client="acme", steps=make_steps(waits), on_unknown_outcome=policy, expires_at=NOW + life)
    return new.accepted("00000000-0000-7000-8000-000000000001", NOW, **more)  # type: ignore[arg-type]


@dataclass
class Look:
    """What somebody has read of the fallback and its jobs; by the time that he acts on it, much may have changed."""

    fallback: Fallback
    jobs: dict[int, Job]
    at: datetime


@dataclass
class FallbackEnvironment:
    fallback: Fallback
    now: datetime = NOW
    jobs: dict[int, Job] = field(default_factory=dict)
    #: Of each message that really left: its step, and whether it really arrived.
    sends: list[tuple[int, bool]] = field(default_factory=list)
    #: Of each of them, how often its job had been started again by then.
    lives: list[int] = field(default_factory=list)
    claims: int = 0
    #: Tokens of claims whose worker has called the provider and died, or is still at it.
    called: set[str] = field(default_factory=set)
    maker: JobMaker = field(default_factory=lambda: JobMaker(POLICY, make_random_bytes))

    # --- those who follow ---------------------------------------------------------------------------------------------

    def look(self) -> Look:
        return Look(self.fallback, dict(self.jobs), self.now)

    def decide(self, look: Look) -> Decision:
        return decide_fallback(look.fallback, look.jobs, look.at, POLICY.retention)

    def act(self, decision: Decision) -> None:
        """As the stores do it: a job once, and a write over the version that was read alone."""
        if decision is None:
            return
        if isinstance(decision, MakeJob):
            self.make_job(decision.number, is_wanted=decision.is_wanted)
        elif isinstance(decision, CancelJob):
            self.move(decision.number, CancelRequested(CANCELLED_BY, ends_attempts=True))
        elif decision.fallback.version == self.fallback.version + 1:
            self.watch_write(self.fallback, decision.fallback)
            self.fallback = decision.fallback

    def make_job(self, number: int, *, is_wanted: bool = True) -> None:
        if number not in self.jobs:
            new = self.fallback.notification_of(number)
            new = new if is_wanted else replace(new, send_at=new.expires_at)
            self.jobs[number] = self.maker.make(new, self.now)

    def follow(self) -> None:
        """Act until there is nothing to be done now."""
        for _ in range(30):
            before = (self.fallback, dict(self.jobs))
            self.act(self.decide(self.look()))
            if before == (self.fallback, self.jobs):
                return
        raise AssertionError("there is always something to be done")

    def wake(self) -> None:
        """Some job has ended."""
        if self.fallback.due_at is not None:
            self.fallback = self.fallback.changed(self.fallback.updated_at, due_at=self.now)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def move(self, number: int, event: Event) -> bool:
        job = self.jobs[number]
        try:
            transition = decide(job, event, self.now, POLICY)
        except TransitionError:
            return False
        if transition is None or not transition.guard.holds(job):
            return False
        self.jobs[number] = transition.applied_to(job)
        return True

    def claim(self, number: int) -> bool:
        self.claims += 1
        return self.move(number, ClaimRequested(Claim(f"claim-{self.claims}", "worker", self.now + POLICY.lease)))

    def call(self, number: int, *, arrives: bool) -> None:
        """The provider really sends the message of the job that a worker holds."""
        claim = self.jobs[number].claim
        assert claim is not None
        assert claim.token not in self.called, "a worker calls once"
        self.called.add(claim.token)
        self.sends.append((number, arrives))
        self.lives.append(self.jobs[number].replays)

    def has_called(self, number: int) -> bool:
        claim = self.jobs[number].claim
        return claim is not None and claim.token in self.called

    def record(self, number: int, outcome: Outcome, *, expects_receipt: bool = True) -> None:
        job = self.jobs[number]
        assert job.claim is not None
        answer = ProviderResult(outcome, "answer", message_id=f"message-{len(self.sends)}")
        call = CallResult("sandbox", answer, self.now, 5.0)
        self.move(number, AttemptFinished(job.claim.token, (call,), expects_receipt=expects_receipt))

    def report(self, number: int) -> None:
        """The truth about the last message of this step, if one was sent."""
        replays = self.jobs[number].replays
        sends = zip(self.sends, self.lives, strict=True)
        truths = [arrived for (step, arrived), life in sends if step == number and life == replays]
        if truths:
            kind = ReceiptKind.DELIVERED if truths[-1] else ReceiptKind.FAILED
            self.move(number, make_receipt_event(kind, job_id=self.jobs[number].job_id))

    def replay(self, number: int) -> bool:
        """A person starts it again, whether or not it has arrived."""
        is_done = self.move(number, ReplayRequested(self.now + timedelta(minutes=10), accepts_duplicate=True))
        if is_done:
            self.wake()
        return is_done

    def sweep(self) -> None:
        for number in list(self.jobs):
            if self.jobs[number].status in NOT_FINAL:
                self.move(number, DueReached(is_message_lost=False))

    # --- the watch ----------------------------------------------------------------------------------------------------

    @property
    def arrived(self) -> set[int]:
        """Steps of which a message really arrived."""
        return {step for step, has_arrived in self.sends if has_arrived}

    def watch_write(self, before: Fallback, after: Fallback) -> None:
        if before.is_over:
            late = (before.status, after.status) == (FallbackStatus.UNCONFIRMED, FallbackStatus.DELIVERED)
            assert late or after.status is before.status, f"{before.status} → {after.status}"
            assert after.begun == before.begun, "a step began after the end"
        assert after.begun - before.begun in {0, 1}
        if after.begun > before.begun and after.on_unknown_outcome is UnknownOutcomePolicy.STOP:
            assert not self.arrived, "a step began under stop though another has arrived"

    def watch(self) -> None:
        """What must be true at every moment."""
        fallback = self.fallback
        assert set(self.jobs) <= set(range(1, fallback.begun + 1)), "a job of a step that has not begun"
        assert all(job.expires_at <= fallback.expires_at or job.replays for job in self.jobs.values())
        assert fallback.is_over or fallback.due_at is not None, "nobody will ever look"
        assert (fallback.finished_at is not None) is fallback.is_over is (fallback.purge_at is not None)
        if any(job.replays for job in self.jobs.values()):
            # Who starts one again has accepted a second message, and that it comes after the end.
            return
        if fallback.on_unknown_outcome is UnknownOutcomePolicy.STOP:
            assert len(self.arrived) <= 1, "two channels delivered under stop"
        match fallback.status:
            case FallbackStatus.DELIVERED:
                assert fallback.delivered_step in self.arrived
            case FallbackStatus.FAILED | FallbackStatus.EXPIRED:
                assert not self.arrived, f"{fallback.status}, and it has arrived"
            case FallbackStatus.CANCELLED if not fallback.may_have_been_sent:
                assert not self.arrived, "cancelled without a doubt, and it has arrived"

    def settle(self, *, takes_all: bool) -> None:
        """From here on nobody is slow, and no receipt comes: it must end, and its jobs as well."""
        latest = self.fallback.expires_at + POLICY.lease + timedelta(minutes=1)
        for _ in range(500):
            self.sweep()
            self.follow()
            self.watch()
            if takes_all:
                for number, job in list(self.jobs.items()):
                    if job.status is Status.QUEUED and self.claim(number):
                        self.call(number, arrives=True)
                        self.record(number, Outcome.ACCEPTED)
            if self.now > latest:
                assert self.fallback.is_over, f"{self.fallback.status} long after its time"
            if self.fallback.due_at is None and all(job.status in FINAL for job in self.jobs.values()):
                return
            left = [job for job in self.jobs.values() if job.status in NOT_FINAL]
            moments = [self.fallback.due_at, *(each for job in left for each in (job.due_at, job.expires_at))]
            ahead = [moment for moment in moments if moment is not None and moment > self.now]
            self.now = min(ahead, default=self.now + timedelta(seconds=1))
        raise AssertionError(f"{self.fallback.status} is never left alone")
