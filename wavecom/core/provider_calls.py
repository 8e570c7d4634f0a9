"""One call of a provider for a claimed job: the message, the call, its result, and the permit that is given back.

Every permit is given back, with what came of the call where there was one. Which provider is called next is
``wavecom.core.attempts``'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import structlog

from wavecom.core.activity import Activity
from wavecom.core.exhaustion import is_exhaustion, not_begun, unclear
from wavecom.core.job import CallResult, Job, Outcome, ProviderResult, Scope
from wavecom.core.lanes import Channel, Lane
from wavecom.core.leases import LeaseKeeper, OngoingCall
from wavecom.core.ports import (
    Clock,
    Files,
    Message,
    MissingFileError,
    NotBegunError,
    Permit,
    Provider,
    Refusal,
    UnreadableFileError,
)
from wavecom.core.recipients import destination_of, recipient_key
from wavecom.core.sms import segments
from wavecom.errors import StoreError

log = structlog.get_logger()

#: The code of an answer that did not come in time.
TIMEOUT = "timeout"
#: A time-out of which this process could not run for such a part says nothing about the provider.
LAG_SHARE = 0.2


class ProviderRouter(Protocol):
    """Hands out permits to call providers along a channel's route; ``wavecom.routing`` implements it."""

    def reserve(self, lane: Lane, *, wait_seconds: float = 0.0, prefer: str | None = None) -> Permit | Refusal:
        """A permit for the first provider on the lane's route that may be called now, or why there is none."""
        ...

    def reserve_for(
        self, job: Job, *, besides: Collection[str] = (), wait_seconds: float = 0.0
    ) -> Permit | Refusal | None:
        """The same for the job's own route, once the job is known, without the providers in ``besides``; waits up to
        ``wait_seconds``. None when the route has no others.
        """
        ...

    def parking_seconds(self, lane: Lane, refusal: Refusal) -> float:
        """For how long a job of the lane that was refused so should rest; to be asked once for each that does."""
        ...

    def reserve_next(self, job: Job, tried: Sequence[str], *, prefer: str | None = None) -> Permit | Refusal | None:
        """A permit for a provider of the job's route that is not yet tried; None when the route has no more."""
        ...

    def sandbox_of(self, job: Job) -> str | None:
        """The sandbox of the providers file that a test account's job goes to; None: the worker's own."""
        ...

    def payload_of(self, job: Job) -> Mapping[str, Any]:
        """The job's payload, with the sender of its route where it names none itself."""
        ...

    def charge(self, permit: Permit, extra_cost: int) -> None:
        """The message weighs more than the 1 that was reserved."""
        ...

    def release(self, permit: Permit, outcome: CallResult | None) -> None:
        """Give a permit back; ``outcome`` is None when the provider was not called."""
        ...


class ProviderCaller:
    """Calls providers, one call at a time, and gives back the permit of each.

    ``lag_since`` answers for how many seconds this process could not run since a moment of the clock's monotonic
    seconds.
    """

    def __init__(
        self,
        *,
        route: ProviderRouter,
        clock: Clock,
        leases: LeaseKeeper,
        activity: Activity,
        lag_since: Callable[[float], float],
    ) -> None:
        self._route = route
        self._clock = clock
        self._leases = leases
        self._activity = activity
        self._lag_since = lag_since
        self._next_exhaustion_log_at = float("-inf")

    def call(
        self,
        job: Job,
        provider: Provider,
        permit: Permit | None,
        lease_until: datetime,
        earlier: Sequence[CallResult],
        files: Files,
    ) -> tuple[CallResult, datetime]:
        """Send the job's message; the call's result, and until when the job is leased then.

        The lease is renewed for as long as the call takes. ``earlier`` are the calls of the same attempt before it.
        Raises ``StoreError``, ``MissingFileError`` and ``UnreadableFileError`` where an attachment could not be read:
        then nothing was sent, and the permit is given back.
        """
        with self.released_on_error(permit):
            message = message_of(job, files, self._route.payload_of(job))
            if permit is not None:
                self._route.charge(permit, extra_cost_of(job))
            at = self._clock.now()
            started = self._clock.monotonic()
            ongoing = OngoingCall(job, provider.name, tuple(earlier), at, started, lease_until)
            try:
                with self._leases.holding(ongoing), self._activity.call(provider.longest_call_seconds):
                    answer: ProviderResult | Exception = provider.send(message)
            except (StoreError, MissingFileError, UnreadableFileError):
                raise  # an attachment could not be read, so the message was not sent
            except NotBegunError as error:
                self.log_error(job, error)
                answer = not_begun(error.__cause__ or error)
            except Exception as error:  # noqa: BLE001 - recorded on the job
                # A provider raises where it could not begin (see the port); whatever else it raises is a bug.
                answer = not_begun(error) if is_exhaustion(error) else error
                if is_exhaustion(error):
                    self.log_error(job, error)
            call, is_ours = self.result(job, answer, provider.name, at, started)
        self.release(permit, None if is_ours else call)
        return call, ongoing.lease_until

    def result(
        self, job: Job, answer: ProviderResult | Exception, provider: str, at: datetime, started: float
    ) -> tuple[CallResult, bool]:
        """The result of a call, and whether what went wrong is ours: then it says nothing about the provider."""
        is_ours = isinstance(answer, Exception) or answer.code == "not_begun"
        if isinstance(answer, Exception):
            log.error("call_failed", provider=provider, exc_info=answer)
            answer = unclear(answer)
        latency_ms = (self._clock.monotonic() - started) * 1000
        lag_ms = self._lag_since(started) * 1000
        if answer.code == TIMEOUT and lag_ms >= latency_ms * LAG_SHARE:
            # The outcome stays what it is; only nobody else is to blame for it.
            answer = replace(answer, scope=Scope.WORKER)
        # Whom a good answer was for interests nobody.
        recipient = "" if answer.outcome is Outcome.ACCEPTED else recipient_key(job)
        return CallResult(provider, answer, at, latency_ms, recipient, destination_of(job), lag_ms), is_ours

    def release(self, permit: Permit | None, outcome: CallResult | None) -> None:
        """Give a permit back; an error is logged, because what the call came to must not be lost for it."""
        if permit is None:
            return
        try:
            self._route.release(permit, outcome)
        except Exception:
            log.exception("permit_not_given_back", provider=permit.provider)

    @contextmanager
    def released_on_error(self, permit: Permit | None) -> Iterator[None]:
        """Give the permit back if the block raises: a bug must not take a place for as long as the worker lives."""
        try:
            yield
        except BaseException:
            self.release(permit, None)
            raise

    def log_error(self, job: Job, error: Exception) -> None:
        """Log a bug with its trace; that the machine has run out of something once a second, whatever job meets it."""
        if not is_exhaustion(error):
            log.error("attempt_failed", job_id=job.job_id, exc_info=error)
        elif self._clock.monotonic() >= self._next_exhaustion_log_at:
            self._next_exhaustion_log_at = self._clock.monotonic() + 1
            log.error("call_not_begun", error=type(error).__name__, reason=str(error))


def extra_cost_of(job: Job) -> int:
    """What the message weighs beyond the 1 of its permit: networks bill an SMS by its segments."""
    return segments(str(job.payload.get("text", ""))).count - 1 if job.type is Channel.SMS else 0


def message_of(job: Job, files: Files, payload: Mapping[str, Any]) -> Message:
    """What a provider is asked to send for the job's next attempt; ``payload`` as ``ProviderRouter`` has it: the job's
    own, unless its route has named the sender.
    """
    return Message(
        job_id=job.job_id,
        delivery_key=job.delivery_key,
        type=job.type,
        to=job.to,
        payload=payload,
        metadata=job.metadata,
        attempt=job.attempts + 1,
        stops_on_unknown=job.on_unknown_outcome == "stop",
        expires_at=job.expires_at,
        files=files,
        replays=job.replays,
        has_route_sender=payload is not job.payload,
    )
