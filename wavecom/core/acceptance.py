"""The one way in: whatever a client causes is checked against its limits here, whoever brings it.

The API's single and batch requests, the pages' form, retries and replays all come this way; what is new is held to the
client's senders, too (what was accepted keeps its own). Repeats are found first and
cost nothing: by a stored answer, by the mark of a name that was just counted, or in the store, which is asked before
anybody is refused; what the store's index finds only at the insert is given back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

from wavecom.core.actor import Actor
from wavecom.core.fallback import is_step_key
from wavecom.core.job import Job
from wavecom.core.named_files import NamedFiles
from wavecom.core.new_notification import NewNotification
from wavecom.core.preference_rules import PreferenceRules
from wavecom.core.quota import DAILY, UNLIMITED, Limits, QuotaDecision, QuotaRequest, QuotaService, StoredAnswer
from wavecom.core.submission import Accepted, Flushed, Submission, SubmissionResult
from wavecom.errors import (
    ChannelNotServedError,
    IdempotencyMismatchError,
    InvalidRequestError,
    LimitStatus,
    Problem,
    QuotaExhaustedError,
    RateLimitedError,
    StoreError,
    UncertainWriteError,
)


@dataclass(frozen=True, slots=True)
class AcceptedNotification:
    """One notification that was accepted now, or before (``is_replay``): then ``stored`` may hold its first answer
    instead of the ``job``. ``limits``: what is left of them, where there are any."""

    job_id: str
    job: Job | None
    is_replay: bool = False
    stored: StoredAnswer | None = None
    limits: Sequence[LimitStatus] = ()


class Acceptance:
    """Accepts notifications on behalf of actors, whose ``client`` and ``created_by`` they must bear.

    ``default_limits`` hold for who has none of his own.
    """

    def __init__(
        self,
        submission: Submission,
        quotas: QuotaService,
        default_limits: Limits,
        named_files: NamedFiles,
        preferences: PreferenceRules,
    ) -> None:
        self._submission = submission
        self._named_files = named_files
        self._preferences = preferences
        self._quotas = quotas
        self._default_limits = default_limits

    def accept(self, actor: Actor, new: NewNotification) -> AcceptedNotification:
        """Accept one. Raises as ``Submission.accept`` does, ``InvalidRequestError`` for a sender that the actor may not
        use or a file that there is not, ``RateLimitedError`` and ``QuotaExhaustedError``."""
        [(new, wrong)] = self._checked(actor, [new])
        if wrong:
            return self._refuse(actor, new, wrong)
        return self._finish(actor, new, partial(self._submission.accept_asking, new, self._request_for_one(actor, new)))

    def accept_each(self, requests: Sequence[tuple[Actor, NewNotification]]) -> list[Flushed[AcceptedNotification]]:
        """``accept`` for each of many that came at one time and ``can_be_batched``; stored in one step."""
        flushed = self._submission.accept_each([(new, self._request_for_one(actor, new)) for actor, new in requests])
        return [
            Flushed(partial(self._finish, actor, new, each.result), each.is_new)
            for (actor, new), each in zip(requests, flushed, strict=True)
        ]

    def can_be_batched(self, actor: Actor, new: NewNotification) -> bool:
        """Whether nothing has to be stored or asked for before ``new`` itself."""
        is_plain = new.category is None and new.recipient is None
        return is_plain and self._submission.can_be_batched(new) and not self._problems(actor, new)

    def check(self, actor: Actor, new: NewNotification) -> None:
        """Whether ``accept`` would take it, but for limits and files. Raises ``InvalidRequestError``."""
        problems = self._problems(actor, new)
        if new.category is not None or new.recipient is not None:
            problems += self._preferences.applied(actor.client, [new])[0][1]
        if problems:
            raise InvalidRequestError(problems)
        self._submission.check_served(new)

    def _checked(
        self, actor: Actor, notifications: Sequence[NewNotification]
    ) -> list[tuple[NewNotification, list[Problem]]]:
        """Each with the time at which its recipient may get it and the files that it names, and all that is wrong."""
        wrong: list[list[Problem]] = [[] for _ in notifications]
        if any(new.category is not None or new.recipient is not None for new in notifications):
            applied = self._preferences.applied(actor.client, notifications)
            notifications, wrong = [new for new, _ in applied], [list(problems) for _, problems in applied]
        found: Sequence[tuple[NewNotification, Sequence[Problem]]] = [(new, ()) for new in notifications]
        if any("attachments" in new.payload for new in notifications):
            found = self._named_files.resolve(actor.client, notifications)
        return [
            (new, [*self._problems(actor, new), *of_recipient, *of_files])
            for (new, of_files), of_recipient in zip(found, wrong, strict=True)
        ]

    def _problems(self, actor: Actor, new: NewNotification) -> list[Problem]:
        """What the actor may not send, or this deployment can't."""
        return [*actor.senders.problems(new.type, new.payload), *self._submission.problems(new)]

    def _request_for_one(self, actor: Actor, new: NewNotification) -> QuotaRequest | None:
        """What has to be asked before ``new`` is stored; None: nothing."""
        limits = self._limits(actor)
        # Nobody repeats a request by our own key for a step, so there is no name that its charge would be kept under.
        if new.idempotency_key is not None and not is_step_key(new.idempotency_key):
            name = name_of(actor.client, new.idempotency_key)
            return QuotaRequest(actor.budget or "", limits, names=(name,), wants_answer=True)
        return None if limits.is_unlimited else QuotaRequest(actor.budget or "", limits, 1)

    def _finish(
        self, actor: Actor, new: NewNotification, result: Callable[[], tuple[QuotaDecision, Accepted | None]]
    ) -> AcceptedNotification:
        """What ``accept`` answers, of what ``Submission`` has answered."""
        try:
            decision, accepted = result()
        except (IdempotencyMismatchError, ChannelNotServedError):
            self.charge_refused(actor)
            raise
        if accepted is not None:
            return AcceptedNotification(accepted.job.job_id, accepted.job, accepted.is_replay, limits=decision.limits)
        if decision.answer is None:
            _raise_refusal(decision, 1)
        if decision.answer.fingerprint != new.fingerprint:
            self.charge_refused(actor)
            raise IdempotencyMismatchError
        return AcceptedNotification(decision.answer.job_id, None, True, decision.answer)

    def accept_many(
        self, actor: Actor, notifications: Sequence[NewNotification], refused: int = 0, repeated: int = 0
    ) -> tuple[list[SubmissionResult], Sequence[LimitStatus]]:
        """Accept each for itself, under the limits all or none.

        Of the same request ``refused`` others are wrong, and ``repeated`` others are known to repeat earlier ones.

        Raises as ``Submission.accept_many`` does, ``RateLimitedError`` and ``QuotaExhaustedError``.
        """
        checked = self._checked(actor, notifications)
        notifications = [new for new, _ in checked]
        wrong = self._wrong(actor, checked)
        right = [new for index, new in enumerate(notifications) if index not in wrong]
        served = [new for new in right if self._submission.serves(new)]
        again = sum(isinstance(outcome, Accepted) for outcome in wrong.values())
        refused += len(notifications) - len(served) - again
        request, decision = self._ask_for_many(actor, served, refused, repeated + again)
        try:
            outcomes = self._submission.accept_many(right)
        except StoreError as error:
            is_certain = not isinstance(error, UncertainWriteError)
            if request is not None and is_certain and (free := min(request.cost, decision.charged)):
                # Those without a name: the repetition of the others costs nothing.
                self._quotas.refund(request, decision, free)
            raise
        stored = sum(isinstance(outcome, Accepted) and not outcome.is_replay for outcome in outcomes)
        failed = sum(
            isinstance(outcome, Exception) and not isinstance(outcome, ChannelNotServedError | IdempotencyMismatchError)
            for outcome in outcomes
        )
        if request is not None and decision.charged > stored + failed:
            free = min(decision.charged - stored - failed, self._submission.repeat_count(right, outcomes, decision))
            if free:
                self._quotas.refund(request, decision, free)
        mismatches = sum(isinstance(outcome, IdempotencyMismatchError) for outcome in outcomes)
        if mismatches:
            self.charge_refused(actor, mismatches, is_asking=False)
        answers = iter(outcomes)
        return [wrong.get(index) or next(answers) for index in range(len(notifications))], decision.limits

    def is_limited(self, actor: Actor) -> bool:
        """Whether there is anything that ``charge`` would ask."""
        return not self._limits(actor).is_unlimited

    def charge(self, actor: Actor, cost: int) -> Sequence[LimitStatus]:
        """Count ``cost`` notifications that are about to be started again. Raises ``RateLimitedError`` and
        ``QuotaExhaustedError``."""
        limits = self._limits(actor)
        if limits.is_unlimited or cost == 0:
            return ()
        decision = self._quotas.check(QuotaRequest(actor.budget or "", limits, cost))
        if decision.refused is not None:
            _raise_refusal(decision, cost)
        return decision.limits

    def charge_refused(self, actor: Actor, count: int = 1, *, is_asking: bool = True) -> None:
        """Count work that is refused, against the rate only. Raises ``RateLimitedError`` where there is no room for it,
        unless nobody ``is_asking``."""
        limits = self._limits(actor)
        if limits.rate_per_second is None or count == 0:
            return
        decision = self._quotas.check(QuotaRequest(actor.budget or "", limits, refused=count))
        if decision.refused is not None and is_asking:
            _raise_refusal(decision, count)

    def store_answer(self, actor: Actor, idempotency_key: str, answer: StoredAnswer) -> None:
        """Keep an answer, so that a repetition gets it at once."""
        self._quotas.store_answer(name_of(actor.client, idempotency_key), answer)

    def _wrong(
        self, actor: Actor, checked: Sequence[tuple[NewNotification, Sequence[Problem]]]
    ) -> dict[int, SubmissionResult]:
        """By their places, those that may not be accepted (any more): refused, but for repetitions."""
        wrong = {index: problems for index, (_, problems) in enumerate(checked) if problems}
        found = self._submission.repeated(actor.client, [checked[index][0] for index in wrong])
        return {
            index: earlier or InvalidRequestError(problems)
            for (index, problems), earlier in zip(wrong.items(), found, strict=True)
        }

    def _ask_for_many(
        self, actor: Actor, notifications: Sequence[NewNotification], refused: int, repeated: int
    ) -> tuple[QuotaRequest | None, QuotaDecision]:
        limits = self._limits(actor)
        if limits.is_unlimited:
            return None, QuotaDecision()
        by_name = {
            name_of(actor.client, new.idempotency_key): new for new in notifications if new.idempotency_key is not None
        }
        cost = sum(new.idempotency_key is None for new in notifications)
        request = QuotaRequest(actor.budget or "", limits, cost, tuple(by_name), refused)
        decision = self._quotas.check(request)
        if decision.refused is not None and by_name:
            known = self._submission.holders(actor.client, [new.idempotency_key or "" for new in by_name.values()])
            fresh = tuple(name for name, new in by_name.items() if new.idempotency_key not in known)
            if len(fresh) < len(by_name):
                repeated += len(by_name) - len(fresh)
                request = replace(request, names=fresh)
                decision = self._quotas.check(request)
        if decision.refused is not None and repeated and not cost and not request.names:
            # Nothing in it is new. What is wrong with the rest of it was wrong the first time, too.
            return request, QuotaDecision(decision.limits)
        if decision.refused is not None:
            _raise_refusal(decision, cost + len(request.names) or refused)
        return request, decision

    def _refuse(self, actor: Actor, new: NewNotification, wrong: Sequence[Problem]) -> AcceptedNotification:
        """What may not be accepted (any more): a repetition gets its first answer all the same."""
        [earlier] = self._submission.repeated(actor.client, [new])
        if earlier is not None:
            return AcceptedNotification(earlier.job.job_id, earlier.job, True)
        self.charge_refused(actor)
        raise InvalidRequestError(wrong)

    def _limits(self, actor: Actor) -> Limits:
        if actor.budget is None:
            return UNLIMITED
        return actor.limits if self._default_limits.is_unlimited else actor.limits.or_else(self._default_limits)


def name_of(account: str, idempotency_key: str) -> str:
    """What an idempotency key of an account is called where answers and counts are kept."""
    # The digest: a key may be long, and is the client's own business.
    return f"{account}:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"


def _raise_refusal(decision: QuotaDecision, cost: int) -> NoReturn:
    status = next(status for status in decision.limits if status.name == decision.refused)
    if status.name == DAILY:
        message = (
            f"This key may send {status.quota} notifications a day (UTC), together with the keys that it shares its "
            f"limits with, and {status.remaining} are left; this request has {cost}."
        )
        raise QuotaExhaustedError(message, decision.retry_after_seconds, decision.limits)
    message = (
        f"This key may send {status.quota} notifications in {status.window_seconds} seconds, "
        "and this request came too soon."
    )
    raise RateLimitedError(message, decision.retry_after_seconds, decision.limits)
