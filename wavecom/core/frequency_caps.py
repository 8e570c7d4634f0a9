"""How many messages of a category somebody has had: counted from the jobs themselves, once each, whatever was retried.

So no counter can be lost or count twice. Of two jobs that are decided at one time the older one counts for the younger,
and not the other way round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from wavecom.core.job import Job, JobId
from wavecom.core.states import Status

#: They were handed to a provider, as far as anybody knows.
_SENT: Final = frozenset({Status.SENT, Status.DELIVERED, Status.UNCONFIRMED})
#: Their time has come, and they are on their way.
STARTED: Final = frozenset({Status.QUEUED, Status.PROCESSING, Status.RETRYING})


@dataclass(frozen=True, slots=True)
class CapKey:
    """What is counted together: a recipient's messages of one category."""

    account: str
    recipient_id: str
    category: str


@dataclass(frozen=True, slots=True)
class CountedJob:
    """What has to be known of another job to count it. ``updated_at``: of one that was sent, about when it was."""

    key: CapKey
    job_id: JobId
    created_at: datetime
    status: Status
    updated_at: datetime
    may_have_been_sent: bool


class CapHistory(Protocol):
    """The jobs that are counted. Raises ``StoreError``. Thread-safe."""

    def of(self, keys: Collection[CapKey], since: datetime) -> Sequence[CountedJob]:
        """All jobs of these that are on their way, or have changed since. One read."""
        ...


def key_of(job: Job) -> CapKey | None:
    """What a job is counted with; None: nothing."""
    if job.recipient_id is None or job.category is None:
        return None
    return CapKey(job.client, job.recipient_id, job.category)


def earlier(job: Job, others: Iterable[CountedJob], now: datetime, period: timedelta) -> int:
    """How many of the same kind its recipient has had within ``period``, or gets before this one."""
    key, place, since = key_of(job), (job.created_at, job.job_id), now - period
    count = 0
    for other in others:
        if other.key != key or other.job_id == job.job_id:
            continue
        was_sent = other.status in _SENT or other.may_have_been_sent
        is_ahead = other.status in STARTED and (other.created_at, other.job_id) < place
        count += is_ahead or (was_sent and other.updated_at > since)
    return count
