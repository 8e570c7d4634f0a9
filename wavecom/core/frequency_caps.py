"""How many messages of a category somebody has had: counted from the jobs themselves, once each, whatever was retried.

So no counter can be lost or count twice. A job counts once something of it has been sent, or may have been. While
others of the same are with workers, and may be sent any moment, a job waits for what becomes of them: each is claimed
before it asks, so of two at one time one at least sees the other, and no more are sent than may be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from wavecom.core.categories import FrequencyCap
from wavecom.core.job import Job, JobId
from wavecom.core.states import Status
from wavecom.core.transitions import token_in

#: A job waits so long for others that a worker has; the younger ones longer, so that they do not meet again.
_FIRST_WAIT_SECONDS: Final = 1.0
_WAIT_STEP_SECONDS: Final = 2.0
_LONGEST_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class CapKey:
    """What is counted together: a recipient's messages of one category."""

    account: str
    recipient_id: str
    category: str


@dataclass(frozen=True, slots=True)
class CountedJob:
    """What has to be known of another job to count it. ``sent_at``: when it last was sent, or may have been.

    ``claim_token`` is that of the worker that has it; None: nobody has.
    """

    key: CapKey
    job_id: JobId
    created_at: datetime
    sent_at: datetime | None
    claim_token: str | None


class CapHistory(Protocol):
    """The jobs that are counted. Raises ``StoreError``. Thread-safe."""

    def of(self, keys: Collection[CapKey], since: datetime) -> Sequence[CountedJob]:
        """All jobs of these that a worker has, or that were sent after ``since``. One read."""
        ...


def key_of(job: Job) -> CapKey | None:
    """What a job is counted with; None: nothing."""
    if job.recipient_id is None or job.category is None:
        return None
    return CapKey(job.client, job.recipient_id, job.category)


def counted(job: Job) -> CountedJob | None:
    """What another job's cap has to know of this one; None: it is counted with nothing."""
    key = key_of(job)
    if key is None:
        return None
    token = token_in(job) if job.status is Status.PROCESSING else None
    return CountedJob(key, job.job_id, job.created_at, job.sent_at, token)


def earlier(job: Job, others: Iterable[CountedJob], now: datetime, period: timedelta) -> int:
    """How many of the same kind its recipient has had within ``period``."""
    return sum(_was_sent(other, now - period) for other in _of_same_kind(job, others))


def wait_seconds(job: Job, others: Iterable[CountedJob], now: datetime, cap: FrequencyCap) -> float:
    """How long a claimed job waits for others that may use up its cap first; 0: they do not.

    Those are the ones that other workers have, and the older ones that were claimed together with it.
    """
    place, token = (job.created_at, job.job_id), token_in(job)
    sent = older = ahead = 0
    for other in _of_same_kind(job, others):
        is_older = (other.created_at, other.job_id) < place
        if _was_sent(other, now - cap.period):
            sent += 1
        elif other.claim_token is not None and (other.claim_token != token or is_older):
            ahead += 1
            older += is_older
    if sent + ahead < cap.count:
        return 0
    return min(_FIRST_WAIT_SECONDS + _WAIT_STEP_SECONDS * older, _LONGEST_WAIT_SECONDS)


def _of_same_kind(job: Job, others: Iterable[CountedJob]) -> Iterator[CountedJob]:
    key = key_of(job)
    return (other for other in others if other.key == key and other.job_id != job.job_id)


def _was_sent(other: CountedJob, since: datetime) -> bool:
    return other.sent_at is not None and other.sent_at > since
