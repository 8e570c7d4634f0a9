"""The books of the fault drill: honest ones pass, and every kind of broken promise is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.faults.evidence import Evidence
from tests.faults.notes import Kill, Notes, Orphan, Trouble
from tests.faults.plan import CONCURRENCY, FIRST, PROVIDER_TIMEOUT_SECONDS, SECOND
from tests.faults.receipts import DELIVERED, PASSED_ON, RECEIPTS, ReceiptEvidence
from tests.faults.reconcile import reconcile
from tests.faults.scenarios import Failover, Scenario

START = 1_800_000_000.0


def scenario(**changes: Any) -> Scenario:
    return Scenario(**{"name": "any", "what": "anything", "act": lambda deployment: None, **changes})


def notification(number: int, **changes: Any) -> dict[str, Any]:
    told = {
        "number": number,
        "channel": "sms",
        "priority": "normal",
        "kind": "plain",
        "key": None,
        "outcome": "accepted",
        "accepted_at": START + 1,
        "latency_seconds": 0.02,
        "job_ids": [f"job-{number}"],
        "answers": {"202": 1},
        "was_told_maybe": False,
        "unexpected": None,
    }
    return told | changes


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def job(number: int, **changes: Any) -> dict[str, Any]:
    document = {
        "jobId": f"job-{number}",
        "status": "delivered",
        "metadata": {"number": str(number)},
        "onUnknownOutcome": "retry",
        "attempts": 1,
        "maxAttempts": 5,
        "replays": 0,
        "createdAt": moment(1),
        "finishedAt": moment(2),
        "logs": [{"at": moment(1), "event": "accepted"}],
    }
    return document | changes


def labelled(number: int, **changes: Any) -> dict[str, Any]:
    return job(number, logs=[{"at": moment(2), "event": "outcome_unknown"}], **changes)


def failed(number: int, **changes: Any) -> dict[str, Any]:
    return job(number, **{"status": "failed", "error": {"code": "rejected"}, "deadLetteredAt": moment(3)} | changes)


def record(number: int, **changes: Any) -> dict[str, Any]:
    seen = {
        "at": START + 1.5,
        "provider": FIRST,
        "delivery_key": f"job-{number}",
        "job_id": f"job-{number}",
        "attempt": 1,
        "answer": "200",
        "is_sent": True,
        "answered_at": START + 1.6,
    }
    return seen | changes


def silence(number: int) -> dict[str, Any]:
    return record(number, answer="silence", answered_at=None)


def evidence(**changes: Any) -> Evidence:
    everything: dict[str, Any] = {
        "notifications": [notification(1), notification(2)],
        "jobs": [job(1), job(2)],
        "records": [record(1), record(2)],
        "dead_letters": [],
        "notes": Notes(),
        "began_at": START,
        "load_ended_at": START + 20,
        "settled_at": START + 22,
    }
    return Evidence(**everything | changes)


def noted(number: int, *words: str) -> dict[str, Any]:
    """The job, with these receipts in its log."""
    entries = [{"at": moment(2), "event": "receipt", "receiptId": f"job-{number}-{word}"} for word in words]
    return job(number, logs=entries)


def reported(*job_ids: str, pending: Sequence[str] = ()) -> ReceiptEvidence:
    """All receipts of these messages, answered 200."""
    confirmed = [(word, job_id) for word in RECEIPTS for job_id in job_ids]
    return ReceiptEvidence(due=len(confirmed), confirmed=confirmed, pending=pending)


def test_honest_books_break_no_promise() -> None:
    result = reconcile(scenario(), evidence())

    assert result.violations == []
    assert (result.accepted, result.statuses["delivered"], result.lost, result.waiting) == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("noted_job", "pending"),
    [
        pytest.param(noted(1, *RECEIPTS), [], id="both are applied"),
        pytest.param(noted(1, DELIVERED), [], id="that it was passed on says nothing new"),
        pytest.param(noted(1, PASSED_ON), [f"job-1-{DELIVERED}"], id="one is kept to be tried again"),
    ],
)
def test_receipts_that_are_applied_outdated_or_kept_break_no_promise(
    noted_job: Mapping[str, Any], pending: Sequence[str]
) -> None:
    books = evidence(jobs=[noted_job, job(2)], receipts=reported("job-1", pending=pending))

    result = reconcile(scenario(has_receipts=True), books)

    assert result.violations == []
    assert (result.receipts, result.receipts_lost, result.receipts_twice) == (2, 0, 0)


def test_a_sending_that_was_repeated_in_doubt_and_says_so_is_explained() -> None:
    result = reconcile(scenario(), evidence(jobs=[labelled(1), job(2)], records=[silence(1), record(1), record(2)]))

    assert result.violations == []
    assert (result.sent_twice_explained, result.sent_twice_unexplained) == (1, 0)


def test_a_job_that_was_refused_as_asked_and_has_its_dead_letter_is_in_order() -> None:
    books = evidence(
        notifications=[notification(1, kind="reject"), notification(2)],
        jobs=[failed(1), job(2)],
        records=[record(1, answer="422", is_sent=False), record(2)],
        dead_letters=["job-1", "job-1"],
    )

    result = reconcile(scenario(), books)

    assert result.violations == []
    assert (result.failed_as_asked, result.dead_letters, result.dead_letters_twice) == (1, 1, 1)


def test_what_was_stored_though_its_client_got_no_answer_is_counted_apart() -> None:
    books = evidence(notifications=[notification(1), notification(2, outcome="unanswered", job_ids=[])])

    result = reconcile(scenario(), books)

    assert result.violations == []
    assert (result.accepted, result.unanswered, result.stored_unconfirmed_to_client) == (1, 1, 1)


BROKEN_PROMISES: Mapping[str, tuple[Callable[[], Evidence], str]] = {
    "accepted, but not stored": (
        lambda: evidence(jobs=[job(1)], records=[record(1)]),
        "are not in the store",
    ),
    "called delivered, but never sent": (lambda: evidence(records=[record(1)]), "were never sent"),
    "still waiting": (
        lambda: evidence(jobs=[job(1), job(2, status="retrying", finishedAt=None)], records=[record(1)]),
        "still waiting",
    ),
    "stored without an answer and waiting": (
        lambda: evidence(
            notifications=[notification(1), notification(2, outcome="unanswered", job_ids=[])],
            jobs=[job(1), job(2, status="queued", finishedAt=None)],
            records=[record(1)],
        ),
        "never confirmed notifications are still waiting",
    ),
    "sent twice in silence": (
        lambda: evidence(records=[record(1), record(1), record(2)]),
        "without saying so",
    ),
    "sent twice against the sender's will": (
        lambda: evidence(
            jobs=[labelled(1, onUnknownOutcome="stop"), job(2)], records=[silence(1), record(1), record(2)]
        ),
        "policy stop were sent more than once",
    ),
    "more unknown outcomes than there were doubts": (
        lambda: evidence(jobs=[labelled(1), job(2)]),
        "only 0 are explained",
    ),
    "sent, but known to no job": (lambda: evidence(records=[record(1), record(2), record(3)]), "no job knows"),
    "expired, but sent": (
        lambda: evidence(
            notifications=[notification(1, kind="short_lived"), notification(2)],
            jobs=[job(1, status="expired"), job(2)],
        ),
        "promise that nothing was sent",
    ),
    "expired before its time": (
        lambda: evidence(jobs=[job(1, status="expired"), job(2)], records=[record(2)]),
        "expired before its time",
    ),
    "failed without a dead letter": (
        lambda: evidence(notifications=[notification(1, kind="reject"), notification(2)], jobs=[failed(1), job(2)]),
        "have no dead letter",
    ),
    "a dead letter that belongs to nobody": (
        lambda: evidence(dead_letters=["job-2"]),
        "belong to no failed job",
    ),
    "failed although nothing was wrong with it": (
        lambda: evidence(jobs=[failed(1), job(2)], dead_letters=["job-1"]),
        "although the provider was well",
    ),
    "delivered although the provider refused it": (
        lambda: evidence(notifications=[notification(1, kind="reject"), notification(2)]),
        "that the provider refused",
    ),
    "unconfirmed without reason": (
        lambda: evidence(jobs=[job(1, status="unconfirmed", finishedAt=None), job(2)]),
        "unconfirmed without reason",
    ),
    "too many attempts": (lambda: evidence(jobs=[job(1, attempts=6), job(2)]), "more attempts than allowed"),
    "one key, two jobs": (
        lambda: evidence(
            notifications=[notification(1, job_ids=["job-1", "job-2"])],
            jobs=[job(1), job(2, metadata={"number": "1"})],
        ),
        "answered with different jobs",
    ),
    "refused, yet stored as well": (
        lambda: evidence(
            jobs=[job(1), job(2), job(3, metadata={"number": "2"})], records=[record(1), record(2), record(3)]
        ),
        "stored more than once",
    ),
    "an answer that nobody should get": (
        lambda: evidence(
            notifications=[
                notification(1),
                notification(2),
                notification(3, outcome="unexpected", job_ids=[], unexpected="500"),
            ]
        ),
        "an answer that nobody should get",
    ),
    "a client that waits for ever": (
        lambda: evidence(
            notifications=[notification(1), notification(2), notification(3, outcome="waiting", job_ids=[])]
        ),
        "still wait for an answer",
    ),
    "an orphan found too late": (
        lambda: evidence(notes=Notes(orphans={"job-1": Orphan("job-1", START, START + 61)})),
        "orphans waited more than",
    ),
    "a worker that does nothing": (lambda: evidence(stuck_workers=["worker2"]), "made no progress"),
    "never settled": (lambda: evidence(settled_at=None), "not everything was settled in time"),
    "a receipt that nobody answered": (
        lambda: evidence(receipts=ReceiptEvidence(due=1)),
        "1 receipts were not answered 200",
    ),
    "a receipt that was taken and is nowhere": (
        lambda: evidence(jobs=[noted(1, PASSED_ON), job(2)], receipts=reported("job-1")),
        "1 receipts are neither applied nor kept",
    ),
    "a receipt that was applied twice": (
        lambda: evidence(jobs=[noted(1, *RECEIPTS, DELIVERED), job(2)], receipts=reported("job-1")),
        "1 receipts were applied more than once",
    ),
    "a time at which nothing happened": (
        lambda: evidence(jobs=[job(1, createdAt=moment(601)), job(2)]),
        "times at which nothing happened",
    ),
    "a provider run over": (
        lambda: evidence(records=[record(1), record(2), *([record(2, is_sent=False, answer="503")] * 241)]),
        "its limit is",
    ),
}


@pytest.mark.parametrize(("books", "words"), BROKEN_PROMISES.values(), ids=BROKEN_PROMISES)
def test_a_broken_promise_is_found(books: Callable[[], Evidence], words: str) -> None:
    result = reconcile(scenario(), books())

    assert any(words in violation for violation in result.violations), result.violations


def test_a_killed_worker_explains_as_many_unknown_outcomes_as_it_has_threads() -> None:
    notes = Notes(kills=[Kill("worker1", 1, START), Kill("web", 2, START)])

    result = reconcile(scenario(), evidence(notes=notes))

    assert result.doubts_allowed == CONCURRENCY


def test_an_answer_that_came_after_the_callers_patience_is_a_doubt_of_the_providers_making() -> None:
    late = record(1, answer="gone", answered_at=START + 1.5 + PROVIDER_TIMEOUT_SECONDS)
    of_a_killed_worker = record(2, answer="gone", answered_at=START + 1.55)

    result = reconcile(scenario(), evidence(records=[late, of_a_killed_worker]))

    assert result.doubts_allowed == 1


@pytest.mark.parametrize(
    ("latency_seconds", "explained"),
    [(PROVIDER_TIMEOUT_SECONDS + 0.01, True), (PROVIDER_TIMEOUT_SECONDS / 2, False), (None, False)],
)
def test_a_caller_that_had_no_time_to_read_the_answer_explains_its_doubt_and_no_other(
    latency_seconds: float | None, explained: bool
) -> None:
    entry = {"at": moment(2), "event": "outcome_unknown", "attempt": 1, "latencyMs": (latency_seconds or 0) * 1000}
    if latency_seconds is None:
        entry["code"] = "lease_expired"
    # The provider answered at once, twice.
    books = evidence(jobs=[job(1, logs=[entry]), job(2)], records=[record(1), record(1, attempt=2), record(2)])

    result = reconcile(scenario(), books)

    assert (result.late_calls, result.lost_leases) == (int(explained), int(latency_seconds is None))
    assert (result.violations == []) is explained


def test_recovery_ends_with_the_last_job_that_was_accepted_before_the_healing() -> None:
    notes = Notes(troubles=[Trouble("broken", START, START + 10)])
    jobs = [job(1, finishedAt=moment(13.5)), job(2, createdAt=moment(11), finishedAt=moment(19))]

    result = reconcile(scenario(), evidence(notes=notes, jobs=jobs))

    assert result.recovery_seconds == 3.5


def two_providers(second_from: float, comes_back: bool = True) -> Evidence:
    """Ten notifications a second for 30 s; the first provider fails from 5 s to 25 s, the second steps in."""
    numbers = range(300)
    at = {number: START + number / 10 for number in numbers}
    records = []
    for number in numbers:
        is_ailing = START + 5 <= at[number] < START + 25
        is_back = at[number] >= START + 25 and comes_back
        if not is_ailing and (at[number] < START + 5 or is_back):
            records.append(record(number, at=at[number]))
        elif is_ailing and at[number] < START + 5 + second_from:
            records.append(record(number, at=at[number], answer="503", is_sent=False))
            records.append(record(number, at=START + 26, provider=SECOND))
        else:
            records.append(record(number, at=at[number], provider=SECOND))
    return evidence(
        notifications=[notification(number, accepted_at=at[number]) for number in numbers],
        jobs=[job(number) for number in numbers],
        records=records,
        notes=Notes(troubles=[Trouble("first provider down", START + 5, START + 25)]),
        load_ended_at=START + 30,
        settled_at=START + 31,
    )


def drill_with_two() -> Scenario:
    return scenario(providers=(FIRST, SECOND), failover=Failover(within_seconds=5, within_failed_calls=20))


def test_a_second_provider_that_takes_over_in_time_passes() -> None:
    result = reconcile(drill_with_two(), two_providers(second_from=3))

    assert result.violations == []
    assert result.takeover_seconds == pytest.approx(2.6, abs=0.5)


def test_a_second_provider_that_takes_over_late_is_found() -> None:
    result = reconcile(drill_with_two(), two_providers(second_from=9))

    assert any("took over after" in violation for violation in result.violations)


def test_a_first_provider_that_does_not_come_back_is_found() -> None:
    result = reconcile(drill_with_two(), two_providers(second_from=1, comes_back=False))

    assert any("did not come back" in violation for violation in result.violations)


@pytest.mark.parametrize(
    ("told", "is_good"),
    [
        ({}, True),
        ({"latency_seconds": 1.2}, False),
        ({"answers": {"202": 1, "503": 1}}, False),
        ({"answers": {"202": 1, "timeout": 1}}, False),
        ({"answers": {"202": 2}}, True),
    ],
)
def test_where_nobody_may_wait_every_request_is_accepted_at_once(told: dict[str, Any], is_good: bool) -> None:
    books = evidence(notifications=[notification(1, **told), notification(2)])

    strict = reconcile(scenario(accepts_within_seconds=1), books).violations

    assert bool(strict) is not is_good
    assert reconcile(scenario(), books).violations == []


def test_a_lane_that_stands_still_for_longer_than_promised_is_found() -> None:
    fault = Notes(troubles=[Trouble("a node killed", START + 2, START + 10)])
    known = evidence(
        notifications=[notification(1), notification(2), notification(3, priority="high")],
        jobs=[job(1), job(2), job(3)],
        records=[record(1), record(2, at=START + 18), record(3, at=START + 11)],
        notes=fault,
    )

    kept = reconcile(scenario(delivers_within_seconds=17), known)
    broken = reconcile(scenario(delivers_within_seconds=10), known)

    assert {lane: pause.seconds for lane, pause in kept.pauses.items()} == {"sms.high": 9, "sms.normal": 16.5}
    assert kept.violations == []
    assert broken.violations == ["1 lanes delivered nothing for more than 10 s: sms.normal 16.5 s"]


def test_a_lane_that_delivers_nothing_stands_still_all_the_time() -> None:
    fault = Notes(troubles=[Trouble("a node killed", START + 2, START + 10)])
    known = evidence(
        notifications=[notification(1), notification(2, priority="high")],
        jobs=[job(1), job(2, status="queued")],
        records=[record(1)],
        notes=fault,
    )

    found = reconcile(scenario(delivers_within_seconds=10), known)

    assert found.pauses["sms.high"].seconds == known.load_ended_at - START - 2
