"""What a recipient wants, asked of every job that names one or a category before anybody is called for it.

A preference may have changed since the job was accepted, and only now can be told how many others have come before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wavecom.core.categories import Category, CategoryCache
from wavecom.core.frequency_caps import CapHistory, CountedJob, earlier, key_of, wait_seconds
from wavecom.core.job import Job, JobId, Reason
from wavecom.core.lanes import Priority
from wavecom.core.ports import Clock
from wavecom.core.preferences import Drop, DropReason, SendNow, WaitUntil, decide
from wavecom.core.preflights import Hold, Rejection
from wavecom.core.registered_recipients import RecipientKey, RecipientStore, RegisteredRecipient
from wavecom.core.transitions import token_in

#: Far more than a process ever has claimed at once.
_FOUND_LIMIT: Final = 20_000
_REMOVED: Final = Rejection("recipient_removed", "the recipient was deleted since", Reason.UNWANTED)
_CATEGORY_REMOVED: Final = Rejection(
    "category_removed", "its category was deleted since, so nobody can tell who wants it", Reason.UNWANTED
)
_TEXTS: Final = {
    DropReason.OPTED_OUT: "the recipient does not want messages of this category on this channel",
    DropReason.NOT_OPTED_IN: "the category is for recipients who have said yes to it, and this one has not",
    DropReason.STOPPED: "the recipient has stopped all messages that can be stopped",
    DropReason.FREQUENCY_CAP: "the recipient has had as many of this category as may be in its period",
    DropReason.NO_ALLOWED_HOUR: "no hour is within the category's windows and outside the quiet hours",
}


@dataclass(slots=True)
class _Known:
    """What was read for the jobs that were claimed together: by account, and what is counted."""

    recipients: Mapping[RecipientKey, RegisteredRecipient] = field(default_factory=dict)
    categories: dict[str, Mapping[str, Category]] = field(default_factory=dict)
    counted: Sequence[CountedJob] = ()

    def category_of(self, job: Job) -> Category | None:
        return None if job.category is None else self.categories[job.client].get(job.category)


class PreferenceCheck:
    """The preflight (``core.preflights``) that has a job wait, or fail as ``unwanted``. Thread-safe."""

    def __init__(
        self, recipients: RecipientStore, categories: CategoryCache, history: CapHistory, clock: Clock
    ) -> None:
        self._recipients = recipients
        self._categories = categories
        self._history = history
        self._clock = clock
        #: What stands in the way of jobs that are claimed, the oldest first, with the token of their claim.
        self._found: dict[JobId, tuple[str | None, WaitUntil | Hold | Rejection]] = {}

    def prepare(self, jobs: Sequence[Job]) -> None:
        """See ``Preflight``. No round trip where no job names a recipient or a category; else one
        for recipients, one for each account's categories that are not known, one for what is counted."""
        concerned = [job for job in jobs if job.recipient_id is not None or job.category is not None]
        if not concerned:
            return
        known = self._read(concerned)
        for job in concerned:
            answer = self._answer(job, known)
            self._found.pop(job.job_id, None)
            if answer is not None:
                self._found[job.job_id] = token_in(job), answer
        while len(self._found) > _FOUND_LIMIT:
            self._found.pop(next(iter(self._found)), None)

    def check(self, job: Job) -> Hold | Rejection | None:
        """See ``Preflight``."""
        if not self._found:
            return None
        token, answer = self._found.get(job.job_id, (None, None))
        if answer is None or token != token_in(job):
            return None
        if isinstance(answer, Rejection | Hold):
            return answer
        seconds = (answer.at - self._clock.now()).total_seconds()
        return Hold(seconds, answer.reason.value) if seconds > 0 else None

    def _read(self, jobs: Sequence[Job]) -> _Known:
        keys = {(job.client, job.recipient_id) for job in jobs if job.recipient_id is not None}
        known = _Known(self._recipients.find_each(keys) if keys else {})
        for account in {job.client for job in jobs if job.category is not None}:
            names = {job.category for job in jobs if job.client == account and job.category is not None}
            known.categories[account] = self._categories.of(account, names)
        periods = {}
        for job in jobs:
            category, key = known.category_of(job), key_of(job)
            if key is not None and category is not None and category.cap is not None and _may_be_stopped(job, category):
                periods[key] = category.cap.period
        if periods:
            known.counted = self._history.of(periods.keys(), self._clock.now() - max(periods.values()))
        return known

    def _answer(self, job: Job, known: _Known) -> WaitUntil | Hold | Rejection | None:
        """What stands in the way of a job; None: nothing."""
        category, now = known.category_of(job), self._clock.now()
        recipient = None
        if job.recipient_id is not None:
            recipient = known.recipients.get((job.client, job.recipient_id))
            if (recipient is None or recipient.removed_at is not None) and _may_be_stopped(job, category):
                return _REMOVED
        if job.category is not None and category is None:
            return _without_category(job, job.category, recipient)
        cap = None if category is None or not _may_be_stopped(job, category) else category.cap
        before = 0 if cap is None else earlier(job, known.counted, now, cap.period)
        match decide(recipient, category, job.type, job.priority, now, earlier=before):
            case SendNow():
                seconds = 0 if cap is None else wait_seconds(job, known.counted, now, cap)
                return Hold(seconds) if seconds > 0 else None
            case WaitUntil() as wait:
                return wait
            case Drop(reason):
                return Rejection(reason.value, _TEXTS[reason], Reason.UNWANTED)


def _without_category(job: Job, name: str, recipient: RegisteredRecipient | None) -> Rejection | None:
    """Of a job whose category is not there any more: whether it was required, or by default wanted, nobody knows."""
    if job.priority is not Priority.HIGH:
        return _CATEGORY_REMOVED
    # A one-time password goes out, but to who has said no to its very category.
    if recipient is not None and recipient.choice(name, job.type) is False:
        return Rejection(DropReason.OPTED_OUT.value, _TEXTS[DropReason.OPTED_OUT], Reason.UNWANTED)
    return None


def _may_be_stopped(job: Job, category: Category | None) -> bool:
    return job.priority is not Priority.HIGH and not (category is not None and category.is_required)
