"""Documents that are no jobs to this release: written by another one, or edited by hand.

Each costs only itself. It stays in the store as it is, for whoever can read it, and is told about once in a process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import structlog
from prometheus_client import Counter

from wavecom.core.job import Job
from wavecom.storage.mongo.documents import Document, to_job

log = structlog.get_logger()

_UNREADABLE = Counter(
    "wavecom_jobs_unreadable_total", "Stored jobs that this process met and can't read, each counted once."
)

#: More are met again as if they were new: that costs log lines, not memory.
_REMEMBERED = 10_000


class JobReader:
    """Turns documents into jobs and passes over those that are none. Safe to share between threads."""

    def __init__(self, read: Callable[[Mapping[str, Any]], Job] = to_job) -> None:
        self._read = read
        self._unreadable: dict[str, None] = {}
        self._lock = threading.Lock()

    def jobs(self, documents: Iterable[Document]) -> Iterator[Job]:
        """The jobs in the documents, in order; what can't be read is logged as ``job_unreadable``."""
        for document in documents:
            try:
                job = self._read(document)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                # What a field that is missing, of another type or of an unknown value comes to.
                self._report_unreadable(str(document.get("jobId")), error)
            else:
                yield job

    def first(self, limit: int, find: Callable[[int], Iterable[Document]]) -> list[Job]:
        """Up to ``limit`` jobs of a query; ``find`` runs it with a limit of its own.

        What can't be read takes nobody's place: the query is run again for more when it does.
        """
        asked = limit + len(self._unreadable)
        while True:
            documents = list(find(asked))
            found = list(self.jobs(documents))
            if len(found) >= limit or len(documents) < asked:
                return found[:limit]
            asked *= 2

    def _report_unreadable(self, job_id: str, error: Exception) -> None:
        with self._lock:
            if job_id in self._unreadable:
                return
            self._unreadable[job_id] = None
            if len(self._unreadable) > _REMEMBERED:
                del self._unreadable[next(iter(self._unreadable))]
        _UNREADABLE.inc()
        # The error's own text may quote the document.
        log.error("job_unreadable", job_id=job_id, error=type(error).__name__)
