"""The preflight about attachments that are stored apart: a mail whose file is gone fails without a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wavecom.core.attachments import BlobStore, names_in
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel
from wavecom.core.preflights import Rejection
from wavecom.core.transitions import token_in

#: Of a file that was there and is gone when it is read, too.
ATTACHMENT_MISSING: Final = Rejection("attachment_missing", "an attachment is not stored any more")
#: Far more than a process ever has claimed at once.
_FOUND_LIMIT: Final = 20_000


class AttachmentCheck:
    """See ``wavecom.core.preflights.Preflight``. Thread-safe."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        #: Claimed jobs that lack a file, the oldest first, with the token of their claim.
        self._found: dict[JobId, str | None] = {}

    def prepare(self, jobs: Sequence[Job]) -> None:
        """See ``Preflight``. One round trip, and none where no job has a file apart."""
        wanted = {job.job_id: names_in(job.payload) for job in jobs if job.type is Channel.EMAIL}
        names = set().union(*wanted.values())
        if not names:
            return
        missing = self._blobs.missing(names)
        for job in jobs:
            if wanted.get(job.job_id, set()) & missing:
                self._found.pop(job.job_id, None)
                self._found[job.job_id] = token_in(job)
        while len(self._found) > _FOUND_LIMIT:
            self._found.pop(next(iter(self._found)), None)

    def check(self, job: Job) -> Rejection | None:
        """See ``Preflight``."""
        if not self._found or job.job_id not in self._found or self._found[job.job_id] != token_in(job):
            return None
        return ATTACHMENT_MISSING
