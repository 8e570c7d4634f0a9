"""The books of callbacks: honest ones pass, and every kind of broken promise is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.faults.callbacks import CallbackEvidence, Endpoint, reconcile_callbacks
from tests.faults.notes import Trouble

START = 1_800_000_000.0
ALL, BAD, OTHER = (
    Endpoint("all", "sms"),
    Endpoint("bad", "sms", frozenset({"failed"})),
    Endpoint("other", "email"),
)
DOWN = Trouble("all is down", START, START + 30)


def job(job_id: str = "one", status: str = "delivered", versions: int = 2) -> dict[str, Any]:
    return {"jobId": job_id, "type": "sms", "status": status, "eventVersion": versions}


def call(endpoint: Endpoint, version: int, status: str, **changes: Any) -> dict[str, Any]:
    job_id = changes.get("job_id", "one")
    return {
        "at": START + 3,
        "endpoint": endpoint.name,
        "event_id": f"{job_id}.{version}",
        "type": f"notification.{status}",
        "job_id": job_id,
        "version": version,
        "happened_at": datetime.fromtimestamp(START + 2, UTC).isoformat(),
        "is_genuine": True,
        "answer": "200",
        "is_taken": True,
    } | changes


GOOD = [call(ALL, 1, "queued"), call(ALL, 2, "delivered")]
FAILED = [call(ALL, 1, "queued"), call(ALL, 2, "failed"), call(BAD, 2, "failed")]


def evidence(*calls: dict[str, Any], **changes: Any) -> CallbackEvidence:
    return replace(CallbackEvidence(endpoints=[ALL, BAD, OTHER], calls=calls), **changes)


def test_what_each_endpoint_wanted_and_took_breaks_no_promise() -> None:
    delivered = reconcile_callbacks(evidence(*GOOD), {"one": job()}, [])
    failed = reconcile_callbacks(evidence(*FAILED), {"one": job(status="failed")}, [])

    assert (delivered.violations(0), failed.violations(0)) == ([], [])
    assert (delivered.taken, failed.taken, delivered.longest_seconds) == (2, 3, None)


def test_a_repetition_is_counted_and_must_be_allowed() -> None:
    findings = reconcile_callbacks(evidence(*GOOD, GOOD[1]), {"one": job()}, [])

    assert (findings.taken, findings.repeated) == (2, 1)
    assert findings.violations(1) == []
    assert findings.violations(0) != []


def test_a_try_that_was_refused_or_that_nobody_waited_for_is_no_repetition() -> None:
    tries = [call(ALL, 2, "delivered", answer=answer, is_taken=False) for answer in ("503", "gone", "silence")]

    findings = reconcile_callbacks(evidence(*tries, *GOOD), {"one": job()}, [])

    assert (findings.violations(0), findings.repeated) == ([], 0)


def _drop(index: int) -> Callable[[list[dict[str, Any]]], object]:
    return lambda calls: calls.pop(index)


def _change(index: int, **changes: Any) -> Callable[[list[dict[str, Any]]], object]:
    return lambda calls: calls[index].update(changes)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(_drop(0), "never came", id="an event that was never sent"),
        pytest.param(_drop(2), "never came", id="an end that a callback for bad ends missed"),
        pytest.param(_change(1, is_taken=False, answer="503"), "never came", id="an event that was never taken"),
        pytest.param(_change(1, is_genuine=False), "were wrong", id="a signature that is wrong"),
        pytest.param(_change(2, event_id="one.2-again"), "were wrong", id="another id for the same event"),
        pytest.param(_change(0, event_id="one.2"), "were wrong", id="one id for two events"),
        pytest.param(_change(1, type="notification.delivered"), "were wrong", id="an end that is not so"),
        pytest.param(_change(0, job_id="none"), "were wrong", id="a job that does not exist"),
    ],
)
def test_every_broken_promise_is_found(spoil: Callable[[list[dict[str, Any]]], object], found: str) -> None:
    calls = [dict(each) for each in FAILED]
    spoil(calls)

    violations = reconcile_callbacks(evidence(*calls), {"one": job(status="failed")}, []).violations(0)

    assert any(found in text for text, _ in violations)


def test_a_job_without_events_is_lost_to_whoever_wants_them() -> None:
    findings = reconcile_callbacks(evidence(), {"one": {"jobId": "one", "type": "sms", "status": "delivered"}}, [])

    assert findings.lost == ["all one records no events", "bad one records no events"]


def test_events_wait_for_no_endpoint_but_their_own() -> None:
    late = [call(ALL, 1, "queued"), call(ALL, 2, "failed", at=START + 40), call(BAD, 2, "failed", at=START + 14)]
    jobs = {"one": job(status="failed")}

    of_the_other = reconcile_callbacks(evidence(*late, down=ALL.name), jobs, [DOWN])
    its_own = reconcile_callbacks(evidence(*late, down=BAD.name), jobs, [DOWN])
    at_other_times = reconcile_callbacks(evidence(*late, down=ALL.name), jobs, [Trouble("", START + 5, START + 9)])

    assert (of_the_other.longest_seconds, len(of_the_other.late)) == ((12.0, 0.0), 1)
    assert its_own.longest_seconds == (38.0, 0.0)
    assert (at_other_times.longest_seconds, at_other_times.late) == ((0.0, 12.0), [])


def test_what_is_always_slow_is_not_the_fault_of_an_endpoint_that_is_down() -> None:
    slow = call(BAD, 2, "failed", at=START + 14)
    earlier = call(BAD, 2, "failed", job_id="two", event_id="two.2", at=START - 50)
    earlier["happened_at"] = datetime.fromtimestamp(START - 60, UTC).isoformat()
    calls = [*FAILED[:2], slow, earlier]

    findings = reconcile_callbacks(evidence(*calls, down=ALL.name), {"one": job(status="failed")}, [DOWN])

    assert (findings.longest_seconds, findings.late) == ((12.0, 10.0), [])
