"""Calling providers for a job that is claimed: one attempt, with the next provider where one is unavailable.

Nothing is called without a permit. Each call by itself is the matter of ``wavecom.core.provider_calls``; what came of
the attempt is the caller's to record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from wavecom.core.activity import Activity
from wavecom.core.attachment_check import ATTACHMENT_MISSING
from wavecom.core.attachments import BlobStore, names_in
from wavecom.core.engine import LeaseRenewed, Policy, Transition, decide
from wavecom.core.exhaustion import not_begun
from wavecom.core.files import ByteBudget, StoredFiles
from wavecom.core.job import CallResult, Job, Outcome, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.leases import LeaseKeeper
from wavecom.core.pauses import LONGEST_PAUSE_SECONDS
from wavecom.core.ports import (
    AFTER_CLAIM,
    AsyncProvider,
    Clock,
    Files,
    MissingFileError,
    NoFiles,
    Permit,
    Provider,
    Refusal,
)
from wavecom.core.preflights import Hold, Preflight, PreflightResult, Rejection, ask_all
from wavecom.core.provider_calls import ProviderCaller, ProviderRouter, extra_cost_of, message_of
from wavecom.errors import StoreError

log = structlog.get_logger()

#: A lease with less than this left is renewed before another provider is called: what most calls take at most, and some
#: air. The lease of a call that takes longer is renewed meanwhile (``leases.py``).
LEASE_MARGIN_SECONDS = 15.0

#: A thread waits for so long for the permit of a job's own route, before the job is parked.
PERMIT_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What an attempt at a claimed job came to: its calls, in order. No ``calls``: nobody could be called."""

    job: Job
    calls: tuple[CallResult, ...]
    expects_receipt: bool
    #: No provider of the route is left that was not tried.
    is_route_used_up: bool = False
    #: Where nobody who could take it was asked: when it is worth coming back; and why, where that is the job's matter.
    retry_after_seconds: float = 1.0
    held_for: str = ""


@dataclass(frozen=True, slots=True)
class PartialAttempt:
    """An attempt whose first provider was unavailable: the next ones are still to be tried, which may wait."""

    job: Job
    calls: tuple[CallResult, ...]
    lease_until: datetime


#: Called with what an attempt came to, or the bug that it met.
OnAttemptResult = Callable[[AttemptResult | PartialAttempt | Exception], None]


class AttemptRunner:
    """Runs attempts at claimed jobs: calls one provider after another until one gives an answer that counts.

    ``providers`` are those that live jobs go to, by the names that permits carry; ``sandbox`` is the only one that a
    job of a test account ever meets, whatever its message or its permit says. ``renew`` writes the renewal of a lease
    and tells whether the job was still held. ``lag_since`` tells for how long this process could not run since a moment
    of the clock's monotonic seconds. ``preflights`` are asked about every job, in order, before anybody is called.
    """

    def __init__(
        self,
        *,
        route: ProviderRouter,
        providers: Mapping[str, Provider],
        sandbox: Provider,
        blobs: BlobStore,
        clock: Clock,
        policy: Policy,
        renew: Callable[[Transition], bool],
        leases: LeaseKeeper,
        budget: ByteBudget,
        activity: Activity,
        lag_since: Callable[[float], float] = lambda _moment: 0.0,
        preflights: Sequence[Preflight] = (),
    ) -> None:
        self._preflights = tuple(preflights)
        self._route = route
        self._providers = providers
        self._async_providers = {name: each for name, each in providers.items() if isinstance(each, AsyncProvider)}
        self._sandbox = sandbox
        self._blobs = blobs
        self._clock = clock
        self._policy = policy
        self._renew = renew
        self._leases = leases
        self._budget = budget
        self._caller = ProviderCaller(route=route, clock=clock, leases=leases, activity=activity, lag_since=lag_since)

    def attempt(self, job: Job, permit: Permit) -> AttemptResult:
        """One attempt at a claimed job. Gives every permit back; what came of it is still to be recorded.

        Raises no ``Exception``: whatever goes wrong before a call has begun ends it as not taken, and a bug in the
        middle of one as unknown.
        """
        calls: list[CallResult] = []
        try:
            with self._caller.released_on_error(permit):
                asked = ask_all(self._preflights, job)
            if asked.stop is not None:
                self._caller.release(permit, None)
                return self._stopped(job, asked.stop)
            if job.type is not Channel.EMAIL or not names_in(job.payload):
                return self._attempt(job, permit, asked.waits, calls, NoFiles())
            with StoredFiles(self._blobs, self._budget, job, self._policy) as files:
                usable: Permit | None = permit
                if not files.may_be_read():
                    # Others need not wait for bytes: they may have the place of this one meanwhile.
                    self._caller.release(permit, None)
                    usable = None
                    if not files.wait_until_they_may_be_read():
                        return AttemptResult(job, (), expects_receipt=False)
                return self._attempt(job, usable, asked.waits, calls, files)
        except StoreError:
            # Not being able to attempt is not an attempt.
            return AttemptResult(job, tuple(calls), expects_receipt=False)
        except MissingFileError:
            log.error("attachment_missing", job_id=job.job_id)  # noqa: TRY400 - there is no more to know
            stopped = self._stopped(job, ATTACHMENT_MISSING)
            return replace(stopped, calls=(*calls, *stopped.calls))
        except Exception as error:  # noqa: BLE001 - recorded on the job
            return self._attempt_after_error(job, calls, error)

    def begin(self, job: Job, permit: Permit, on_attempted: OnAttemptResult) -> bool:
        """Start an attempt that no thread has to wait for; ``on_attempted`` gets its result, once, on whatever thread.

        It must be quick, and must not raise. False, with nothing done, for a job that takes more than one plain call,
        or that a preflight stops: that one needs ``attempt``. What comes back ``PartialAttempt`` goes on with
        ``finish``. Raises no ``Exception``.
        """
        now = self._clock.now()
        if (
            job.claim is None
            or job.may_have_been_sent
            or not permit.serves(job.lane)
            or permit.provider in job.refused_by
            or (job.type is Channel.EMAIL and names_in(job.payload))
            or (job.claim.lease_until - now).total_seconds() < LEASE_MARGIN_SECONDS
            # Past the deadline nobody is called: ``attempt`` says so.
            or job.expires_at <= now
        ):
            return False
        asked = self._asked(job)
        if asked is None or asked.stop is not None or permit.provider in asked.waits:
            return False
        if permit.provider != AFTER_CLAIM:
            return self._begin_call(job, permit, job.claim.lease_until, now, on_attempted)
        own = self._route.reserve_for(job, besides=asked.waits)
        if not isinstance(own, Permit):
            return False
        is_begun = own.provider not in job.refused_by and self._begin_call(
            job, own, job.claim.lease_until, now, on_attempted
        )
        if not is_begun:
            self._caller.release(own, None)
        return is_begun

    def _begin_call(
        self, job: Job, permit: Permit, lease_until: datetime, now: datetime, on_attempted: OnAttemptResult
    ) -> bool:
        """Start the call; False, with nothing done, where it needs a thread or should not be made now."""
        provider = self._async_providers.get(permit.provider)
        if provider is None:
            return False
        expects_receipt = self._providers[permit.provider].expects_receipts
        started = self._clock.monotonic()
        #: Emptied by whoever reports the end: it is reported once, whatever a provider does.
        unanswered = [True]

        def on_result(answer: ProviderResult | Exception) -> None:
            if not unanswered or not unanswered.pop():
                log.error("call_answered_twice", job_id=job.job_id, provider=permit.provider)
                return
            result: AttemptResult | PartialAttempt | Exception
            try:
                call, is_ours = self._caller.result(job, answer, permit.provider, now, started)
                self._caller.release(permit, None if is_ours else call)
                is_unavailable = call.answer.outcome is Outcome.UNAVAILABLE
                result = (
                    PartialAttempt(job, (call,), lease_until)
                    if is_unavailable
                    else AttemptResult(job, (call,), expects_receipt)
                )
            except Exception as error:  # noqa: BLE001 - handed on: whose thread this is could do nothing with it
                result = error
            on_attempted(result)

        try:
            extra_cost = extra_cost_of(job)
            is_begun = provider.start(message_of(job, NoFiles(), self._route.payload_of(job)), on_result)
            if is_begun and extra_cost:
                self._route.charge(permit, extra_cost)
        except Exception as error:
            if not unanswered:
                # Its end was reported, or is being reported: what went wrong afterwards changes nothing.
                log.exception("call_begun_with_error", job_id=job.job_id)
                return True
            self._caller.log_error(job, error)
            on_result(not_begun(error))
            return True
        except BaseException:
            self._caller.release(permit, None)
            raise
        return is_begun

    def _asked(self, job: Job) -> PreflightResult | None:
        """What the preflights say; None where one met a bug."""
        try:
            return ask_all(self._preflights, job)
        except Exception:  # noqa: BLE001 - ``attempt`` meets it again, and records it
            return None

    def _stopped(self, job: Job, stop: Hold | Rejection) -> AttemptResult:
        """What an attempt comes to that a preflight stopped: nobody was called."""
        if isinstance(stop, Hold):
            return AttemptResult(
                job,
                (),
                expects_receipt=False,
                retry_after_seconds=stop.retry_after_seconds,
                held_for=stop.code,
            )
        answer = ProviderResult(Outcome.REJECTED, stop.code, stop.message, reason=stop.reason)
        return AttemptResult(job, (CallResult("", answer, self._clock.now(), 0),), expects_receipt=False)

    def finish(self, unfinished: PartialAttempt) -> AttemptResult:
        """The rest of an attempt that ``begin`` has begun: the providers that were not tried yet. As ``attempt``."""
        job, calls = unfinished.job, list(unfinished.calls)
        try:
            # Anew: the call took its time. What would stop the job does not: its first provider may have it by now.
            waits = ask_all(self._preflights, job).waits
            upcoming = self._next_permit(job, calls, waits)
            return self._call_in_turn(job, upcoming, unfinished.lease_until, waits, calls, NoFiles())
        except Exception as error:  # noqa: BLE001 - recorded on the job
            return self._attempt_after_error(job, calls, error)

    def _attempt_after_error(self, job: Job, calls: list[CallResult], error: Exception) -> AttemptResult:
        """An attempt that met an error between its calls: those before were unavailable, none was begun since."""
        self._caller.log_error(job, error)
        if not calls:
            calls.append(CallResult("", not_begun(error), self._clock.now(), 0))
        return AttemptResult(job, tuple(calls), expects_receipt=False)

    def _attempt(
        self, job: Job, permit: Permit | None, waits: Mapping[str, float], calls: list[CallResult], files: Files
    ) -> AttemptResult:
        """Provider after provider until one does more than be unavailable; ``calls`` grows with each.

        ``waits`` are the providers that preflights hold; a test account's job goes to the sandbox and nowhere else.
        """
        if job.lane.is_test:
            return self._attempt_in_sandbox(job, permit, calls, files)
        upcoming = self._live_permit(job, permit, waits)
        if isinstance(upcoming, Permit):
            with self._caller.released_on_error(upcoming):
                upcoming = self._preferred_permit(job, upcoming, waits)
        lease_until = job.claim.lease_until if job.claim else self._clock.now()
        return self._call_in_turn(job, upcoming, lease_until, waits, calls, files)

    def _call_in_turn(
        self,
        job: Job,
        upcoming: Permit | Refusal | None,
        lease_until: datetime,
        waits: Mapping[str, float],
        calls: list[CallResult],
        files: Files,
    ) -> AttemptResult:
        while isinstance(upcoming, Permit):
            # Before the first call too: the claim itself may have taken long, with a store that hesitated.
            with self._caller.released_on_error(upcoming):
                renewed = self._lease_for_call(job, lease_until)
            if renewed is None:
                self._caller.release(upcoming, None)
                break
            provider = self._providers[upcoming.provider]
            call, lease_until = self._caller.call(job, provider, upcoming, renewed, calls, files)
            calls.append(call)
            if call.answer.outcome is not Outcome.UNAVAILABLE:
                return AttemptResult(job, tuple(calls), provider.expects_receipts)
            upcoming = self._next_permit(job, calls, waits)
        called = {call.provider for call in calls}
        untried = {provider: seconds for provider, seconds in waits.items() if provider not in called}
        held = [seconds for provider, seconds in untried.items() if provider not in job.refused_by]
        pauses = list(held)
        if isinstance(upcoming, Refusal):
            pauses.append(min(upcoming.retry_after_seconds, LONGEST_PAUSE_SECONDS))
        return AttemptResult(
            job,
            tuple(calls),
            expects_receipt=False,
            is_route_used_up=bool(calls) and upcoming is None and not held,
            retry_after_seconds=min(pauses or untried.values(), default=1.0),
        )

    def _next_permit(
        self, job: Job, calls: Sequence[CallResult], waits: Mapping[str, float]
    ) -> Permit | Refusal | None:
        return self._route.reserve_next(job, [*job.refused_by, *(call.provider for call in calls), *waits])

    def _attempt_in_sandbox(
        self, job: Job, permit: Permit | None, calls: list[CallResult], files: Files
    ) -> AttemptResult:
        """For a test account's job: in the sandbox and nowhere else."""
        place = permit
        if permit is not None and not permit.serves(job.lane):
            # The message came through a lane of live ones, whose permit it must not use up. The sandbox needs no
            # protection: it is called without.
            self._caller.release(permit, None)
            place = None
        lease_until = job.claim.lease_until if job.claim else self._clock.now()
        with self._caller.released_on_error(place):
            renewed = self._lease_for_call(job, lease_until)
        if renewed is None:
            self._caller.release(place, None)
            return AttemptResult(job, (), expects_receipt=False)
        declared = self._route.sandbox_of(job)
        sandbox = self._sandbox if declared is None else self._providers[declared]
        calls.append(self._caller.call(job, sandbox, place, renewed, calls, files)[0])
        return AttemptResult(job, tuple(calls), sandbox.expects_receipts)

    def _live_permit(self, job: Job, permit: Permit | None, waits: Mapping[str, float]) -> Permit | Refusal | None:
        """``permit``, or another where there is none, or where it names no provider, the sandbox, or one on hold."""
        if permit is not None and permit.provider == AFTER_CLAIM:
            own = self._route.reserve_for(job, besides=waits, wait_seconds=PERMIT_WAIT_SECONDS)
            if isinstance(own, Refusal):
                return replace(own, retry_after_seconds=self._route.parking_seconds(job.lane, own))
            permit = own
        unwanted = {*job.refused_by, *waits}
        if permit is not None and permit.serves(job.lane) and permit.provider not in unwanted:
            return permit
        self._caller.release(permit, None)
        # Where all have refused it, and others may have gone from the route since, their word is asked for once more.
        return self._next_permit(job, (), waits) or self._route.reserve_next(job, [*waits])

    def _preferred_permit(self, job: Job, permit: Permit, waits: Mapping[str, float]) -> Permit:
        """After an unknown outcome the same provider comes first, if it can recognise a repetition."""
        last = self._providers.get(job.provider or "")
        if not job.may_have_been_sent or last is None or not last.is_idempotent or last.name == permit.provider:
            return permit
        if last.name in {*job.refused_by, *waits}:
            return permit
        better = self._route.reserve_next(job, [*waits], prefer=last.name)
        if not isinstance(better, Permit):
            return permit
        self._caller.release(permit, None)
        return better

    def abandoned(self) -> list[AttemptResult]:
        """The calls that threads are waiting for, as attempts that ended without an answer: the worker has to stop."""
        answer = ProviderResult(
            Outcome.UNKNOWN, "worker_stopped", "the worker was stopped while it waited for the provider's answer"
        )
        now = self._clock.monotonic()
        return [
            AttemptResult(call.job, (*call.calls, call.result_with(answer, now)), expects_receipt=False)
            for call in self._leases.ongoing_calls()
        ]

    def _lease_for_call(self, job: Job, lease_until: datetime) -> datetime | None:
        """The end of a lease long enough for one more call; None when nobody may be called for the job any more.

        That is so when it is no longer ours, and past its deadline: looked at before every call, because waiting for a
        permit, an earlier call, a claim, or the store may have taken any time.
        """
        renewed = self._renew_lease(job, lease_until)
        return renewed if self._clock.now() < job.expires_at else None

    def _renew_lease(self, job: Job, lease_until: datetime) -> datetime | None:
        now = self._clock.now()
        if (lease_until - now).total_seconds() >= LEASE_MARGIN_SECONDS:
            return lease_until
        transition = decide(job, LeaseRenewed(token_of(job)), now, self._policy)
        if transition is None:
            return None
        try:
            is_renewed: bool = self._renew(transition)
        except StoreError:
            return None
        return now + self._policy.lease if is_renewed else None


def token_of(job: Job) -> str:
    """The token under which a claimed job is held."""
    if job.claim is None:
        raise AssertionError(f"job {job.job_id} was granted without a claim")
    return job.claim.token
