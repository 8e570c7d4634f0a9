"""Large attachments are stored before their job and apart from it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

import pytest

from tests.factories import NOW, RECIPIENTS
from tests.unit.core.submission.environment import SubmissionEnvironment, new
from wavecom.core.attachments import names_in
from wavecom.core.job import Job
from wavecom.core.lanes import Channel
from wavecom.errors import StoreError, UncertainWriteError

FILE = {"filename": "a.pdf", "contentType": "application/pdf", "content": b64encode(b"a" * 100_000).decode()}
MAIL = {"type": Channel.EMAIL, "to": RECIPIENTS[Channel.EMAIL], "payload": {"subject": "x", "attachments": [FILE]}}


def test_large_attachments_are_stored_before_their_job_and_apart_from_it() -> None:
    environment = SubmissionEnvironment()
    seen: list[bool] = []
    insert = environment.jobs.insert

    def look_first(jobs: Sequence[Job]) -> list[Job | None]:
        seen.extend(len(environment.blobs.get(names_in(job.payload), NOW)) == 1 for job in jobs)
        return insert(jobs)

    environment.jobs.insert = look_first  # type: ignore[method-assign]

    one = environment.submission.accept(new(**MAIL))
    environment.submission.accept_many([new(**MAIL), new(**MAIL)])

    assert seen == [True, True, True]
    stored = environment.jobs.get(one.job.job_id)
    assert stored is not None
    assert "content" not in stored.payload["attachments"][0]


def test_files_that_cannot_be_stored_leave_no_job() -> None:
    environment = SubmissionEnvironment()

    def cut(*_: object) -> None:
        raise UncertainWriteError("cut")

    environment.blobs.put = cut  # type: ignore[method-assign]

    with pytest.raises(StoreError) as error:
        environment.submission.accept(new(**MAIL))

    assert not isinstance(error.value, UncertainWriteError), "of the job certainly nothing was stored"
    assert environment.publisher.delivery_messages == []
