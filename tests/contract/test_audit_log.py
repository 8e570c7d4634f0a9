"""One suite over the audit log of bulk operations: what was recorded is found again, whole."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryAuditLog
from wavecom.core.audit import AuditAction, AuditPosition, FailureReason
from wavecom.core.bulk_operations import AuditLog, BulkOperation, BulkOperationState
from wavecom.core.keys import KeyAction, KeyEvent
from wavecom.core.sessions import SessionBegun
from wavecom.storage.mongo.audit import MongoAuditLog

NEW = BulkOperation("run-1", AuditAction.REPLAY, "ada@ops", NOW, {"error_code": "rejected"})
OLD = BulkOperation(
    operation_id="run-1",
    action=AuditAction.DISCARD,
    operator="bob@ops",
    started_at=later(10),
    filters={"jobs": "job-1 job-2"},
    is_dry_run=True,
    state=BulkOperationState.INTERRUPTED,
    finished_at=later(20),
    reasons=Counter({FailureReason("rejected", "mail"): 2, FailureReason("attempts_exhausted", None): 3}),
    already_done=4,
    in_doubt=5,
    unknown=6,
    unpublished=7,
    first_id="job-1",
    last_id="job-2",
    position=NOW.isoformat(),
    resumes="run-0",
    as_of=NOW,
)


@pytest.fixture(params=["memory", "mongo"])
def audit(request: pytest.FixtureRequest) -> AuditLog:
    if request.param == "memory":
        return MemoryAuditLog()
    return MongoAuditLog(request.getfixturevalue("database"))


@pytest.mark.parametrize("operation", [NEW, OLD], ids=["new", "with everything"])
def test_an_operation_is_found_as_it_was_recorded(audit: AuditLog, operation: BulkOperation) -> None:
    audit.record(operation)

    assert audit.find("run-1") == operation


def test_the_last_state_counts(audit: AuditLog) -> None:
    audit.record(NEW)
    audit.record(OLD)

    assert audit.find("run-1") == OLD


def test_an_entry_that_nobody_wrote_is_not_found(audit: AuditLog) -> None:
    assert audit.find("run-1") is None


def test_an_entry_about_a_key_is_no_operation(database: Database[dict[str, Any]]) -> None:
    audit = MongoAuditLog(database)
    audit.record_key_event(
        KeyEvent(
            event_id="event-1",
            action=KeyAction.REVOKE,
            actor="ada@ops",
            at=NOW,
            key_id="key-1",
            client="acme",
            details={},
        )
    )

    assert audit.find("event-1") is None


def test_a_sign_in_is_noted_once(database: Database[dict[str, Any]]) -> None:
    log = MongoAuditLog(database)
    event = SessionBegun(event_id="begin-s-1", actor="user ada", at=NOW, session_id="s-1", address="192.0.2.7")

    log.record_session_begin(event)
    log.record_session_begin(event)

    [entry] = log.newest(action="begin_session", limit=10)
    assert (entry["operator"], entry["sessionId"], entry["address"]) == ("user ada", "s-1", "192.0.2.7")


def test_a_release_is_noted_when_it_is_another_one_and_so_is_the_way_back(database: Database[dict[str, Any]]) -> None:
    log = MongoAuditLog(database)

    # Web processes begin one after the other, and again and again.
    for version, minutes in [("1.0", 0), ("1.0", 0), ("1.0", 5), ("1.1", 10), ("1.1", 11), ("1.0", 20)]:
        log.record_release(version, later(minutes=minutes))

    entries = log.newest(action=AuditAction.RELEASE.value, limit=10)
    assert [(entry["version"], entry["startedAt"]) for entry in entries] == [
        ("1.0", later(minutes=20)),
        ("1.1", later(minutes=10)),
        ("1.0", NOW),
    ]


@pytest.mark.parametrize("narrowed", [{}, {"action": "revoke_key"}, {"since": NOW}])
def test_pages_of_any_size_have_each_entry_once_though_many_are_of_one_moment(
    database: Database[dict[str, Any]], narrowed: dict[str, Any]
) -> None:
    log = MongoAuditLog(database)
    # In no order: of one moment the store gives them back as they were written.
    ids = [f"event-{number * 7 % 12:02}" for number in range(12)]
    for number, event_id in enumerate(ids):
        at = later(number // 10)
        log.record_key_event(
            KeyEvent(event_id=event_id, action=KeyAction.REVOKE, actor="ada@ops", at=at, key_id="key-1", client="acme")
        )
    whole = [entry["entryId"] for entry in log.newest(limit=100, **narrowed)]

    assert sorted(whole) == sorted(ids)
    for size in range(1, 13):
        found: list[str] = []
        behind: AuditPosition | None = None
        while page := log.newest(limit=size, behind=behind, **narrowed):
            assert len(page) <= size
            found += [entry["entryId"] for entry in page]
            behind = AuditPosition(page[-1]["startedAt"], page[-1]["entryId"])
        assert found == whole
