"""Which jobs an operation on dead letters is about: read as its source, written into its audit entry, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime

from wavecom.core.bulk_operations import BulkOperation, BulkOptions, NotResumableError
from wavecom.core.bulk_runner import BulkSource
from wavecom.core.dead_letters import DeadLetterFilter, DeadLetterRepository, PagePosition, Selection
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel

#: Ids that an audit entry keeps; of the others it has the number.
_IDS_KEPT = 100


def of_client(where: DeadLetterFilter, options: BulkOptions) -> DeadLetterFilter:
    """The filter, less what is not the client's that asks."""
    return where if options.client is None else replace(where, client=options.client)


def selection_to_text(selection: Selection, options: BulkOptions) -> dict[str, str]:
    """The selection as an audit entry keeps it."""
    if isinstance(selection, tuple):
        rest = f" and {len(selection) - _IDS_KEPT} more" if len(selection) > _IDS_KEPT else ""
        whose = {} if options.client is None else {"client": options.client}
        return {"jobs": " ".join(selection[:_IDS_KEPT]) + rest} | whose
    where = of_client(selection, options)
    values = {each.name: getattr(where, each.name) for each in fields(where)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in values.items()
        if value is not None
    }


def selection_from_text(text: Mapping[str, str]) -> Selection:
    """The selection that an audit entry was written for.

    Raises ``NotResumableError`` where the entry does not have it whole: more ids than it keeps, or a client's ids.
    """
    if "jobs" not in text:
        values = dict(text)
        return DeadLetterFilter(
            error_code=values.get("error_code"),
            provider=values.get("provider"),
            type=Channel(values["type"]) if "type" in values else None,
            client=values.get("client"),
            failed_since=_time(values.get("failed_since")),
            failed_before=_time(values.get("failed_before")),
        )
    job_ids, _, rest = text["jobs"].partition(" and ")
    if rest:
        raise NotResumableError(
            f"Its entry keeps only {_IDS_KEPT} of the ids that it was started with. Start it again with the same ids."
        )
    if "client" in text:
        raise NotResumableError("A client started it with ids of its own; only the client can go on.")
    return tuple(map(JobId, job_ids.split()))


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def source_of(
    selection: Selection, repository: DeadLetterRepository, operation: BulkOperation, options: BulkOptions
) -> BulkSource[Job]:
    """The jobs of an operation, from its position on."""
    if isinstance(selection, tuple):
        return NamedJobs(selection, repository, operation, options)
    return FilteredDeadLetters(of_client(selection, options), repository, operation)


class FilteredDeadLetters:
    """A source: the dead letters that a filter matches, oldest first. Its position is the last one's time.

    Those that failed after the operation began are left out, or a replay of what fails again would never end.
    """

    def __init__(self, where: DeadLetterFilter, repository: DeadLetterRepository, operation: BulkOperation) -> None:
        self.position = operation.position
        self._where = where
        self._repository = repository
        self._until = operation.items_until
        # Those of the very time are read again: what was changed of them is no dead letter of that time any more.
        resumed_at = _time(operation.position)
        self._after = None if resumed_at is None else PagePosition(resumed_at, frozenset())
        self._is_at_end = False

    def read(self, count: int) -> Sequence[Job] | None:
        """See ``BulkSource``."""
        while not self._is_at_end:
            jobs, self._after = self._repository.page(self._where, count, until=self._until, after=self._after)
            self._is_at_end = self._after is None
            # A page may be empty before the end: of documents that this release can't read there are no jobs.
            if jobs:
                if jobs[-1].dead_lettered_at is not None:
                    self.position = jobs[-1].dead_lettered_at.isoformat()
                return jobs
        return None


class NamedJobs:
    """A source: the jobs with these ids, whatever became of them. Its position is the number of ids read.

    Ids that nobody has heard of are counted. A resumed operation passes over what has changed since the first one
    began, because that may have been its doing.
    """

    def __init__(
        self,
        job_ids: Sequence[JobId],
        repository: DeadLetterRepository,
        operation: BulkOperation,
        options: BulkOptions,
    ) -> None:
        self._read = int(operation.position or 0)
        last = None if options.limit is None else self._read + options.limit
        self._job_ids = list(dict.fromkeys(job_ids))[:last]
        self._repository = repository
        self._operation = operation
        self._client = options.client

    @property
    def position(self) -> str | None:
        """See ``BulkSource``."""
        return str(self._read)

    def read(self, count: int) -> Sequence[Job] | None:
        """See ``BulkSource``."""
        wanted = self._job_ids[self._read : self._read + count]
        if not wanted:
            return None
        self._read += len(wanted)
        found = self._repository.find(wanted, self._client)
        self._operation.unknown += len(wanted) - len(found)
        if self._operation.resumes is None:
            return found
        unchanged = [job for job in found if job.updated_at < self._operation.items_until]
        self._operation.already_done += len(found) - len(unchanged)
        return unchanged
