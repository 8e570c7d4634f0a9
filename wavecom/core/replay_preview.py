"""What a replay would start again: counted by reason, with a few examples, and nothing changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wavecom.core.audit import FailureReason, reason_of
from wavecom.core.bulk_operations import BulkOptions
from wavecom.core.dead_letter_selection import of_client
from wavecom.core.dead_letters import DeadLetterRepository, Selection
from wavecom.core.engine import is_in_doubt
from wavecom.core.job import Job
from wavecom.core.states import Status


@dataclass(frozen=True, slots=True)
class ReplayPreview:
    """What a replay would start again, without doing it."""

    reasons: Mapping[FailureReason, int]
    #: A few of them, the newest first, without payloads and logs.
    sample: Sequence[Job]

    @property
    def count(self) -> int:
        """How many jobs the replay would start again."""
        return sum(self.reasons.values())


def preview_replay(
    repository: DeadLetterRepository,
    selection: Selection,
    options: BulkOptions,
    sample_size: int,
    accepts_duplicate: bool,
) -> ReplayPreview:
    """The preview of a replay, whatever the limit, with ``sample_size`` jobs. Raises ``StoreError``."""
    if isinstance(selection, tuple):
        found = repository.find(selection, options.client)
        failed = [job for job in found if job.status is Status.FAILED or is_in_doubt(job)]
        failed = [job for job in failed if accepts_duplicate or not is_in_doubt(job)]
        failed.sort(key=lambda job: job.job_id, reverse=True)
        return ReplayPreview(Counter(map(reason_of, failed)), failed[:sample_size])
    where = of_client(selection, options)
    sample, _ = repository.page(where, sample_size, newest_first=True) if sample_size else ([], None)
    return ReplayPreview(repository.tally(where), sample)
