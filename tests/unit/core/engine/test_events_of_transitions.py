from __future__ import annotations

import pytest

from tests.factories import NOW, later, make_job, make_try
from wavecom.core.engine import AttemptFinished, AttemptPrevented, ClaimRequested, LeaseRenewed, Parked, decide
from wavecom.core.job import Claim, Outcome
from wavecom.core.states import Status

CLAIM = Claim("token-of-this-test", "worker-1", later(30))


def test_a_failed_attempt_tells_when_the_next_one_is() -> None:
    job = make_job(status=Status.PROCESSING, claim=CLAIM, records_events=True)

    transition = decide(job, AttemptFinished(CLAIM.token, (make_try(Outcome.UNAVAILABLE),)), NOW)

    assert transition is not None
    assert transition.event is not None
    assert transition.event.status is Status.RETRYING
    assert transition.event.attempts == 1
    assert transition.event.next_attempt_at == transition.changes["next_attempt_at"]
    assert transition.event.error == transition.changes["error"]


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (Status.QUEUED, ClaimRequested(CLAIM)),
        (Status.QUEUED, Parked(later(5))),
        (Status.PROCESSING, LeaseRenewed(CLAIM.token)),
        (Status.PROCESSING, AttemptPrevented(CLAIM.token, 5)),
    ],
)
def test_what_says_nothing_of_the_message_is_no_event(status: Status, event: object) -> None:
    job = make_job(status=status, records_events=True)
    if status is Status.PROCESSING:
        job = make_job(status=status, claim=CLAIM, records_events=True)

    transition = decide(job, event, NOW)  # type: ignore[arg-type]

    assert transition is not None
    assert transition.event is None


def test_a_job_of_an_account_without_events_has_none() -> None:
    job = make_job(status=Status.PROCESSING, claim=CLAIM)

    transition = decide(job, AttemptFinished(CLAIM.token, (make_try(),)), NOW)

    assert transition is not None
    assert transition.event is None
