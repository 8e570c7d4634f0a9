"""Accepting notifications: store the jobs of many requests in one write, then publish their messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Generic, NoReturn, TypeVar

from wavecom.core.attachments import BlobStore, detach, keep_until
from wavecom.core.batcher import MakeBatcher
from wavecom.core.engine import Policy
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, Lane
from wavecom.core.new_notification import JobMaker, NewNotification
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.quota import ALLOWED, QuotaDecision, QuotaRequest, QuotaService, UnlimitedQuotas
from wavecom.core.routes import ChannelRoutes
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import (
    ChannelNotServedError,
    IdempotencyMismatchError,
    Problem,
    RefusedError,
    StoreError,
    UncertainWriteError,
)

T = TypeVar("T")
#: What became of one job of a batch: stored (None), already there, or not stored and why.
_Inserted = Job | RefusedError | StoreError | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """``is_replay``: the job was accepted before, with the same idempotency key and body."""

    job: Job
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class Flushed(Generic[T]):
    """What became of one notification of a batch. ``result`` returns or raises it as the call for one alone would.

    ``is_new``: it is stored now, and ``result`` waits for nothing. Else it may ask the store or Redis.
    """

    result: Callable[[], T]
    is_new: bool


#: Whether it was allowed, and what was accepted if it was.
DecidedResult = tuple[QuotaDecision, Accepted | None]
#: What became of one of many: accepted, or refused or not stored and why.
SubmissionResult = Accepted | RefusedError | StoreError


class Submission:
    """The use case behind ``POST /api/notifications``."""

    def __init__(
        self,
        *,
        jobs: JobRepository,
        writer: TransitionWriter,
        blobs: BlobStore,
        clock: Clock,
        batcher: MakeBatcher,
        job_maker: JobMaker,
        policy: Policy,
        quotas: QuotaService | None = None,
        routes: Mapping[Channel, ChannelRoutes] | None = None,
    ) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._writer = writer
        self._clock = clock
        self._job_maker = job_maker
        self._policy = policy
        self._quotas = quotas or UnlimitedQuotas()
        self._batcher = batcher(self._flush)
        #: Of channels whose routes are not for everybody; and those that have any. Test accounts have their sandbox.
        self._conditional = {channel: each for channel, each in (routes or {}).items() if not each.take_all}
        self._served = frozenset(Channel if routes is None else routes)

    def serves_lane(self, lane: Lane) -> bool:
        """Whether anything that travels in ``lane`` reaches anybody."""
        return lane.is_test or lane.channel in self._served

    def serves(self, new: NewNotification) -> bool:
        """Whether there is a route for this notification, which else could never be delivered."""
        if new.lane.is_test or new.type not in self._conditional:
            return self.serves_lane(new.lane)
        return self._conditional[new.type].route_of(new) is not None

    def check_served(self, new: NewNotification) -> None:
        """Raises ``ChannelNotServedError`` unless ``serves``."""
        if not self.serves(new):
            raise ChannelNotServedError(new.type, sorted(self._served))

    def problems(self, new: NewNotification) -> list[Problem]:
        """What in a notification this deployment can't do."""
        return self._job_maker.problems(new)

    def accept(self, new: NewNotification) -> Accepted:
        """Store one job durably and publish its delivery message; returns when the job is stored.

        A delivery message that can't be published changes nothing: the sweep publishes it later. Raises ``StoreError``
        (nothing stored), ``UncertainWriteError`` (it may have been), ``IdempotencyMismatchError``,
        ``ChannelNotServedError``. May be repeated safely with an idempotency key.
        """
        _, accepted = self.accept_asking(new, None)
        assert accepted is not None  # noqa: S101 - there was nobody to say no
        return accepted

    def accept_asking(self, new: NewNotification, request: QuotaRequest | None) -> DecidedResult:
        """``accept``, if ``request`` is allowed or this repeats what was accepted before; else only the decision.

        All that come at one time are asked for in one step.
        """
        if not self.serves(new):
            [unserved] = self._unserved([new])
            if isinstance(unserved, ChannelNotServedError):
                raise unserved
            return ALLOWED, unserved
        job = self._job_maker.make(new, self._clock.now())
        decision: QuotaDecision | None = None
        existing: Job | None = None
        if "attachments" in job.payload:
            # What is refused, or was taken before, must leave no files behind.
            [(decision, existing)] = self._decide([(job, request)])
            if decision.is_allowed and existing is None:
                try:
                    [job] = self._without_files([job])
                except StoreError as error:
                    self._refund_unstored(request, decision, error)
                    raise
        if decision is None or (decision.is_allowed and existing is None):
            decision, existing = self._batcher.submit((job, request, decision), is_urgent=job.lane.is_urgent)
        return self._outcome(job, request, decision, existing)

    def accept_each(
        self, requests: Sequence[tuple[NewNotification, QuotaRequest | None]]
    ) -> list[Flushed[DecidedResult]]:
        """``accept_asking`` for each of many that came at one time and ``can_be_batched``, in one step."""
        now = self._clock.now()
        items = [(self._job_maker.make(new, now), request, None) for new, request in requests]
        results: Sequence[tuple[QuotaDecision, Job | None] | Exception]
        try:
            results = self._flush(items)
        except Exception as error:  # noqa: BLE001 - raised again for each of them
            results = [error] * len(items)
        return [self._flushed(job, request, result) for (job, request, _), result in zip(items, results, strict=True)]

    def can_be_batched(self, new: NewNotification) -> bool:
        """Whether nothing has to be stored or asked for before ``new`` itself."""
        return self.serves(new) and "attachments" not in new.payload

    def _flushed(
        self, job: Job, request: QuotaRequest | None, result: tuple[QuotaDecision, Job | None] | Exception
    ) -> Flushed[DecidedResult]:
        if isinstance(result, Exception):
            return Flushed(partial(_raise, result), is_new=False)
        decision, existing = result
        is_new = existing is None and decision.is_allowed
        return Flushed(partial(self._outcome, job, request, decision, existing), is_new=is_new)

    def _outcome(
        self, job: Job, request: QuotaRequest | None, decision: QuotaDecision, existing: Job | None
    ) -> DecidedResult:
        """What ``accept_asking`` answers when its batch has been flushed."""
        if existing is None:
            return decision, Accepted(job) if decision.is_allowed else None
        if request is not None and decision.charged and decision.is_repeat(existing.created_at, self._clock.now()):
            self._quotas.refund(request, decision, decision.charged)
            decision = replace(decision, charged=0)
        outcome = _repeated(existing, job.fingerprint)
        if isinstance(outcome, IdempotencyMismatchError):
            raise outcome
        return decision, outcome

    def accept_many(self, notifications: Sequence[NewNotification]) -> list[SubmissionResult]:
        """Store many jobs in one write and publish their delivery messages together; what became of each, in order.

        One that is refused costs no other. Of those that share an idempotency key the first is accepted; the others
        are repetitions of it, or refused. Raises ``StoreError`` and ``UncertainWriteError`` as ``accept``, for all.
        """
        unserved = [new for new in notifications if not self.serves(new)]
        if unserved:
            refused = iter(self._unserved(unserved))
            taken = iter(self.accept_many([new for new in notifications if self.serves(new)]))
            return [next(taken if self.serves(new) else refused) for new in notifications]
        now = self._clock.now()
        jobs = self._without_files([self._job_maker.make(new, now) for new in notifications])
        firsts: dict[tuple[str, str], int] = {}
        #: For each job the place of the one that stands for it: its own, or that of the first with its key.
        places = [
            index if job.idempotency_key is None else firsts.setdefault((job.client, job.idempotency_key), index)
            for index, job in enumerate(jobs)
        ]
        sent = [index for index, place in enumerate(places) if place == index]
        # Past the batcher, where it would hold up those who came alone: it is a batch already.
        results = dict(zip(sent, self._store([jobs[index] for index in sent]), strict=True)) if sent else {}
        outcomes: list[SubmissionResult] = []
        for index, (job, place) in enumerate(zip(jobs, places, strict=True)):
            result = results[place]
            if isinstance(result, Exception):
                outcomes.append(result)
            elif result is None and place == index:
                outcomes.append(Accepted(job))
            else:
                outcomes.append(_repeated(result or jobs[place], job.fingerprint))
        return outcomes

    def earlier(self, client: str, fingerprints: Mapping[str, str]) -> dict[str, Accepted]:
        """By idempotency key, what was accepted before with the body that has this fingerprint.

        For requests that can't be accepted (any more): a repetition gets the first answer whatever the time is now.
        Raises ``StoreError``.
        """
        found = self.holders(client, list(fingerprints)).items()
        return {key: Accepted(job, is_replay=True) for key, job in found if job.fingerprint == fingerprints[key]}

    def repeated(self, client: str, notifications: Sequence[NewNotification]) -> list[Accepted | None]:
        """``earlier`` for each of these, in their order. Raises ``StoreError``."""
        holders = self.holders(client, [new.idempotency_key for new in notifications if new.idempotency_key])
        found = [holders.get(new.idempotency_key or "") for new in notifications]
        return [
            Accepted(job, is_replay=True) if job is not None and job.fingerprint == new.fingerprint else None
            for new, job in zip(notifications, found, strict=True)
        ]

    def holders(self, client: str, idempotency_keys: Sequence[str]) -> dict[str, Job]:
        """The jobs that hold these idempotency keys, without their logs. Raises ``StoreError``."""
        return self._jobs.by_idempotency_key(client, idempotency_keys) if idempotency_keys else {}

    def repeat_count(
        self, notifications: Sequence[NewNotification], outcomes: Sequence[SubmissionResult], decision: QuotaDecision
    ) -> int:
        """How many names of these, which had these ``outcomes``, had been paid for before ``decision`` was made."""
        now = self._clock.now()
        names = set()
        for new, outcome in zip(notifications, outcomes, strict=True):
            held_since = outcome.held_since if isinstance(outcome, IdempotencyMismatchError) else None
            if isinstance(outcome, Accepted) and outcome.is_replay:
                held_since = outcome.job.created_at
            if held_since is not None and decision.is_repeat(held_since, now):
                names.add(new.idempotency_key)
        return len(names)

    def _unserved(self, notifications: Sequence[NewNotification]) -> list[Accepted | ChannelNotServedError]:
        """What those get whose channel nobody serves: the first answer where this repeats one, else the refusal."""
        # All of one request, so of one client.
        found = self.repeated(notifications[0].client, notifications)
        return [
            earlier or ChannelNotServedError(new.type, sorted(self._served))
            for new, earlier in zip(notifications, found, strict=True)
        ]

    def _without_files(self, jobs: list[Job]) -> list[Job]:
        """The jobs with their large attachments set apart, which are stored: before the jobs that refer to them."""
        files: dict[str, bytes] = {}
        latest: datetime | None = None
        for index, job in enumerate(jobs):
            if job.type is Channel.EMAIL and "attachments" in job.payload:
                payload, found = detach(job.payload)
                if found:
                    files |= found
                    latest = job.expires_at if latest is None else max(latest, job.expires_at)
                    jobs[index] = replace(job, payload=payload)
        if latest is not None:
            try:
                self._blobs.put(files, keep_until(latest, self._policy))
            except UncertainWriteError as error:
                # Of the files, maybe; of the jobs certainly nothing has been stored.
                raise StoreError(str(error)) from error
        return jobs

    def _flush(
        self, requests: Sequence[tuple[Job, QuotaRequest | None, QuotaDecision | None]]
    ) -> Sequence[tuple[QuotaDecision, Job | None] | RefusedError | StoreError]:
        """Ask for all who have something to ask, then store those who may go on."""
        if all(request is None for _, request, _ in requests):
            # The usual case of a spike: nobody has anything to ask.
            stored_now = self._store([job for job, _, _ in requests])
            return [
                result if isinstance(result, Exception) else (decision or ALLOWED, result)
                for (_, _, decision), result in zip(requests, stored_now, strict=True)
            ]
        answers = iter(self._decide([(job, request) for job, request, decision in requests if decision is None]))
        found = [(decision, None) if decision is not None else next(answers) for _, _, decision in requests]
        goes_on = [decision.is_allowed and existing is None for decision, existing in found]
        stored = iter(self._store_or_say([job for (job, _, _), is_on in zip(requests, goes_on, strict=True) if is_on]))
        results: list[tuple[QuotaDecision, Job | None] | RefusedError | StoreError] = []
        for (_, request, _), (decision, existing), is_on in zip(requests, found, goes_on, strict=True):
            result = next(stored) if is_on else existing
            if isinstance(result, Exception):
                self._refund_unstored(request, decision, result)
                results.append(result)
            else:
                results.append((decision, result))
        return results

    def _decide(self, requests: Sequence[tuple[Job, QuotaRequest | None]]) -> list[tuple[QuotaDecision, Job | None]]:
        """The decision about each, and for one that has no room the job that it repeats, if it does."""
        asks = [request for _, request in requests if request is not None]
        decided = iter(self._quotas.check_many(asks) if asks else ())
        found = [ALLOWED if request is None else next(decided) for _, request in requests]
        refused: dict[str, list[str]] = {}
        for (job, _), decision in zip(requests, found, strict=True):
            if decision.refused is not None and job.idempotency_key is not None:
                refused.setdefault(job.client, []).append(job.idempotency_key)
        holders: dict[tuple[str, str | None], Job] = {}
        for client, keys in refused.items():
            try:
                holders |= {(client, key): job for key, job in self.holders(client, keys).items()}
            except StoreError:
                continue  # Refused as long as it can't be told.
        return [
            (decision, holders.get((job.client, job.idempotency_key)) if decision.refused is not None else None)
            for (job, _), decision in zip(requests, found, strict=True)
        ]

    def _refund_unstored(
        self, request: QuotaRequest | None, decision: QuotaDecision, error: RefusedError | StoreError
    ) -> None:
        # What has a name has been counted for good: its repetition costs nothing.
        is_certain = isinstance(error, StoreError) and not isinstance(error, UncertainWriteError)
        if request is not None and not request.names and decision.charged and is_certain:
            self._quotas.refund(request, decision, decision.charged)

    def _store_or_say(self, jobs: Sequence[Job]) -> Sequence[_Inserted]:
        """``_store``; where nothing could be stored, that is the result of each."""
        try:
            return self._store(jobs)
        except StoreError as error:
            return [error] * len(jobs)

    def _store(self, jobs: Sequence[Job]) -> Sequence[_Inserted]:
        if not jobs:
            return []
        try:
            return self._writer.insert(jobs)
        except RefusedError as error:
            if len(jobs) == 1:
                return [error]
        # Nothing was stored: those that can't be must not cost the others, who only came at the same time.
        middle = len(jobs) // 2
        return [*self._insert_some(jobs[:middle]), *self._insert_some(jobs[middle:])]

    def _insert_some(self, jobs: Sequence[Job]) -> Sequence[_Inserted]:
        try:
            return self._store(jobs)
        except StoreError as error:
            # Others of the same flush may be stored already: theirs is another answer.
            return [error] * len(jobs)


def _raise(error: BaseException) -> NoReturn:
    raise error


def _repeated(existing: Job, fingerprint: str | None) -> Accepted | IdempotencyMismatchError:
    """What a request gets whose idempotency key ``existing`` holds."""
    if existing.fingerprint == fingerprint:
        return Accepted(existing, is_replay=True)
    return IdempotencyMismatchError(existing.created_at)
