"""What happens next with a fallback: ``decide(fallback, jobs, now)``. Pure.

The rule: the next step begins when the current one failed for good, or was not confirmed in its time. Before it begins,
a current job that no provider has had is cancelled by compare-and-set, so that it can't be sent any more. One that was
handed over may arrive: with ``onUnknownOutcome: stop`` the next step then waits for its receipt, for as long as the
fallback has; with ``retry`` it begins all the same, and the log says so. The first confirmed delivery ends it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from wavecom.core.fallback import EVENT_STATUS, FIRST_LOOK, Fallback, FallbackEntry, FallbackEvent, FallbackStatus
from wavecom.core.job import Job, RecordedEvent, UnknownOutcomePolicy
from wavecom.core.states import HANDED_OVER, Status

#: A job that a worker holds just now is looked at again after so long.
LOOK_AGAIN: Final = timedelta(seconds=1)

#: Who cancels jobs on behalf of their fallback, as their logs name it.
CANCELLED_BY: Final = "fallback"
#: Statuses of jobs that bring up their fallback at once; what is left is a matter of time.
BRINGS_UP: Final = frozenset({Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.CANCELLED})

#: Errors of failed jobs that say of their very message that it did not arrive, whatever else is in doubt.
_CERTAIN_CODES: Final = frozenset({"undelivered", "settled"})


class StepState(Enum):
    """What is known of a step that has begun."""

    #: Its job has not been made, or not been found yet.
    NOT_MADE = auto()
    #: No provider has its message: it can be cancelled.
    OPEN = auto()
    #: A worker holds it: it may be handed over in this moment.
    CLAIMED = auto()
    #: A provider may have its message, and another attempt is to come.
    REPEATED = auto()
    #: A provider has its message, or may have it, and may report of it.
    HANDED_OVER = auto()
    DELIVERED = auto()
    #: It has ended, and has not reached anybody.
    NOT_DELIVERED = auto()
    #: It has ended, and nobody can tell whether it reached anybody.
    IN_DOUBT = auto()


#: A step in these has not ended.
_OPEN_STATES: Final = frozenset(
    {StepState.NOT_MADE, StepState.OPEN, StepState.CLAIMED, StepState.REPEATED, StepState.HANDED_OVER}
)
#: A step in these may have reached somebody, or may still.
_DOUBTFUL: Final = frozenset({StepState.CLAIMED, StepState.REPEATED, StepState.HANDED_OVER, StepState.IN_DOUBT})
#: A step in these will be sent, unless it is cancelled.
_TO_BE_SENT: Final = frozenset({StepState.OPEN, StepState.REPEATED})


@dataclass(frozen=True, slots=True)
class MakeJob:
    """Accept the job of the current step, which may be there already.

    Where it is not ``is_wanted``, so that nobody ever sends it: who is slow to make it finds this one.
    """

    number: int
    is_wanted: bool = True


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Cancel this job, of the step with this number, unless it has moved; then look again.

    One that may have been sent before is not sent once more (``CancelRequested.ends_attempts``).
    """

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class Write:
    """Write this version; then look again, unless it only waits."""

    fallback: Fallback
    is_waiting: bool = False


#: None: nothing is to be done, now or ever.
Decision = MakeJob | CancelJob | Write | None


def decide(
    fallback: Fallback,
    jobs: Mapping[int, Job],
    now: datetime,
    retention: timedelta,
    receipt_deadline: timedelta = timedelta(0),
) -> Decision:
    """What is to be done first. ``jobs``: by the numbers of the steps (from 1) their jobs with logs, as far as found.

    ``retention``: how long a fallback is kept after its end, and after that of its jobs, which may be later than its
    time by ``receipt_deadline``. Who has done it decides anew, on what is stored by then.
    """
    return _Look(fallback, jobs, now, retention, receipt_deadline).decide()


def state_of(fallback: Fallback, number: int, job: Job | None) -> StepState:
    """What ``job`` says of the step with this number."""
    if job is None:
        if fallback.steps[number - 1].refused is not None:
            return StepState.NOT_DELIVERED
        # One that was noted and is not there any more was deleted, long after its end.
        return StepState.NOT_MADE if fallback.steps[number - 1].job_id is None else StepState.IN_DOUBT
    match job.status:
        case Status.DELIVERED if any(entry.code == "receipt_missing" for entry in job.logs):
            return StepState.IN_DOUBT
        case Status.DELIVERED:
            return StepState.DELIVERED
        case Status.EXPIRED | Status.CANCELLED:
            return StepState.NOT_DELIVERED
        case Status.FAILED:
            return StepState.IN_DOUBT if _is_failure_in_doubt(job) else StepState.NOT_DELIVERED
        case Status.PROCESSING:
            return StepState.CLAIMED
        case status if status in HANDED_OVER:
            return StepState.HANDED_OVER
        case _ if job.may_have_been_sent:
            return StepState.REPEATED
        case _:
            return StepState.OPEN


def _is_failure_in_doubt(job: Job) -> bool:
    code = "" if job.error is None else job.error.code
    if code == "outcome_unknown":
        return True
    # Under ``stop`` there is one message, and every other error is about that; under ``retry`` an earlier attempt
    # may have sent one. Whoever starts it again has another one sent, and what was in doubt stays so.
    is_about_all = job.on_unknown_outcome is UnknownOutcomePolicy.STOP or code in _CERTAIN_CODES
    return job.may_have_been_sent and not (is_about_all and job.replays == 0)


def is_cancelled_by_person(job: Job) -> bool:
    """Whether somebody wanted this step not to be sent; on behalf of its fallback it is cancelled to send the next."""
    if job.status is not Status.CANCELLED or job.replays:
        return False
    return not any(entry.event == "cancelled" and entry.by == CANCELLED_BY for entry in job.logs)


class _Look:
    """One look at one fallback."""

    def __init__(
        self,
        fallback: Fallback,
        jobs: Mapping[int, Job],
        now: datetime,
        retention: timedelta,
        receipt_deadline: timedelta,
    ) -> None:
        self._receipt_deadline = receipt_deadline
        self._jobs = jobs
        self._now = now
        self._retention = retention
        self._seen = fallback
        for number, job in jobs.items():
            if fallback.steps[number - 1].job_id is None:
                fallback = replace(fallback, steps=fallback.with_step(number, job_id=job.job_id))
        self._fallback = fallback
        self._states = {number: state_of(fallback, number, jobs.get(number)) for number in range(1, fallback.begun + 1)}
        self._state = self._states[fallback.begun]

    def decide(self) -> Decision:
        fallback = self._fallback
        if fallback.is_over:
            return self._after_end()
        delivered = self._delivered()
        if delivered is not None:
            return self._end(FallbackStatus.DELIVERED, delivered)
        is_expired = fallback.expires_at <= self._now
        is_cancelled = fallback.cancelled_by is not None or any(map(is_cancelled_by_person, self._jobs.values()))
        if self._state is StepState.NOT_MADE and not is_expired:
            # Before a cancellation, too: else who is slow to make it could still do so afterwards.
            return MakeJob(fallback.begun, is_wanted=not is_cancelled)
        if is_cancelled:
            return self._cancel()
        if is_expired:
            return self._expire()
        return self._overtaken() or self._follow()

    def _overtaken(self) -> CancelJob | None:
        """An earlier step that is to be sent again though a later one has begun, as by what a slow worker recorded."""
        for number, state in self._states.items():
            if number < self._fallback.begun and state in _TO_BE_SENT and not self._jobs[number].replays:
                return CancelJob(number, self._jobs[number])
        return None

    def _follow(self) -> Decision:
        fallback = self._fallback
        wait_ends_at = fallback.wait_ends_at
        is_waited = fallback.has_next and wait_ends_at is not None and wait_ends_at <= self._now
        may_overtake = fallback.on_unknown_outcome is UnknownOutcomePolicy.RETRY
        waited = f"it was not confirmed within {_written(fallback.current.wait)}"
        match self._state:
            case StepState.OPEN if is_waited:
                return CancelJob(fallback.begun, self._jobs[fallback.begun])
            case StepState.REPEATED if is_waited and may_overtake:
                return CancelJob(fallback.begun, self._jobs[fallback.begun])
            case StepState.CLAIMED if is_waited:
                return self._wait(self._now + LOOK_AGAIN)
            case StepState.HANDED_OVER if is_waited and may_overtake:
                return self._begin_next(f"{waited}; it may still arrive")
            case StepState.NOT_DELIVERED if fallback.has_next and (may_overtake or not self._may_earlier_arrive()):
                return self._begin_next(self._why_not_delivered())
            case StepState.IN_DOUBT if fallback.has_next and may_overtake:
                return self._begin_next("nobody can tell whether it arrived")
            case StepState.NOT_DELIVERED | StepState.IN_DOUBT:
                return self._after_last()
            case _:
                return self._wait(None if is_waited else wait_ends_at)

    def _may_earlier_arrive(self) -> bool:
        """Whether one that had failed was started again by a person, and may arrive now."""
        return any(
            self._states[number] is not StepState.NOT_DELIVERED
            for number in self._jobs
            if number < self._fallback.begun
        )

    def _after_last(self) -> Decision:
        """No step will begin any more: what is under way decides."""
        if any(state in _OPEN_STATES for state in self._states.values()):
            return self._wait(None)
        is_doubtful = StepState.IN_DOUBT in self._states.values()
        return self._end(FallbackStatus.UNCONFIRMED if is_doubtful else FallbackStatus.FAILED)

    def _expire(self) -> Decision:
        for number, state in self._states.items():
            if state is StepState.CLAIMED:
                return self._wait(self._now + LOOK_AGAIN)
            if self._is_unwanted(number, state):
                return CancelJob(number, self._jobs[number])
        is_asked_for = any(self._is_to_be_sent(number, state) for number, state in self._states.items())
        if is_asked_for or any(state in _DOUBTFUL for state in self._states.values()):
            return self._end(FallbackStatus.UNCONFIRMED)
        last = None if self._fallback.has_next else self._jobs.get(self._fallback.begun)
        has_failed = last is not None and last.status is Status.FAILED
        return self._end(FallbackStatus.FAILED if has_failed else FallbackStatus.EXPIRED)

    def _cancel(self) -> Decision:
        for number, state in self._states.items():
            if state in _TO_BE_SENT:
                return CancelJob(number, self._jobs[number])
        return self._end(FallbackStatus.CANCELLED)

    def _after_end(self) -> Decision:
        """What has ended may leave a job that is not wanted any more, or a receipt that is still to come."""
        fallback = self._fallback
        if fallback.status is FallbackStatus.UNCONFIRMED and (delivered := self._delivered()) is not None:
            return self._end(FallbackStatus.DELIVERED, delivered)
        for number, state in self._states.items():
            if self._is_unwanted(number, state):
                return CancelJob(number, self._jobs[number])
            if state is StepState.NOT_MADE and self._now < fallback.expires_at:
                return MakeJob(number, is_wanted=False)
        if StepState.CLAIMED in self._states.values():
            return self._wait(self._now + LOOK_AGAIN)
        is_open = any(
            state is StepState.HANDED_OVER or self._is_to_be_sent(number, state)
            for number, state in self._states.items()
        )
        return self._wait(None) if is_open and fallback.status is FallbackStatus.UNCONFIRMED else self._rest()

    def _is_to_be_sent(self, number: int, state: StepState) -> bool:
        """Whether a worker may claim it: nobody may one whose own time is over; people may have given it more."""
        return state in _TO_BE_SENT and self._jobs[number].expires_at > self._now

    def _is_unwanted(self, number: int, state: StepState) -> bool:
        """Whether it would be sent though the fallback is over, and nobody has asked for that.

        Who started it again accepted a second message; but who cancelled the whole after that wanted none.
        """
        if not self._is_to_be_sent(number, state):
            return False
        job, ended_at = self._jobs[number], self._fallback.finished_at
        replayed_at = max((entry.at for entry in job.logs if entry.event == "replayed"), default=job.created_at)
        is_cancelled = self._fallback.status is FallbackStatus.CANCELLED
        return job.replays == 0 or (is_cancelled and ended_at is not None and replayed_at < ended_at)

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _delivered(self) -> int | None:
        return next((number for number, state in self._states.items() if state is StepState.DELIVERED), None)

    def _begin_next(self, why: str) -> Write:
        fallback = self._fallback
        number = fallback.begun + 1
        steps = fallback.with_step(number, begun_at=self._now)
        entry = FallbackEntry(self._now, FallbackEvent.STEP_BEGUN, number, f"step {fallback.begun}: {why}")
        return Write(
            fallback.changed(self._now, steps=steps, begun=number, due_at=self._now, logs=(*fallback.logs, entry))
        )

    def _wait(self, until: datetime | None) -> Decision:
        """Look again at the end of its time, at ``until``, or in between: something may have been lost in a crash."""
        fallback = self._fallback
        begun_at = fallback.current.begun_at or fallback.created_at
        moments = [max(self._now + max(FIRST_LOOK, self._now - begun_at), begun_at + FIRST_LOOK)]
        if not fallback.is_over:
            moments.append(fallback.expires_at)
        if until is not None:
            moments.append(until)
        due_at = max(min(moments), self._now + timedelta(milliseconds=1))
        is_known = fallback is self._seen and fallback.due_at is not None and self._now < fallback.due_at <= due_at
        return None if is_known else Write(fallback.changed(self._now, due_at=due_at), is_waiting=True)

    def _rest(self) -> Decision:
        fallback = self._fallback
        if fallback.due_at is None and fallback is self._seen:
            return None
        return Write(fallback.changed(self._now, due_at=None), is_waiting=True)

    def _end(self, status: FallbackStatus, step: int | None = None) -> Write:
        fallback, now = self._fallback, self._now
        others = [state for number, state in self._states.items() if number != step]
        may_have_been_sent = any(state in _DOUBTFUL for state in others)
        entry = FallbackEntry(now, FallbackEvent(status.value), step, self._said_at_end(status, step))
        # What is not over is looked at once more: it may have to be cancelled, or its receipt is waited for.
        is_left = any(state in _OPEN_STATES for state in others)
        # A job that is kept for longer holds the idempotency key, and leads who repeats the request here.
        kept_from = max(now, fallback.expires_at) + self._receipt_deadline if is_left else now
        changed = fallback.changed(
            now,
            status=status,
            delivered_step=step,
            may_have_been_sent=may_have_been_sent,
            due_at=now if is_left else None,
            finished_at=now,
            purge_at=kept_from + self._retention,
            logs=(*fallback.logs, entry),
            event=self._event(status, step) if fallback.records_events else None,
        )
        return Write(changed)

    def _event(self, status: FallbackStatus, step: int | None) -> RecordedEvent:
        job = self._jobs.get(step or self._fallback.begun)
        return RecordedEvent(
            status=EVENT_STATUS[status],
            at=self._now,
            attempts=sum(each.attempts for each in self._jobs.values()),
            provider=None if job is None else job.provider,
            error=None if job is None or status is FallbackStatus.DELIVERED else job.error,
        )

    def _said_at_end(self, status: FallbackStatus, step: int | None) -> str | None:
        fallback = self._fallback
        match status:
            case FallbackStatus.DELIVERED if step != fallback.begun:
                return f"step {step} was confirmed after step {fallback.begun} had begun"
            case FallbackStatus.UNCONFIRMED:
                doubtful = [str(number) for number, state in self._states.items() if state in _DOUBTFUL]
                text = f"nobody can tell whether step {' and step '.join(doubtful)} arrived"
                return f"{text}; no further step begins" if fallback.has_next else text
            case FallbackStatus.CANCELLED:
                by_person = [str(number) for number, job in self._jobs.items() if is_cancelled_by_person(job)]
                said = [f"step {' and step '.join(by_person)} was cancelled"] if by_person else []
                if any(state in _DOUBTFUL for state in self._states.values()):
                    said.append("what was handed over before may still arrive")
                return "; ".join(said) or None
            case _:
                return None

    def _why_not_delivered(self) -> str:
        job = self._jobs.get(self._fallback.begun)
        if job is None:
            return f"it could not be accepted: {self._fallback.current.refused}"
        if job.status is Status.CANCELLED:
            return f"it was not sent within {_written(self._fallback.current.wait)}, and was cancelled"
        return "it expired" if job.error is None else f"it failed: {job.error.code}"


def _written(wait: timedelta | None) -> str:
    return "its time" if wait is None else f"{int(wait.total_seconds())} s"
