"""What people do with a fallback: have it accepted, read it, cancel it.

It is stored before its first step's job, which holds the client's idempotency key: so one key is one request, whatever
it was used for, and a fallback whose process died before the job was stored gets it from whoever looks next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from wavecom.core.acceptance import Acceptance
from wavecom.core.actor import Actor
from wavecom.core.fallback import (
    Fallback,
    FallbackEntry,
    FallbackEvent,
    FallbackStatus,
    FallbackStore,
    NewFallback,
)
from wavecom.core.fallback_following import FallbackFollowing
from wavecom.core.job import Job
from wavecom.core.ports import Clock
from wavecom.core.quota import StoredAnswer
from wavecom.core.submission import Submission
from wavecom.errors import (
    InvalidRequestError,
    JobNotFoundError,
    LimitStatus,
    LostRaceError,
    Problem,
    StoreError,
    TooLateToCancelError,
    UncertainWriteError,
)

_MAX_RACES: Final = 10


@dataclass(frozen=True, slots=True)
class AcceptedFallback:
    """One that was accepted now, or before (``is_replay``): then ``stored`` may hold its first answer instead of it."""

    fallback_id: str
    fallback: Fallback | None
    is_replay: bool = False
    stored: StoredAnswer | None = None
    limits: Sequence[LimitStatus] = ()


class Fallbacks:
    """The use cases behind ``fallback`` in the API. ``new_id`` makes ids; ``records_events`` asks it of an account."""

    def __init__(
        self,
        *,
        fallbacks: FallbackStore,
        acceptance: Acceptance,
        submission: Submission,
        following: FallbackFollowing,
        clock: Clock,
        new_id: Callable[[], str],
        records_events: Callable[[str], bool] = lambda _account: False,
    ) -> None:
        self._fallbacks = fallbacks
        self._acceptance = acceptance
        self._submission = submission
        self._following = following
        self._clock = clock
        self._new_id = new_id
        self._records_events = records_events

    def accept(self, actor: Actor, new: NewFallback) -> AcceptedFallback:
        """Accept it with all its steps, of which the first begins. It counts against limits as one notification.

        Raises as ``Acceptance.accept`` does; ``InvalidRequestError`` names the steps (``/fallback/1/type``).
        """
        fallback = new.accepted(self._new_id(), self._clock.now(), records_events=self._records_events(actor.client))
        first = replace(fallback.notification_of(1), traceparent=new.traceparent)
        problems = [*self._problems(actor, fallback), *_too_long_waits(fallback)]
        if problems:
            [earlier] = self._submission.repeated(actor.client, [first])
            if earlier is not None and earlier.job.parent is not None:
                return self._earlier(earlier.job.parent.fallback_id)
            self._acceptance.charge_refused(actor)
            raise InvalidRequestError(problems)
        self._fallbacks.add(fallback)
        try:
            accepted = self._acceptance.accept(actor, first)
        except UncertainWriteError:
            # Its job may be there: whoever looks next finds out.
            raise
        except Exception as error:
            self._forget_refused(fallback, error)
            raise
        if not accepted.is_replay:
            return AcceptedFallback(fallback.fallback_id, fallback, limits=accepted.limits)
        if accepted.job is not None and accepted.job.parent is not None:
            if accepted.job.parent.fallback_id == fallback.fallback_id:
                # Whoever looks after what is due was quicker than the request itself.
                return AcceptedFallback(fallback.fallback_id, fallback, limits=accepted.limits)
            self._forget(fallback)
            return self._earlier(accepted.job.parent.fallback_id)
        self._forget(fallback)
        return AcceptedFallback(accepted.job_id, None, True, accepted.stored, accepted.limits)

    def earlier(self, client: str, idempotency_key: str, fingerprint: str) -> AcceptedFallback | None:
        """What was accepted before under this key with the same body, which may not be accepted any more."""
        found = self._submission.earlier(client, {idempotency_key: fingerprint}).get(idempotency_key)
        return None if found is None or found.job.parent is None else self._earlier(found.job.parent.fallback_id)

    def get(self, fallback_id: str, client: str | None = None) -> Fallback | None:
        """The fallback; None where there is none of this client's. Raises ``StoreError``."""
        return self._fallbacks.get(fallback_id, client)

    def jobs_of(self, fallback: Fallback) -> Mapping[int, Job]:
        """By the numbers of its steps, the jobs that there are. Raises ``StoreError``."""
        return self._following.jobs_of(fallback)

    def cancel(self, fallback_id: str, client: str | None = None, *, by: str) -> Fallback:
        """Make sure that no further step begins, and that the current one is not sent where it has not been yet.

        Answers it as it is then; cancelling twice is once. Raises ``JobNotFoundError``, ``TooLateToCancelError`` where
        it has ended otherwise, ``LostRaceError``.
        """
        for _ in range(_MAX_RACES):
            fallback = self._fallbacks.get(fallback_id, client)
            if fallback is None:
                raise JobNotFoundError(f"There is no notification {fallback_id}.")
            if fallback.status is FallbackStatus.CANCELLED:
                return fallback
            if fallback.is_over:
                raise TooLateToCancelError(f"A notification that is {fallback.status} can't be cancelled any more.")
            if fallback.cancelled_by is None:
                now = self._clock.now()
                entry = FallbackEntry(now, FallbackEvent.CANCEL_REQUESTED, by=by)
                asked = fallback.changed(now, cancelled_by=by, due_at=now, logs=(*fallback.logs, entry))
                if not self._fallbacks.write(asked):
                    continue
                fallback = asked
            self._following.follow(fallback)
        raise LostRaceError(f"Notification {fallback_id} kept moving; ask again.")

    def _problems(self, actor: Actor, fallback: Fallback) -> list[Problem]:
        """What is wrong with any of its steps, each checked as a notification by itself."""
        wrong: list[Problem] = []
        for number in range(1, len(fallback.steps) + 1):
            try:
                self._acceptance.check(actor, fallback.notification_of(number))
            except InvalidRequestError as error:
                wrong += [replace(each, where=f"/fallback/{number - 1}{each.where}") for each in error.problems]
        return wrong

    def _earlier(self, fallback_id: str) -> AcceptedFallback:
        found = self._fallbacks.get(fallback_id)
        if found is None:
            raise StoreError("The first answer to this request can't be found now; ask again.")
        return AcceptedFallback(fallback_id, found, True)

    def _forget_refused(self, fallback: Fallback, error: Exception) -> None:
        """Raises ``UncertainWriteError`` where it is left behind: then whoever looks next begins it."""
        try:
            self._fallbacks.remove(fallback.fallback_id)
        except StoreError:
            raise UncertainWriteError(f"It may be sent all the same: {error}") from error

    def _forget(self, fallback: Fallback) -> None:
        # Left behind, it would be found due, and its first step made or found to be another's.
        with suppress(StoreError):
            self._fallbacks.remove(fallback.fallback_id)


def _too_long_waits(fallback: Fallback) -> list[Problem]:
    """The first wait at whose end, where those before it were used up, the time of the whole is over."""
    waited_until = fallback.current.begun_at or fallback.created_at
    for place, step in enumerate(fallback.steps):
        waited_until += step.wait or timedelta(0)
        if step.wait is not None and waited_until >= fallback.expires_at:
            text = (
                "ends when the fallback has expired, so no later step could begin by it; shorten it or give more time"
            )
            return [Problem(f"/fallback/{place}/wait", text)]
    return []
